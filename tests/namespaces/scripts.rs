//! Check scripts that move the address.

use anyhow::Result;
use vrrp_tests::lab::{Host, Lab, Process};

use crate::common::{Config, HIGH, LOW, TIMEOUT, VIP, reaches};

/// A script that is up while a file exists.
fn check(lab: &Lab, name: &str, weight: &str) -> Result<String> {
    let flag = lab.write(&format!("{name}.up"), "")?;
    let script =
        lab.write_script(&format!("{name}.sh"), &format!("#!/bin/sh\ntest -e {}\n", flag.display()))?;
    Ok(format!(
        "vrrp_script {name} {{\nscript \"{}\"\ninterval 0.2\n{weight}\nfall 2\nrise 2\n}}\n",
        script.display()
    ))
}

fn break_it(lab: &Lab, name: &str) -> Result<()> {
    Ok(std::fs::remove_file(lab.directory().join(format!("{name}.up")))?)
}

fn mend_it(lab: &Lab, name: &str) -> Result<()> {
    lab.write(&format!("{name}.up"), "").map(drop)
}

fn tracking(lab: &Lab, name: &str, weight: &str) -> Result<Config> {
    let more = format!("track_script {{\n{name}\n}}");
    Ok(Config { above: check(lab, name, weight)?, more, ..Config::priority(HIGH) })
}

#[test]
fn a_failed_script_lowers_the_priority_and_moves_the_address() -> Result<()> {
    let lab = Lab::new()?;
    let (h1, h2) = (lab.host("h1", 11)?, lab.host("h2", 12)?);
    let _high = h1.agent(&tracking(&lab, "chk", "weight -20")?.text())?;
    let _low = h2.agent(&Config::priority(LOW).text())?;
    h1.wait_for_address(VIP, true, TIMEOUT)?;
    break_it(&lab, "chk")?;
    h2.wait_for_address(VIP, true, TIMEOUT)?;
    h1.wait_for_address(VIP, false, TIMEOUT)?;
    assert_eq!(h1.status()?["instances"][0]["priority"], 80);
    mend_it(&lab, "chk")?;
    h1.wait_for_address(VIP, true, TIMEOUT)?;
    h2.wait_for_address(VIP, false, TIMEOUT)?;
    Ok(())
}

#[test]
fn a_failed_script_without_a_weight_is_a_fault() -> Result<()> {
    let lab = Lab::new()?;
    let (h1, h2) = (lab.host("h1", 11)?, lab.host("h2", 12)?);
    let _high = h1.agent(&tracking(&lab, "chk", "")?.text())?;
    let _low = h2.agent(&Config::priority(LOW).text())?;
    h1.wait_for_address(VIP, true, TIMEOUT)?;
    break_it(&lab, "chk")?;
    assert!(reaches(&h1, 0, "fault"));
    h2.wait_for_address(VIP, true, TIMEOUT)?;
    assert!(!h1.has_address(VIP)?);
    mend_it(&lab, "chk")?;
    h1.wait_for_address(VIP, true, TIMEOUT)?;
    Ok(())
}

const OTHER: &str = "192.168.1.20";

/// Each host is master of one address and backup of the other.
fn two_vips(lab: &Lab, host: &Host, first: u8, second: u8) -> Result<Process> {
    let name = format!("chk_{}", host.name());
    let track = format!("track_script {{\n{name}\n}}");
    let one = Config {
        above: check(lab, &name, "weight -20")?,
        more: track.clone(),
        priority: first,
        ..Config::default()
    };
    let two = Config {
        name: "VI_2",
        vrid: 52,
        vip: OTHER,
        above: String::new(),
        more: track,
        priority: second,
        ..Config::default()
    };
    host.agent(&format!("{}\n{}", one.text(), two.text()))
}

#[test]
fn two_addresses_each_host_master_of_one() -> Result<()> {
    let lab = Lab::new()?;
    let (h1, h2) = (lab.host("h1", 11)?, lab.host("h2", 12)?);
    let _one = two_vips(&lab, &h1, HIGH, LOW)?;
    let _two = two_vips(&lab, &h2, LOW, HIGH)?;
    h1.wait_for_address(VIP, true, TIMEOUT)?;
    h2.wait_for_address(OTHER, true, TIMEOUT)?;
    assert!(!h1.has_address(OTHER)? && !h2.has_address(VIP)?);
    break_it(&lab, "chk_h1")?;
    h2.wait_for_address(VIP, true, TIMEOUT)?;
    h1.wait_for_address(VIP, false, TIMEOUT)?;
    assert!(h2.has_address(OTHER)?, "host 2 has both now");
    mend_it(&lab, "chk_h1")?;
    h1.wait_for_address(VIP, true, TIMEOUT)?;
    h2.wait_for_address(VIP, false, TIMEOUT)?;
    assert!(h2.has_address(OTHER)?);
    Ok(())
}
