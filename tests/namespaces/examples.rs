//! Each example of `config/`, as it is, on a host with the interfaces and addresses that it names.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use vrrp_tests::lab::{Host, Lab, Process, eventually};

use crate::common::TIMEOUT;

const CHECKS: [&str; 2] = ["keepalived/nginx.sh", "keepalived/check-server.sh"];

fn directory() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../config"))
}

/// The last byte of the host's own address, where a file names it: examples for a first host say .11, for a second .12.
fn last(text: &str) -> u8 {
    let second = |line: &str| line.trim().ends_with("_src_ip 192.168.1.12");
    if text.lines().any(second) { 12 } else { 11 }
}

/// A host for an example: with `eth0`, with `eth1` if the example names it, and with checks that succeed.
fn host(lab: &Lab, example: &str, name: &str) -> Result<Host> {
    let text = std::fs::read_to_string(directory().join(example))?;
    let host = lab.host(name, last(&text))?;
    if text.contains("eth1") {
        lab.second_interface(&host)?;
    }
    for check in CHECKS {
        host.install_etc_script(check, "#!/bin/sh\nexit 0\n")?;
    }
    Ok(host)
}

fn start(host: &Host, example: &str) -> Result<Process> {
    host.agent_on(&directory().join(example), &["-i", "lb1"]).context(example.to_owned())
}

/// The number of instances of a host's agent that are in a state, and the number of all its instances.
fn count(host: &Host, state: &str) -> (usize, usize) {
    let status = host.status().unwrap_or_default();
    let instances = status["instances"].as_array().cloned().unwrap_or_default();
    (instances.iter().filter(|instance| instance["state"] == state).count(), instances.len())
}

fn all(host: &Host, state: &str) -> bool {
    let (there, of) = count(host, state);
    of > 0 && there == of
}

/// The virtual addresses of a host's agent.
fn addresses(host: &Host) -> Result<Vec<String>> {
    let status = host.status()?;
    let vips = status["instances"].as_array().into_iter().flatten().flat_map(|instance| {
        let vips = instance["vips"].as_array().cloned().unwrap_or_default();
        vips.into_iter().filter_map(|vip| vip.as_str().map(str::to_owned))
    });
    Ok(vips.collect())
}

fn comes_up_and_stops(example: &str) -> Result<()> {
    let lab = Lab::new()?;
    let h1 = host(&lab, example, "h1")?;
    let agent = start(&h1, example)?;
    assert!(
        eventually(TIMEOUT, || all(&h1, "master")),
        "{example}: {:?}\n{}",
        count(&h1, "master"),
        agent.log()
    );
    let addresses = addresses(&h1)?;
    assert!(!addresses.is_empty(), "{example}");
    let held = || addresses.iter().all(|address| h1.has_address(address).unwrap_or(false));
    assert!(eventually(TIMEOUT, held), "{example}: {addresses:?}\n{}", agent.log());
    assert!(agent.stop()?.success(), "{example}");
    for address in addresses {
        assert!(!h1.has_address(&address)?, "{example}: {address} is left");
    }
    Ok(())
}

#[test]
fn each_example_comes_up_becomes_master_and_stops() -> Result<()> {
    let mut seen = 0;
    for entry in std::fs::read_dir(directory())? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        // A drop-in for systemd is not a configuration.
        if name.ends_with(".conf")
            && !["vrrp-agent-scripts.conf", "org.keepalived.Vrrp1.conf"].contains(&name.as_str())
        {
            comes_up_and_stops(&name).with_context(|| name.clone())?;
            seen += 1;
        }
    }
    println!("{seen} examples");
    assert!(seen >= 12, "{seen}");
    Ok(())
}

#[test]
fn the_reference_pair_is_a_master_and_a_backup() -> Result<()> {
    let lab = Lab::new()?;
    let (one, two) = ("reference-master.conf", "reference-backup.conf");
    let (h1, h2) = (host(&lab, one, "h1")?, host(&lab, two, "h2")?);
    let (_one, _two) = (start(&h1, one)?, start(&h2, two)?);
    assert!(eventually(TIMEOUT, || all(&h1, "master") && all(&h2, "backup")));
    Ok(())
}

#[test]
fn of_two_addresses_each_host_has_one() -> Result<()> {
    let lab = Lab::new()?;
    let (h1, h2) = (lab.host("h1", 11)?, lab.host("h2", 12)?);
    let (_one, _two) = (start(&h1, "two-vips-a.conf")?, start(&h2, "two-vips-b.conf")?);
    let shared = || count(&h1, "master") == (1, 2) && count(&h2, "master") == (1, 2);
    assert!(eventually(TIMEOUT, shared));
    // The sharing lasts.
    std::thread::sleep(Duration::from_secs(2));
    assert!(shared() && h1.has_address("192.168.1.10")? && h2.has_address("192.168.1.20")?);
    Ok(())
}
