//! The choice of the master, and how it changes.

use std::time::Duration;

use anyhow::Result;
use nix::sys::signal::Signal;
use vrrp_tests::lab::{Lab, eventually};

use crate::common::{Config, HIGH, LOW, Pair, TIMEOUT, VIP, reaches, within};

/// The time that the machine may add to the protocol's own time.
const SLACK: Duration = Duration::from_millis(20);

#[test]
fn the_higher_priority_wins_and_only_it_has_the_address() -> Result<()> {
    let pair = Pair::start(&[])?;
    assert!(reaches(&pair.h1, 0, "master") && reaches(&pair.h2, 0, "backup"));
    assert!(pair.h1.has_address(VIP)? && !pair.h2.has_address(VIP)?);
    // Only host 1 has ever advertised: the start of a backup causes no contest.
    let adverts = pair.capture.adverts();
    assert!(adverts.iter().all(|p| p.content.source == pair.h1.address()), "{adverts:?}");
    let status = pair.h2.status()?;
    assert_eq!(status["instances"][0]["master"]["address"], "192.168.1.11");
    assert_eq!(status["instances"][0]["watch"], "kernel");
    Ok(())
}

#[test]
fn with_equal_priorities_the_one_that_is_there_stays() -> Result<()> {
    let lab = Lab::new()?;
    let (h1, h2) = (lab.host("h1", 11)?, lab.host("h2", 12)?);
    let config = Config::priority(HIGH).text();
    let _first = h1.agent(&config)?;
    h1.wait_for_address(VIP, true, TIMEOUT)?;
    let _second = h2.agent(&config)?;
    assert!(reaches(&h2, 0, "backup"));
    std::thread::sleep(Duration::from_secs(5));
    assert_eq!((h1.state(0), h2.state(0)), ("master".to_owned(), "backup".to_owned()));
    Ok(())
}

/// On SIGTERM the master sends priority 0, and the backup waits for its skew time only.
#[test]
fn on_sigterm_the_backup_takes_over_within_its_skew() -> Result<()> {
    let skew = Duration::from_secs(1) * (256 - u32::from(LOW)) / 256;
    within("resignation to first advert", skew + SLACK, || {
        let Pair { master, capture, h1, h2, backup: _backup, lab: _lab, client: _client } = Pair::start(&[])?;
        assert!(master.stop()?.success());
        assert!(!h1.has_address(VIP)?, "an agent that has stopped has left its address");
        let resigned = capture.wait_for("resignation", TIMEOUT, |p| p.content.priority == 0)?;
        let taken = capture.wait_for("advert of host 2", TIMEOUT, |p| p.content.source == h2.address())?;
        h2.wait_for_address(VIP, true, TIMEOUT)?;
        // Exactly one resignation, and nothing of host 1 after it.
        let after = capture.adverts().into_iter().filter(|p| p.at > resigned.at);
        assert!(after.clone().all(|p| p.content.source == h2.address()), "{:?}", after.collect::<Vec<_>>());
        Ok(taken.at - resigned.at)
    })
}

#[test]
fn the_higher_priority_takes_the_address_back() -> Result<()> {
    let Pair { master, h1, h2, capture, backup: _backup, lab: _lab, client: _client } = Pair::start(&[])?;
    master.stop()?;
    h2.wait_for_address(VIP, true, TIMEOUT)?;
    let _returned = h1.agent(&Config::priority(HIGH).text())?;
    h1.wait_for_address(VIP, true, TIMEOUT)?;
    h2.wait_for_address(VIP, false, TIMEOUT)?;
    // Host 2 yields without a resignation.
    assert!(capture.adverts().iter().any(|p| p.content.source == h2.address()));
    assert!(capture.adverts().iter().all(|p| p.content.source != h2.address() || p.content.priority == LOW));
    Ok(())
}

#[test]
fn nopreempt_leaves_the_lower_priority_master() -> Result<()> {
    let lab = Lab::new()?;
    let (h1, h2) = (lab.host("h1", 11)?, lab.host("h2", 12)?);
    let _low = h2.agent(&Config::priority(LOW).text())?;
    h2.wait_for_address(VIP, true, TIMEOUT)?;
    let _high = h1.agent(&Config { more: "nopreempt".to_owned(), ..Config::priority(HIGH) }.text())?;
    assert!(reaches(&h1, 0, "backup"));
    std::thread::sleep(Duration::from_secs(5));
    assert_eq!((h1.state(0), h2.state(0)), ("backup".to_owned(), "master".to_owned()));
    Ok(())
}

#[test]
fn on_sigkill_the_backup_takes_over_within_the_master_down_interval() -> Result<()> {
    within("last advert to first advert", Config::priority(LOW).master_down_interval() + SLACK, || {
        let mut pair = Pair::start(&[])?;
        pair.master.signal(Signal::SIGKILL)?;
        pair.master.wait(TIMEOUT)?;
        let gap = pair.gap()?;
        assert!(gap >= Config::priority(LOW).master_down_interval(), "too early: {gap:?}");
        pair.h2.wait_for_address(VIP, true, TIMEOUT)?;
        Ok(gap)
    })
}

#[test]
fn on_a_cut_link_the_backup_takes_over_and_the_master_gives_up() -> Result<()> {
    within("last advert to first advert", Config::priority(LOW).master_down_interval() + SLACK, || {
        let pair = Pair::start(&[])?;
        pair.h1.set_link(false)?;
        assert!(reaches(&pair.h1, 0, "fault"), "{}", pair.master.log());
        assert!(!pair.h1.has_address(VIP)?);
        let gap = pair.gap()?;
        pair.h2.wait_for_address(VIP, true, TIMEOUT)?;
        pair.h1.set_link(true)?;
        pair.h1.wait_for_address(VIP, true, TIMEOUT)?;
        pair.h2.wait_for_address(VIP, false, TIMEOUT)?;
        Ok(gap)
    })
}

/// As with keepalived, the master sends priority 0 and is master again after its skew time.
#[test]
fn an_address_that_somebody_removes_comes_back() -> Result<()> {
    let pair = Pair::start(&[])?;
    vrrp_tests::lab::ip(&["-n", pair.h1.namespace(), "address", "del", &format!("{VIP}/32"), "dev", "eth0"])?;
    assert!(pair.master.says("somebody took its addresses", TIMEOUT), "{}", pair.master.log());
    pair.capture.wait_for("resignation", TIMEOUT, |p| p.content.priority == 0)?;
    // The skew time of host 1 is shorter than that of the backup.
    pair.h1.wait_for_address(VIP, true, TIMEOUT)?;
    assert!(eventually(TIMEOUT, || pair.h2.state(0) == "backup"));
    Ok(())
}

#[test]
fn a_preemption_waits_for_its_delay() -> Result<()> {
    let lab = Lab::new()?;
    let (h1, h2) = (lab.host("h1", 11)?, lab.host("h2", 12)?);
    let _low = h2.agent(&Config::priority(LOW).text())?;
    h2.wait_for_address(VIP, true, TIMEOUT)?;
    let _high = h1.agent(&Config { more: "preempt_delay 6".to_owned(), ..Config::priority(HIGH) }.text())?;
    std::thread::sleep(Duration::from_secs(6));
    assert_eq!((h1.state(0), h2.state(0)), ("backup".to_owned(), "master".to_owned()));
    h1.wait_for_address(VIP, true, TIMEOUT)?;
    h2.wait_for_address(VIP, false, TIMEOUT)?;
    Ok(())
}

#[test]
fn without_the_kernel_half_it_is_the_same() -> Result<()> {
    let pair = Pair::start(&["--dataplane", "socket"])?;
    assert!(reaches(&pair.h2, 0, "backup"));
    assert_eq!(pair.h1.status()?["dataplane"], "socket");
    pair.master.kill()?;
    pair.h2.wait_for_address(VIP, true, TIMEOUT)?;
    let _returned = pair.h1.agent_with(&Config::priority(HIGH).text(), &["--dataplane", "socket"])?;
    pair.h2.wait_for_address(VIP, false, TIMEOUT)?;
    assert!(eventually(TIMEOUT, || pair.h1.state(0) == "master"));
    Ok(())
}

/// The start removes what a crash left behind, and the agent begins as a backup like any other.
#[test]
fn it_starts_clean_after_a_crash() -> Result<()> {
    let pair = Pair::start(&[])?;
    pair.master.kill()?;
    pair.h2.wait_for_address(VIP, true, TIMEOUT)?;
    assert!(pair.h1.has_address(VIP)?, "a killed agent leaves its address");
    let config = Config { more: "nopreempt".to_owned(), ..Config::priority(HIGH) };
    let again = pair.h1.agent(&config.text())?;
    assert!(!pair.h1.has_address(VIP)?, "{}", again.log());
    assert!(again.log().contains("which an earlier run left"), "{}", again.log());
    assert!(reaches(&pair.h1, 0, "backup"));
    Ok(())
}
