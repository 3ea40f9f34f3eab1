//! Interfaces that are not Ethernet, have no ARP, or stand on another interface.

use std::time::Duration;

use anyhow::Result;
use vrrp_tests::lab::{Host, Lab, TUNNEL_NETWORK, eventually, ip, tunnel};

use crate::common::{Config, HIGH, LOW, TIMEOUT, VIP, reaches};

/// Longer than the master-down interval of these instances.
const ELECTION: Duration = Duration::from_millis(4500);

/// An instance on a tunnel, with an address of its own network.
fn on_tunnel(priority: u8, vip: &str, more: &str) -> String {
    let version = if vip.contains(':') { 3 } else { 2 };
    format!(
        "vrrp_instance VI_1 {{\nstate BACKUP\ninterface tun0\nversion {version}\nvirtual_router_id 51\npriority {priority}\n\
         advert_int 1\n{more}\nvirtual_ipaddress {{\n{vip}\n}}\n}}\n"
    )
}

/// Host 1 is master and host 2 hears it, until host 1 is gone.
fn elects_over_a_tunnel(vip: &str, more: impl Fn(u8, u8) -> String, options: &[&str]) -> Result<()> {
    let lab = Lab::new()?;
    let (h1, h2) = (lab.host("h1", 11)?, lab.host("h2", 12)?);
    let _carrier = tunnel(&h1, &h2)?;
    let alone = vip.split(['/', ' ']).next().unwrap();
    let first = h1.agent_with(&on_tunnel(HIGH, vip, &more(11, 12)), options)?;
    h1.wait_for_address(alone, true, TIMEOUT)?;
    let second = h2.agent_with(&on_tunnel(LOW, vip, &more(12, 11)), options)?;
    std::thread::sleep(ELECTION);
    let log = || format!("{}\n{}", first.log(), second.log());
    assert_eq!((h1.state(0), h2.state(0)), ("master".to_owned(), "backup".to_owned()), "{}", log());
    assert_eq!(h2.status()?["instances"][0]["master"]["priority"], HIGH, "{}", log());
    first.kill()?;
    h2.wait_for_address(alone, true, TIMEOUT)?;
    Ok(())
}

fn peers(own: u8, other: u8) -> String {
    format!("unicast_src_ip {TUNNEL_NETWORK}.{own}\nunicast_peer {{\n{TUNNEL_NETWORK}.{other}\n}}")
}

#[test]
fn r9_an_instance_on_a_tunnel_by_unicast() -> Result<()> {
    elects_over_a_tunnel(&format!("{TUNNEL_NETWORK}.10/24"), peers, &[])
}

#[test]
fn r9_an_instance_on_a_tunnel_by_unicast_on_sockets() -> Result<()> {
    elects_over_a_tunnel(&format!("{TUNNEL_NETWORK}.10/24"), peers, &["--dataplane", "socket"])
}

#[test]
fn r9_an_instance_on_a_tunnel_by_multicast() -> Result<()> {
    elects_over_a_tunnel(&format!("{TUNNEL_NETWORK}.10/24"), |_, _| String::new(), &[])
}

#[test]
fn r9_an_instance_on_a_tunnel_by_multicast_over_ipv6() -> Result<()> {
    elects_over_a_tunnel("fe80::10/64\nfd00:3::10/64", |_, _| String::new(), &[])
}

#[test]
fn r9_an_instance_on_a_tunnel_with_an_address_on_ethernet() -> Result<()> {
    elects_over_a_tunnel(&format!("{VIP}/24 dev eth0"), peers, &[])
}

/// No host asks for these addresses by ARP: the kernel half is not attached there, and the loopback's MTU is no reason for
/// another kind of program.
#[test]
fn d2_addresses_where_there_is_no_arp_need_no_program() -> Result<()> {
    let lab = Lab::new()?;
    let (h1, h2) = (lab.host("h1", 11)?, lab.host("h2", 12)?);
    let _carrier = tunnel(&h1, &h2)?;
    let vip = "192.168.1.10/24\n192.168.9.10/32 dev lo\n192.168.3.10/32 dev tun0";
    let config = Config { vip, ..Config::priority(HIGH) }.text();
    let agent = h1.agent(&config)?;
    for address in [VIP, "192.168.9.10", "192.168.3.10"] {
        h1.wait_for_address(address, true, TIMEOUT)?;
    }
    let plane = h1.status()?["dataplane"].as_str().unwrap_or_default().to_owned();
    assert!(plane.contains("eth0") && !plane.contains("lo:") && !plane.contains("frags"), "{plane}");
    let pinned = |interface: &str| h1.pin(&format!("link-{interface}")).map(|pin| pin.exists());
    assert!(pinned("eth0")? && !pinned("lo")? && !pinned("tun0")?, "{plane}");
    assert!(agent.stop()?.success());
    assert!(!h1.has_address("192.168.9.10")?);
    Ok(())
}

fn pings(client: &Host, address: &str) -> bool {
    client.run("ping", &["-c", "1", "-W", "1", address]).is_ok()
}

/// A host whose only interface with an address is a macvlan, as in a container.
fn on_macvlan(lab: &Lab, mode: &str) -> Result<Host> {
    let h1 = lab.host("h1", 11)?;
    let ns = h1.namespace();
    ip(&["-n", ns, "address", "flush", "dev", "eth0"])?;
    // Broadcasts reach the interface below too, which would answer for any address of the host.
    h1.run("sysctl", &["-qw", "net.ipv4.conf.eth0.arp_ignore=8"])?;
    ip(&["-n", ns, "link", "add", "mv0", "link", "eth0", "type", "macvlan", "mode", mode])?;
    ip(&["-n", ns, "link", "set", "mv0", "up"])?;
    ip(&["-n", ns, "address", "add", &format!("{}/24", h1.address()), "dev", "mv0"])?;
    Ok(h1)
}

/// The agent announces no hardware address at which no packet would arrive.
#[test]
fn r8_the_virtual_hardware_address_is_used_where_it_is_received() -> Result<()> {
    const VMAC: &str = "00:00:5e:00:01:33";
    for (mode, received) in [("bridge", false), ("private", false), ("passthru", true)] {
        let lab = Lab::new()?;
        let (h1, client) = (on_macvlan(&lab, mode)?, lab.host("client", 13)?);
        let config = Config { more: "use_vmac".to_owned(), ..Config::priority(HIGH) }.text();
        let agent = h1.agent(&config.replace("eth0", "mv0"))?;
        assert!(reaches(&h1, 0, "master"));
        h1.wait_for_address(VIP, true, TIMEOUT)?;
        assert!(eventually(TIMEOUT, || pings(&client, VIP)), "{mode}: {}", agent.log());
        let own = h1.run("cat", &["/sys/class/net/mv0/address"])?;
        assert_eq!(client.arping(VIP)?, [if received { VMAC } else { own.trim() }], "{mode}");
        assert_eq!(agent.log().contains("use_vmac has no effect"), !received, "{mode}: {}", agent.log());
    }
    Ok(())
}
