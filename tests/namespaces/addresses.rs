//! The ownership of addresses: what a reload, an operator, another instance or an earlier run has done to them, and that no
//! address of ours stays behind without a fence.

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use vrrp_tests::lab::{Host, Lab, Process, eventually, ip};
use vrrp_tests::random::Random;

use crate::common::{Config, HIGH, TIMEOUT, VIP, reaches};

const SOCKETS: [&str; 2] = ["--dataplane", "socket"];

/// The addresses on an interface without those that every host of a lab has, as `ip` shows them.
fn addresses(host: &Host, dev: &str) -> Result<Vec<String>> {
    let all = ip(&["-n", host.namespace(), "-o", "address", "show", "dev", dev])?;
    let own = format!(" {}/24", host.address());
    let others = all.lines().filter(|line| !line.contains(" fe80:") && !line.contains(&own));
    Ok(others.map(|line| line.split_whitespace().skip(2).collect::<Vec<_>>().join(" ")).collect())
}

/// The prefixes with which an address is on `eth0`.
fn prefixes(host: &Host, address: &str) -> Result<Vec<String>> {
    let of = |line: &String| {
        let word = line.split_whitespace().find(|word| word.starts_with(&format!("{address}/")))?;
        Some(word.to_owned())
    };
    Ok(addresses(host, "eth0")?.iter().filter_map(of).collect())
}

/// One instance with these addresses. Its IPv6 addresses are not advertised.
fn text(vips: &str) -> String {
    let (v6, v4): (Vec<&str>, Vec<&str>) = vips.lines().partition(|line| line.contains("::"));
    let (v4, v6) = (v4.join("\n"), v6.join("\n"));
    let more = format!("virtual_ipaddress {{\n{v4}\n}}\nvirtual_ipaddress_excluded {{\n{v6}\n}}");
    let config = Config { vip: "", more, ..Config::priority(HIGH) };
    config.text().replace("virtual_ipaddress {\n\n}\n", "").replace("virtual_ipaddress_excluded {\n\n}", "")
}

fn reload(lab: &Lab, host: &Host, agent: &Process, text: &str) -> Result<()> {
    lab.write(&format!("{}.conf", host.name()), text)?;
    let count = || agent.log().matches("reloaded in ").count();
    let before = count();
    agent.signal(Signal::SIGHUP)?;
    ensure!(eventually(TIMEOUT, || count() > before), "no reload:\n{}", agent.log());
    Ok(())
}

/// True if the pins of a host's agent are there, and with them its fence.
fn is_fenced(host: &Host) -> Result<bool> {
    Ok(host.pin("settings")?.exists())
}

/// True if the interface soon has the address with exactly these prefixes, in any order.
fn has_exactly(host: &Host, address: &str, expected: &[&str]) -> bool {
    eventually(TIMEOUT, || {
        let mut there = prefixes(host, address).unwrap_or_default();
        there.sort();
        there == expected
    })
}

#[test]
fn a3_a_changed_prefix_leaves_no_address_behind() -> Result<()> {
    for options in [&[][..], &SOCKETS] {
        let lab = Lab::new()?;
        let host = lab.host("h1", 11)?;
        let agent = host.agent_with(&text("10.77.0.100/16\nfd77::100/64"), options)?;
        ensure!(has_exactly(&host, "10.77.0.100", &["10.77.0.100/16"]), "{}", agent.log());
        reload(&lab, &host, &agent, &text("10.77.0.100/32\nfd77::100/128"))?;
        for (address, expected) in [("10.77.0.100", "10.77.0.100/32"), ("fd77::100", "fd77::100/128")] {
            ensure!(
                has_exactly(&host, address, &[expected]),
                "{:?}\n{}",
                prefixes(&host, address),
                agent.log()
            );
        }
        assert_eq!(host.status()?["instances"][0]["became_master"], 1, "{}", agent.log());
        assert!(agent.stop()?.success());
        assert_eq!(addresses(&host, "eth0")?, [""; 0]);
        assert!(!is_fenced(&host)?);
    }
    Ok(())
}

#[test]
fn a3_a_changed_peer_or_label_or_scope_is_set_anew_without_a_loss_of_mastership() -> Result<()> {
    let lab = Lab::new()?;
    let host = lab.host("h1", 11)?;
    let agent = host.agent(&text("10.77.0.100 peer 10.77.1.1\n10.78.0.1/24\nfd77::100/64"))?;
    host.wait_for_address("fd77::100", true, TIMEOUT)?;
    let shows = |what: &str| {
        eventually(TIMEOUT, || {
            addresses(&host, "eth0").is_ok_and(|all| all.iter().any(|of| of.contains(what)))
        })
    };
    assert!(shows("10.77.0.100 peer 10.77.1.1/32"), "{:#?}", addresses(&host, "eth0"));
    let other = "10.77.0.100 peer 10.77.1.2\n10.78.0.1/24 brd 10.78.0.255 scope link label eth0:vip\n\
                 fd77::100/64 preferred_lft 0 home";
    reload(&lab, &host, &agent, &text(other))?;
    for what in [
        "10.77.0.100 peer 10.77.1.2/32",
        "10.78.0.1/24 brd 10.78.0.255 scope link",
        "eth0:vip",
        "fd77::100/64 scope global nodad home deprecated",
    ] {
        assert!(shows(what), "{what}: {:#?}\n{}", addresses(&host, "eth0"), agent.log());
    }
    let all = addresses(&host, "eth0")?;
    assert_eq!(all.len(), 3, "{all:#?}");
    // A reload sets the addresses back.
    reload(&lab, &host, &agent, &text("10.77.0.100/32\n10.78.0.1/24 noprefixroute\nfd77::100/64"))?;
    assert!(shows("10.78.0.1/24 scope global noprefixroute"), "{:#?}", addresses(&host, "eth0"));
    assert!(eventually(TIMEOUT, || addresses(&host, "eth0").is_ok_and(|all| {
        !all.iter().any(|of| of.contains("peer") || of.contains("deprecated") || of.contains("eth0:vip"))
    })));
    assert_eq!(addresses(&host, "eth0")?.len(), 3);
    let status = host.status()?;
    assert_eq!(status["instances"][0]["became_master"], 1, "{status}\n{}", agent.log());
    assert!(agent.stop()?.success());
    assert_eq!(addresses(&host, "eth0")?, [""; 0]);
    Ok(())
}

/// An address to which an operator has given another prefix goes with the mastership like any other.
#[test]
fn a3_a_prefix_that_an_operator_changed_goes_with_the_mastership() -> Result<()> {
    let lab = Lab::new()?;
    let host = lab.host("h1", 11)?;
    let agent = host.agent(&text("10.77.0.100/32"))?;
    host.wait_for_address("10.77.0.100", true, TIMEOUT)?;
    host.run("ip", &["address", "add", "10.77.0.100/16", "dev", "eth0"])?;
    host.run("ip", &["address", "del", "10.77.0.100/32", "dev", "eth0"])?;
    std::thread::sleep(std::time::Duration::from_secs(1));
    assert!(agent.stop()?.success());
    assert_eq!(addresses(&host, "eth0")?, [""; 0]);
    Ok(())
}

/// A virtual address on another interface is not ours to remove, but two hosts would answer for it: the fence stays up, and the
/// agent says so.
#[test]
fn a3_the_fence_stays_up_as_long_as_a_virtual_address_is_on_the_host() -> Result<()> {
    let lab = Lab::new()?;
    let host = lab.host("h1", 11)?;
    lab.second_interface(&host)?;
    let mut agent = host.agent(&text("10.77.0.100/32"))?;
    host.wait_for_address("10.77.0.100", true, TIMEOUT)?;
    host.run("ip", &["address", "add", "10.77.0.100/16", "dev", "eth1"])?;
    agent.signal(Signal::SIGTERM)?;
    agent.wait(TIMEOUT)?;
    assert!(
        agent.log().contains("virtual addresses are left on this host: 10.77.0.100/16 on eth1"),
        "{}",
        agent.log()
    );
    assert!(is_fenced(&host)?, "{}", agent.log());
    Ok(())
}

/// One of many ways to write the addresses of an instance.
fn some_vips(random: &mut Random) -> String {
    let mut vips = String::new();
    for last in 1..=3 {
        if last == 1 || random.chance(60) {
            let prefix = random.pick(&["/16", "/24", "/32", "", "/24 label eth0:v", "/32 noprefixroute"]);
            let dev = random.pick(&["", "", " dev eth1"]);
            let peer = if prefix.is_empty() && random.chance(50) { " peer 10.99.0.9" } else { "" };
            vips += &format!("10.77.0.{last}{prefix}{peer}{dev}\n");
        }
    }
    if random.chance(50) {
        vips += &format!("fd77::1{}\n", random.pick(&["/64", "/128", "/48"]));
    }
    vips
}

/// Makes an edit, as an operator does by hand, to an address that is configured. The kernel may refuse the edit.
fn some_edit(random: &mut Random, host: &Host, vips: &str) {
    let vips: Vec<&str> = vips.lines().filter_map(|line| line.split([' ', '/']).next()).collect();
    let address = random.pick(&vips);
    let prefix = if address.contains(':') {
        random.pick(&["64", "128"])
    } else {
        random.pick(&["8", "16", "24", "32"])
    };
    let verb = random.pick(&["add", "del", "change", "replace"]);
    let dev = random.pick(&["eth0", "eth0", "eth1"]);
    let edit = ["address", verb, &format!("{address}/{prefix}"), "dev", dev];
    println!("  ip {}", edit.join(" "));
    let _refused = host.run("ip", &edit);
}

/// After any sequence of reloads and of operators' edits, and then a stop, no virtual address is there without a fence.
#[test]
fn a3_whatever_was_done_no_address_stays_behind_without_a_fence() -> Result<()> {
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_261_127);
    for round in 0..8 {
        println!("seed {}", seed + round);
        let mut random = Random::new(seed + round);
        let lab = Lab::new()?;
        let host = lab.host("h1", 11)?;
        lab.second_interface(&host)?;
        let mut vips = some_vips(&mut random);
        let mut agent = host.agent(&text(&vips))?;
        ensure!(reaches(&host, 0, "master"), "{}", agent.log());
        for _ in 0..random.below(10) + 2 {
            if random.chance(50) {
                vips = some_vips(&mut random);
                println!("  {}", vips.replace('\n', "; "));
                reload(&lab, &host, &agent, &text(&vips))?;
            } else {
                some_edit(&mut random, &host, &vips);
            }
            if random.chance(30) {
                std::thread::sleep(random.duration(std::time::Duration::from_millis(700)));
            }
        }
        agent.signal(Signal::SIGTERM)?;
        ensure!(agent.wait(TIMEOUT)?.success(), "{}", agent.log());
        let left = ip(&["-n", host.namespace(), "-o", "address"])?;
        let left = ["10.77.0.", "fd77::"].iter().any(|of| left.contains(of)).then_some(left);
        println!("  left: {left:?}");
        ensure!(left.is_none() || is_fenced(&host)?, "seed {}: {left:?}\n{}", seed + round, agent.log());
        if left.is_some() {
            ensure!(agent.log().contains("virtual addresses are left on this host"), "{}", agent.log());
        }
    }
    Ok(())
}

/// An address of the host that is also virtual is left where it is, as by keepalived.
#[test]
fn r3_an_address_that_is_the_host_s_own_stays() -> Result<()> {
    for options in [&[][..], &SOCKETS] {
        for vip in ["192.168.1.11", "192.168.1.11/24", "192.168.1.11/24 label eth0:vip"] {
            let lab = Lab::new()?;
            let host = lab.host("h1", 11)?;
            let own = || ip(&["-n", host.namespace(), "-o", "-4", "address", "show", "dev", "eth0"]);
            let before = own()?;
            let mut agent = host.agent_with(&text(vip), options)?;
            ensure!(reaches(&host, 0, "master"), "{vip} {options:?}: {}", agent.log());
            assert!(own()?.contains(before.trim()), "{vip}: {}", own()?);
            assert!(agent.says("by itself", TIMEOUT), "{}", agent.log());
            agent.signal(Signal::SIGKILL)?;
            agent.wait(TIMEOUT)?;
            let again = host.agent_with(&text(vip), options)?;
            ensure!(reaches(&host, 0, "master"), "{vip}: {}", again.log());
            assert!(again.stop()?.success());
            assert_eq!(own()?, before, "{vip} {options:?}");
            assert!(!is_fenced(&host)?, "it answers for its own address");
        }
    }
    Ok(())
}

/// The same for the host's own address that becomes virtual in a reload, and for a static address that was there before.
#[test]
fn r3_an_address_that_was_there_before_a_reload_or_is_static_stays() -> Result<()> {
    let lab = Lab::new()?;
    let host = lab.host("h1", 11)?;
    host.run("ip", &["address", "add", "10.77.0.1/24", "dev", "eth0"])?;
    host.run("ip", &["address", "add", "10.55.0.1/24", "dev", "eth0"])?;
    let fixed = "static_ipaddress {\n10.55.0.1/24 dev eth0\n10.55.0.2/24 dev eth0\n}\n";
    let agent = host.agent(&(fixed.to_owned() + &text("10.77.0.100")))?;
    host.wait_for_address("10.77.0.100", true, TIMEOUT)?;
    reload(&lab, &host, &agent, &(fixed.to_owned() + &text("10.77.0.100\n10.77.0.1\n10.77.0.2/24")))?;
    host.wait_for_address("10.77.0.2", true, TIMEOUT)?;
    assert!(agent.stop()?.success());
    let left = addresses(&host, "eth0")?;
    let left: Vec<_> = left.iter().filter_map(|line| line.split_whitespace().nth(1)).collect();
    assert_eq!(left, ["10.77.0.1/24", "10.55.0.1/24"]);
    Ok(())
}

/// Without pins, the mark of an address in the kernel says that an earlier run has put it there, also if the file of today does
/// not have the address.
#[test]
fn r3_what_a_killed_agent_left_is_known_by_its_mark() -> Result<()> {
    for options in [&[][..], &SOCKETS] {
        let lab = Lab::new()?;
        let host = lab.host("h1", 11)?;
        let mut agent = host.agent_with(&text("10.77.0.100\nfd77::100/64"), options)?;
        host.wait_for_address("fd77::100", true, TIMEOUT)?;
        agent.signal(Signal::SIGKILL)?;
        agent.wait(TIMEOUT)?;
        host.run("ip", &["address", "add", "10.77.0.200/24", "dev", "eth0"])?;
        let again = host.agent_with(&text("10.88.0.1"), options)?;
        for left in ["10.77.0.100", "fd77::100"] {
            assert!(
                !host.has_address(left)?,
                "{left}: {:#?}
{}",
                addresses(&host, "eth0"),
                again.log()
            );
        }
        assert!(host.has_address("10.77.0.200")?, "an operator's");
        host.wait_for_address("10.88.0.1", true, TIMEOUT)?;
    }
    Ok(())
}

/// Two agents of one network namespace leave each other's addresses alone.
#[test]
fn r3_another_agent_s_address_is_no_left_over() -> Result<()> {
    let lab = Lab::new()?;
    let host = lab.host("h1", 11)?;
    let named = |name: &str, vrid: u8, vip: &'static str| {
        format!("instance {name}\n") + &Config { vrid, vip, ..Config::priority(HIGH) }.text()
    };
    let start = |name: &str, text: &str| -> Result<Process> {
        let file = lab.write(&format!("{name}.conf"), text)?;
        let mut command = host.command(vrrp_tests::lab::agent()?);
        command.args(["--dataplane", "socket", "-f"]).arg(file);
        host.spawn(&mut command, name)
    };
    let one = start("one", &named("one", 51, "10.77.0.1"))?;
    host.wait_for_address("10.77.0.1", true, TIMEOUT)?;
    let two = start("two", &named("two", 52, "10.77.0.2"))?;
    ensure!(host.wait_for_address("10.77.0.2", true, TIMEOUT).is_ok(), "{}\n{}", one.log(), two.log());
    assert!(host.has_address("10.77.0.1")?, "{}\n{}", one.log(), two.log());
    assert!(!one.log().contains("took its addresses"), "{}", one.log());
    assert!(two.stop()?.success());
    assert!(host.has_address("10.77.0.1")? && !host.has_address("10.77.0.2")?);
    Ok(())
}

/// keepalived also keeps the other addresses.
#[test]
fn a6_one_address_that_the_kernel_refuses_does_not_take_the_others_down() -> Result<()> {
    let lab = Lab::new()?;
    let host = lab.host("h1", 11)?;
    let v6 = |off: &str| host.run("sysctl", &["-qw", &format!("net.ipv6.conf.all.disable_ipv6={off}")]);
    v6("1")?;
    let more = "virtual_ipaddress_excluded {\nfd77::100/64\n10.77.0.2\n}".to_owned();
    let agent = host.agent(&Config { more, ..Config::priority(HIGH) }.text())?;
    host.wait_for_address("10.77.0.2", true, TIMEOUT)?;
    assert!(agent.says("fd77::100/64", TIMEOUT), "{}", agent.log());
    // Longer than the time after which a fault would be tried again.
    for _ in 0..12 {
        std::thread::sleep(std::time::Duration::from_secs(1));
        assert!(host.has_address(VIP)? && host.has_address("10.77.0.2")?, "{}", agent.log());
    }
    let status = host.status()?;
    let instance = &status["instances"][0];
    assert_eq!((&instance["state"], &instance["became_master"]), (&"master".into(), &1.into()), "{status}");
    assert_eq!(instance["missing"], serde_json::json!(["fd77::100"]), "{status}");
    assert_eq!(agent.log().matches("add fd77::100/64").count(), 1, "said once: {}", agent.log());
    // The refused address is set as soon as the kernel takes it.
    v6("0")?;
    host.wait_for_address("fd77::100", true, TIMEOUT)?;
    assert!(eventually(TIMEOUT, || {
        host.status().is_ok_and(|status| status["instances"][0]["missing"] == serde_json::json!([]))
    }));
    assert_eq!(host.status()?["instances"][0]["became_master"], 1, "{}", agent.log());
    assert!(agent.stop()?.success());
    assert!(!host.has_address("fd77::100")? && !host.has_address(VIP)?);
    Ok(())
}

/// The same in a reload of a service that works. If the kernel refuses the first address, that is a fault, as before.
#[test]
fn a6_a_reload_with_a_bad_address_does_not_take_a_working_service_down() -> Result<()> {
    let lab = Lab::new()?;
    let host = lab.host("h1", 11)?;
    let agent = host.agent(&text(VIP))?;
    host.wait_for_address(VIP, true, TIMEOUT)?;
    host.run("sysctl", &["-qw", "net.ipv6.conf.all.disable_ipv6=1"])?;
    let more = "virtual_ipaddress_excluded {\nfd77::100/64\n}".to_owned();
    reload(&lab, &host, &agent, &Config { more, ..Config::priority(HIGH) }.text())?;
    assert!(agent.says("fd77::100/64", TIMEOUT), "{}", agent.log());
    for _ in 0..5 {
        std::thread::sleep(std::time::Duration::from_millis(500));
        assert_eq!((host.state(0), host.has_address(VIP)?), ("master".to_owned(), true), "{}", agent.log());
    }
    Ok(())
}

/// As with keepalived, an interface that has only `no_track` addresses is no reason for a fault.
#[test]
fn a6_an_untracked_address_whose_interface_vanishes_takes_nothing_down_and_comes_back() -> Result<()> {
    let lab = Lab::new()?;
    let host = lab.host("h1", 11)?;
    lab.second_interface(&host)?;
    let agent = host.agent(&text(&format!("{VIP}\n10.77.0.2 dev eth1 no_track")))?;
    host.wait_for_address("10.77.0.2", true, TIMEOUT)?;
    ip(&["-n", host.namespace(), "link", "del", "eth1"])?;
    assert!(agent.says("interface eth1 is gone", TIMEOUT), "{}", agent.log());
    std::thread::sleep(std::time::Duration::from_secs(1));
    assert_eq!((host.state(0), host.has_address(VIP)?), ("master".to_owned(), true), "{}", agent.log());
    lab.second_interface(&host)?;
    ensure!(host.wait_for_address("10.77.0.2", true, TIMEOUT).is_ok(), "{}", agent.log());
    assert_eq!(host.status()?["instances"][0]["became_master"], 1, "{}", agent.log());
    assert!(agent.stop()?.success());
    assert!(!host.has_address("10.77.0.2")?);
    Ok(())
}

/// Without `promote_secondaries` the kernel removes the other addresses of a network together with the first one.
#[test]
fn c6_what_one_instance_gives_up_takes_no_other_address_along() -> Result<()> {
    for options in [&[][..], &SOCKETS] {
        let lab = Lab::new()?;
        let host = lab.host("h1", 11)?;
        host.run("sysctl", &["-qw", "net.ipv4.conf.all.promote_secondaries=0"])?;
        host.run("sysctl", &["-qw", "net.ipv4.conf.eth0.promote_secondaries=0"])?;
        let flag = lab.write("up", "")?;
        let script =
            format!("vrrp_script up {{\nscript \"/usr/bin/test -e {}\"\ninterval 1\n}}\n", flag.display());
        let one = Config {
            name: "A",
            vip: "10.77.0.1/24",
            above: script,
            more: "track_script {\nup\n}".to_owned(),
            ..Config::priority(HIGH)
        };
        let two = Config { name: "B", vrid: 52, vip: "10.77.0.2/24", ..Config::priority(HIGH) };
        let agent = host.agent_with(&(one.text() + &two.text()), options)?;
        host.wait_for_address("10.77.0.1", true, TIMEOUT)?;
        host.wait_for_address("10.77.0.2", true, TIMEOUT)?;
        // An address of the host in the same network.
        host.run("ip", &["address", "add", "10.77.0.200/24", "dev", "eth0"])?;
        let first = addresses(&host, "eth0")?;
        let first = first.first().context("addresses")?;
        let (gives_up, keeps) = if first.contains("10.77.0.1/") {
            ("10.77.0.1", "10.77.0.2")
        } else {
            ("10.77.0.2", "10.77.0.1")
        };
        if gives_up == "10.77.0.1" {
            std::fs::remove_file(&flag)?;
        } else {
            reload(&lab, &host, &agent, &one.text())?;
        }
        host.wait_for_address(gives_up, false, TIMEOUT)?;
        std::thread::sleep(std::time::Duration::from_secs(1));
        assert!(host.has_address(keeps)? && host.has_address("10.77.0.200")?, "{}", agent.log());
        assert!(!agent.log().contains("somebody took its addresses"), "{}", agent.log());
        assert!(agent.stop()?.success());
        assert!(host.has_address("10.77.0.200")? && !host.has_address(keeps)?);
    }
    Ok(())
}
