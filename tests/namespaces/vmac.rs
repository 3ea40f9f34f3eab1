//! `use_vmac`: the hardware address moves with the virtual address, without a macvlan on our side.

use anyhow::Result;
use nix::sys::signal::Signal;
use vrrp_tests::lab::{Host, Lab, eventually};

use crate::common::{Config, Daemon, HIGH, LOW, TIMEOUT, VIP};

/// The hardware address of VRID 51.
const VMAC: &str = "00:00:5e:00:01:33";

fn config(priority: u8, more: &str) -> Config {
    Config { more: more.to_owned(), ..Config::priority(priority) }
}

fn pings(client: &Host, address: &str) -> bool {
    client.run("ping", &["-c", "1", "-W", "1", address]).is_ok()
}

/// The hardware address that a host believes an address to have.
fn neighbour(client: &Host, address: &str) -> Result<String> {
    let text = client.run("ip", &["neigh", "show", address])?;
    let mac = text.split_once("lladdr ").and_then(|(_, rest)| rest.split_whitespace().next());
    Ok(mac.unwrap_or_default().to_owned())
}

/// Failover and return: the client never has to learn a new hardware address, and needs no announcement.
fn the_client_keeps_its_neighbour(high: Daemon, low: Daemon, more: &str) -> Result<()> {
    let lab = Lab::new()?;
    let (h1, h2, client) = (lab.host("h1", 11)?, lab.host("h2", 12)?, lab.host("client", 13)?);
    let capture = client.capture()?;
    let first = high.start(&h1, &config(HIGH, more))?;
    let second = low.start(&h2, &config(LOW, more))?;
    h1.wait_for_address(VIP, true, TIMEOUT)?;
    assert!(eventually(TIMEOUT, || pings(&client, VIP)), "{}", capture.text());
    match high {
        Daemon::Ours => assert_eq!(neighbour(&client, VIP)?, VMAC),
        // keepalived's stack asks for the client with the virtual address and the interface's own hardware address.
        Daemon::Keepalived => {}
    }
    // From here on the client learns nothing.
    client.run("ip", &["neigh", "replace", VIP, "lladdr", VMAC, "dev", "eth0", "nud", "permanent"])?;
    first.stop()?;
    h2.wait_for_address(VIP, true, TIMEOUT)?;
    assert!(eventually(TIMEOUT, || pings(&client, VIP)), "after a resignation");
    let first = high.start(&h1, &config(HIGH, more))?;
    h1.wait_for_address(VIP, true, TIMEOUT)?;
    h2.wait_for_address(VIP, false, TIMEOUT)?;
    assert!(eventually(TIMEOUT, || pings(&client, VIP)), "after the return");
    first.signal(Signal::SIGKILL)?;
    h2.wait_for_address(VIP, true, TIMEOUT)?;
    assert!(eventually(TIMEOUT, || pings(&client, VIP)), "after silence");
    drop(first);
    let text = capture.text();
    assert!(!text.contains("bad vrrp cksum"), "{text}");
    let own = |line: &str| line.contains("VRRPv2") && !line.contains(VMAC);
    assert!(!text.lines().any(own), "an advert from another hardware address:\n{text}");
    second.stop()?;
    Ok(())
}

#[test]
fn between_two_of_ours() -> Result<()> {
    the_client_keeps_its_neighbour(Daemon::Ours, Daemon::Ours, "use_vmac")
}

#[test]
fn our_master_its_backup_with_a_macvlan() -> Result<()> {
    the_client_keeps_its_neighbour(Daemon::Ours, Daemon::Keepalived, "use_vmac")
}

#[test]
fn its_master_with_a_macvlan_our_backup() -> Result<()> {
    the_client_keeps_its_neighbour(Daemon::Keepalived, Daemon::Ours, "use_vmac")
}

/// One router has a virtual hardware address and the other has none: the election does not depend on it.
fn mixed(high: Daemon, low: Daemon, high_more: &str, low_more: &str) -> Result<()> {
    let lab = Lab::new()?;
    let (h1, h2, client) = (lab.host("h1", 11)?, lab.host("h2", 12)?, lab.host("client", 13)?);
    let first = high.start(&h1, &config(HIGH, high_more))?;
    let _second = low.start(&h2, &config(LOW, low_more))?;
    h1.wait_for_address(VIP, true, TIMEOUT)?;
    assert!(eventually(TIMEOUT, || pings(&client, VIP)));
    first.stop()?;
    h2.wait_for_address(VIP, true, TIMEOUT)?;
    assert!(eventually(TIMEOUT, || pings(&client, VIP)));
    let _first = high.start(&h1, &config(HIGH, high_more))?;
    h1.wait_for_address(VIP, true, TIMEOUT)?;
    h2.wait_for_address(VIP, false, TIMEOUT)?;
    assert!(eventually(TIMEOUT, || pings(&client, VIP)));
    Ok(())
}

#[test]
fn our_plain_master_its_backup_with_a_macvlan() -> Result<()> {
    mixed(Daemon::Ours, Daemon::Keepalived, "", "use_vmac")
}

#[test]
fn our_virtual_master_its_plain_backup() -> Result<()> {
    mixed(Daemon::Ours, Daemon::Keepalived, "use_vmac\nvmac_xmit_base", "")
}

#[test]
fn its_master_with_a_macvlan_our_plain_backup() -> Result<()> {
    mixed(Daemon::Keepalived, Daemon::Ours, "use_vmac", "")
}

#[test]
fn its_plain_master_our_virtual_backup() -> Result<()> {
    mixed(Daemon::Keepalived, Daemon::Ours, "", "use_vmac")
}

/// The interface accepts the virtual hardware address before it is needed, and its settings are as before when the agent is
/// gone.
#[test]
fn a_backup_s_interface_knows_the_address_already() -> Result<()> {
    let lab = Lab::new()?;
    let (h1, h2) = (lab.host("h1", 11)?, lab.host("h2", 12)?);
    let announce = || h2.run("cat", &["/proc/sys/net/ipv4/conf/eth0/arp_announce"]);
    let before = announce()?;
    let _first = h1.agent(&config(HIGH, "use_vmac").text())?;
    h1.wait_for_address(VIP, true, TIMEOUT)?;
    let second = h2.agent(&config(LOW, "use_vmac").text())?;
    assert!(h2.run("bridge", &["fdb", "show", "dev", "eth0"])?.contains(VMAC));
    assert_eq!(h2.state(0), "backup");
    assert_eq!(announce()?.trim(), "2");
    second.stop()?;
    assert!(!h2.run("bridge", &["fdb", "show", "dev", "eth0"])?.contains(VMAC));
    assert_eq!(announce()?, before);
    Ok(())
}

/// With `no_accept` the agent answers ARP for the address, as for a router's address, but the host accepts no packets to it.
#[test]
fn an_address_that_accepts_nothing() -> Result<()> {
    let lab = Lab::new()?;
    let (h1, client) = (lab.host("h1", 11)?, lab.host("client", 13)?);
    let _first = h1.agent(&config(HIGH, "no_accept").text())?;
    h1.wait_for_address(VIP, true, TIMEOUT)?;
    assert_eq!(client.arping(VIP)?.len(), 1);
    assert!(!pings(&client, VIP));
    assert!(pings(&client, &h1.address()));
    assert!(h1.status()?["counters"]["unaccepted"].as_u64() > Some(0));
    Ok(())
}
