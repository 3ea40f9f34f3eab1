//! Masters that cannot do their work, and routers that advertise in another router's name.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::Result;
use nix::sys::signal::Signal;
use vrrp_tests::lab::{Host, Lab, eventually};

use crate::common::{Config, HIGH, Pair, TIMEOUT, VIP, reaches};
use crate::groups;
use crate::sender::{Sender, advert_from, forged_advert};

/// The time of a pause after a mastership that was given up, and of an election.
const PAUSE_AND_ELECTION: Duration = Duration::from_secs(40);

/// Gives `eth0` a queue that accepts nothing, or removes it: each send fails, as on a card that stands still.
fn stop_queue(host: &Host, stop: bool) -> Result<()> {
    let arguments = ["qdisc", if stop { "add" } else { "del" }, "dev", "eth0", "root"];
    let limit = ["pfifo", "limit", "0"];
    host.run("tc", &[&arguments[..], if stop { &limit[..] } else { &[] }].concat()).map(drop)
}

#[test]
fn a8_a_master_that_cannot_send_is_none_any_more() -> Result<()> {
    for options in [&[][..], &["--dataplane", "socket"]] {
        let pair = Pair::start(options)?;
        assert!(reaches(&pair.h2, 0, "backup"));
        stop_queue(&pair.h1, true)?;
        assert!(reaches(&pair.h2, 0, "master"), "{}", pair.backup.log());
        assert!(reaches(&pair.h1, 0, "fault"), "{}", pair.master.log());
        pair.h1.wait_for_address(VIP, false, TIMEOUT)?;
        assert!(pair.master.says("no advert of its own could be sent for", TIMEOUT), "{}", pair.master.log());
        stop_queue(&pair.h1, false)?;
        pair.h1.wait_for_address(VIP, true, PAUSE_AND_ELECTION)?;
        pair.h2.wait_for_address(VIP, false, TIMEOUT)?;
    }
    Ok(())
}

/// One or two failures, for less than a lease, are no reason to give up the mastership.
#[test]
fn a8_a_master_that_cannot_send_for_a_moment_stays_master() -> Result<()> {
    let pair = Pair::start(&[])?;
    assert!(reaches(&pair.h2, 0, "backup"));
    stop_queue(&pair.h1, true)?;
    let failed = pair.master.says("cannot send an advert", TIMEOUT);
    stop_queue(&pair.h1, false)?;
    assert!(failed, "{}", pair.master.log());
    std::thread::sleep(Duration::from_secs(5));
    assert_eq!(pair.h1.status()?["instances"][0]["became_master"], 1, "{}", pair.master.log());
    assert_eq!(pair.h1.state(0), "master", "{}", pair.master.log());
    Ok(())
}

#[test]
fn d5_a_router_with_our_own_address_is_named() -> Result<()> {
    for options in [&[][..], &["--dataplane", "socket"]] {
        let pair = Pair::start(options)?;
        assert!(reaches(&pair.h2, 0, "backup"));
        for (host, agent, priority) in [(&pair.h1, &pair.master, HIGH), (&pair.h2, &pair.backup, 1)] {
            let address: Ipv4Addr = host.address().parse()?;
            Sender::of(&pair.client)?.send(&advert_from(address, priority))?;
            let named = format!("{address} is our own address");
            assert!(agent.says(&named, TIMEOUT), "{}", agent.log());
            assert!(host.status()?["counters"]["own_address"].as_u64() > Some(0));
            Sender::of(&pair.client)?.send(&advert_from(address, priority))?;
        }
        std::thread::sleep(Duration::from_secs(1));
        for (host, agent) in [(&pair.h1, &pair.master), (&pair.h2, &pair.backup)] {
            assert_eq!(agent.log().matches("is our own address").count(), 1, "once: {}", agent.log());
            assert_eq!(host.status()?["instances"][0]["became_master"], u32::from(host.name() == "h1"));
        }
    }
    Ok(())
}

/// The maps of an agent that was killed hold epochs; the next agent has later ones, also if it waits before it starts.
#[test]
fn c4_an_agent_that_starts_late_is_not_fenced_by_the_past() -> Result<()> {
    let lab = Lab::new()?;
    let (h1, client) = (lab.host("h1", 11)?, lab.host("client", 13)?);
    let above = "global_defs {\nvrrp_startup_delay 2\n}\n".to_owned();
    let text = Config { above, ..Config::priority(HIGH) }.text();
    let mut agent = h1.agent(&text)?;
    h1.wait_for_address(VIP, true, TIMEOUT)?;
    // The agent is fenced in the epoch of its mastership, and in fault in a later epoch.
    Sender::of(&client)?.send(&forged_advert(250))?;
    assert!(reaches(&h1, 0, "backup"), "{}", agent.log());
    h1.set_link(false)?;
    assert!(reaches(&h1, 0, "fault"), "{}", agent.log());
    agent.signal(Signal::SIGKILL)?;
    agent.wait(TIMEOUT)?;
    h1.set_link(true)?;
    let again = h1.agent(&text)?;
    h1.wait_for_address(VIP, true, TIMEOUT)?;
    assert!(eventually(TIMEOUT, || client.arping(VIP).is_ok_and(|macs| macs.len() == 1)));
    std::thread::sleep(Duration::from_secs(2));
    // The log goes on from the agent before: the one match is the forged advert.
    assert_eq!(again.log().matches("a router that ranks higher").count(), 1, "{}", again.log());
    assert_eq!(h1.status()?["instances"][0]["became_master"], 1, "{}", again.log());
    Ok(())
}

#[test]
fn c8_a_member_that_joins_a_sync_group_does_not_cost_its_mastership() -> Result<()> {
    let lab = Lab::new()?;
    let h1 = lab.host("h1", 11)?;
    lab.second_interface(&h1)?;
    let agent = h1.agent(&groups::config_of(HIGH, &["INSIDE"]))?;
    h1.wait_for_address(groups::INSIDE, true, TIMEOUT)?;
    lab.write("h1.conf", &groups::config_of(HIGH, &["INSIDE", "OUTSIDE"]))?;
    agent.signal(Signal::SIGHUP)?;
    h1.wait_for_address(groups::OUTSIDE, true, TIMEOUT)?;
    assert!(h1.has_address(groups::INSIDE)?);
    let status = h1.status()?;
    assert_eq!(status["instances"][0]["became_master"], 1, "{}", agent.log());
    assert!(!agent.log().contains("INSIDE: MASTER -> BACKUP"), "{}", agent.log());
    assert!(agent.stop()?.success());
    Ok(())
}

/// The master of the instance that joins is elsewhere, and the group can only be master together: the log says why it resigns.
#[test]
fn c8_a_backup_that_joins_a_sync_group_of_masters_ends_their_mastership_and_the_log_says_so() -> Result<()> {
    let lab = Lab::new()?;
    let (h1, h2) = (lab.host("h1", 11)?, lab.host("h2", 12)?);
    for host in [&h1, &h2] {
        lab.second_interface(host)?;
    }
    let apart = |priority: [u8; 2]| groups::instances(priority);
    let (first, second) = (h1.agent(&apart([100, 90]))?, h2.agent(&apart([90, 100]))?);
    h1.wait_for_address(groups::INSIDE, true, TIMEOUT)?;
    h2.wait_for_address(groups::OUTSIDE, true, TIMEOUT)?;
    std::thread::sleep(Duration::from_secs(2));
    lab.write("h1.conf", &(apart([100, 90]) + groups::GROUP))?;
    first.signal(Signal::SIGHUP)?;
    assert!(first.says("which has joined a sync group that is master here", TIMEOUT), "{}", first.log());
    h2.wait_for_address(groups::INSIDE, true, TIMEOUT)?;
    assert!(!h1.has_address(groups::INSIDE)?);
    assert!(second.stop()?.success());
    Ok(())
}
