//! Interfaces that disappear, return and change under a running agent.

use anyhow::Result;
use vrrp_tests::lab::{eventually, ip};

use crate::common::{Config, HIGH, Pair, TIMEOUT, VIP, reaches};

/// True if the program is attached to `eth0`, as an operator finds it out.
fn attached(pair: &Pair) -> Result<bool> {
    let dataplane = pair.h1.status()?["dataplane"].as_str().unwrap_or_default().to_owned();
    Ok(dataplane.contains("eth0: tcx") && pair.h1.pin("link-eth0")?.exists())
}

fn loses_its_interface_and_gets_another(options: &[&str]) -> Result<()> {
    let pair = Pair::start(options)?;
    assert!(reaches(&pair.h2, 0, "backup"));
    let kernel_half = attached(&pair)?;
    pair.h1.unplug()?;
    assert!(reaches(&pair.h1, 0, "fault"), "{}", pair.master.log());
    pair.h2.wait_for_address(VIP, true, TIMEOUT)?;
    assert_eq!(pair.client.arping(VIP)?, [pair.h2.mac()?]);

    // There is an interface again, but it has no address to send adverts from.
    pair.lab.plug(&pair.h1)?;
    assert!(pair.master.says("has no IPv4 address to send adverts from", TIMEOUT), "{}", pair.master.log());
    assert_eq!(pair.h1.state(0), "fault");
    pair.h1.give_address()?;
    pair.h1.wait_for_address(VIP, true, TIMEOUT)?;
    pair.h2.wait_for_address(VIP, false, TIMEOUT)?;
    assert!(reaches(&pair.h1, 0, "master"), "{}", pair.master.log());
    assert_eq!(pair.client.arping(VIP)?, [pair.h1.mac()?]);
    assert_eq!(attached(&pair)?, kernel_half);

    // The master still hears: a router of lower priority that goes away and comes back stays backup.
    pair.backup.stop()?;
    let backup = pair.h2.agent_with(&Config::priority(90).text(), options)?;
    std::thread::sleep(std::time::Duration::from_secs(5));
    assert_eq!((pair.h1.state(0), pair.h2.state(0)), ("master".into(), "backup".into()), "{}", backup.log());
    Ok(())
}

#[test]
fn a_master_whose_interface_is_replaced_takes_the_address_back() -> Result<()> {
    loses_its_interface_and_gets_another(&[])
}

#[test]
fn a_master_whose_interface_is_replaced_takes_the_address_back_on_sockets() -> Result<()> {
    loses_its_interface_and_gets_another(&["--dataplane", "socket"])
}

/// The kernel half watches on the new interface: under its new number, with the timers of the old.
#[test]
fn a_backup_whose_interface_is_replaced_still_notices_a_lost_master() -> Result<()> {
    let mut pair = Pair::start(&[])?;
    assert!(reaches(&pair.h2, 0, "backup"));
    pair.h2.unplug()?;
    assert!(reaches(&pair.h2, 0, "fault"));
    pair.lab.plug(&pair.h2)?;
    pair.h2.give_address()?;
    let watches = || pair.h2.status().is_ok_and(|status| status["instances"][0]["watch"] == "kernel");
    assert!(eventually(TIMEOUT, watches), "{}", pair.backup.log());
    pair.master.signal(nix::sys::signal::Signal::SIGKILL)?;
    pair.master.wait(TIMEOUT)?;
    pair.h2.wait_for_address(VIP, true, TIMEOUT)?;
    // The timer in the kernel has noticed the loss, not the agent's sweep.
    assert!(pair.backup.says("noticed", TIMEOUT), "{}", pair.backup.log());
    assert_eq!(pair.client.arping(VIP)?, [pair.h2.mac()?]);
    Ok(())
}

#[test]
fn a_master_s_new_hardware_address_is_announced() -> Result<()> {
    let pair = Pair::start(&[])?;
    assert!(reaches(&pair.h2, 0, "backup"));
    let (before, after) = (pair.h1.mac()?, "02:00:00:00:00:99");
    ip(&["-n", pair.h1.namespace(), "link", "set", "eth0", "address", after])?;
    let announced = || {
        let arps = pair.capture.arps();
        arps.iter().any(|arp| arp.content.mac == after && arp.content.text.contains(&format!("tell {VIP}")))
    };
    assert!(eventually(TIMEOUT, announced), "{}", pair.capture.text());
    assert_ne!(before, after);
    assert_eq!(pair.client.arping(VIP)?, [after]);
    // There is no election, since the router is the same.
    assert_eq!(pair.h2.status()?["instances"][0]["became_master"], 0);
    assert_eq!(pair.h1.status()?["instances"][0]["became_master"], 1);
    let status = pair.h1.status()?;
    assert_eq!(status["instances"][0]["priority"], HIGH, "{status}");
    Ok(())
}
