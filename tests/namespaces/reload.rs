//! SIGHUP: a virtual router that is in the new file too goes on; nothing changes if the new file is bad.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use nix::sys::signal::Signal;
use vrrp_tests::lab::{Host, Lab, Process, eventually};

use crate::common::{Config, HIGH, LOW, Pair, TIMEOUT, VIP, reaches};

const OTHER_VIP: &str = "192.168.1.20";

fn rewrite(lab: &Lab, host: &Host, text: &str) -> Result<()> {
    lab.write(&format!("{}.conf", host.name()), text).map(drop)
}

/// Asks for a reload, and waits until it is done or refused.
fn reload(agent: &Process) -> Result<()> {
    let count = || agent.log().matches("reloaded in ").count() + agent.log().matches("not reloaded").count();
    let before = count();
    agent.signal(Signal::SIGHUP)?;
    anyhow::ensure!(eventually(TIMEOUT, || count() > before), "no reload:\n{}", agent.log());
    Ok(())
}

/// The longest time between two adverts of a host, and the number of its resignations.
fn adverts(pair: &Pair, host: &Host, since: Duration) -> Result<(Duration, usize)> {
    let adverts: Vec<_> = pair
        .capture
        .adverts()
        .into_iter()
        .filter(|packet| packet.at > since && packet.content.source == host.address())
        .collect();
    let gaps = adverts.windows(2).map(|two| two[1].at - two[0].at);
    let resigned = adverts.iter().filter(|packet| packet.content.priority == 0).count();
    Ok((gaps.max().context("adverts")?, resigned))
}

fn what_is_the_same_goes_on(options: &[&str]) -> Result<()> {
    let pair = Pair::start(options)?;
    assert!(reaches(&pair.h2, 0, "backup"));
    let start = vrrp_tests::lab::now();
    let config = |priority, vips: &str, more: &str| Config {
        vip: "",
        more: format!("virtual_ipaddress {{\n{vips}\n}}\n{more}"),
        ..Config::priority(priority)
    };
    let both = format!("{VIP}\n{OTHER_VIP}");
    let before = pair.h1.status()?["instances"][0]["adverts_sent"].as_u64();

    // Another address, and another name: the master stays master and takes the address, the backup stays backup.
    let text = |priority, vips: &str| Config { name: "VI_new", ..config(priority, vips, "") }.text();
    rewrite(&pair.lab, &pair.h1, &text(HIGH, &both).replace("virtual_ipaddress {\n\n}\n", ""))?;
    rewrite(&pair.lab, &pair.h2, &text(LOW, &both).replace("virtual_ipaddress {\n\n}\n", ""))?;
    reload(&pair.master)?;
    reload(&pair.backup)?;
    pair.h1.wait_for_address(OTHER_VIP, true, TIMEOUT)?;
    assert!(pair.h1.has_address(VIP)? && !pair.h2.has_address(VIP)? && !pair.h2.has_address(OTHER_VIP)?);
    for vip in [VIP, OTHER_VIP] {
        assert_eq!(pair.client.arping(vip)?, [pair.h1.mac()?], "{vip}");
    }
    let status = pair.h1.status()?;
    let instance = &status["instances"][0];
    assert_eq!((&instance["name"], &instance["state"]), (&"VI_new".into(), &"master".into()));
    assert_eq!(instance["became_master"], 1, "{status}");
    assert!(before >= Some(1) && instance["adverts_sent"].as_u64() >= before, "statistics stay: {status}");

    // The first address is removed again.
    rewrite(&pair.lab, &pair.h1, &text(HIGH, OTHER_VIP).replace("virtual_ipaddress {\n\n}\n", ""))?;
    rewrite(&pair.lab, &pair.h2, &text(LOW, OTHER_VIP).replace("virtual_ipaddress {\n\n}\n", ""))?;
    reload(&pair.master)?;
    reload(&pair.backup)?;
    pair.h1.wait_for_address(VIP, false, TIMEOUT)?;
    assert_eq!(pair.client.arping(OTHER_VIP)?, [pair.h1.mac()?]);
    assert_eq!(pair.client.arping(VIP)?, [""; 0]);

    std::thread::sleep(Duration::from_secs(2));
    let (longest, resigned) = adverts(&pair, &pair.h1, start)?;
    println!("longest gap between adverts at 1 s, over two reloads: {longest:?}");
    assert!(longest < Duration::from_millis(1500) && resigned == 0, "{longest:?}, {resigned} resignations");
    assert_eq!(pair.h2.status()?["instances"][0]["became_master"], 0);

    // The backup still notices that its master is lost.
    pair.master.signal(Signal::SIGKILL)?;
    pair.h2.wait_for_address(OTHER_VIP, true, TIMEOUT)?;
    assert_eq!(pair.client.arping(OTHER_VIP)?, [pair.h2.mac()?]);
    Ok(())
}

#[test]
fn a_master_stays_master_and_its_addresses_change_by_difference() -> Result<()> {
    what_is_the_same_goes_on(&[])
}

#[test]
fn a_master_stays_master_and_its_addresses_change_by_difference_on_sockets() -> Result<()> {
    what_is_the_same_goes_on(&["--dataplane", "socket"])
}

#[test]
fn instances_that_are_gone_resign_and_new_ones_begin() -> Result<()> {
    let pair = Pair::start(&[])?;
    let other = Config { name: "VI_2", vrid: 52, vip: OTHER_VIP, ..Config::priority(HIGH) };
    rewrite(&pair.lab, &pair.h1, &(Config::priority(HIGH).text() + &other.text()))?;
    reload(&pair.master)?;
    pair.h1.wait_for_address(OTHER_VIP, true, TIMEOUT)?;
    assert_eq!((pair.h1.state(0), pair.h1.state(1)), ("master".into(), "master".into()));
    assert_eq!(pair.client.arping(OTHER_VIP)?, [pair.h1.mac()?]);

    // The other way round: the second instance alone stays, now in the first slot, and misses nothing.
    rewrite(&pair.lab, &pair.h1, &other.text())?;
    reload(&pair.master)?;
    pair.h2.wait_for_address(VIP, true, TIMEOUT)?;
    assert!(!pair.h1.has_address(VIP)? && pair.h1.has_address(OTHER_VIP)?);
    let resigned = |packet: &vrrp_tests::lab::Packet<vrrp_tests::lab::Advert>| {
        packet.content.vrid == 51 && packet.content.priority == 0
    };
    assert!(pair.capture.adverts().iter().any(resigned), "the backup did not have to wait");
    assert_eq!(pair.client.arping(OTHER_VIP)?, [pair.h1.mac()?]);
    assert_eq!(pair.client.arping(VIP)?, [pair.h2.mac()?]);
    let status = pair.h1.status()?;
    assert_eq!(status["instances"][0]["became_master"], 1, "{status}");
    assert!(pair.master.stop()?.success());
    assert!(!pair.h1.has_address(OTHER_VIP)?);
    assert!(
        !pair.h1.pin("link-eth0")?.exists(),
        "nothing is attached: no pin and no process holds a program"
    );
    Ok(())
}

#[test]
fn a_bad_file_changes_nothing_and_says_why() -> Result<()> {
    let pair = Pair::start(&[])?;
    assert!(reaches(&pair.h2, 0, "backup"));
    for (bad, why) in [
        ("vrrp_instance V {\ninterface eth0\n}\n", "no valid virtual_router_id"),
        ("vrrp_instance V {\nvirtual_router_id 1\ninterface nowhere\n}\n", "nowhere"),
    ] {
        rewrite(&pair.lab, &pair.h1, bad)?;
        reload(&pair.master)?;
        assert!(
            pair.master.log().contains("not reloaded") && pair.master.log().contains(why),
            "{}",
            pair.master.log()
        );
        assert_eq!(pair.h1.state(0), "master");
        assert_eq!(pair.client.arping(VIP)?, [pair.h1.mac()?]);
    }
    assert_eq!(pair.h2.state(0), "backup");
    Ok(())
}

/// A script that does not change keeps its result; a new priority counts at once.
#[test]
fn script_results_stay_and_a_new_priority_counts() -> Result<()> {
    let mut pair = Pair::start(&[])?;
    let script = pair.lab.write_script("check.sh", "#!/bin/sh\nexit 1\n")?;
    let config = |priority| Config {
        above: format!("vrrp_script check {{\nscript {}\ninterval 60\nweight -20\n}}", script.display()),
        more: "track_script {\ncheck\n}".to_owned(),
        ..Config::priority(priority)
    };
    rewrite(&pair.lab, &pair.h1, &config(HIGH).text())?;
    reload(&pair.master)?;
    let priority =
        |host: &Host| host.status().ok().and_then(|status| status["instances"][0]["priority"].as_u64());
    assert!(eventually(TIMEOUT, || priority(&pair.h1) == Some(80)), "{}", pair.master.log());
    // 80 is below the other's 90.
    pair.h2.wait_for_address(VIP, true, TIMEOUT)?;
    rewrite(&pair.lab, &pair.h1, &config(120).text())?;
    reload(&pair.master)?;
    // The script runs once a minute: its last result still counts.
    assert_eq!(priority(&pair.h1), Some(100), "{}", pair.master.log());
    pair.h1.wait_for_address(VIP, true, TIMEOUT)?;
    assert_eq!(pair.master.log().matches("script check is now").count(), 1);
    pair.backup.signal(Signal::SIGTERM)?;
    pair.backup.wait(TIMEOUT)?;
    Ok(())
}

/// 255 masters at 100 ms: none misses an advert, and the whole takes less than one interval.
#[test]
fn many_masters_miss_no_advert() -> Result<()> {
    const INSTANCES: u8 = 255;
    let lab = Lab::new()?;
    let (h1, client) = (lab.host("h1", 11)?, lab.host("client", 13)?);
    let instance = |vrid: u8, priority| {
        format!(
            "vrrp_instance V{vrid} {{\ninterface eth0\nversion 3\nvirtual_router_id {vrid}\npriority {priority}\n\
             advert_int 0.1\nvirtual_ipaddress {{\n192.168.3.{vrid}\n}}\n}}\n"
        )
    };
    let text = |priority: u8| (1..=INSTANCES).map(|vrid| instance(vrid, priority)).collect::<String>();
    let agent = h1.agent(&text(200))?;
    let masters = || {
        let status = h1.status().unwrap_or_default();
        let instances = status["instances"].as_array().cloned().unwrap_or_default();
        instances.iter().filter(|instance| instance["state"] == "master").count()
    };
    assert!(eventually(TIMEOUT, || masters() == usize::from(INSTANCES)), "{}", agent.log());
    std::thread::sleep(Duration::from_secs(1));
    let recording = client.record("ip proto 112")?;
    std::thread::sleep(Duration::from_millis(500));
    rewrite(&lab, &h1, &text(210))?;
    let start = Instant::now();
    reload(&agent)?;
    let took = start.elapsed();
    std::thread::sleep(Duration::from_millis(500));
    let seen = recording.finish()?;
    let mut longest = Duration::ZERO;
    for vrid in 1..=INSTANCES {
        let of: Vec<_> = seen.iter().filter(|seen| seen.advert == Some((11, vrid))).collect();
        assert!(of.len() >= 8, "{} adverts of {vrid}", of.len());
        longest = of.windows(2).map(|two| two[1].at - two[0].at).fold(longest, Duration::max);
    }
    let said = agent.log().lines().find(|line| line.contains("reloaded in")).map(str::to_owned);
    println!("255 instances at 100 ms: longest gap {longest:?}; seen from outside {took:?}; {said:?}");
    // The peers wait for three intervals.
    assert!(longest < Duration::from_millis(250), "{longest:?}");
    assert_eq!(masters(), usize::from(INSTANCES));
    Ok(())
}
