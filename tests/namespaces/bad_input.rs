//! Bad input: a clear message, with file, line and column where there is one; a non-zero exit; nothing half installed.

use std::process::{Command, Output};

use anyhow::Result;
use vrrp_tests::lab::{Host, Lab, agent};

use crate::common::{Config, TIMEOUT, VIP};

/// Runs the agent to its end, which must be a failure that leaves nothing, and returns the agent's output.
fn refused(lab: &Lab, host: &Host, config: &str, prefix: &[&str], options: &[&str]) -> Result<String> {
    let file = lab.write("bad.conf", config)?;
    let mut command = host.command(prefix.first().map_or_else(agent, |program| Ok(program.into()))?);
    if let [_, arguments @ ..] = prefix {
        command.args(arguments).arg(agent()?);
    }
    let Output { status, stderr, .. } = command.arg("-f").arg(file).args(options).output()?;
    let said = String::from_utf8_lossy(&stderr).into_owned();
    assert!(!status.success(), "it went on: {said}");
    assert!(!host.has_address(VIP)?);
    let links = Command::new("ip").args(["-n", host.namespace(), "link", "show", "eth0"]).output()?;
    assert!(!String::from_utf8_lossy(&links.stdout).contains("xdp"), "a program is still attached");
    let pins = host.pin("")?;
    assert!(!pins.exists() || std::fs::read_dir(&pins)?.next().is_none(), "pins are left");
    Ok(said)
}

#[test]
fn what_is_wrong_in_the_file_is_shown_with_its_place() -> Result<()> {
    let lab = Lab::new()?;
    let host = lab.host("h1", 11)?;
    let file = lab.directory().join("bad.conf");
    for (config, place, message) in [
        ("vrrp_instance V {\n  interface eth0\n}\n", ":1:1", "has no valid virtual_router_id"),
        ("vrrp_instance V {\n  interface eth0\n", ":1:17", "a block that is never closed"),
    ] {
        let said = refused(&lab, &host, config, &[], &[])?;
        assert!(said.contains(&format!("{}{place}", file.display())), "{said}");
        assert!(said.contains(message), "{said}");
    }
    Ok(())
}

#[test]
fn what_the_host_does_not_have_is_named() -> Result<()> {
    let lab = Lab::new()?;
    let host = lab.host("h1", 11)?;
    let config = Config::default().text().replace("eth0", "eth7");
    let said = refused(&lab, &host, &config, &[], &[])?;
    assert!(said.contains("interface `eth7` does not exist; there are: lo, eth0"), "{said}");
    let missing = lab.directory().join("missing.conf");
    let output = host.command(agent()?).arg("-f").arg(&missing).output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("missing.conf: No such file"), "{said}");
    Ok(())
}

#[test]
fn without_root_it_says_which_capability_is_missing() -> Result<()> {
    let lab = Lab::new()?;
    let host = lab.host("h1", 11)?;
    // The user `nobody` may not be able to reach the agent under test, so root without capabilities is used instead.
    let powerless = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"];
    let said = refused(&lab, &host, &Config::default().text(), &powerless, &[])?;
    assert!(said.contains("CAP_NET_ADMIN is missing: run as root, or grant"), "{said}");
    Ok(())
}

/// Without BPF the agent says so: with `--dataplane ebpf` it then ends, and without this option it uses sockets.
#[test]
fn without_bpf_it_says_so() -> Result<()> {
    let lab = Lab::new()?;
    let host = lab.host("h1", 11)?;
    let no_bpf = ["setpriv", "--bounding-set=-bpf,-sys_admin,-perfmon"];
    let said = refused(&lab, &host, &Config::default().text(), &no_bpf, &["--dataplane", "ebpf"])?;
    assert!(said.contains("CAP_BPF is missing"), "{said}");
    let file = lab.write("good.conf", &Config::default().text())?;
    let mut command = host.command(no_bpf[0]);
    let process = host.spawn(command.arg(no_bpf[1]).arg(agent()?).arg("-f").arg(file), "agent")?;
    assert!(process.says("adverts go through sockets: CAP_BPF is missing", TIMEOUT), "{}", process.log());
    host.wait_for_address(VIP, true, TIMEOUT)?;
    Ok(())
}

/// The kernel half and an election work with these capabilities and no others.
#[test]
fn four_capabilities_are_enough() -> Result<()> {
    let lab = Lab::new()?;
    let host = lab.host("h1", 11)?;
    let file = lab.write("good.conf", &Config::default().text())?;
    let mut command = host.command("setpriv");
    command.args(["--bounding-set=-all,+net_admin,+net_raw,+bpf,+perfmon", "--inh-caps=-all"]);
    command.arg(agent()?).args(["--dataplane", "ebpf", "-f"]).arg(file);
    let process = host.spawn(&mut command, "agent")?;
    assert!(process.says("data plane: ebpf", TIMEOUT), "{}", process.log());
    host.wait_for_address(VIP, true, TIMEOUT)?;
    assert!(process.stop()?.success());
    assert!(!host.has_address(VIP)?);
    Ok(())
}

#[test]
fn a_second_agent_is_told_of_the_first() -> Result<()> {
    let lab = Lab::new()?;
    let host = lab.host("h1", 11)?;
    let pid_file = lab.directory().join("agent.pid").display().to_string();
    let first = host.agent_with(&Config::default().text(), &["-p", &pid_file])?;
    let second = |options: &[&str]| -> Result<String> {
        let file = lab.write("second.conf", &Config::default().text())?;
        let output = host.command(agent()?).arg("-f").arg(file).args(options).output()?;
        assert!(!output.status.success());
        Ok(String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let said = second(&["-p", &pid_file])?;
    let expected = format!("another vrrp-agent (pid {}) is running with {pid_file}", first.pid());
    assert!(said.contains(&expected), "{said}");
    let said = second(&[])?;
    assert!(said.contains("one network namespace has one vrrp-agent"), "{said}");
    host.wait_for_address(VIP, true, TIMEOUT)?;
    Ok(())
}

/// Another program is on the interface: with `--dataplane ebpf` the agent says whose program it is and where to look; without
/// this option it uses sockets.
#[test]
fn an_interface_with_another_program_is_left_alone() -> Result<()> {
    let lab = Lab::new()?;
    let host = lab.host("h1", 11)?;
    let generic = ["--xdp-mode", "generic"];
    let first = host.agent_with(&Config::default().text(), &generic)?;
    let program = host.pin("prog")?;
    let borrowed = host.pin("")?.with_file_name(format!("test-{}", std::process::id()));
    vrrp_tests::lab::run(
        Command::new("bpftool").args(["prog", "pin", "pinned"]).arg(&program).arg(&borrowed),
    )?;
    first.stop()?;
    vrrp_tests::lab::ip(&[
        "-n",
        host.namespace(),
        "link",
        "set",
        "dev",
        "eth0",
        "xdpgeneric",
        "pinned",
        &borrowed.display().to_string(),
    ])?;
    let file = lab.write("again.conf", &Config::default().text())?;
    let output =
        host.command(agent()?).arg("-f").arg(file).args(["--dataplane", "ebpf"]).args(generic).output()?;
    std::fs::remove_file(&borrowed)?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("another XDP program is there already"), "{said}");
    assert!(said.contains("(`vrrp`, number "), "its name is known: {said}");
    let _sockets =
        host.agent_with(&Config::default().text(), &["--dataplane", "auto", "--xdp-mode", "generic"])?;
    assert_eq!(host.status()?["dataplane"], "socket");
    Ok(())
}
