//! The way that adverts take: the interface by which they leave, the interface on which they are expected, and that no
//! interface holds up another.

use std::time::Duration;

use anyhow::Result;
use nix::sys::signal::Signal;
use vrrp_tests::lab::{Host, Lab, Process, eventually, ip};

use crate::common::{Daemon, HIGH, LOW, TIMEOUT, VIP, reaches};

/// Longer than the master-down interval of these instances.
const ELECTION: Duration = Duration::from_millis(4500);

/// Two hosts with two interfaces each, and addresses of both families on both.
fn two_hosts() -> Result<(Lab, Host, Host)> {
    let lab = Lab::new()?;
    let (h1, h2) = (lab.host("h1", 11)?, lab.host("h2", 12)?);
    for (host, last) in [(&h1, 11), (&h2, 12)] {
        lab.second_interface(host)?;
        for (dev, network) in [("eth0", 1), ("eth1", 2)] {
            let address = format!("fd00:{network}::{last}/64");
            ip(&["-n", host.namespace(), "address", "add", &address, "dev", dev, "nodad"])?;
        }
    }
    Ok((lab, h1, h2))
}

/// An instance with one unicast peer.
fn unicast(priority: u8, interface: &str, (source, peer): (&str, &str), vip: &str) -> String {
    let version = if source.contains(':') { 3 } else { 2 };
    format!(
        "vrrp_instance VI_1 {{\nstate BACKUP\n{interface}\nversion {version}\nvirtual_router_id 51\npriority {priority}\n\
         advert_int 1\nunicast_src_ip {source}\nunicast_peer {{\n{peer}\n}}\nvirtual_ipaddress {{\n{vip}\n}}\n}}\n"
    )
}

/// Host 1 is master and host 2 hears it.
fn one_is_master(h1: &Host, h2: &Host, vip: &str, logs: [&Process; 2]) -> Result<()> {
    let [first, second] = logs;
    h1.wait_for_address(vip, true, TIMEOUT)?;
    std::thread::sleep(ELECTION);
    assert!(h1.has_address(vip)? && !h2.has_address(vip)?, "two masters:\n{}\n{}", first.log(), second.log());
    Ok(())
}

/// Starts both daemons, the one that is to be master first.
fn elect(
    (h1, h2): (&Host, &Host),
    daemons: [Daemon; 2],
    interface: &str,
    (one, other): (&str, &str),
    vip: &str,
) -> Result<[Process; 2]> {
    let first = daemons[0].start_with(h1, &unicast(HIGH, interface, (one, other), vip))?;
    let second = daemons[1].start_with(h2, &unicast(LOW, interface, (other, one), vip))?;
    one_is_master(h1, h2, vip, [&first, &second])?;
    Ok([first, second])
}

/// The routing table leads to the peer by another interface, as it does for all that is in a VRF.
#[test]
fn a7_unicast_leaves_by_the_interface_of_its_instance() -> Result<()> {
    for (one, other, vip) in
        [("192.168.2.11", "192.168.2.12", "192.168.2.10"), ("fd00:2::11", "fd00:2::12", "fd00:2::10")]
    {
        let (_lab, h1, h2) = two_hosts()?;
        ip(&["-n", h1.namespace(), "route", "add", other, "dev", "eth0"])?;
        ip(&["-n", h2.namespace(), "route", "add", one, "dev", "eth0"])?;
        elect((&h1, &h2), [Daemon::Ours; 2], "interface eth1", (one, other), vip)?;
    }
    Ok(())
}

/// keepalived sends and listens on `interface`, whatever the network of the source is.
#[test]
fn r6_unicast_from_another_network_s_address_is_heard_as_with_keepalived() -> Result<()> {
    use Daemon::{Keepalived, Ours};
    for daemons in [[Ours, Ours], [Ours, Keepalived], [Keepalived, Ours]] {
        let (_lab, h1, h2) = two_hosts()?;
        let peers = ("192.168.1.11", "192.168.1.12");
        elect((&h1, &h2), daemons, "interface eth1", peers, "192.168.2.10")?;
    }
    Ok(())
}

/// Where that interface does not lead to the peers, adverts take the interface of their source: with a strict reverse-path
/// filter, with ARP for an interface's own addresses only, or with IPv6. keepalived has two masters in each of these cases.
#[test]
fn r6_where_the_interface_does_not_lead_to_the_peers_their_network_does() -> Result<()> {
    for (setting, one, other, vip) in [
        ("net.ipv4.conf.all.rp_filter=1", "192.168.1.11", "192.168.1.12", "192.168.2.10"),
        ("net.ipv4.conf.all.arp_ignore=1", "192.168.1.11", "192.168.1.12", "192.168.2.10"),
        ("net.ipv4.conf.all.rp_filter=0", "fd00:1::11", "fd00:1::12", "fd00:2::10"),
    ] {
        let (_lab, h1, h2) = two_hosts()?;
        for host in [&h1, &h2] {
            host.run("sysctl", &["-qw", setting])?;
        }
        let [first, _second] = elect((&h1, &h2), [Daemon::Ours; 2], "interface eth1", (one, other), vip)?;
        assert!(first.says("adverts leave by eth0", TIMEOUT), "{}", first.log());
        // The addresses are where the file has them, and a lost master is noticed.
        assert!(ip(&["-n", h1.namespace(), "-o", "address", "show", "dev", "eth1"])?.contains(vip));
        first.kill()?;
        h2.wait_for_address(vip, true, TIMEOUT)?;
    }
    Ok(())
}

/// Without `interface` the instance is on the interface that has `unicast_src_ip`.
#[test]
fn d4_the_interface_of_a_unicast_instance_is_that_of_its_source() -> Result<()> {
    for (vip, dev) in [("192.168.1.10", "eth0"), ("192.168.2.10 dev eth1", "eth1")] {
        let (_lab, h1, h2) = two_hosts()?;
        let vip_alone = vip.split(' ').next().unwrap();
        let peers = ("192.168.1.11", "192.168.1.12");
        let first = h1.agent(&unicast(HIGH, "", peers, vip))?;
        let second = h2.agent(&unicast(LOW, "", (peers.1, peers.0), vip))?;
        one_is_master(&h1, &h2, vip_alone, [&first, &second])?;
        assert!(ip(&["-n", h1.namespace(), "-o", "address", "show", "dev", dev])?.contains(vip_alone));
        assert_eq!(h1.status()?["instances"][0]["interface"], "eth0");
    }
    Ok(())
}

/// The source address comes later, as from a DHCP server.
#[test]
fn d4_a_source_that_is_on_no_interface_is_waited_for() -> Result<()> {
    let (_lab, h1, h2) = two_hosts()?;
    let peers = ("192.168.1.21", "192.168.1.12");
    let first = h1.agent(&unicast(HIGH, "", peers, VIP))?;
    let _second = h2.agent(&unicast(LOW, "", (peers.1, peers.0), VIP))?;
    assert!(reaches(&h1, 0, "fault"), "{}", first.log());
    assert!(first.says("no interface has 192.168.1.21", TIMEOUT), "{}", first.log());
    h2.wait_for_address(VIP, true, TIMEOUT)?;
    ip(&["-n", h1.namespace(), "address", "add", "192.168.1.21/24", "dev", "eth0"])?;
    h1.wait_for_address(VIP, true, TIMEOUT)?;
    h2.wait_for_address(VIP, false, TIMEOUT)?;
    Ok(())
}

/// Makes the queue of an interface stand still: a packet that is sent there stays in the buffer of the socket that has sent it.
fn stand_still(host: &Host, dev: &str) -> Result<()> {
    let limit = ["rate", "8kbit", "burst", "1540", "limit", "10000000"];
    host.run("tc", &[&["qdisc", "add", "dev", dev, "root", "tbf"][..], &limit].concat()).map(drop)
}

fn instance(name: &str, interface: &str, vrid: u8, priority: u8, interval: &str, vips: &str) -> String {
    format!(
        "vrrp_instance {name} {{\nstate BACKUP\ninterface {interface}\nversion 3\nvirtual_router_id {vrid}\npriority {priority}\n\
         advert_int {interval}\ngarp_master_delay 60\nvirtual_ipaddress {{\n{vips}\n}}\n}}\n"
    )
}

#[test]
fn a8_an_interface_that_stands_still_holds_up_no_other() -> Result<()> {
    let (lab, h1, h2) = two_hosts()?;
    let client = lab.host("client", 13)?;
    let healthy = |priority| instance("VI_1", "eth0", 51, priority, "0.2", "192.168.1.10/24");
    let standing = instance("VI_2", "eth1", 52, HIGH, "0.01", "192.168.2.10/24");
    let capture = client.capture()?;
    let first = h1.agent(&(healthy(HIGH) + &standing))?;
    h1.wait_for_address(VIP, true, TIMEOUT)?;
    h1.wait_for_address("192.168.2.10", true, TIMEOUT)?;
    let _second = h2.agent(&healthy(LOW))?;
    assert!(reaches(&h2, 0, "backup"));
    stand_still(&h1, "eth1")?;
    std::thread::sleep(Duration::from_secs(12));
    assert!(first.says("VI_2: cannot send an advert", TIMEOUT), "eth1 does not stand still: {}", first.log());
    assert!(!first.log().contains("VI_1: cannot send"), "{}", first.log());
    assert_eq!(h2.status()?["instances"][0]["became_master"], 0, "{}", first.log());
    let adverts = capture.adverts();
    assert!(adverts.iter().all(|p| p.content.source == h1.address()), "{adverts:?}");
    Ok(())
}

/// Processor time that a process has used.
fn busy(process: &Process) -> Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.pid()))?;
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let ticks = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
    Ok(Duration::from_millis(ticks * 10))
}

/// More announcements than the buffer holds wait until the interface moves on, without keeping the processor busy or an advert back.
#[test]
fn a8_what_an_interface_refuses_to_announce_is_announced_later() -> Result<()> {
    const ADDRESSES: usize = 400;
    let (lab, h1, h2) = two_hosts()?;
    let client = lab.host("client", 13)?;
    lab.second_interface(&client)?;
    let excluded: String = (0..ADDRESSES).map(|n| format!("10.9.{}.{}/32\n", n / 200, n % 200 + 1)).collect();
    let excluded = format!("}}\nvirtual_ipaddress_excluded {{\n{excluded}");
    let standing = instance("VI_2", "eth1", 52, HIGH, "1", &format!("192.168.2.10/24\n{excluded}"));
    let healthy = |priority| instance("VI_1", "eth0", 51, priority, "0.2", "192.168.1.10/24");
    stand_still(&h1, "eth1")?;
    let first = h1.agent(&(healthy(HIGH) + &standing))?;
    h1.wait_for_address("10.9.1.200", true, TIMEOUT)?;
    let _second = h2.agent(&healthy(LOW))?;
    assert!(reaches(&h2, 0, "backup"));
    let before = busy(&first)?;
    std::thread::sleep(Duration::from_secs(5));
    let used = busy(&first)? - before;
    assert!(used < Duration::from_millis(1500), "busy for {used:?} of 5 s");
    assert_eq!(h2.status()?["instances"][0]["became_master"], 0, "{}", first.log());
    let recording = client.record_on("eth1", "arp")?;
    // The packets in the queue are removed with it; the others were refused.
    h1.run("tc", &["qdisc", "del", "dev", "eth1", "root"])?;
    std::thread::sleep(Duration::from_secs(3));
    let seen = recording.finish()?;
    let announced: std::collections::BTreeSet<_> = seen.iter().filter_map(|frame| frame.announced).collect();
    let of_ours = announced.iter().filter(|address| address[..2] == [10, 9]).count();
    assert_eq!(of_ours, ADDRESSES, "{}", first.log());
    Ok(())
}

/// Sockets come and go with the interfaces of the configuration.
#[test]
fn a8_reloads_leave_no_sockets_behind() -> Result<()> {
    let (lab, h1, _h2) = two_hosts()?;
    let one = instance("VI_1", "eth0", 51, HIGH, "0.1", "192.168.1.10/24");
    let peers = ("192.168.2.11", "192.168.2.12");
    let two = instance("VI_2", "eth1", 52, HIGH, "0.1", "192.168.2.10/24");
    let three = unicast(HIGH, "interface eth1", peers, "192.168.2.20/24");
    let both = format!("{one}{two}{}", three.replace("VI_1", "VI_3").replace("id 51", "id 53"));
    let file = lab.write("h1.conf", &both)?;
    let agent = h1.agent_on(&file, &[])?;
    let descriptors =
        || -> Result<usize> { Ok(std::fs::read_dir(format!("/proc/{}/fd", agent.pid()))?.count()) };
    let mut counts = Vec::new();
    for round in 0..30 {
        for (text, instances) in [(&one, 1), (&both, 3)] {
            std::fs::write(&file, text)?;
            agent.signal(Signal::SIGHUP)?;
            let followed = || {
                let status = h1.status().unwrap_or_default();
                let there = status["instances"].as_array().map_or(0, Vec::len);
                let masters = || (0..instances).all(|slot| status["instances"][slot]["state"] == "master");
                there == instances && masters()
            };
            assert!(eventually(TIMEOUT, followed), "round {round}: {}", agent.log());
        }
        counts.push(descriptors()?);
    }
    // The status socket's own connections come and go.
    let (early, late) = (counts[2], counts[29]);
    assert!(late <= early + 2, "{counts:?}");
    Ok(())
}
