//! Adverts that the XDP program drops can be shown to tcpdump.

use std::time::Duration;

use anyhow::Result;
use vrrp_tests::lab::{Lab, agent, run};

use crate::common::{Config, HIGH, LOW, TIMEOUT, VIP, reaches};

#[test]
fn tcpdump_on_a_backup_sees_adverts_if_asked() -> Result<()> {
    let lab = Lab::new()?;
    let (h1, h2) = (lab.host("h1", 11)?, lab.host("h2", 12)?);
    let _master = h1.agent(&Config::priority(HIGH).text())?;
    h1.wait_for_address(VIP, true, TIMEOUT)?;
    // In tc the program stands behind tcpdump's socket, which sees everything anyway.
    let _backup = h2.agent_with(&Config::priority(LOW).text(), &["--xdp-mode", "generic"])?;
    assert!(reaches(&h2, 0, "backup"));
    let capture = h2.capture()?;
    let adverts = |visibility: &str| run(h2.command(agent()?).args(["adverts", visibility])).map(drop);
    std::thread::sleep(Duration::from_secs(3));
    assert!(capture.adverts().is_empty(), "{}", capture.text());
    adverts("show")?;
    capture.wait_for("advert", TIMEOUT, |packet| packet.content.source == h1.address())?;
    adverts("hide")?;
    std::thread::sleep(Duration::from_millis(200));
    let seen = capture.adverts().len();
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(capture.adverts().len(), seen);
    assert_eq!(h2.state(0), "backup");
    Ok(())
}
