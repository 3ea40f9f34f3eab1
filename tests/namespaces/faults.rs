//! A fault names what is missing, in the log, in the status and in the check of the file; and a file with which keepalived
//! runs, runs here too.

use anyhow::Result;
use nix::sys::signal::Signal;
use vrrp_tests::lab::{Host, Lab, Process, agent, eventually, ip};

use crate::common::{Config, HIGH, LOW, Pair, TIMEOUT, VIP, reaches};

const SOCKETS: &[&str] = &["--dataplane", "socket"];

/// The output of `vrrp-agent status`.
fn status_text(host: &Host) -> Result<String> {
    host.run(&agent()?.display().to_string(), &["status"])
}

/// True if the status of the first instance says that it lacks exactly these things.
fn lacks(host: &Host, sentences: &[&str]) -> bool {
    let status = host.status().unwrap_or_default();
    let lacks = status["instances"][0]["lacks"].as_array().cloned().unwrap_or_default();
    lacks.len() == sentences.len() && sentences.iter().all(|sentence| lacks.contains(&(*sentence).into()))
}

#[test]
fn r13_each_fault_names_what_is_missing() -> Result<()> {
    let lab = Lab::new()?;
    let h1 = lab.host("h1", 11)?;
    let file = lab.write("number", "1\n")?;
    let above = format!(
        "vrrp_script chk {{\nscript \"/bin/sh -c 'exit 3'\"\ninterval 1\n}}\n\
         track_file f {{\nfile {}\nweight 0\n}}\nvrrp_track_process p {{\nprocess no-such-program\n}}",
        file.display()
    );
    let more =
        "track_interface {\neht1\n}\ntrack_script {\nchk\n}\ntrack_file {\nf\n}\ntrack_process {\np\n}";
    let text = Config { above, more: more.to_owned(), ..Config::priority(HIGH) }.text();
    let process = h1.agent_with(&text, SOCKETS)?;
    let sentences = [
        "interface eht1 does not exist",
        "script chk failed (exit status 3)",
        &format!("file {} says 1 (track_file f)", file.display()),
        "process no-such-program (vrrp_track_process p) is not running",
    ];
    assert!(eventually(TIMEOUT, || lacks(&h1, &sentences)), "{:#}", h1.status()?);
    assert!(process.says("tracked interface eht1 does not exist on this host", TIMEOUT), "{}", process.log());
    assert!(process.says("-> FAULT: interface eht1 does not exist", TIMEOUT), "{}", process.log());
    let status = h1.status()?;
    assert_eq!(status["instances"][0]["state"], "fault");
    assert_eq!(status["interfaces"][0]["state"], "missing");
    assert_eq!(status["files"][0]["number"], 1);
    assert_eq!(status["processes"][0]["state"], "down");
    assert_eq!(status["scripts"][0]["result"], "exit status 3");
    let said = status_text(&h1)?;
    for text in sentences.into_iter().chain(["interface eht1: MISSING", "script chk: DOWN (exit status 3)"]) {
        assert!(said.contains(text), "{text}\n{said}");
    }
    // `check` says the same of the file, without a daemon.
    let config = lab.directory().join("h1.conf");
    let output = h1.command(agent()?).arg("check").arg("-f").arg(&config).output()?;
    let checked = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(checked.contains("interface eht1 does not exist on this host"), "{checked}");
    // The status no longer names an interface that is there now.
    ip(&["-n", h1.namespace(), "link", "add", "eht1", "type", "bridge"])?;
    ip(&["-n", h1.namespace(), "link", "set", "eht1", "up"])?;
    assert!(eventually(TIMEOUT, || lacks(&h1, &sentences[1..])), "{:#}", h1.status()?);
    assert_eq!(h1.status()?["interfaces"][0]["state"], "up");
    ip(&["-n", h1.namespace(), "link", "set", "eht1", "down"])?;
    let is_down = ["interface eht1 is down", sentences[1], sentences[2], sentences[3]];
    assert!(eventually(TIMEOUT, || lacks(&h1, &is_down)), "{:#}", h1.status()?);
    Ok(())
}

#[test]
fn r13_a_pulled_cable_and_a_lost_address_are_named() -> Result<()> {
    let pair = Pair::start(SOCKETS)?;
    pair.h1.set_link(false)?;
    assert!(
        pair.master.says("MASTER -> FAULT: interface eth0 has no carrier", TIMEOUT),
        "{}",
        pair.master.log()
    );
    assert!(
        eventually(TIMEOUT, || lacks(&pair.h1, &["interface eth0 has no carrier"])),
        "{}",
        pair.h1.status()?
    );
    pair.h1.set_link(true)?;
    assert!(reaches(&pair.h1, 0, "master"), "{}", pair.master.log());
    let own = format!("{}/24", pair.h1.address());
    ip(&["-n", pair.h1.namespace(), "address", "del", &own, "dev", "eth0"])?;
    assert!(reaches(&pair.h1, 0, "fault"), "{}", pair.master.log());
    let log = pair.master.log();
    assert!(log.contains("has no IPv4 address to send adverts from"), "{log}");
    assert!(!log.contains("is there again, but") && !log.contains("something"), "{log}");
    assert!(status_text(&pair.h1)?.contains("has no IPv4 address"), "{}", status_text(&pair.h1)?);
    pair.h1.give_address()?;
    assert!(reaches(&pair.h1, 0, "master"), "{}", pair.master.log());
    Ok(())
}

/// Asks for a reload, and waits until the log says this.
fn reload(process: &Process, said: &str) -> Result<()> {
    process.signal(Signal::SIGHUP)?;
    anyhow::ensure!(process.says(said, TIMEOUT), "not {said}:\n{}", process.log());
    Ok(())
}

fn an_empty_file_releases(options: &[&str]) -> Result<()> {
    let pair = Pair::start(options)?;
    assert!(reaches(&pair.h2, 0, "backup"));
    pair.lab.write("h1.conf", "global_defs {\nrouter_id h1\n}\n")?;
    reload(&pair.master, "reloaded in ")?;
    pair.h1.wait_for_address(VIP, false, TIMEOUT)?;
    pair.h2.wait_for_address(VIP, true, TIMEOUT)?;
    let resigned = pair
        .capture
        .adverts()
        .into_iter()
        .filter(|packet| packet.content.source == pair.h1.address() && packet.content.priority == 0);
    assert!(resigned.count() > 0, "it resigned");
    assert_eq!(pair.h1.status()?["instances"].as_array().map(Vec::len), Some(0));
    assert!(pair.master.log().contains("the file has no vrrp_instance any more"), "{}", pair.master.log());
    assert_eq!(pair.client.arping(VIP)?, [pair.h2.mac()?]);
    // The agent waits for a file that has an instance.
    pair.lab.write("h1.conf", &Config::priority(HIGH).text())?;
    pair.master.signal(Signal::SIGHUP)?;
    pair.h1.wait_for_address(VIP, true, TIMEOUT)?;
    assert_eq!(pair.client.arping(VIP)?, [pair.h1.mac()?]);
    // A file that cannot be read changes nothing.
    std::fs::remove_file(pair.lab.directory().join("h1.conf"))?;
    reload(&pair.master, "not reloaded")?;
    assert!(pair.h1.has_address(VIP)?);
    assert!(pair.master.stop()?.success());
    Ok(())
}

#[test]
fn r11_a_reload_to_an_empty_file_releases_all() -> Result<()> {
    an_empty_file_releases(&[])
}

#[test]
fn r11_a_reload_to_an_empty_file_releases_all_on_sockets() -> Result<()> {
    an_empty_file_releases(SOCKETS)
}

/// keepalived's behaviour, with which the two tests before are compared.
#[test]
fn r11_keepalived_releases_all_too() -> Result<()> {
    for empty in ["global_defs {\nrouter_id h1\n}\n", ""] {
        let lab = Lab::new()?;
        let h1 = lab.host("h1", 11)?;
        let process = h1.keepalived(&Config::priority(HIGH).text())?;
        h1.wait_for_address(VIP, true, TIMEOUT)?;
        lab.write("h1-keepalived.conf", empty)?;
        process.signal(Signal::SIGHUP)?;
        h1.wait_for_address(VIP, false, TIMEOUT)?;
    }
    Ok(())
}

#[test]
fn r11_a_start_with_an_empty_file_waits() -> Result<()> {
    for options in [&[][..], SOCKETS] {
        let lab = Lab::new()?;
        let h1 = lab.host("h1", 11)?;
        let process = h1.agent_with("", options)?;
        assert!(process.says("no vrrp_instance", TIMEOUT), "{}", process.log());
        lab.write("h1.conf", &Config::priority(HIGH).text())?;
        process.signal(Signal::SIGHUP)?;
        h1.wait_for_address(VIP, true, TIMEOUT)?;
        assert_eq!(h1.state(0), "master");
        assert!(process.stop()?.success());
        assert!(!h1.has_address(VIP)?);
    }
    Ok(())
}

/// Starts and reloads with slips that keepalived goes on with: a prefix behind a peer, a netmask, IPv6 among IPv4, a name that is
/// there twice, and a byte order mark.
#[test]
fn r10_slips_keep_nothing_from_starting() -> Result<()> {
    let lab = Lab::new()?;
    let (h1, h2) = (lab.host("h1", 11)?, lab.host("h2", 12)?);
    let text = |peer: u8, priority| {
        let instance = format!(
            "vrrp_instance A {{\ninterface eth0\nvirtual_router_id 51\npriority {priority}\nunicast_peer {{\n\
             192.168.1.{peer}/24\n}}\nvirtual_ipaddress {{\n{VIP}/255.255.255.0\n2001:db8::1\n}}\n}}\n"
        );
        format!("\u{feff}{instance}{}", instance.replace("_id 51", "_id 52"))
    };
    let master = h1.agent_with(&text(12, HIGH), SOCKETS)?;
    let backup = h2.agent_with(&text(11, LOW), SOCKETS)?;
    assert!(reaches(&h1, 0, "master") && reaches(&h2, 0, "backup"), "{}\n{}", master.log(), backup.log());
    assert_eq!(h1.status()?["instances"].as_array().map(Vec::len), Some(1));
    assert!(h1.has_address(VIP)? && !h1.has_address("2001:db8::1")?);
    lab.write("h1.conf", &text(12, HIGH).replace("2001:db8::1", "192.168.1.77/33"))?;
    reload(&master, "reloaded in ")?;
    h1.wait_for_address("192.168.1.77", true, TIMEOUT)?;
    assert_eq!(h2.state(0), "backup", "{}", backup.log());
    Ok(())
}

/// Two hosts have the same link-local address: the kernel of the second finds that out, and the agent does not send from this
/// address.
#[test]
fn an_address_that_another_host_has_is_no_source() -> Result<()> {
    let lab = Lab::new()?;
    let (h1, h2) = (lab.host("h1", 11)?, lab.host("h2", 12)?);
    ip(&["-n", h2.namespace(), "address", "add", "fe80::99/64", "dev", "eth0", "nodad"])?;
    h1.run("sysctl", &["-qw", "net.ipv6.conf.eth0.accept_dad=1", "net.ipv6.conf.eth0.dad_transmits=1"])?;
    ip(&["-n", h1.namespace(), "-6", "address", "flush", "dev", "eth0"])?;
    ip(&["-n", h1.namespace(), "address", "add", "fe80::99/64", "dev", "eth0"])?;
    let addresses =
        || ip(&["-n", h1.namespace(), "-6", "address", "show", "dev", "eth0"]).unwrap_or_default();
    assert!(eventually(TIMEOUT, || addresses().contains("dadfailed")), "{}", addresses());
    let text =
        "vrrp_instance V {\ninterface eth0\nvirtual_router_id 51\nvirtual_ipaddress {\nfe80::10\n}\n}\n";
    let process = h1.agent_with(text, SOCKETS)?;
    assert!(reaches(&h1, 0, "fault"), "{}", process.log());
    assert!(
        status_text(&h1)?.contains("no link-local IPv6 address to send adverts from"),
        "{}",
        status_text(&h1)?
    );
    ip(&["-n", h1.namespace(), "address", "add", "fe80::11/64", "dev", "eth0"])?;
    assert!(reaches(&h1, 0, "master"), "{}", process.log());
    assert_eq!(h1.status()?["instances"][0]["source"], "fe80::11");
    Ok(())
}
