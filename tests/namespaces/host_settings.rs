//! The daemon's settings for itself and its host: namespaces, names, scheduling, scripts at its start and end, sysctls.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::sys::signal::Signal;
use vrrp_tests::lab::{Host, Lab, Process, agent, eventually, ip};

use crate::common::{Config, Daemon, TIMEOUT, VIP, reaches};

fn sysctl(host: &Host, name: &str) -> Result<String> {
    Ok(host.run("sysctl", &["-n", &format!("net.ipv4.conf.eth0.{name}")])?.trim().to_owned())
}

/// Starts our agent in the network namespace of the tests, with a file of this lab.
fn agent_outside(lab: &Lab, host: &Host, config: &str) -> Result<Process> {
    let file = lab.write("outside.conf", config)?;
    host.spawn(Command::new(agent()?).arg("-f").arg(file), "outside")
}

fn globals(lines: &str) -> String {
    format!("global_defs {{\n{lines}\n}}\n")
}

#[test]
fn a_daemon_enters_the_namespace_that_its_file_names() -> Result<()> {
    let lab = Lab::new()?;
    let h1 = lab.host("h1", 11)?;
    let above = format!("net_namespace {}\n", h1.namespace());
    let process = agent_outside(&lab, &h1, &Config { above, ..Config::priority(100) }.text())?;
    h1.wait_for_address(VIP, true, TIMEOUT).with_context(|| process.log())?;
    // A command in the namespace finds the agent.
    assert!(reaches(&h1, 0, "master"), "{}", process.log());
    // The agent stays in this namespace after a reload.
    lab.write("outside.conf", &Config::priority(100).text())?;
    process.signal(Signal::SIGHUP)?;
    assert!(process.says("net_namespace", TIMEOUT), "{}", process.log());
    assert!(reaches(&h1, 0, "master"), "{}", process.log());
    assert!(process.stop()?.success());
    assert!(!h1.has_address(VIP)?);
    Ok(())
}

#[test]
fn a_namespace_that_is_not_there_is_said() -> Result<()> {
    let lab = Lab::new()?;
    let h1 = lab.host("h1", 11)?;
    let config = Config { above: "net_namespace no-such-namespace\n".to_owned(), ..Config::priority(100) };
    let mut process = agent_outside(&lab, &h1, &config.text())?;
    assert!(!process.wait(TIMEOUT)?.success());
    assert!(process.log().contains("there is no network namespace `no-such-namespace`"), "{}", process.log());
    Ok(())
}

/// Two daemons in one namespace, each on an interface of its own.
#[test]
fn named_instances_share_a_namespace() -> Result<()> {
    let lab = Lab::new()?;
    let h1 = lab.host("h1", 11)?;
    lab.second_interface(&h1)?;
    let one = Config { above: "instance one\n".to_owned(), ..Config::priority(100) };
    let two = Config { above: "instance two\n".to_owned(), vip: "192.168.2.10", ..Config::priority(100) };
    let start = |name: &str, text: &str| {
        let file = lab.write(&format!("{name}.conf"), text)?;
        h1.spawn(h1.command(agent()?).arg("-f").arg(file), name)
    };
    let first = start("one", &one.text())?;
    let second = start("two", &two.text().replace("interface eth0", "interface eth1"))?;
    for (name, process) in [("one", &first), ("two", &second)] {
        let is_master = || {
            let status =
                h1.command(agent().unwrap_or_default()).args(["status", "--instance", name]).output();
            status.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains(": MASTER for"))
        };
        assert!(eventually(TIMEOUT, is_master), "{name}: {}", process.log());
    }
    // A second daemon of the same name is not started.
    let mut third = start("one", &one.text())?;
    assert!(!third.wait(TIMEOUT)?.success());
    assert!(first.stop()?.success());
    h1.wait_for_address(VIP, false, TIMEOUT)?;
    assert!(h1.run("ip", &["-o", "address", "show", "dev", "eth1"])?.contains("192.168.2.10/"));
    assert!(second.stop()?.success());
    Ok(())
}

/// The fields of `/proc/PID/task/TID/stat` behind the name, from the third on, of the protocol's thread.
fn scheduling(process: &Process) -> Result<Vec<String>> {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", process.pid()))?;
    for task in tasks {
        let task = task?.path();
        if std::fs::read_to_string(task.join("comm"))?.trim() == "vrrp" {
            let stat = std::fs::read_to_string(task.join("stat"))?;
            let rest = stat.rsplit(')').next().unwrap_or_default();
            return Ok(rest.split_whitespace().map(str::to_owned).collect());
        }
    }
    anyhow::bail!("no thread `vrrp`")
}

#[test]
fn the_protocol_thread_is_scheduled_as_the_file_says() -> Result<()> {
    let lab = Lab::new()?;
    let h1 = lab.host("h1", 11)?;
    let lines =
        "vrrp_rt_priority 7\nvrrp_priority -5\nvrrp_cpu_affinity 0\nvrrp_rlimit_rttime 500000\nvrrp_no_swap";
    // The process that `ip netns exec` has started is the agent by now.
    let process = h1.agent(&Config { above: globals(lines), ..Config::priority(100) }.text())?;
    assert!(reaches(&h1, 0, "master"));
    let fields = scheduling(&process)?;
    // Of proc_pid_stat(5): nice is the 19th field, rt_priority the 40th, policy the 41st (2 is SCHED_RR).
    assert_eq!((&*fields[16], &*fields[37], &*fields[38]), ("-5", "7", "2"), "{}", process.log());
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.pid()))?;
    let locked = status.lines().find_map(|line| line.strip_prefix("VmLck:")).unwrap_or_default();
    assert!(!locked.trim().starts_with("0 "), "{locked}");
    Ok(())
}

/// Makes a script that notes whether the virtual address is there when the script runs.
fn note(lab: &Lab, name: &str) -> Result<(PathBuf, PathBuf)> {
    let notes = lab.directory().join(format!("{name}.notes"));
    let text = format!(
        "#!/bin/sh\necho \"$1 $(ip -o -4 address show dev eth0 | grep -c ' {VIP}/')\" >> {}\n",
        notes.display()
    );
    Ok((lab.write_script(&format!("{name}.sh"), &text)?, notes))
}

/// With both daemons, the scripts run before there is an address, and after there was one.
#[test]
fn scripts_run_before_all_else_and_after() -> Result<()> {
    for (name, daemon) in [("ours", Daemon::Ours), ("theirs", Daemon::Keepalived)] {
        let lab = Lab::new()?;
        let h1 = lab.host("h1", 11)?;
        let (script, notes) = note(&lab, name)?;
        let lines = format!(
            "script_user root\nstartup_script \"{0} start\"\nshutdown_script \"{0} end\"",
            script.display()
        );
        let process = daemon.start(&h1, &Config { above: globals(&lines), ..Config::priority(100) })?;
        h1.wait_for_address(VIP, true, TIMEOUT)?;
        process.stop()?;
        assert_eq!(std::fs::read_to_string(&notes)?, "start 0\nend 0\n", "{daemon:?}");
    }
    Ok(())
}

#[test]
fn a_script_that_takes_too_long_is_not_waited_for() -> Result<()> {
    let lab = Lab::new()?;
    let h1 = lab.host("h1", 11)?;
    let lines = "script_user root\nstartup_script \"/bin/sleep 60\"\nstartup_script_timeout 1\n\
                 shutdown_script /bin/false";
    let started = std::time::Instant::now();
    let process = h1.agent(&Config { above: globals(lines), ..Config::priority(100) }.text())?;
    assert!(started.elapsed() >= Duration::from_secs(1));
    assert!(process.log().contains("startup_script: killed after 1 s"), "{}", process.log());
    assert!(process.stop()?.success());
    Ok(())
}

#[test]
fn secondary_addresses_stay_when_the_master_s_leave() -> Result<()> {
    let lab = Lab::new()?;
    let h1 = lab.host("h1", 11)?;
    h1.run("sysctl", &["-qw", "net.ipv4.conf.all.promote_secondaries=0"])?;
    h1.run("sysctl", &["-qw", "net.ipv4.conf.eth0.promote_secondaries=0"])?;
    let config =
        Config { vip: "10.61.0.1/24", more: "promote_secondaries\n".to_owned(), ..Config::priority(100) };
    let process = h1.agent(&config.text())?;
    h1.wait_for_address("10.61.0.1", true, TIMEOUT)?;
    assert_eq!(sysctl(&h1, "promote_secondaries")?, "1");
    // An address that is not ours, in the same network.
    ip(&["-n", h1.namespace(), "address", "add", "10.61.0.77/24", "dev", "eth0"])?;
    // After a kill and a new start the agent still knows which value the sysctl had before.
    process.kill()?;
    let process = h1.agent(&config.text())?;
    assert!(reaches(&h1, 0, "master"));
    assert!(process.stop()?.success());
    h1.wait_for_address("10.61.0.1", false, TIMEOUT)?;
    assert!(h1.has_address("10.61.0.77")?, "it went with the first of its network");
    assert_eq!(sysctl(&h1, "promote_secondaries")?, "0");
    Ok(())
}

#[test]
fn a_link_that_flaps_is_no_fault() -> Result<()> {
    let lab = Lab::new()?;
    let h1 = lab.host("h1", 11)?;
    let above = "interface_up_down_delays {\neth0 1.5 0\n}\n".to_owned();
    let process = h1.agent(&Config { above, ..Config::priority(100) }.text())?;
    assert!(reaches(&h1, 0, "master"));
    h1.set_link(false)?;
    std::thread::sleep(Duration::from_millis(700));
    h1.set_link(true)?;
    std::thread::sleep(Duration::from_secs(2));
    assert!(!process.log().contains("-> FAULT"), "{}", process.log());
    h1.set_link(false)?;
    assert!(reaches(&h1, 0, "fault"), "{}", process.log());
    h1.set_link(true)?;
    assert!(reaches(&h1, 0, "master"), "{}", process.log());
    Ok(())
}

#[test]
fn without_its_source_an_instance_is_in_fault() -> Result<()> {
    let lab = Lab::new()?;
    let h1 = lab.host("h1", 11)?;
    let source = h1.address();
    let more = format!("mcast_src_ip {source}\ntrack_src_ip\n");
    let process = h1.agent(&Config { more, ..Config::priority(100) }.text())?;
    assert!(reaches(&h1, 0, "master"));
    ip(&["-n", h1.namespace(), "address", "del", &format!("{source}/24"), "dev", "eth0"])?;
    assert!(reaches(&h1, 0, "fault"), "{}", process.log());
    h1.give_address()?;
    assert!(reaches(&h1, 0, "master"), "{}", process.log());
    Ok(())
}

#[test]
fn who_wants_peers_and_has_none_is_in_fault() -> Result<()> {
    for daemon in [Daemon::Ours, Daemon::Keepalived] {
        let lab = Lab::new()?;
        let h1 = lab.host("h1", 11)?;
        let more = "unicast_fault_no_peer\n".to_owned();
        let process = daemon.start(&h1, &Config { more, ..Config::priority(100) })?;
        // Longer than an election.
        std::thread::sleep(Duration::from_secs(6));
        assert!(!h1.has_address(VIP)?, "{}", process.log());
    }
    Ok(())
}

/// A static route whose gateway is out of reach cannot be put back.
#[test]
fn what_is_static_and_cannot_be_is_a_fault_of_its_track_group() -> Result<()> {
    let lab = Lab::new()?;
    let h1 = lab.host("h1", 11)?;
    let above = "track_group G {\ngroup {\nVI_1\n}\n}\n\
                 static_routes {\n10.77.0.0/16 via 10.78.0.1 dev eth0 track_group G\n}\n";
    ip(&["-n", h1.namespace(), "address", "add", "10.78.0.9/24", "dev", "eth0"])?;
    let process = h1.agent(&Config { above: above.to_owned(), ..Config::priority(100) }.text())?;
    assert!(reaches(&h1, 0, "master"), "{}", process.log());
    // A route that is removed is put back.
    h1.run("ip", &["route", "del", "10.77.0.0/16"])?;
    let there = || h1.run("ip", &["route"]).is_ok_and(|routes| routes.contains("10.77.0.0/16"));
    assert!(eventually(TIMEOUT, there));
    assert_eq!(h1.state(0), "master");
    // The network of its gateway goes, and the route with it.
    ip(&["-n", h1.namespace(), "address", "del", "10.78.0.9/24", "dev", "eth0"])?;
    h1.run("ip", &["route", "flush", "10.77.0.0/16"])?;
    assert!(reaches(&h1, 0, "fault"), "{}", process.log());
    ip(&["-n", h1.namespace(), "address", "add", "10.78.0.9/24", "dev", "eth0"])?;
    assert!(reaches(&h1, 0, "master") && there(), "{}", process.log());
    Ok(())
}

#[test]
fn a_table_may_have_a_name() -> Result<()> {
    let lab = Lab::new()?;
    let h1 = lab.host("h1", 11)?;
    let directory = lab.directory().join("iproute2");
    std::fs::create_dir_all(&directory)?;
    std::fs::write(directory.join("rt_tables"), "100 small\n")?;
    let above = format!(
        "global_defs {{\niproute_etc_dir {}\n}}\nstatic_routes {{\n10.77.0.0/16 dev eth0 table small\n}}\n",
        directory.display()
    );
    let _process = h1.agent(&Config { above, ..Config::priority(100) }.text())?;
    let routes = || h1.run("ip", &["route", "show", "table", "100"]).unwrap_or_default();
    assert!(eventually(TIMEOUT, || routes().contains("10.77.0.0/16")));
    Ok(())
}

#[test]
fn unknown_virtual_routers_are_told_of_once() -> Result<()> {
    for options in [&[][..], &["--dataplane", "socket"]] {
        let lab = Lab::new()?;
        let (h1, h2) = (lab.host("h1", 11)?, lab.host("h2", 12)?);
        let one = Config { above: globals("log_unknown_vrids"), ..Config::priority(100) };
        let process = h1.agent_with(&one.text(), options)?;
        let other = Config { name: "VI_2", vrid: 52, vip: "192.168.1.20", ..Config::priority(100) };
        let _other = h2.agent(&other.text())?;
        let told = format!("{} advertises virtual router 52 on eth0", h2.address());
        assert!(process.says(&told, TIMEOUT), "{}", process.log());
        std::thread::sleep(Duration::from_secs(3));
        assert_eq!(process.log().matches(&told).count(), 1, "{}", process.log());
        assert!(!process.log().contains("virtual router 51 on"), "{}", process.log());
    }
    Ok(())
}

/// The umask applies to files that are made without a mode of their own: here the file of a `track_file`.
#[test]
fn files_are_made_under_the_umask_of_the_file() -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let lab = Lab::new()?;
    let h1 = lab.host("h1", 11)?;
    let path = lab.directory().join("made");
    let above =
        format!("{}track_file F {{\nfile {}\ninit_file 0\n}}\n", globals("umask 0137"), path.display());
    let config = Config { above, more: "track_file {\nF\n}\n".to_owned(), ..Config::priority(100) };
    let process = h1.agent(&config.text())?;
    assert!(eventually(TIMEOUT, || path.exists()), "{}", process.log());
    assert_eq!(std::fs::metadata(&path)?.permissions().mode() & 0o777, 0o640);
    Ok(())
}
