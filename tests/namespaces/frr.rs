//! Against FRR's vrrpd, both ways round.

use std::time::Duration;

use anyhow::{Result, bail};
use vrrp_tests::lab::{Capture, Frr, FrrConfig, Host, Lab, eventually, now};

use crate::common::{Config, HIGH, LOW, TIMEOUT};

const VRID: u8 = 51;

fn config(version: u8, priority: u8, vip: &'static str) -> Config {
    Config { version, priority, vip, password: None, ..Config::default() }
}

/// True if all recent adverts have this priority. It tells the hosts apart: their adverts come from their addresses, over IPv6
/// from link-local ones.
fn only_speaker(capture: &Capture, priority: u8) -> bool {
    let recent: Vec<_> =
        capture.adverts().into_iter().filter(|p| p.at + Duration::from_millis(2500) > now()).collect();
    recent.len() >= 2 && recent.iter().all(|p| p.content.priority == priority)
}

fn speaks(capture: &Capture, priority: u8) -> Result<()> {
    if eventually(TIMEOUT + TIMEOUT, || only_speaker(capture, priority)) {
        return Ok(());
    }
    bail!("priority {priority} does not speak alone:\n{}", capture.text())
}

struct Segment {
    lab: Lab,
    capture: Capture,
    _client: Host,
}

fn segment() -> Result<(Segment, Host, Host)> {
    let lab = Lab::new()?;
    let (ours, frr, client) = (lab.host("ours", 11)?, lab.host("frr", 12)?, lab.host("client", 13)?);
    Ok((Segment { capture: client.capture()?, lab, _client: client }, ours, frr))
}

/// FRR is master; it goes, we take over; it comes back, we yield; it is killed, we take over.
fn frr_master_our_backup(version: u8, vip: &'static str, ours: &Config) -> Result<()> {
    let (Segment { lab, capture, _client }, host, frr_host) = segment()?;
    let frr_config = FrrConfig { vrid: VRID, version, priority: HIGH, vip };
    let frr = Frr::start(&lab, &frr_host, &frr_config)?;
    speaks(&capture, HIGH)?;
    let _agent = host.agent(&ours.text())?;
    std::thread::sleep(Duration::from_secs(5));
    speaks(&capture, HIGH)?;
    frr.stop()?;
    speaks(&capture, LOW)?;
    let frr = Frr::start(&lab, &frr_host, &frr_config)?;
    speaks(&capture, HIGH)?;
    frr.kill()?;
    speaks(&capture, LOW)?;
    no_bad_checksum(&capture);
    Ok(())
}

/// We are master; we go, FRR takes over; we come back, it yields; we are killed, it takes over.
fn our_master_frr_backup(version: u8, vip: &'static str, ours: &Config) -> Result<()> {
    let (Segment { lab, capture, _client }, host, frr_host) = segment()?;
    let agent = host.agent(&ours.text())?;
    speaks(&capture, HIGH)?;
    let _frr = Frr::start(&lab, &frr_host, &FrrConfig { vrid: VRID, version, priority: LOW, vip })?;
    std::thread::sleep(Duration::from_secs(5));
    speaks(&capture, HIGH)?;
    agent.stop()?;
    speaks(&capture, LOW)?;
    let agent = host.agent(&ours.text())?;
    speaks(&capture, HIGH)?;
    agent.kill()?;
    speaks(&capture, LOW)?;
    no_bad_checksum(&capture);
    Ok(())
}

fn no_bad_checksum(capture: &Capture) {
    assert!(!capture.text().contains("bad vrrp cksum"), "{}", capture.text());
}

const V4: &str = "192.168.1.10";
const V6: &str = "fd00::10";
/// FRR does not put a link-local address before this one; an address that is not listed is not compared.
const OUR_V6: &str = "fe80::10\nfd00::10";

#[test]
fn frr_master_our_backup_version_2() -> Result<()> {
    frr_master_our_backup(2, V4, &config(2, LOW, V4))
}

#[test]
fn our_master_frr_backup_version_2() -> Result<()> {
    our_master_frr_backup(2, V4, &config(2, HIGH, V4))
}

#[test]
fn frr_master_our_backup_version_3() -> Result<()> {
    frr_master_our_backup(3, V4, &config(3, LOW, V4))
}

#[test]
fn our_master_frr_backup_version_3() -> Result<()> {
    our_master_frr_backup(3, V4, &config(3, HIGH, V4))
}

#[test]
fn frr_master_our_backup_over_ipv6() -> Result<()> {
    frr_master_our_backup(3, V6, &config(3, LOW, OUR_V6))
}

#[test]
fn our_master_frr_backup_over_ipv6() -> Result<()> {
    our_master_frr_backup(3, V6, &config(3, HIGH, OUR_V6))
}
