//! A bond as the interface, with an ordinary file and no options: what many servers have.

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;
use vrrp_tests::lab::{Host, Lab, Process};

use crate::common::{Config, HIGH, LOW, TIMEOUT, VIP};
use crate::scene::{BY_DEFAULT, Scene, on};

fn agent(host: &Host, priority: u8) -> Result<Process> {
    host.agent_with(&on("bond0", &Config::priority(priority)), &BY_DEFAULT)
}

/// An election, then the loss of one of the master's cables, the loss of the master, and its return.
fn one_router_holds_the_address(mode: &str) -> Result<()> {
    let lab = Lab::new()?;
    let (h1, ports) = lab.bonded_host("h1", 11, mode)?;
    let (h2, _) = lab.bonded_host("h2", 12, mode)?;
    let client = lab.host("client", 13)?;
    let settles = |holder: &Host, other: &Host| -> Result<()> {
        let mac = holder.mac_of("bond0")?;
        Scene { holder, other, client: &client, from: "eth0", vip: VIP, mac }.settles()
    };
    let mut first = agent(&h1, HIGH)?;
    let mut second = agent(&h2, LOW)?;
    settles(&h1, &h2)?;
    for host in [&h1, &h2] {
        let status = host.status()?;
        let plane = status["dataplane"].to_string();
        // In native mode the program would run on the slaves, and see their numbers instead of the bond's.
        ensure!(!plane.contains("native"), "{plane} on a bond");
    }
    lab.set_port(&ports[0], false)?;
    settles(&h1, &h2)?;
    lab.set_port(&ports[0], true)?;
    first.signal(Signal::SIGKILL)?;
    first.wait(TIMEOUT)?;
    h2.wait_for_address(VIP, true, TIMEOUT)?;
    // The killed agent has left the address there; its kernel half does not answer for it.
    ensure!(client.who_has("eth0", VIP)? == [h2.mac_of("bond0")?], "{:?}", client.who_has("eth0", VIP)?);
    let _first = agent(&h1, HIGH)?;
    settles(&h1, &h2)?;
    ensure!(!second.has_ended());
    Ok(())
}

#[test]
#[ignore = "needs a kernel with bonding: run by `cargo xtask kernels`"]
fn a1_on_a_bond_with_one_active_cable() -> Result<()> {
    one_router_holds_the_address("active-backup")
}

#[test]
#[ignore = "needs a kernel with bonding: run by `cargo xtask kernels`"]
fn a1_on_a_bond_that_balances() -> Result<()> {
    one_router_holds_the_address("balance-rr")
}

#[test]
#[ignore = "needs a kernel with bonding: run by `cargo xtask kernels`"]
fn a1_on_a_bond_by_lacp() -> Result<()> {
    one_router_holds_the_address("802.3ad")
}
