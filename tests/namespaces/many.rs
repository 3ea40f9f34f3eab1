//! Many routers, and many virtual routers. `cargo xtask test` runs these one at a time and beside nothing else.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::sys::signal::Signal;
use vrrp_tests::lab::{Lab, eventually};

use crate::common::{Config, HIGH, LOW, TIMEOUT, VIP, reaches};

/// One priority step at 10 ms adverts is 39 µs, less than a busy machine may take to wake an agent. So the whole is tried up to
/// eight times. In each attempt a router that took over too early must have yielded at once.
#[test]
fn at_10_ms_backups_promote_in_the_order_of_their_priorities() -> Result<()> {
    for attempt in 1..=8 {
        let order = order_of_promotion()?;
        println!("attempt {attempt}: first to advertise after each death: {order:?}");
        if order == ["192.168.1.2", "192.168.1.3", "192.168.1.4"] {
            return Ok(());
        }
    }
    anyhow::bail!("never in the order of their priorities")
}

/// Kills one master after the other, and returns the address of the router that advertises first each time.
fn order_of_promotion() -> Result<Vec<String>> {
    let lab = Lab::new()?;
    let fast =
        |priority| Config { version: 3, interval: "0.01", password: None, ..Config::priority(priority) };
    let client = lab.host("client", 9)?;
    let mut running = Vec::new();
    for (priority, last) in [(254, 1), (200, 2), (199, 3), (198, 4)] {
        let host = lab.host(&format!("h{last}"), last)?;
        let agent = host.agent(&fast(priority).text())?;
        if running.is_empty() {
            host.wait_for_address(VIP, true, TIMEOUT)?;
        }
        running.push((host, agent));
    }
    for (host, _) in &running[1..] {
        assert!(reaches(host, 0, "backup"));
    }
    let mut order = Vec::new();
    while running.len() > 1 {
        let (old, mut agent) = running.remove(0);
        let next = &running[0].0;
        let capture = client.capture()?;
        std::thread::sleep(Duration::from_millis(100));
        agent.signal(Signal::SIGKILL)?;
        agent.wait(TIMEOUT)?;
        next.wait_for_address(VIP, true, TIMEOUT)?;
        for (other, _) in &running[1..] {
            let yielded = || other.state(0) == "backup" && other.has_address(VIP).is_ok_and(|has| !has);
            assert!(eventually(TIMEOUT, yielded), "{} does not yield", other.name());
        }
        std::thread::sleep(Duration::from_millis(200));
        let adverts = capture.adverts();
        let last =
            adverts.iter().rposition(|p| p.content.source == old.address()).context("the old master")?;
        let first = adverts.get(last + 1).context("a new master")?;
        order.push(first.content.source.clone());
        let settled = adverts.iter().rev().take(3).all(|p| p.content.source == next.address());
        assert!(settled, "the highest is master in the end: {adverts:?}");
    }
    Ok(order)
}

const COUNT: u8 = 100;

/// A host with many virtual routers dies: none of them waits for a sweep.
#[test]
fn a_hundred_virtual_routers_fail_over_together() -> Result<()> {
    let lab = Lab::new()?;
    let (h1, h2, client) = (lab.host("h1", 11)?, lab.host("h2", 12)?, lab.host("client", 13)?);
    let vips: Vec<String> = (0..COUNT).map(|n| format!("192.168.2.{}", n + 1)).collect();
    let file = |priority| -> String {
        let names = |n: u8| -> &'static str { Box::leak(format!("V{n}").into_boxed_str()) };
        let config = |n: u8| Config {
            name: names(n),
            vrid: n + 1,
            version: 3,
            interval: "0.1",
            password: None,
            vip: Box::leak(vips[usize::from(n)].clone().into_boxed_str()),
            ..Config::priority(priority)
        };
        (0..COUNT).map(|n| config(n).text()).collect()
    };
    let mut master = h1.agent(&file(HIGH))?;
    h1.wait_for_address(&vips[usize::from(COUNT) - 1], true, TIMEOUT)?;
    let backup = h2.agent(&file(LOW))?;
    assert!(eventually(TIMEOUT, || h2.status().is_ok_and(|status| {
        let instances = status["instances"].as_array().cloned().unwrap_or_default();
        instances.iter().all(|i| i["state"] == "backup" && i["watch"] == "kernel")
    })));
    let capture = client.capture()?;
    std::thread::sleep(Duration::from_millis(300));
    master.signal(Signal::SIGKILL)?;
    master.wait(TIMEOUT)?;
    h2.wait_for_address(&vips[usize::from(COUNT) - 1], true, TIMEOUT)?;
    assert!(eventually(TIMEOUT, || backup.log().matches("-> MASTER").count() == usize::from(COUNT)));
    let mut gaps = BTreeMap::new();
    let all_seen = eventually(TIMEOUT, || {
        let mut last = BTreeMap::new();
        for packet in capture.adverts() {
            let vrid = packet.content.vrid;
            if packet.content.source == h1.address() {
                last.insert(vrid, packet.at);
            } else if let Some(&last) = last.get(&vrid) {
                gaps.entry(vrid).or_insert(packet.at - last);
            }
        }
        gaps.len() == usize::from(COUNT)
    });
    assert!(all_seen, "{gaps:?}");
    let interval = Config { version: 3, interval: "0.1", ..Config::priority(LOW) }.master_down_interval();
    // Timers are made ahead of time: in the program of a packet there may be no memory for them.
    let counters = h2.status()?["counters"].to_string();
    assert!(!counters.contains("timer_failed") && !counters.contains("event_lost"), "{counters}");
    let mut sorted: Vec<Duration> = gaps.into_values().collect();
    sorted.sort();
    let (median, slowest) = (sorted[sorted.len() / 2], sorted[sorted.len() - 1]);
    println!(
        "{COUNT} at 100 ms, last advert to first: median {median:?}, slowest {slowest:?}, theory {interval:?}"
    );
    assert!(
        slowest < interval + Duration::from_millis(250),
        "{slowest:?} is the sweep's time, not the timer's"
    );
    Ok(())
}
