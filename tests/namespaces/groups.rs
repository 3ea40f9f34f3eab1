//! Sync groups: a router between two networks is master in both or in none. Our routers are tested among themselves and with
//! keepalived.

use std::time::Duration;

use anyhow::Result;
use nix::sys::signal::Signal;
use vrrp_tests::lab::{Host, Lab, Process};

use crate::common::{Daemon, HIGH, LOW, TIMEOUT};

pub(crate) const INSIDE: &str = "192.168.1.10";
pub(crate) const OUTSIDE: &str = "192.168.2.10";
pub(crate) const GROUP: &str = "vrrp_sync_group VG {\ngroup {\nINSIDE\nOUTSIDE\n}\n}\n";

fn instance(name: &str, priority: u8) -> String {
    let (interface, vrid, vip) = if name == "INSIDE" { ("eth0", 51, INSIDE) } else { ("eth1", 52, OUTSIDE) };
    format!(
        "vrrp_instance {name} {{\ninterface {interface}\nvirtual_router_id {vrid}\npriority {priority}\nadvert_int 1\n\
         authentication {{\nauth_type PASS\nauth_pass 1111\n}}\nvirtual_ipaddress {{\n{vip}/24\n}}\n}}\n"
    )
}

/// Both instances, inside and outside, in no group.
pub(crate) fn instances([inside, outside]: [u8; 2]) -> String {
    instance("INSIDE", inside) + &instance("OUTSIDE", outside)
}

/// A sync group of these members.
pub(crate) fn config_of(priority: u8, members: &[&str]) -> String {
    let instances: String = members.iter().map(|name| instance(name, priority)).collect();
    instances + &format!("vrrp_sync_group VG {{\ngroup {{\n{}\n}}\n}}\n", members.join("\n"))
}

fn config(priority: u8) -> String {
    instances([priority, priority]) + GROUP
}

struct Routers {
    first: Process,
    second: Process,
    h1: Host,
    h2: Host,
    _lab: Lab,
}

impl Routers {
    /// Host 1 is master in both networks.
    fn start(high: Daemon, low: Daemon) -> Result<Self> {
        let lab = Lab::new()?;
        let (h1, h2) = (lab.host("h1", 11)?, lab.host("h2", 12)?);
        for host in [&h1, &h2] {
            lab.second_interface(host)?;
        }
        let first = high.start_with(&h1, &config(HIGH))?;
        let second = low.start_with(&h2, &config(LOW))?;
        both(&h1, true)?;
        Ok(Self { first, second, h1, h2, _lab: lab })
    }
}

fn both(host: &Host, present: bool) -> Result<()> {
    host.wait_for_address(INSIDE, present, TIMEOUT)?;
    host.wait_for_address(OUTSIDE, present, TIMEOUT)
}

fn moves_as_one(high: Daemon, low: Daemon) -> Result<()> {
    let Routers { first, second, h1, h2, _lab } = Routers::start(high, low)?;
    // One link is lost: the masterships of both networks move, and return.
    h1.run("ip", &["link", "set", "eth1", "down"])?;
    both(&h2, true)?;
    both(&h1, false)?;
    h1.run("ip", &["link", "set", "eth1", "up"])?;
    both(&h1, true)?;
    both(&h2, false)?;
    // Failover by a resignation, and by silence.
    first.stop()?;
    both(&h2, true)?;
    let first = high.start_with(&h1, &config(HIGH))?;
    both(&h1, true)?;
    both(&h2, false)?;
    first.signal(Signal::SIGKILL)?;
    both(&h2, true)?;
    drop(first);
    let _first = high.start_with(&h1, &config(HIGH))?;
    both(&h1, true)?;
    both(&h2, false)?;
    second.stop()?;
    Ok(())
}

#[test]
fn ours_move_as_one() -> Result<()> {
    moves_as_one(Daemon::Ours, Daemon::Ours)
}

#[test]
fn our_master_its_backup_move_as_one() -> Result<()> {
    moves_as_one(Daemon::Ours, Daemon::Keepalived)
}

#[test]
fn its_master_our_backup_move_as_one() -> Result<()> {
    moves_as_one(Daemon::Keepalived, Daemon::Ours)
}

/// A backup that still hears the master in one network does not take over the other.
#[test]
fn half_a_silence_moves_nothing() -> Result<()> {
    let routers = Routers::start(Daemon::Ours, Daemon::Ours)?;
    routers.h2.deafen_second_interface()?;
    std::thread::sleep(Duration::from_secs(6));
    assert_eq!([routers.h2.state(0), routers.h2.state(1)], ["backup", "backup"]);
    assert_eq!([routers.h1.state(0), routers.h1.state(1)], ["master", "master"]);
    // Then the master is silent in the other network as well.
    routers.first.signal(Signal::SIGKILL)?;
    both(&routers.h2, true)?;
    let log = routers.second.log();
    assert!(log.contains("INSIDE: BACKUP -> MASTER"), "{log}");
    Ok(())
}
