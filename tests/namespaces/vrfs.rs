//! Instances in a VRF, where the main routing table has no route.

use std::time::Instant;

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;
use vrrp_tests::lab::{Host, Lab, eventually};

use crate::common::TIMEOUT;
use crate::scene::{AND_STAYS_SO, BY_DEFAULT, status_text};

/// An instance by IPv4 and one by IPv6, both by multicast or both by unicast.
fn config(priority: u8, last: u8, peer: u8, unicast: bool) -> String {
    let cast = |network: &str| match unicast {
        true => format!("unicast_src_ip {network}{last}\nunicast_peer {{\n{network}{peer}\n}}"),
        false => String::new(),
    };
    let instance = |name: &str, vrid: u8, network: &str, vips: &str| {
        let cast = cast(network);
        format!(
            "vrrp_instance {name} {{\nstate BACKUP\ninterface eth0\nversion 3\nvirtual_router_id {vrid}\n\
             priority {priority}\nadvert_int 1\n{cast}\nvirtual_ipaddress {{\n{vips}\n}}\n}}\n"
        )
    };
    let four = instance("FOUR", 51, "192.168.1.", "192.168.1.10");
    four + &instance("SIX", 52, "fd00::", "fe80::10\nfd00::10")
}

/// Describes the state, unless it is right: the first of the hosts is master of both instances, alone.
fn fault(holder: &Host, other: &Host) -> Option<String> {
    let states = [holder.state(0), holder.state(1), other.state(0), other.state(1)];
    let has = |host: &Host| ["192.168.1.10", "fd00::10"].map(|vip| host.has_address(vip).ok());
    let right = states == ["master", "master", "backup", "backup"]
        && has(holder) == [Some(true); 2]
        && has(other) == [Some(false); 2];
    (!right).then(|| format!("{states:?}\n{}\n{}", status_text(holder), status_text(other)))
}

fn settles(holder: &Host, other: &Host) -> Result<()> {
    let mut last = None;
    let settled = eventually(TIMEOUT, || {
        last = fault(holder, other);
        last.is_none()
    });
    ensure!(settled, "never right: {}", last.unwrap_or_default());
    let start = Instant::now();
    while start.elapsed() < AND_STAYS_SO {
        ensure!(
            fault(holder, other).is_none(),
            "it does not stay so: {}",
            fault(holder, other).unwrap_or_default()
        );
    }
    Ok(())
}

fn one_master_in_a_vrf(unicast: bool) -> Result<()> {
    let lab = Lab::new()?;
    let (h1, h2, client) = (lab.host("h1", 11)?, lab.host("h2", 12)?, lab.host("client", 13)?);
    for (host, last) in [(&h1, 11), (&h2, 12)] {
        host.vrf()?;
        // An interface that moves into a VRF loses its addresses of IPv6.
        host.ip(&["address", "add", &format!("fd00::{last}/64"), "dev", "eth0", "nodad"])?;
    }
    client.ip(&["address", "add", "fd00::13/64", "dev", "eth0", "nodad"])?;
    let mut first = h1.agent_with(&config(100, 11, 12, unicast), &BY_DEFAULT)?;
    let _second = h2.agent_with(&config(90, 12, 11, unicast), &BY_DEFAULT)?;
    settles(&h1, &h2)?;
    let answers = |host: &Host| -> Result<bool> {
        let mac = [host.mac()?];
        Ok(client.who_has("eth0", "192.168.1.10")? == mac && client.solicit("fd00::10")? == mac)
    };
    ensure!(answers(&h1)?, "{:?} {:?}", client.who_has("eth0", "192.168.1.10"), client.solicit("fd00::10"));
    first.signal(Signal::SIGKILL)?;
    first.wait(TIMEOUT)?;
    let taken = || (0..2).all(|instance| h2.state(instance) == "master");
    ensure!(eventually(TIMEOUT, taken), "{}", status_text(&h2));
    let moved = || answers(&h2).unwrap_or(false);
    ensure!(
        eventually(TIMEOUT, moved),
        "{:?} {:?}",
        client.who_has("eth0", "192.168.1.10"),
        client.solicit("fd00::10")
    );
    let _first = h1.agent_with(&config(100, 11, 12, unicast), &BY_DEFAULT)?;
    settles(&h1, &h2)
}

#[test]
#[ignore = "needs a kernel with VRFs: run by `cargo xtask kernels`"]
fn a7_by_multicast_in_a_vrf() -> Result<()> {
    one_master_in_a_vrf(false)
}

#[test]
#[ignore = "needs a kernel with VRFs: run by `cargo xtask kernels`"]
fn a7_by_unicast_in_a_vrf() -> Result<()> {
    one_master_in_a_vrf(true)
}

/// The same numbers in another VRF are another network: the card there has nothing to do with the virtual address.
#[test]
#[ignore = "needs a kernel with VRFs: run by `cargo xtask kernels`"]
fn b2_a_card_of_another_vrf_is_not_guarded_and_one_of_the_same_vrf_is() -> Result<()> {
    let lab = Lab::new()?;
    let (apart, together) = (lab.host("apart", 11)?, lab.host("together", 12)?);
    for (host, address) in [(&apart, "192.168.1.111"), (&together, "192.168.1.112")] {
        host.vrf()?;
        // The instances are on IPv6 too.
        host.ip(&["address", "add", "fd00::1/64", "dev", "eth0", "nodad"])?;
        lab.second_card(host, address)?;
    }
    together.ip(&["link", "set", "eth9", "master", "red"])?;
    for (host, guarded) in [(&apart, false), (&together, true)] {
        let agent = host.agent_with(&config(100, 11, 12, false), &BY_DEFAULT)?;
        let text = status_text(host);
        ensure!(text.contains("eth9") == guarded, "guarded {guarded}: {text}\n{}", agent.log());
        agent.stop()?;
    }
    Ok(())
}
