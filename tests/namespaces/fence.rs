//! The host that answers for the address when the master is not well. Dual ownership is what this daemon exists to prevent.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use nix::sys::signal::Signal;
use vrrp_tests::lab::{Lab, eventually, ip};

use crate::common::{Config, HIGH, LOW, Pair, TIMEOUT, VIP, reaches};
use crate::sender::{Sender, forged_advert};

/// 3 adverts of 1 s, and room for a busy machine.
const LEASE: Duration = Duration::from_millis(3200);

/// Less than the time for which a report of the agent counts, that it runs.
const STOP_BEFORE: Duration = Duration::from_millis(50);

fn settled() -> Result<Pair> {
    let pair = Pair::start(&[])?;
    assert_eq!(pair.client.arping(VIP)?, [pair.h1.mac()?], "the master answers, and nobody else");
    Ok(pair)
}

/// Linux answers on each card for all addresses of the host.
#[test]
fn b2_another_card_in_the_same_network_answers_under_the_lease_only() -> Result<()> {
    let lab = Lab::new()?;
    let (h1, h2, client) = (lab.host("h1", 11)?, lab.host("h2", 12)?, lab.host("client", 13)?);
    lab.second_card(&h1, "192.168.1.111")?;
    let master = h1.agent(&Config::priority(HIGH).text())?;
    h1.wait_for_address(VIP, true, TIMEOUT)?;
    let backup = h2.agent(&Config::priority(LOW).text())?;
    assert!(reaches(&h2, 0, "backup"), "{}", backup.log());
    // Either card may answer, as without the agent.
    let dataplane = h1.status()?["dataplane"].to_string();
    assert!(dataplane.contains("eth9: tcx, guards"), "{dataplane}");
    let answers = client.arping(VIP)?;
    assert!(!answers.is_empty() && !answers.contains(&h2.mac()?), "{answers:?}");
    master.signal(Signal::SIGSTOP)?;
    std::thread::sleep(LEASE);
    assert!(h1.has_address(VIP)?, "nobody has removed it");
    let answers = client.arping(VIP)?;
    assert!(answers.iter().all(|answer| h2.mac().is_ok_and(|mac| *answer == mac)), "{answers:?}");
    h2.wait_for_address(VIP, true, TIMEOUT)?;
    assert_eq!(client.arping(VIP)?, [h2.mac()?]);
    master.signal(Signal::SIGCONT)?;
    h2.wait_for_address(VIP, false, TIMEOUT)?;
    assert!(!master.log().contains("claims"), "its own announcements are no conflict: {}", master.log());
    // The card goes and comes back, and is guarded again.
    ip(&["-n", h1.namespace(), "link", "del", "eth9"])?;
    lab.second_card(&h1, "192.168.1.111")?;
    assert!(master.says("eth9 is there again", TIMEOUT), "{}", master.log());
    master.signal(Signal::SIGSTOP)?;
    std::thread::sleep(LEASE);
    h2.wait_for_address(VIP, true, TIMEOUT)?;
    assert_eq!(client.arping(VIP)?, [h2.mac()?]);
    Ok(())
}

/// A host whose keepalived is stopped by SIGSTOP goes on answering ARP, beside its successor.
#[test]
fn a_stopped_master_answers_no_more_and_does_not_fight_when_it_goes_on() -> Result<()> {
    let pair = settled()?;
    pair.master.signal(Signal::SIGSTOP)?;
    std::thread::sleep(LEASE);
    // The lease is over, the successor is not there yet: nobody answers, though the address is still on the interface.
    assert!(pair.h1.has_address(VIP)?);
    let answers = pair.client.arping(VIP)?;
    assert!(!answers.contains(&pair.h1.mac()?), "{answers:?}");
    pair.h2.wait_for_address(VIP, true, TIMEOUT)?;
    assert_eq!(pair.client.arping(VIP)?, [pair.h2.mac()?]);
    // The agent goes on: another router has become master, so it steps back, and comes back in an orderly election.
    std::thread::sleep(Duration::from_secs(1));
    let before = vrrp_tests::lab::now();
    pair.master.signal(Signal::SIGCONT)?;
    assert!(pair.master.says("and another router took over", TIMEOUT), "{}", pair.master.log());
    pair.h1.wait_for_address(VIP, true, TIMEOUT)?;
    pair.h2.wait_for_address(VIP, false, TIMEOUT)?;
    let ours = pair.h1.address();
    let first =
        pair.capture.wait_for("advert of host 1", TIMEOUT, |p| p.at > before && p.content.source == ours)?;
    // Only the advert that was on its way when the agent was stopped may leave at once; the next advert ends an election.
    let early = pair
        .capture
        .adverts()
        .into_iter()
        .filter(|p| p.at > before && p.at < before + Duration::from_secs(2) && p.content.source == ours);
    let early = early.count();
    assert!(early <= 1, "{early} adverts at once, first at {:?}", first.at - before);
    Ok(())
}

#[test]
fn the_host_of_a_killed_master_answers_no_more() -> Result<()> {
    let mut pair = settled()?;
    pair.master.signal(Signal::SIGKILL)?;
    pair.master.wait(TIMEOUT)?;
    std::thread::sleep(LEASE);
    assert!(pair.h1.has_address(VIP)?, "nobody has removed it");
    let answers = pair.client.arping(VIP)?;
    assert!(!answers.contains(&pair.h1.mac()?), "{answers:?}");
    pair.h2.wait_for_address(VIP, true, TIMEOUT)?;
    assert_eq!(pair.client.arping(VIP)?, [pair.h2.mac()?], "the successor, and nobody else");
    Ok(())
}

/// The backup's kernel half sees the master lost, as always. But its agent, which would have to become master, is gone or stands
/// still: another backup may be in the same state, and then both would answer.
#[test]
fn a_backup_whose_agent_is_gone_does_not_answer_for_a_lost_master() -> Result<()> {
    for signal in [Signal::SIGKILL, Signal::SIGSTOP] {
        let pair = settled()?;
        pair.backup.signal(signal)?;
        std::thread::sleep(Duration::from_secs(1));
        pair.master.signal(Signal::SIGKILL)?;
        let start = Instant::now();
        let own = pair.h2.mac()?;
        while start.elapsed() < Duration::from_secs(6) {
            let answers = pair.client.arping(VIP)?;
            assert!(!answers.contains(&own), "{signal}: {answers:?} after {:?}", start.elapsed());
        }
    }
    Ok(())
}

#[test]
fn a_master_that_resigns_answers_no_more() -> Result<()> {
    let mut pair = settled()?;
    pair.master.signal(Signal::SIGTERM)?;
    pair.master.wait(TIMEOUT)?;
    let answers = pair.client.arping(VIP)?;
    assert!(!answers.contains(&pair.h1.mac()?), "{answers:?}");
    pair.h2.wait_for_address(VIP, true, TIMEOUT)?;
    assert_eq!(pair.client.arping(VIP)?, [pair.h2.mac()?], "the successor, and nobody else");
    Ok(())
}

/// The first answer does not wait for the agent; but without its adverts the kernel does not go on answering. The agent stops a
/// moment before the master is lost: a longer stop would be noticed, and there would be no takeover.
#[test]
fn the_kernel_answers_for_a_lost_master_before_its_agent_has_woken() -> Result<()> {
    let mut pair = settled()?;
    assert!(reaches(&pair.h2, 0, "backup"));
    std::thread::sleep(Duration::from_secs(2));
    pair.master.signal(Signal::SIGKILL)?;
    pair.master.wait(TIMEOUT)?;
    let deadline = pair.h2.map("watchdogs")?[0]["formatted"]["value"]["deadline_ns"].as_u64();
    let deadline = Duration::from_nanos(deadline.context("a deadline")?);
    std::thread::sleep((deadline - vrrp_agent::host::now().elapsed()).saturating_sub(STOP_BEFORE));
    pair.backup.signal(Signal::SIGSTOP)?;
    let answered = |host: &vrrp_tests::lab::Host| {
        pair.client.arping(VIP).is_ok_and(|answers| host.mac().is_ok_and(|mac| answers == [mac]))
    };
    std::thread::sleep(STOP_BEFORE + Duration::from_secs(1));
    let counters = pair.h2.map("counters")?;
    let cpus = counters[0]["formatted"]["values"].as_array().context("a value of each CPU")?;
    let taken_over: u64 = cpus.iter().filter_map(|cpu| cpu["value"]["taken_over"].as_u64()).sum();
    assert_eq!(taken_over, 1, "{counters}");
    assert!(!pair.h2.has_address(VIP)?, "the agent sleeps");
    assert!(pair.client.arping(VIP)?.is_empty(), "nobody has confirmed it");
    pair.backup.signal(Signal::SIGCONT)?;
    pair.h2.wait_for_address(VIP, true, TIMEOUT)?;
    assert!(answered(&pair.h2));
    Ok(())
}

#[test]
fn a_backup_does_not_answer() -> Result<()> {
    let pair = settled()?;
    assert!(reaches(&pair.h2, 0, "backup"));
    for _ in 0..3 {
        assert_eq!(pair.client.arping(VIP)?, [pair.h1.mac()?]);
    }
    let leases = pair.h2.map("leases")?;
    assert_eq!(leases[0]["formatted"]["value"]["until_boot_ns"], 0, "{leases}");
    let instances = pair.h1.map("instances")?;
    assert_eq!(instances[0]["formatted"]["value"]["role"], "Master", "{instances}");
    Ok(())
}

/// A lone master that stalls goes on when it wakes: no other host has the address.
#[test]
fn a_stalled_master_without_a_rival_goes_on() -> Result<()> {
    let mut pair = settled()?;
    pair.backup.signal(Signal::SIGTERM)?;
    pair.backup.wait(TIMEOUT)?;
    pair.master.signal(Signal::SIGSTOP)?;
    std::thread::sleep(LEASE);
    assert!(pair.client.arping(VIP)?.is_empty());
    pair.master.signal(Signal::SIGCONT)?;
    assert!(eventually(TIMEOUT, || {
        pair.client.arping(VIP).is_ok_and(|answers| pair.h1.mac().is_ok_and(|mac| answers == [mac]))
    }));
    assert_eq!(pair.h1.status()?["instances"][0]["became_master"], 1);
    Ok(())
}

/// Frames to the hardware address of the virtual router, as from a client that has learned it once for all.
const VMAC: &str = "00:00:5e:00:01:33";

/// The host that answers for the address and the host that receives what is sent to the virtual router, in each state that a
/// master can be in: its agent alive, another router's resignation heard, a better master heard, stopped, killed, started
/// again. There are never two such hosts.
#[test]
fn who_answers_and_who_receives_in_each_state() -> Result<()> {
    let mut pair = Pair::start_with(&[], "use_vmac")?;
    pair.client.run("ip", &["neigh", "replace", VIP, "lladdr", VMAC, "dev", "eth0", "nud", "permanent"])?;
    let (h1, h2, client) = (&pair.h1, &pair.h2, &pair.client);
    let received = |host: &vrrp_tests::lab::Host| -> Result<u64> {
        Ok(host.status()?["counters"]["vmac_admitted"].as_u64().unwrap_or(0))
    };
    let ping = || client.run("ping", &["-c", "1", "-W", "1", VIP]).is_ok();
    assert!(reaches(h2, 0, "backup"));

    // The agent is alive.
    assert_eq!(client.arping(VIP)?, [VMAC]);
    assert!(ping() && received(h1)? > 0 && received(h2)? == 0);

    // A router that never was master resigns: we advertise at once, and nothing else changes.
    Sender::of(client)?.send(&forged_advert(0))?;
    assert_eq!(client.arping(VIP)?, [VMAC]);
    assert!(ping() && received(h2)? == 0);
    assert_eq!((h1.state(0), h2.state(0)), ("master".into(), "backup".into()));

    // A router with a higher priority advertises once: it has to answer for the address itself.
    let before = received(h1)?;
    Sender::of(client)?.send(&forged_advert(250))?;
    assert_eq!(client.arping(VIP)?, [""; 0], "fenced in the kernel");
    assert!(!ping());
    assert_eq!((received(h1)?, received(h2)?), (before, 0));
    assert!(reaches(h1, 0, "master"), "nobody heard it again");
    assert!(eventually(TIMEOUT, ping));
    assert_eq!(client.arping(VIP)?, [VMAC]);

    // The agent is stopped: the lease ends, then the successor has the address.
    assert!(reaches(h2, 0, "backup"));
    let before = received(h2)?;
    pair.master.signal(Signal::SIGSTOP)?;
    std::thread::sleep(LEASE);
    assert!(client.arping(VIP)?.len() <= 1, "nobody, or the successor already");
    h2.wait_for_address(VIP, true, TIMEOUT)?;
    assert_eq!(client.arping(VIP)?, [VMAC]);
    assert!(ping() && received(h2)? > before);
    pair.master.signal(Signal::SIGCONT)?;
    h2.wait_for_address(VIP, false, TIMEOUT)?;
    assert!(reaches(h1, 0, "master"));
    assert_eq!(client.arping(VIP)?, [VMAC]);

    // The agent is killed, and started again before the lease is over.
    pair.master.signal(Signal::SIGKILL)?;
    pair.master.wait(TIMEOUT)?;
    assert!(ping(), "the lease lasts");
    let config = Config { more: "use_vmac".to_owned(), ..Config::priority(HIGH) };
    let mut again = h1.agent(&config.text())?;
    assert_eq!(client.arping(VIP)?, [VMAC]);
    assert!(ping());
    assert_eq!(h2.state(0), "backup");

    // The agent is killed, and not started again.
    again.signal(Signal::SIGKILL)?;
    again.wait(TIMEOUT)?;
    std::thread::sleep(LEASE);
    assert!(client.arping(VIP)?.len() <= 1, "nobody, or the successor already");
    h2.wait_for_address(VIP, true, TIMEOUT)?;
    assert_eq!(client.arping(VIP)?, [VMAC]);
    assert!(ping());
    Ok(())
}

/// FAULTS.md B1: a stalled host asks for its neighbours with the address as sender, by the stack's own ARP, and the neighbour believes
/// it. The address is in a network in which the router has no other.
#[test]
fn b1_nothing_leaves_from_an_address_whose_lease_is_over() -> Result<()> {
    const PUBLIC: &str = "203.0.113.10";
    let lab = Lab::new()?;
    let (h1, h2, client) = (lab.host("h1", 11)?, lab.host("h2", 12)?, lab.host("client", 13)?);
    ip(&["-n", client.namespace(), "address", "add", "203.0.113.1/24", "dev", "eth0"])?;
    let config = |priority| Config { vip: "203.0.113.10/24", ..Config::priority(priority) }.text();
    let master = h1.agent(&config(HIGH))?;
    h1.wait_for_address(PUBLIC, true, TIMEOUT)?;
    let _backup = h2.agent(&config(LOW))?;
    assert!(reaches(&h2, 0, "backup"));
    let ping = |host: &vrrp_tests::lab::Host| {
        host.run("ping", &["-c", "5", "-i", "0.2", "-W", "1", "-I", PUBLIC, "203.0.113.1"])
    };
    ping(&h1)?;
    master.signal(Signal::SIGSTOP)?;
    h2.wait_for_address(PUBLIC, true, TIMEOUT)?;
    let (ours, neighbour) = (h2.mac()?, ["neigh", "show", PUBLIC, "dev", "eth0"]);
    let known = || -> Result<String> { client.run("ip", &neighbour) };
    assert!(eventually(TIMEOUT, || known().is_ok_and(|known| known.contains(&ours))), "{}", known()?);
    // The stalled host's stack asks its neighbour again by unicast, which the new master does not hear and cannot answer.
    let client_mac = client.mac()?;
    let probe = ["neigh", "replace", "203.0.113.1", "lladdr", &client_mac, "dev", "eth0", "nud", "probe"];
    h1.run("ip", &probe)?;
    assert!(ping(&h1).is_err(), "the stalled host still speaks as {PUBLIC}");
    assert!(known()?.contains(&ours), "{}", known()?);
    ping(&h2)?;
    master.signal(Signal::SIGCONT)?;
    assert!(reaches(&h1, 0, "master"), "{}", master.log());
    assert!(h1.status()?["counters"]["left_dropped"].as_u64() > Some(0), "{}", h1.status()?);
    ping(&h1)?;
    Ok(())
}

/// FAULTS.md B3: a question whose sender address is a virtual address too.
#[test]
fn b3_a_question_from_a_virtual_address_is_not_answered_without_a_lease() -> Result<()> {
    const SECOND: &str = "192.168.1.110";
    let lab = Lab::new()?;
    let (h1, h2) = (lab.host("h1", 11)?, lab.host("h2", 12)?);
    let config = Config { vip: "192.168.1.10\n192.168.1.110", ..Config::priority(HIGH) };
    let master = h1.agent(&config.text())?;
    h1.wait_for_address(SECOND, true, TIMEOUT)?;
    master.signal(Signal::SIGSTOP)?;
    // Longer than the lease.
    std::thread::sleep(Duration::from_secs(4));
    ip(&["-n", h2.namespace(), "address", "add", "192.168.1.10/32", "dev", "eth0"])?;
    let ask = ["-b", "-c", "2", "-w", "3", "-I", "eth0", "-s", VIP, SECOND];
    let output = h2.command("arping").args(ask).output()?;
    let said = String::from_utf8_lossy(&output.stdout).to_lowercase();
    assert!(said.contains("received 0 response"), "{said}");
    master.signal(Signal::SIGCONT)?;
    // The program drops the question when it arrives; the answer is missing not only because the stack's answer was not let
    // out.
    let counters = || h1.status().unwrap_or_default()["counters"].clone();
    assert!(eventually(TIMEOUT, || counters()["arp_swallowed"].as_u64() > Some(0)), "{}", counters());
    Ok(())
}
