//! An agent that is killed and started again: the kernel half has gone on meanwhile, and the next agent goes on with it.

use std::time::Duration;

use anyhow::Result;
use nix::sys::signal::Signal;
use vrrp_tests::lab::{Lab, eventually, ip, run};

use crate::common::{Config, HIGH, LOW, Pair, TIMEOUT, VIP, reaches};

pub(crate) const WENT_ON: &str = "went on where an earlier run of the agent had left off";

#[test]
fn a_master_that_is_killed_and_started_at_once_stays_master() -> Result<()> {
    let mut pair = Pair::start(&[])?;
    assert!(reaches(&pair.h2, 0, "backup"));
    // bpftool of Debian 12 does not know tcx, so `bpftool net show` would show nothing.
    let pin = pair.h1.pin("link-eth0")?.display().to_string();
    let program = || -> Result<serde_json::Value> {
        let link =
            run(std::process::Command::new("bpftool").args(["--json", "link", "show", "pinned", &pin]))?;
        Ok(serde_json::from_str::<serde_json::Value>(&link)?["prog_id"].clone())
    };
    let before = program()?;
    pair.master.signal(Signal::SIGKILL)?;
    pair.master.wait(TIMEOUT)?;
    assert_eq!(pair.client.arping(VIP)?, [pair.h1.mac()?], "the kernel half answers without an agent");
    let again = pair.h1.agent(&Config::priority(HIGH).text())?;
    assert!(again.says(WENT_ON, TIMEOUT), "{}", again.log());
    assert_eq!(pair.client.arping(VIP)?, [pair.h1.mac()?]);
    assert_ne!(program()?, before, "the program is the new agent's");
    // The other router has not noticed the restart.
    std::thread::sleep(Duration::from_secs(4));
    let status = pair.h2.status()?;
    assert_eq!(status["instances"][0]["became_master"], 0, "{status}");
    assert_eq!(pair.h1.state(0), "master");
    // The new agent is a master like any other, and leaves nothing behind when it stops.
    assert!(again.stop()?.success());
    pair.h2.wait_for_address(VIP, true, TIMEOUT)?;
    assert!(!pair.h1.has_address(VIP)?);
    assert!(
        !pair.h1.pin("link-eth0")?.exists(),
        "nothing is attached: no pin and no process holds a program"
    );
    Ok(())
}

#[test]
fn a_backup_that_is_killed_and_started_at_once_still_waits_for_the_master_that_it_knew() -> Result<()> {
    let mut pair = Pair::start(&[])?;
    assert!(reaches(&pair.h2, 0, "backup"));
    std::thread::sleep(Duration::from_secs(2));
    pair.backup.signal(Signal::SIGKILL)?;
    pair.backup.wait(TIMEOUT)?;
    let again = pair.h2.agent(&Config::priority(LOW).text())?;
    assert!(again.says(WENT_ON, TIMEOUT), "{}", again.log());
    let status = pair.h2.status()?;
    let instance = &status["instances"][0];
    assert_eq!((&instance["watch"], &instance["master"]["priority"]), (&"kernel".into(), &HIGH.into()));
    pair.master.signal(Signal::SIGKILL)?;
    pair.h2.wait_for_address(VIP, true, TIMEOUT)?;
    assert!(again.says("no advert for the master-down interval", TIMEOUT), "{}", again.log());
    Ok(())
}

/// An event of the timer while there is no agent stays in the ring, and the next agent reads it.
#[test]
fn a_master_that_is_lost_while_no_agent_runs_is_lost_for_the_next_one() -> Result<()> {
    let mut pair = Pair::start(&[])?;
    assert!(reaches(&pair.h2, 0, "backup"));
    std::thread::sleep(Duration::from_secs(2));
    pair.backup.signal(Signal::SIGKILL)?;
    pair.backup.wait(TIMEOUT)?;
    pair.master.signal(Signal::SIGKILL)?;
    pair.master.wait(TIMEOUT)?;
    std::thread::sleep(Duration::from_secs(5));
    let again = pair.h2.agent(&Config::priority(LOW).text())?;
    // The interface of the new agent may have heard nothing meanwhile, so the agent waits once more.
    pair.h2.wait_for_address(VIP, true, TIMEOUT)?;
    assert!(!again.log().contains(WENT_ON), "{}", again.log());
    Ok(())
}

#[test]
fn a_master_whose_lease_is_over_comes_back_by_an_election() -> Result<()> {
    let mut pair = Pair::start(&[])?;
    assert!(reaches(&pair.h2, 0, "backup"));
    pair.master.signal(Signal::SIGKILL)?;
    pair.master.wait(TIMEOUT)?;
    pair.h2.wait_for_address(VIP, true, TIMEOUT)?;
    assert_eq!(pair.client.arping(VIP)?, [pair.h2.mac()?]);
    let again = pair.h1.agent(&Config::priority(HIGH).text())?;
    pair.h1.wait_for_address(VIP, false, TIMEOUT)?;
    pair.h1.wait_for_address(VIP, true, TIMEOUT)?;
    assert!(!again.log().contains(WENT_ON), "{}", again.log());
    assert_eq!(pair.client.arping(VIP)?, [pair.h1.mac()?]);
    Ok(())
}

#[test]
fn maps_of_another_layout_or_of_other_instances_are_replaced() -> Result<()> {
    let mut pair = Pair::start(&[])?;
    pair.master.signal(Signal::SIGKILL)?;
    pair.master.wait(TIMEOUT)?;
    let settings = pair.h1.pin("settings")?;
    let value = ["0", "0", "0", "0", "99", "0", "0", "0"];
    let mut update = std::process::Command::new("bpftool");
    update.args(["map", "update", "pinned"]).arg(&settings).args(["key", "0", "0", "0", "0", "value"]);
    run(update.args(value))?;
    let mut again = pair.h1.agent(&Config::priority(HIGH).text())?;
    assert!(again.says("have layout 99", TIMEOUT), "{}", again.log());
    assert!(reaches(&pair.h1, 0, "master"), "{}", again.log());
    assert!(!again.log().contains(WENT_ON), "{}", again.log());
    again.signal(Signal::SIGKILL)?;
    again.wait(TIMEOUT)?;
    let other = Config { vrid: 52, ..Config::priority(HIGH) };
    let other = pair.h1.agent(&other.text())?;
    assert!(other.says("are of other instances", TIMEOUT), "{}", other.log());
    assert!(reaches(&pair.h1, 0, "master"), "{}", other.log());
    Ok(())
}

/// A network namespace is known by its cookie, which no other namespace gets. The pins of a namespace that is gone do not stay
/// for ever.
#[test]
fn c7_the_pins_of_a_namespace_that_is_gone_are_swept_and_no_others() -> Result<()> {
    let lab = Lab::new()?;
    let (gone, killed, other) = (lab.host("gone", 11)?, lab.host("killed", 12)?, lab.host("other", 13)?);
    for host in [&gone, &killed] {
        let mut agent = host.agent(&Config::priority(HIGH).text())?;
        assert!(agent.says("data plane: ebpf", TIMEOUT), "{}", agent.log());
        agent.signal(Signal::SIGKILL)?;
        agent.wait(TIMEOUT)?;
    }
    let (of_gone, of_killed) = (gone.pin("")?, killed.pin("")?);
    assert!(of_gone.exists() && of_killed.exists());
    ip(&["netns", "del", gone.namespace()])?;
    // The kernel takes a namespace apart some time after it was deleted.
    let swept = || {
        let agent = other.agent(&Config::priority(LOW).text());
        agent.is_ok_and(|agent| agent.stop().is_ok()) && !of_gone.exists()
    };
    assert!(eventually(TIMEOUT, swept), "{} is still there", of_gone.display());
    assert!(of_killed.join("link-eth0").exists(), "its host is fenced by it");
    let again = killed.agent(&Config::priority(HIGH).text())?;
    assert!(again.says("going on with the programs and maps", TIMEOUT), "{}", again.log());
    Ok(())
}

/// A version that counts more finds a map of another size. Everything else of the earlier run is gone on with.
#[test]
fn an_upgrade_that_counts_more_costs_no_mastership() -> Result<()> {
    let mut pair = Pair::start(&[])?;
    assert!(reaches(&pair.h2, 0, "backup"));
    pair.master.signal(Signal::SIGKILL)?;
    pair.master.wait(TIMEOUT)?;
    let pin = pair.h1.pin("counters")?;
    std::fs::remove_file(&pin)?;
    let smaller = ["type", "percpu_array", "key", "4", "value", "8", "entries", "1", "name", "counters"];
    run(std::process::Command::new("bpftool").args(["map", "create"]).arg(&pin).args(smaller))?;
    let again = pair.h1.agent(&Config::priority(HIGH).text())?;
    assert!(again.says(WENT_ON, TIMEOUT), "{}", again.log());
    assert!(again.says("the counters begin at zero", TIMEOUT), "{}", again.log());
    assert_eq!(pair.client.arping(VIP)?, [pair.h1.mac()?]);
    assert!(pair.h1.status()?["counters"]["arp_answered"].as_u64() > Some(0), "{}", pair.h1.status()?);
    std::thread::sleep(Duration::from_secs(4));
    let status = pair.h2.status()?;
    assert_eq!(status["instances"][0]["became_master"], 0, "{status}");
    Ok(())
}
