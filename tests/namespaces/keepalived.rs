//! Against real keepalived, both ways round: the file is the same on both hosts but for the priority.

use std::time::Duration;

use anyhow::Result;
use nix::sys::signal::Signal;
use vrrp_tests::lab::{Capture, Host, Lab};

use crate::common::{Config, Daemon, HIGH, LOW, TIMEOUT, VIP};

/// Election, failover by resignation, preemption, failover by silence, return; `config` gives each host's file.
fn all_transitions(high: Daemon, low: Daemon, config: impl Fn(&Host, u8) -> Config) -> Result<()> {
    let lab = Lab::new()?;
    let (h1, h2, client) = (lab.host("h1", 11)?, lab.host("h2", 12)?, lab.host("client", 13)?);
    let capture = client.capture()?;
    let (high_config, low_config) = (config(&h1, HIGH), config(&h2, LOW));
    let vip = high_config.vip.lines().next().expect("an address");
    let moves = |from: &Host, to: &Host| {
        to.wait_for_address(vip, true, TIMEOUT)?;
        from.wait_for_address(vip, false, TIMEOUT)
    };
    let first = high.start(&h1, &high_config)?;
    let second = low.start(&h2, &low_config)?;
    h1.wait_for_address(vip, true, TIMEOUT)?;
    // Adverts to a unicast peer are not seen on the client.
    if !high_config.more.contains("unicast") {
        never_two_masters(&capture, &h2)?;
    }
    first.stop()?;
    moves(&h1, &h2)?;
    let first = high.start(&h1, &high_config)?;
    moves(&h2, &h1)?;
    first.signal(Signal::SIGKILL)?;
    h2.wait_for_address(vip, true, TIMEOUT)?;
    drop(first);
    let _first = high.start(&h1, &high_config)?;
    moves(&h2, &h1)?;
    second.stop()?;
    assert!(h1.has_address(vip)?);
    assert!(!capture.text().contains("bad vrrp cksum"), "{}", capture.text());
    Ok(())
}

/// Checks that for a while only the master advertises, since the backup believes its adverts.
fn never_two_masters(capture: &Capture, backup: &Host) -> Result<()> {
    std::thread::sleep(Duration::from_secs(5));
    let adverts = capture.adverts();
    assert!(adverts.iter().all(|p| p.content.source != backup.address()), "{adverts:?}");
    assert!(adverts.len() >= 3, "{adverts:?}");
    Ok(())
}

fn with_password(_host: &Host, priority: u8) -> Config {
    Config::priority(priority)
}

fn version_2(_host: &Host, priority: u8) -> Config {
    Config { password: None, ..Config::priority(priority) }
}

fn version_3(_host: &Host, priority: u8) -> Config {
    Config { version: 3, password: None, ..Config::priority(priority) }
}

fn ipv6(host: &Host, priority: u8) -> Config {
    let vip = "fe80::10\nfd00::10";
    Config { vip, more: "native_ipv6".to_owned(), ..version_3(host, priority) }
}

/// Like `with_password`, but with AH.
fn sealed(_host: &Host, priority: u8) -> Config {
    let more = "authentication {\nauth_type AH\nauth_pass 1111\n}".to_owned();
    Config { password: None, more, ..Config::priority(priority) }
}

fn sealed_unicast(host: &Host, priority: u8) -> Config {
    let more = sealed(host, priority).more + "\n" + &unicast(host, priority).more;
    Config { more, ..sealed(host, priority) }
}

/// Unicast between the two hosts of these tests, whose addresses end in 11 and 12.
fn unicast(host: &Host, priority: u8) -> Config {
    let own = host.address();
    let peer = if own.ends_with("11") { own.replace(".11", ".12") } else { own.replace(".12", ".11") };
    let more = format!("unicast_src_ip {own}\nunicast_peer {{\n{peer}\n}}");
    Config { more, ..Config::priority(priority) }
}

fn unicast_version_3(host: &Host, priority: u8) -> Config {
    Config { more: unicast(host, priority).more, ..version_3(host, priority) }
}

#[test]
fn our_master_its_backup_version_2_with_password() -> Result<()> {
    all_transitions(Daemon::Ours, Daemon::Keepalived, with_password)
}

#[test]
fn its_master_our_backup_version_2_with_password() -> Result<()> {
    all_transitions(Daemon::Keepalived, Daemon::Ours, with_password)
}

#[test]
fn our_master_its_backup_version_2() -> Result<()> {
    all_transitions(Daemon::Ours, Daemon::Keepalived, version_2)
}

#[test]
fn its_master_our_backup_version_2() -> Result<()> {
    all_transitions(Daemon::Keepalived, Daemon::Ours, version_2)
}

#[test]
fn our_master_its_backup_version_3() -> Result<()> {
    all_transitions(Daemon::Ours, Daemon::Keepalived, version_3)
}

#[test]
fn its_master_our_backup_version_3() -> Result<()> {
    all_transitions(Daemon::Keepalived, Daemon::Ours, version_3)
}

#[test]
fn our_master_its_backup_version_3_over_ipv6() -> Result<()> {
    all_transitions(Daemon::Ours, Daemon::Keepalived, ipv6)
}

#[test]
fn its_master_our_backup_version_3_over_ipv6() -> Result<()> {
    all_transitions(Daemon::Keepalived, Daemon::Ours, ipv6)
}

#[test]
fn our_master_its_backup_unicast_peers() -> Result<()> {
    all_transitions(Daemon::Ours, Daemon::Keepalived, unicast)
}

#[test]
fn its_master_our_backup_unicast_peers() -> Result<()> {
    all_transitions(Daemon::Keepalived, Daemon::Ours, unicast)
}

#[test]
fn our_master_its_backup_unicast_peers_version_3() -> Result<()> {
    all_transitions(Daemon::Ours, Daemon::Keepalived, unicast_version_3)
}

#[test]
fn its_master_our_backup_unicast_peers_version_3() -> Result<()> {
    all_transitions(Daemon::Keepalived, Daemon::Ours, unicast_version_3)
}

#[test]
fn our_master_its_backup_ah() -> Result<()> {
    all_transitions(Daemon::Ours, Daemon::Keepalived, sealed)
}

#[test]
fn its_master_our_backup_ah() -> Result<()> {
    all_transitions(Daemon::Keepalived, Daemon::Ours, sealed)
}

#[test]
fn our_master_its_backup_ah_unicast() -> Result<()> {
    all_transitions(Daemon::Ours, Daemon::Keepalived, sealed_unicast)
}

#[test]
fn its_master_our_backup_ah_unicast() -> Result<()> {
    all_transitions(Daemon::Keepalived, Daemon::Ours, sealed_unicast)
}

/// Both hosts have `nopreempt`: a router that returns stays backup, and takes over when the other one goes.
fn no_preemption(high: Daemon, low: Daemon) -> Result<()> {
    let lab = Lab::new()?;
    let (h1, h2) = (lab.host("h1", 11)?, lab.host("h2", 12)?);
    let config = |priority| Config { more: "nopreempt".to_owned(), ..Config::priority(priority) };
    let first = high.start(&h1, &config(HIGH))?;
    h1.wait_for_address(VIP, true, TIMEOUT)?;
    let second = low.start(&h2, &config(LOW))?;
    first.stop()?;
    h2.wait_for_address(VIP, true, TIMEOUT)?;
    let _first = high.start(&h1, &config(HIGH))?;
    std::thread::sleep(Duration::from_secs(7));
    assert!(h2.has_address(VIP)? && !h1.has_address(VIP)?, "it has preempted");
    second.signal(Signal::SIGKILL)?;
    h1.wait_for_address(VIP, true, TIMEOUT)
}

#[test]
fn ours_returns_as_backup_with_nopreempt() -> Result<()> {
    no_preemption(Daemon::Ours, Daemon::Keepalived)
}

#[test]
fn it_returns_as_backup_with_nopreempt() -> Result<()> {
    no_preemption(Daemon::Keepalived, Daemon::Ours)
}
