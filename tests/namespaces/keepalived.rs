//! Against real keepalived, both ways round: the file is the same on both hosts but for the priority.

use std::time::Duration;

use anyhow::Result;
use nix::sys::signal::Signal;
use vrrp_tests::lab::{Capture, Host, Lab, Process};

use crate::common::{Config, HIGH, LOW, PATIENCE, VIP};

#[derive(Clone, Copy, Debug)]
enum Daemon {
    Ours,
    Keepalived,
}

impl Daemon {
    fn start(self, host: &Host, config: &Config) -> Result<Process> {
        match self {
            Self::Ours => host.agent(&config.text()),
            Self::Keepalived => host.keepalived(&config.text()),
        }
    }
}

/// Election, failover by resignation, preemption, failover by silence, return.
fn all_transitions(high: Daemon, low: Daemon, base: &Config) -> Result<()> {
    let lab = Lab::new()?;
    let (h1, h2, client) = (lab.host("h1", 11)?, lab.host("h2", 12)?, lab.host("client", 13)?);
    let capture = client.capture()?;
    let config = |priority| Config { priority, ..base.clone() };
    let moves = |from: &Host, to: &Host| {
        to.wait_for_address(VIP, true, PATIENCE)?;
        from.wait_for_address(VIP, false, PATIENCE)
    };
    let first = high.start(&h1, &config(HIGH))?;
    let second = low.start(&h2, &config(LOW))?;
    h1.wait_for_address(VIP, true, PATIENCE)?;
    never_two_masters(&capture, &h2)?;
    first.stop()?;
    moves(&h1, &h2)?;
    let first = high.start(&h1, &config(HIGH))?;
    moves(&h2, &h1)?;
    first.signal(Signal::SIGKILL)?;
    h2.wait_for_address(VIP, true, PATIENCE)?;
    drop(first);
    let _first = high.start(&h1, &config(HIGH))?;
    moves(&h2, &h1)?;
    second.stop()?;
    assert!(h1.has_address(VIP)?);
    assert!(!capture.text().contains("bad vrrp cksum"), "{}", capture.text());
    Ok(())
}

/// For a while nobody advertises but the master: the backup believes its adverts.
fn never_two_masters(capture: &Capture, backup: &Host) -> Result<()> {
    std::thread::sleep(Duration::from_secs(5));
    let adverts = capture.adverts();
    assert!(adverts.iter().all(|p| p.content.source != backup.address()), "{adverts:?}");
    assert!(adverts.len() >= 3, "{adverts:?}");
    Ok(())
}

fn version_2() -> Config {
    Config { password: None, ..Config::default() }
}

fn version_3() -> Config {
    Config { version: 3, password: None, ..Config::default() }
}

#[test]
fn our_master_its_backup_version_2_with_password() -> Result<()> {
    all_transitions(Daemon::Ours, Daemon::Keepalived, &Config::default())
}

#[test]
fn its_master_our_backup_version_2_with_password() -> Result<()> {
    all_transitions(Daemon::Keepalived, Daemon::Ours, &Config::default())
}

#[test]
fn our_master_its_backup_version_2() -> Result<()> {
    all_transitions(Daemon::Ours, Daemon::Keepalived, &version_2())
}

#[test]
fn its_master_our_backup_version_2() -> Result<()> {
    all_transitions(Daemon::Keepalived, Daemon::Ours, &version_2())
}

#[test]
fn our_master_its_backup_version_3() -> Result<()> {
    all_transitions(Daemon::Ours, Daemon::Keepalived, &version_3())
}

#[test]
fn its_master_our_backup_version_3() -> Result<()> {
    all_transitions(Daemon::Keepalived, Daemon::Ours, &version_3())
}
