//! Things that hang when the network is bad: name services, file servers, and the readers of what we write. A master has its
//! addresses all the same, and an agent that is asked to stop stops.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;
use vrrp_tests::lab::{HangingDirectory, Host, Lab, NameService, Process, eventually};

use crate::common::{Config, HIGH, LOW, TIMEOUT, VIP, reaches};

/// Stops the agent, which nothing may hold up.
fn stops(mut agent: Process) -> Result<()> {
    let start = Instant::now();
    agent.signal(Signal::SIGTERM)?;
    let ended = agent.wait(TIMEOUT)?;
    ensure!(ended.success(), "{ended}\n{}", agent.log());
    println!("stopped after {:?}", start.elapsed());
    Ok(())
}

/// An instance with a check that runs a program, as a user if one is given.
fn check(program: &str, user: &str) -> Config {
    Config {
        above: format!("vrrp_script up {{\nscript \"{program}\"\ninterval 1\n{user}\n}}\n"),
        more: "track_script {\nup\n}".to_owned(),
        ..Config::priority(LOW)
    }
}

#[test]
fn a4_a_name_service_that_hangs_does_not_keep_a_new_master_from_its_addresses() -> Result<()> {
    let lab = Lab::new()?;
    let (h1, mut h2, client) = (lab.host("h1", 11)?, lab.host("h2", 12)?, lab.host("client", 13)?);
    let names = NameService::install(&lab, &mut h2)?;
    let mut master = h1.agent(&Config::priority(HIGH).text())?;
    h1.wait_for_address(VIP, true, TIMEOUT)?;
    let told = lab.directory().join("told");
    let script = lab.write_script("tell", &format!("#!/bin/sh\ntouch {}\n", told.display()))?;
    let config = check("/bin/true", "");
    let config =
        Config { more: config.more.clone() + &format!("\nnotify_master {}", script.display()), ..config };
    let agent = h2.agent(&config.text())?;
    ensure!(reaches(&h2, 0, "backup"), "{}", agent.log());
    names.set_hanging(true)?;
    std::thread::sleep(Duration::from_secs(2));
    master.signal(Signal::SIGKILL)?;
    master.wait(TIMEOUT)?;
    h2.wait_for_address(VIP, true, Duration::from_secs(8))?;
    assert_eq!(client.arping(VIP)?, [h2.mac()?]);
    assert!(eventually(TIMEOUT, || told.exists()), "its scripts run: {}", agent.log());
    // A reload does not hang either, and the users that are known already still count.
    agent.signal(Signal::SIGHUP)?;
    assert!(agent.says("the name service hangs", TIMEOUT), "{}", agent.log());
    assert!(agent.says("reloaded in", TIMEOUT), "{}", agent.log());
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(h2.state(0), "master", "{}", agent.log());
    stops(agent)?;
    assert!(!h2.has_address(VIP)?);
    Ok(())
}

/// The agent starts and names the service that hangs. When the service answers, the script that could not run runs.
#[test]
fn a4_a_start_does_not_wait_for_a_name_service_for_ever() -> Result<()> {
    let lab = Lab::new()?;
    let mut h1 = lab.host("h1", 11)?;
    let names = NameService::install(&lab, &mut h1)?;
    names.set_hanging(true)?;
    let agent = h1.agent(&check("/bin/true", "").text())?;
    assert!(agent.says("user keepalived_script", TIMEOUT), "{}", agent.log());
    assert!(agent.says("script up (/bin/true) cannot run", TIMEOUT), "{}", agent.log());
    assert!(reaches(&h1, 0, "fault"));
    names.set_hanging(false)?;
    h1.wait_for_address(VIP, true, TIMEOUT)?;
    stops(agent)
}

/// A user in /etc/passwd, or a number, needs no name service.
#[test]
fn a4_a_script_whose_user_is_known_runs_while_the_name_service_hangs() -> Result<()> {
    let lab = Lab::new()?;
    for user in ["user nobody", "user 12345 12345", "user root root"] {
        let mut host = lab.host(&format!("h{}", user.len()), u8::try_from(20 + user.len())?)?;
        let names = NameService::install(&lab, &mut host)?;
        names.set_hanging(true)?;
        let agent = host.agent(&check("/bin/true", user).text())?;
        ensure!(host.wait_for_address(VIP, true, TIMEOUT).is_ok(), "{user}: {}", agent.log());
        stops(agent)?;
        names.set_hanging(false)?;
    }
    Ok(())
}

#[test]
fn a4_a_script_and_a_file_on_a_server_that_is_gone_hold_up_nothing() -> Result<()> {
    let lab = Lab::new()?;
    let (h1, h2) = (lab.host("h1", 11)?, lab.host("h2", 12)?);
    let mut gone = HangingDirectory::new(&lab, "gone")?;
    let other = Config { name: "VI_2", vrid: 52, vip: "192.168.1.20", ..Config::priority(LOW) };
    let file = format!("track_file f {{\nfile {}\n}}\n", gone.file("number").display());
    let script = check(&gone.file("check").display().to_string(), "user root");
    let config = Config {
        above: script.above.clone() + &file,
        more: "track_script {\nup weight -10\n}\ntrack_file {\nf weight 1\n}".to_owned(),
        ..Config::priority(LOW)
    };
    let mut master =
        h1.agent(&(Config::priority(HIGH).text() + &Config { priority: HIGH, ..other.clone() }.text()))?;
    h1.wait_for_address(VIP, true, TIMEOUT)?;
    let agent = h2.agent(&(config.text() + &other.text()))?;
    assert!(
        agent.says("track_file f", TIMEOUT) && agent.says("its file system hangs", TIMEOUT),
        "{}",
        agent.log()
    );
    // The agent answers while the script and the file hang.
    for _ in 0..10 {
        let start = Instant::now();
        h2.status()?;
        ensure!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
        std::thread::sleep(Duration::from_millis(500));
    }
    master.signal(Signal::SIGKILL)?;
    master.wait(TIMEOUT)?;
    h2.wait_for_address(VIP, true, Duration::from_secs(8))?;
    h2.wait_for_address("192.168.1.20", true, Duration::from_secs(8))?;
    assert_eq!(h2.status()?["instances"][0]["priority"], 80, "{}", agent.log());
    // However long the script hangs, the agent says so once, and few threads hang.
    std::thread::sleep(Duration::from_secs(8));
    assert_eq!(agent.log().matches("script up (").count(), 1, "{}", agent.log());
    let threads = std::fs::read_dir(format!("/proc/{}/task", agent.pid()))?.count();
    ensure!(threads < 20, "{threads} threads");
    stops(agent)?;
    assert!(!h2.has_address(VIP)?);
    gone.release();
    Ok(())
}

/// A file of the configuration is on a server that is gone.
#[test]
fn a4_a_configuration_that_cannot_be_read_to_its_end_holds_up_nothing() -> Result<()> {
    let lab = Lab::new()?;
    let h1 = lab.host("h1", 11)?;
    let mut gone = HangingDirectory::new(&lab, "gone")?;
    let mut agent = h1.agent(&Config::priority(HIGH).text())?;
    h1.wait_for_address(VIP, true, TIMEOUT)?;
    let included = gone.file("more.conf");
    lab.write("h1.conf", &format!("include {}\n{}", included.display(), Config::priority(HIGH).text()))?;
    agent.signal(Signal::SIGHUP)?;
    agent.signal(Signal::SIGHUP)?;
    assert!(agent.says("reading the configuration again", TIMEOUT), "{}", agent.log());
    for _ in 0..5 {
        let start = Instant::now();
        assert_eq!(h1.state(0), "master");
        ensure!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
        std::thread::sleep(Duration::from_millis(300));
    }
    assert!(agent.says("not reloaded", Duration::from_secs(30)), "{}", agent.log());
    assert!(agent.log().contains("hangs"), "{}", agent.log());
    agent.signal(Signal::SIGTERM)?;
    ensure!(agent.wait(TIMEOUT)?.success(), "{}", agent.log());
    assert!(!h1.has_address(VIP)?);
    gone.release();
    Ok(())
}

/// No process reads the FIFO, its file system is full, and the log's file system is full too.
#[test]
fn a4_full_file_systems_hold_up_nothing() -> Result<()> {
    use nix::mount::{MntFlags, MsFlags, mount, umount2};
    let lab = Lab::new()?;
    let h1 = lab.host("h1", 11)?;
    let full = lab.directory().join("full");
    std::fs::create_dir_all(&full)?;
    mount(Some("full"), &full, Some("tmpfs"), MsFlags::empty(), Some("size=4096,nr_inodes=2"))?;
    let _written = std::fs::write(full.join("a"), [0; 8192]);
    let config = format!(
        "global_defs {{\nvrrp_notify_fifo {}\n}}\n{}",
        full.join("fifo").display(),
        Config::priority(HIGH).text()
    );
    let run = || -> Result<()> {
        let agent = h1.agent(&config)?;
        h1.wait_for_address(VIP, true, TIMEOUT)?;
        assert!(agent.says("nothing is written to it", TIMEOUT), "{}", agent.log());
        stops(agent)
    };
    let result = run();
    umount2(&full, MntFlags::MNT_DETACH)?;
    result
}

fn takes_over(lab: &Lab, options: &[&str], wrap: impl Fn(&Host, &str) -> Result<Process>) -> Result<()> {
    let (h1, h2) = (lab.host("h1", 11)?, lab.host("h2", 12)?);
    let mut master = h1.agent(&Config::priority(HIGH).text())?;
    h1.wait_for_address(VIP, true, TIMEOUT)?;
    let agent = wrap(&h2, &options.join(" "))?;
    ensure!(reaches(&h2, 0, "backup"), "{}", agent.log());
    master.signal(Signal::SIGKILL)?;
    master.wait(TIMEOUT)?;
    h2.wait_for_address(VIP, true, Duration::from_secs(8))?;
    stops(agent)?;
    ensure!(!h2.has_address(VIP)?);
    Ok(())
}

/// A syslog daemon that does not read any more.
#[test]
fn a4_a_syslog_that_blocks_holds_up_nothing() -> Result<()> {
    let lab = Lab::new()?;
    let socket = lab.directory().join("log");
    let daemon = std::os::unix::net::UnixDatagram::bind(&socket)?;
    // Fills the socket of the syslog daemon.
    let writer = std::os::unix::net::UnixDatagram::unbound()?;
    writer.set_nonblocking(true)?;
    while writer.send_to(&[b'x'; 1000], &socket).is_ok() {}
    takes_over(&lab, &[], |host, _| {
        let file = lab.write("h2.conf", &Config::priority(LOW).text())?;
        // Only this agent sees the other /dev/log.
        let inner = format!(
            "touch /dev/log 2>/dev/null; mount --bind {} /dev/log && exec {} --dataplane socket -S local1 -f {}",
            socket.display(),
            vrrp_tests::lab::agent()?.display(),
            file.display()
        );
        let mut command = host.command("unshare");
        host.spawn(command.args(["-m", "sh", "-c", &inner]), "agent")
    })?;
    drop(daemon);
    Ok(())
}

/// A message bus that accepts connections and never answers.
#[test]
fn a4_a_message_bus_that_does_not_answer_holds_up_nothing() -> Result<()> {
    let lab = Lab::new()?;
    let socket = lab.directory().join("bus");
    let _bus = std::os::unix::net::UnixListener::bind(&socket)?;
    takes_over(&lab, &[], |host, _| {
        let text = format!("global_defs {{\nenable_dbus\n}}\n{}", Config::priority(LOW).text());
        let file = lab.write("h2.conf", &text)?;
        let mut command = host.command(vrrp_tests::lab::agent()?);
        command.env("DBUS_SYSTEM_BUS_ADDRESS", format!("unix:path={}", socket.display()));
        host.spawn(command.args(["--dataplane", "ebpf", "-f"]).arg(file), "agent")
    })
}

/// Ten thousand routes are set and taken away without a missed advert, and the addresses do not wait for them.
#[test]
fn a4_ten_thousand_routes_hold_up_no_address() -> Result<()> {
    const ROUTES: usize = 10_000;
    let lab = Lab::new()?;
    let (h1, client) = (lab.host("h1", 11)?, lab.host("client", 13)?);
    let capture = client.capture()?;
    let route = |n: usize| format!("10.{}.{}.0/24 dev eth0\n", 100 + n / 250, n % 250);
    let routes: String = (0..ROUTES).map(route).collect();
    let config = Config { more: format!("virtual_routes {{\n{routes}}}"), ..Config::priority(HIGH) };
    let agent = h1.agent(&config.text())?;
    h1.wait_for_address(VIP, true, TIMEOUT)?;
    let count = || h1.run("ip", &["route"]).map_or(0, |all| all.matches("/24 dev eth0").count());
    let announced = || capture.arps().iter().any(|arp| arp.content.text.contains(&format!("tell {VIP}")));
    assert!(eventually(TIMEOUT, announced), "{}", agent.log());
    println!("{} routes when the address was announced", count());
    assert!(eventually(Duration::from_secs(60), || count() >= ROUTES), "{} routes", count());
    assert_eq!(h1.status()?["instances"][0]["became_master"], 1);
    agent.signal(Signal::SIGTERM)?;
    let mut agent = agent;
    ensure!(agent.wait(Duration::from_secs(60))?.success(), "{}", agent.log());
    assert!(count() < 2, "{} routes", count());
    let adverts = capture.adverts();
    let gaps = adverts.windows(2).map(|two| two[1].at - two[0].at).max();
    println!("longest gap between adverts at 1 s: {gaps:?}");
    assert!(gaps.is_some_and(|gap| gap < Duration::from_secs(3)), "{gaps:?}");
    Ok(())
}
