//! Another host that claims an address of ours.

use std::time::Duration;

use anyhow::Result;
use vrrp_tests::lab::eventually;

use crate::common::{Pair, TIMEOUT, VIP};

#[test]
fn a_foreign_gratuitous_arp_is_answered_from_the_kernel_and_reported() -> Result<()> {
    let pair = Pair::start(&[])?;
    // Let the second burst pass, so that what is seen afterwards is the answer.
    std::thread::sleep(Duration::from_secs(6));
    let (ours, before) = (pair.h1.mac()?, vrrp_tests::lab::now());
    let stranger = pair.lab.host("stranger", 66)?;
    vrrp_tests::lab::ip(&[
        "-n",
        stranger.namespace(),
        "address",
        "add",
        &format!("{VIP}/32"),
        "dev",
        "eth0",
    ])?;
    // Fails, since nobody replies to an announcement.
    let _no_reply =
        stranger.command("arping").args(["-U", "-c", "3", "-w", "3", "-I", "eth0", VIP]).output()?;
    let claims = || {
        let arps = pair.capture.arps().into_iter();
        arps.filter(|p| {
            p.at > before && p.content.mac == ours && p.content.text.contains(&format!("tell {VIP}"))
        })
        .count()
    };
    assert!(eventually(TIMEOUT, || claims() > 0), "{}", pair.capture.text());
    assert!(pair.master.says("is claimed by", TIMEOUT), "{}", pair.master.log());
    // One answer a second at most, so that two owners do not answer each other without end.
    assert!(claims() <= 4, "{}", claims());
    assert!(pair.master.log().contains(&stranger.mac()?), "{}", pair.master.log());
    Ok(())
}
