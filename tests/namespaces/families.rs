//! An interface with addresses of one family, and instances of both.

use std::time::Duration;

use anyhow::Result;
use nix::sys::signal::Signal;
use vrrp_tests::lab::{Host, Lab, Process, eventually, ip};

use crate::common::{TIMEOUT, VIP, reaches};

const VIP_V6: &str = "fd00::10";

fn instance(name: &str, vrid: u8, vips: &str) -> String {
    format!(
        "vrrp_instance {name} {{\ninterface eth0\nversion 3\nvirtual_router_id {vrid}\nadvert_int 0.3\nvirtual_ipaddress {{\n\
         {vips}\n}}\n}}\n"
    )
}

fn both() -> String {
    instance("V4", 51, "192.168.1.10/24") + &instance("V6", 52, "fe80::10/64\nfd00::10/64")
}

fn take_address(host: &Host) -> Result<()> {
    let address = format!("{}/24", host.address());
    ip(&["-n", host.namespace(), "address", "del", &address, "dev", "eth0"]).map(drop)
}

fn link_local(host: &Host) -> Result<String> {
    let text = ip(&["-n", host.namespace(), "-o", "address", "show", "dev", "eth0", "scope", "link"])?;
    let word = |line: &str| line.split_whitespace().nth(3).map(str::to_owned);
    Ok(text.lines().filter(|line| !line.contains("fe80::10/")).find_map(word).unwrap_or_default())
}

/// Checks that an instance has stayed master since it became master.
fn has_stayed(host: &Host, slot: usize, agent: &Process) -> Result<()> {
    let status = host.status()?;
    let instance = &status["instances"][slot];
    assert_eq!(
        (&instance["state"], &instance["became_master"]),
        (&"master".into(), &1.into()),
        "{}",
        agent.log()
    );
    Ok(())
}

fn one_family_is_enough(options: &[&str]) -> Result<()> {
    let lab = Lab::new()?;
    let h1 = lab.host("h1", 11)?;
    take_address(&h1)?;
    let agent = h1.agent_with(&both(), options)?;
    h1.wait_for_address(VIP_V6, true, TIMEOUT)?;
    assert!(reaches(&h1, 0, "fault"), "{}", agent.log());
    assert!(agent.says("V4: interface `eth0` has no IPv4 address", TIMEOUT), "{}", agent.log());
    h1.give_address()?;
    h1.wait_for_address(VIP, true, TIMEOUT)?;
    has_stayed(&h1, 1, &agent)
}

#[test]
fn r4_an_instance_needs_an_address_of_its_own_family_only() -> Result<()> {
    one_family_is_enough(&[])
}

#[test]
fn r4_an_instance_needs_an_address_of_its_own_family_only_on_sockets() -> Result<()> {
    one_family_is_enough(&["--dataplane", "socket"])
}

/// R17: the interface has lost an address, and the log must not say that it is "there again".
#[test]
fn r4_an_address_that_goes_takes_the_instances_of_its_family_along() -> Result<()> {
    let lab = Lab::new()?;
    let h1 = lab.host("h1", 11)?;
    let agent = h1.agent(&both())?;
    h1.wait_for_address(VIP, true, TIMEOUT)?;
    h1.wait_for_address(VIP_V6, true, TIMEOUT)?;
    // Without this setting the kernel removes the virtual address together with the primary address of its network, which is
    // another matter.
    h1.run("sysctl", &["-qw", "net.ipv4.conf.eth0.promote_secondaries=1"])?;
    take_address(&h1)?;
    assert!(reaches(&h1, 0, "fault"), "{}", agent.log());
    has_stayed(&h1, 1, &agent)?;
    h1.give_address()?;
    assert!(reaches(&h1, 0, "master"), "{}", agent.log());
    has_stayed(&h1, 1, &agent)?;

    let link_local = link_local(&h1)?;
    ip(&["-n", h1.namespace(), "address", "del", &link_local, "dev", "eth0"])?;
    assert!(reaches(&h1, 1, "fault"), "{}", agent.log());
    assert_eq!(h1.state(0), "master", "{}", agent.log());
    ip(&["-n", h1.namespace(), "address", "add", &link_local, "dev", "eth0", "nodad"])?;
    assert!(reaches(&h1, 1, "master"), "{}", agent.log());
    let log = agent.log();
    assert!(!log.contains("cannot be used") && !log.contains("there again"), "{log}");
    assert!(log.contains("V4: adverts are sent from 192.168.1.11"), "{log}");
    Ok(())
}

#[test]
fn r4_a_reload_without_an_address_leaves_the_other_family_alone() -> Result<()> {
    let lab = Lab::new()?;
    let h1 = lab.host("h1", 11)?;
    take_address(&h1)?;
    let file = lab.write("h1.conf", &instance("V6", 52, "fe80::10/64\nfd00::10/64"))?;
    let agent = h1.agent_on(&file, &[])?;
    h1.wait_for_address(VIP_V6, true, TIMEOUT)?;
    std::fs::write(&file, both())?;
    agent.signal(Signal::SIGHUP)?;
    let followed = || h1.status().is_ok_and(|s| s["instances"].as_array().is_some_and(|i| i.len() == 2));
    assert!(eventually(TIMEOUT, followed), "{}", agent.log());
    std::thread::sleep(Duration::from_secs(2));
    assert!(reaches(&h1, 0, "fault"), "{}", agent.log());
    has_stayed(&h1, 1, &agent)?;
    h1.give_address()?;
    h1.wait_for_address(VIP, true, TIMEOUT)?;
    has_stayed(&h1, 1, &agent)
}
