//! Reloads when there is a lot to do, or when the addresses and routes of an instance change hands.

use std::fmt::Write as _;

use anyhow::Result;
use nix::sys::signal::Signal;
use vrrp_tests::lab::{Host, Lab, Process, eventually};

use crate::common::{Config, TIMEOUT, VIP, reaches};

fn instance(name: &'static str, vrid: u8, vip: &'static str, more: String) -> String {
    Config { name, vrid, vip, more, ..Config::priority(100) }.text()
}

/// Instances with this number of additional addresses each.
fn laden(instances: u8, addresses: u32) -> String {
    let mut text = String::new();
    for vrid in 1..=instances {
        let name: &'static str = Box::leak(format!("V{vrid}").into_boxed_str());
        let vip: &'static str = Box::leak(format!("192.168.3.{vrid}").into_boxed_str());
        let mut more = "virtual_ipaddress_excluded {\n".to_owned();
        for number in 0..addresses {
            // Writing to a String cannot fail.
            let _infallible = writeln!(more, "10.{vrid}.{}.{}/32", number / 200, number % 200 + 1);
        }
        text += &instance(name, vrid, vip, more + "}\n");
    }
    text
}

fn count(host: &Host) -> usize {
    let text = host.run("ip", &["-o", "-4", "address", "show", "dev", "eth0"]).unwrap_or_default();
    text.lines().filter(|line| line.contains(" 10.") || line.contains(" 192.168.3.")).count()
}

fn asks(lab: &Lab, process: &Process, text: &str) -> Result<()> {
    lab.write("h1.conf", text)?;
    process.signal(Signal::SIGHUP)
}

/// A stop while a reload takes addresses away: in the end no address is left.
#[test]
fn a_stop_while_addresses_are_taken_away_leaves_none() -> Result<()> {
    let lab = Lab::new()?;
    let host = lab.host("h1", 11)?;
    let all = 2 * (1500 + 1);
    for millis in [0, 15, 40] {
        let process = host.agent(&laden(2, 1500))?;
        assert!(eventually(TIMEOUT, || count(&host) == all), "{}", process.log());
        asks(&lab, &process, &laden(1, 1))?;
        // The agent begins to take the addresses away.
        assert!(eventually(TIMEOUT, || count(&host) < all), "{}", process.log());
        std::thread::sleep(std::time::Duration::from_millis(millis));
        let before = count(&host);
        assert!(process.stop()?.success());
        println!("{before} were left at the stop");
        assert_eq!(count(&host), 0, "after {millis} ms");
    }
    Ok(())
}

/// Three reloads while the addresses of the first file are still being set, and an interface that changes meanwhile.
#[test]
fn one_after_the_other_in_a_hurry() -> Result<()> {
    let lab = Lab::new()?;
    let host = lab.host("h1", 11)?;
    let process = host.agent(&laden(12, 300))?;
    assert!(eventually(TIMEOUT, || count(&host) > 1000), "{}", process.log());
    for (instances, addresses) in [(12, 1), (12, 20), (1, 2)] {
        asks(&lab, &process, &laden(instances, addresses))?;
        std::thread::sleep(std::time::Duration::from_millis(50));
        host.run("ip", &["link", "set", "eth0", "address", &format!("02:00:00:00:77:{addresses:02x}")])?;
    }
    assert!(eventually(TIMEOUT, || process.log().contains("11 are gone")), "{}", process.log());
    assert!(eventually(TIMEOUT, || count(&host) == 3), "{} are left\n{}", count(&host), process.log());
    assert!(reaches(&host, 0, "master"), "{}", process.log());
    assert!(process.stop()?.success());
    assert_eq!(count(&host), 0);
    Ok(())
}

/// An address goes from an instance that is master on this host to one that is backup on this host.
#[test]
fn an_address_that_goes_to_a_backup_leaves() -> Result<()> {
    let lab = Lab::new()?;
    let (h1, h2) = (lab.host("h1", 11)?, lab.host("h2", 12)?);
    let text = |first: u8, second: u8, excluded: u8| {
        let excluded = |number: u8| match number == excluded {
            true => "virtual_ipaddress_excluded {\n10.7.0.1/32\n}\n".to_owned(),
            false => String::new(),
        };
        let one = instance("V1", 51, VIP, excluded(1)).replace("priority 100", &format!("priority {first}"));
        let two = instance("V2", 52, "192.168.1.20", excluded(2));
        one + &two.replace("priority 100", &format!("priority {second}"))
    };
    let first = h1.agent(&text(100, 50, 1))?;
    let second = h2.agent(&text(50, 100, 1))?;
    h1.wait_for_address("10.7.0.1", true, TIMEOUT)?;
    assert!(reaches(&h2, 1, "master") && reaches(&h1, 1, "backup"));
    lab.write("h1.conf", &text(100, 50, 2))?;
    lab.write("h2.conf", &text(50, 100, 2))?;
    first.signal(Signal::SIGHUP)?;
    second.signal(Signal::SIGHUP)?;
    h2.wait_for_address("10.7.0.1", true, TIMEOUT)?;
    h1.wait_for_address("10.7.0.1", false, TIMEOUT)?;
    assert!(h1.has_address(VIP)? && h1.state(0) == "master", "{}", first.log());
    Ok(())
}

/// An address and a route of a master become static, and virtual again: they are there all the while, and no mastership is
/// lost.
#[test]
fn what_a_master_holds_may_become_static_and_again_virtual() -> Result<()> {
    let lab = Lab::new()?;
    let host = lab.host("h1", 11)?;
    let held = "virtual_ipaddress_excluded {\n10.7.0.1/24\n}\nvirtual_routes {\n10.8.0.0/16 dev eth0\n}\n";
    let fixed = "static_ipaddress {\n10.7.0.1/24 dev eth0\n}\nstatic_routes {\n10.8.0.0/16 dev eth0\n}\n";
    let virtually = instance("V1", 51, VIP, held.to_owned());
    let statically = fixed.to_owned() + &instance("V1", 51, VIP, String::new());
    let process = host.agent(&virtually)?;
    let there = || {
        let routes = host.run("ip", &["route"]).unwrap_or_default();
        host.has_address("10.7.0.1").is_ok_and(|has| has) && routes.contains("10.8.0.0/16")
    };
    host.wait_for_address(VIP, true, TIMEOUT)?;
    assert!(eventually(TIMEOUT, there));
    for (number, text) in [&statically, &virtually, &statically, &virtually].into_iter().enumerate() {
        asks(&lab, &process, text)?;
        let reloads = || process.log().matches("reloaded in").count() > number;
        assert!(eventually(TIMEOUT, reloads), "{}", process.log());
        std::thread::sleep(std::time::Duration::from_millis(300));
        assert!(there(), "{}", process.log());
    }
    assert_eq!(host.status()?["instances"][0]["became_master"], 1, "{}", process.log());
    Ok(())
}

/// A change of its definition does not make a failed check a good one.
#[test]
fn a_check_that_failed_has_failed_under_another_interval_too() -> Result<()> {
    let lab = Lab::new()?;
    let (h1, h2) = (lab.host("h1", 11)?, lab.host("h2", 12)?);
    // The script is slow, so that the result that counts meanwhile can be seen.
    let slow = lab.write_script("slow.sh", "#!/bin/sh\nsleep 2\nexit 1\n")?;
    let text = |interval: u32| {
        let script = slow.display();
        let above =
            format!("vrrp_script c {{\nscript {script}\ninterval {interval}\nweight -50\nuser root\n}}\n");
        Config { above, more: "track_script {\nc\n}\n".to_owned(), ..Config::priority(100) }.text()
    };
    let first = h1.agent(&text(60))?;
    let _second = h2.agent(&Config::priority(80).text())?;
    let priority = || h1.status().ok().map(|status| status["instances"][0]["priority"].clone());
    assert!(eventually(TIMEOUT, || priority() == Some(50.into())), "{}", first.log());
    assert!(reaches(&h2, 0, "master"), "{}", first.log());
    // On a slow machine the second host may start so late that the first one has become master.
    let count = || first.log().matches("-> MASTER").count();
    let before = count();
    for interval in [61, 62, 63] {
        asks(&lab, &first, &text(interval))?;
        std::thread::sleep(std::time::Duration::from_millis(400));
        assert_eq!(priority(), Some(50.into()), "{}", first.log());
    }
    assert_eq!(count(), before, "{}", first.log());
    Ok(())
}

/// The multicast groups of the adverts are joined, also those of another file.
#[test]
fn another_group_is_joined() -> Result<()> {
    let lab = Lab::new()?;
    let host = lab.host("h1", 11)?;
    let process = host.agent(&Config::priority(100).text())?;
    host.wait_for_address(VIP, true, TIMEOUT)?;
    let above = "global_defs {\nvrrp_mcast_group4 224.0.0.77\n}\n".to_owned();
    asks(&lab, &process, &Config { above, ..Config::priority(100) }.text())?;
    // 224.0.0.77, as /proc writes it.
    let joined = || host.run("cat", &["/proc/net/igmp"]).is_ok_and(|text| text.contains("4D0000E0"));
    assert!(eventually(TIMEOUT, joined), "{}", process.log());
    Ok(())
}

/// No descriptors are left for a new interface.
#[test]
fn an_interface_that_cannot_be_taken_hold_of_costs_its_own_instances_only() -> Result<()> {
    let lab = Lab::new()?;
    let host = lab.host("h1", 11)?;
    lab.second_interface(&host)?;
    let one = instance("V1", 51, VIP, String::new());
    let process = host.agent_with(&one, &["--dataplane", "socket"])?;
    host.wait_for_address(VIP, true, TIMEOUT)?;
    let open = std::fs::read_dir(format!("/proc/{}/fd", process.pid()))?.count();
    let limit = |descriptors: usize| {
        let pid = process.pid().to_string();
        let limit = format!("--nofile={descriptors}:");
        vrrp_tests::lab::run(std::process::Command::new("prlimit").args(["--pid", &pid, &limit]))
    };
    let two = instance("V2", 52, "192.168.2.10", String::new()).replace("interface eth0", "interface eth1");
    for spare in 0..8 {
        limit(open + spare)?;
        asks(&lab, &process, &(one.clone() + &two))?;
        std::thread::sleep(std::time::Duration::from_millis(500));
    }
    limit(1024)?;
    asks(&lab, &process, &(one.clone() + &two))?;
    assert!(reaches(&host, 1, "master"), "{}", process.log());
    let status = host.status()?;
    assert_eq!(status["instances"][0]["became_master"], 1, "{}", process.log());
    Ok(())
}

/// The address that adverts are sent from goes, and another comes.
#[test]
fn adverts_are_sent_from_an_address_that_there_is() -> Result<()> {
    let lab = Lab::new()?;
    let host = lab.host("h1", 11)?;
    let process = host.agent(&Config::priority(100).text())?;
    host.wait_for_address(VIP, true, TIMEOUT)?;
    host.run("ip", &["address", "del", &format!("{}/24", host.address()), "dev", "eth0"])?;
    assert!(reaches(&host, 0, "fault"), "{}", process.log());
    host.run("ip", &["address", "add", "192.168.1.99/24", "dev", "eth0"])?;
    assert!(reaches(&host, 0, "master"), "{}", process.log());
    let own = || host.status().is_ok_and(|s| s["instances"][0]["master"]["address"] == "192.168.1.99");
    assert!(eventually(TIMEOUT, own), "{:?}", host.status());
    Ok(())
}
