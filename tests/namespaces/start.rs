//! A host that is not ready yet when the daemon starts, as most hosts at boot.

use std::time::{Duration, Instant};

use anyhow::Result;
use vrrp_tests::lab::{Lab, agent, eventually};

use crate::common::{Config, HIGH, LOW, TIMEOUT, VIP, reaches};

const DYNAMIC: &str = "global_defs {\ndynamic_interfaces\n}\n";

fn config(above: &str) -> String {
    Config { above: above.to_owned(), ..Config::priority(HIGH) }.text()
}

fn the_interface_comes_later(options: &[&str]) -> Result<()> {
    let lab = Lab::new()?;
    let (h1, h2, client) = (lab.host("h1", 11)?, lab.host("h2", 12)?, lab.host("client", 13)?);
    h1.unplug()?;
    let late = h1.agent_with(&config(DYNAMIC), options)?;
    let _other = h2.agent_with(&Config::priority(LOW).text(), options)?;
    assert!(late.says("interface eth0 is not there", TIMEOUT), "{}", late.log());
    assert!(reaches(&h1, 0, "fault") && reaches(&h2, 0, "master"));
    lab.plug(&h1)?;
    assert!(late.says("has no IPv4 address to send adverts from", TIMEOUT), "{}", late.log());
    h1.give_address()?;
    h1.wait_for_address(VIP, true, TIMEOUT)?;
    h2.wait_for_address(VIP, false, TIMEOUT)?;
    assert_eq!(client.arping(VIP)?, [h1.mac()?], "{}", late.log());
    late.kill()?;
    h2.wait_for_address(VIP, true, TIMEOUT)
}

#[test]
fn an_interface_that_comes_later_is_waited_for() -> Result<()> {
    the_interface_comes_later(&[])
}

#[test]
fn an_interface_that_comes_later_is_waited_for_on_sockets() -> Result<()> {
    the_interface_comes_later(&["--dataplane", "socket"])
}

#[test]
fn without_dynamic_interfaces_a_missing_one_is_an_error() -> Result<()> {
    let lab = Lab::new()?;
    let host = lab.host("h1", 11)?;
    host.unplug()?;
    let file = lab.write("h1.conf", &config(""))?;
    let output = host.command(agent()?).arg("-f").arg(file).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("interface `eth0` does not exist"), "{said}");
    Ok(())
}

/// The daemon starts before DHCP has given the host its address.
#[test]
fn an_address_that_comes_later_is_waited_for() -> Result<()> {
    let lab = Lab::new()?;
    let host = lab.host("h1", 11)?;
    host.run("ip", &["address", "flush", "dev", "eth0"])?;
    let process = host.agent(&config(""))?;
    assert!(process.says("in fault until it has one", TIMEOUT), "{}", process.log());
    assert!(reaches(&host, 0, "fault"));
    host.give_address()?;
    host.wait_for_address(VIP, true, TIMEOUT)
}

/// The same in a reload: an instance whose interface is not there does not stop the others.
#[test]
fn a_reload_waits_for_an_interface_too() -> Result<()> {
    let lab = Lab::new()?;
    let host = lab.host("h1", 11)?;
    let process = host.agent(&config(DYNAMIC))?;
    host.wait_for_address(VIP, true, TIMEOUT)?;
    let other = Config { name: "VI_2", vrid: 52, vip: "192.168.1.20", ..Config::default() }.text();
    lab.write("h1.conf", &(config(DYNAMIC) + &other.replace("interface eth0", "interface eth9")))?;
    process.signal(nix::sys::signal::Signal::SIGHUP)?;
    assert!(process.says("1 are new", TIMEOUT), "{}", process.log());
    assert_eq!((host.state(0), host.state(1)), ("master".into(), "fault".into()));
    host.run("ip", &["link", "add", "eth9", "type", "veth", "peer", "name", "peer9"])?;
    host.run("ip", &["address", "add", "10.9.0.1/24", "dev", "eth9"])?;
    host.run("ip", &["link", "set", "peer9", "up"])?;
    host.run("ip", &["link", "set", "eth9", "up"])?;
    let shown =
        || host.run("ip", &["address", "show", "dev", "eth9"]).is_ok_and(|text| text.contains(".20/"));
    assert!(eventually(TIMEOUT, shown), "{}", process.log());
    assert_eq!(host.status()?["instances"][0]["became_master"], 1);
    Ok(())
}

#[test]
fn elections_wait_as_long_as_they_are_told_to() -> Result<()> {
    let lab = Lab::new()?;
    let host = lab.host("h1", 11)?;
    let start = Instant::now();
    let above = "global_defs {\nvrrp_startup_delay 4\nvrrp_delay_after_boot 1\n}\n";
    let process = host.agent(&Config { above: above.to_owned(), ..Config::priority(255) }.text())?;
    assert_eq!(host.state(0), "initialize", "{}", process.log());
    host.wait_for_address(VIP, true, TIMEOUT)?;
    let waited = start.elapsed();
    assert!((Duration::from_secs(4)..Duration::from_secs(9)).contains(&waited), "{waited:?}");
    Ok(())
}
