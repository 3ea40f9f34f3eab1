//! Lists of addresses: two that differ, and one that is longer than an advert.

use anyhow::Result;
use vrrp_tests::lab::{Lab, eventually};

use crate::common::{Config, HIGH, LOW, TIMEOUT, VIP, reaches};

/// keepalived up to 2.3.2 does not believe such adverts, and both routers become master.
#[test]
fn another_list_is_believed_counted_and_said() -> Result<()> {
    let lab = Lab::new()?;
    let (h1, h2) = (lab.host("h1", 11)?, lab.host("h2", 12)?);
    let more = Config { vip: "192.168.1.10\n192.168.1.20", ..Config::priority(HIGH) };
    let _master = h1.agent(&more.text())?;
    h1.wait_for_address("192.168.1.20", true, TIMEOUT)?;
    let backup = h2.agent(&Config::priority(LOW).text())?;
    let counted = || h2.status().is_ok_and(|s| s["counters"]["other_addresses"].as_u64() > Some(4));
    assert!(eventually(TIMEOUT, counted), "{}", backup.log());
    assert_eq!(h2.state(0), "backup");
    let said = backup.log().matches("advertises other addresses").count();
    assert_eq!(said, 1, "{}", backup.log());
    Ok(())
}

/// In version 3 a backup follows the interval of its master (RFC 9568 section 7.1). Both routers say once that theirs differ.
#[test]
fn another_interval_is_said_once() -> Result<()> {
    let lab = Lab::new()?;
    let (h1, h2) = (lab.host("h1", 11)?, lab.host("h2", 12)?);
    let every = |interval, priority| {
        Config { version: 3, interval, password: None, ..Config::priority(priority) }.text()
    };
    let _master = h1.agent(&every("0.1", HIGH))?;
    h1.wait_for_address(VIP, true, TIMEOUT)?;
    let backup = h2.agent(&every("0.2", LOW))?;
    assert!(reaches(&h2, 0, "backup"), "{}", backup.log());
    let sentence = "192.168.1.11 advertises every 0.1 s, and this router every 0.2 s";
    assert!(backup.says(sentence, TIMEOUT), "{}", backup.log());
    std::thread::sleep(std::time::Duration::from_secs(1));
    assert_eq!(backup.log().matches(sentence).count(), 1, "{}", backup.log());
    Ok(())
}

/// The master holds all addresses; those for which an advert has no room are not advertised.
#[test]
fn more_addresses_than_an_advert_takes() -> Result<()> {
    const MANY: usize = 300;
    let lab = Lab::new()?;
    let (h1, h2, client) = (lab.host("h1", 11)?, lab.host("h2", 12)?, lab.host("client", 13)?);
    let vips =
        |count: usize| (0..count).map(|n| format!("10.7.{}.{}\n", n / 200, n % 200 + 1)).collect::<String>();
    let capture = client.capture()?;
    let config = |priority| {
        let more = format!("virtual_ipaddress {{\n{}}}", vips(MANY));
        Config { more, ..Config::priority(priority) }
    };
    let master = h1.agent(&config(HIGH).text())?;
    let _backup = h2.agent(&config(LOW).text())?;
    let held = |host: &vrrp_tests::lab::Host| -> usize {
        host.run("ip", &["-o", "address", "show", "dev", "eth0"])
            .unwrap_or_default()
            .matches(" 10.7.")
            .count()
    };
    assert!(eventually(TIMEOUT, || held(&h1) == MANY), "{} on host 1\n{}", held(&h1), master.log());
    assert!(h1.has_address(VIP)? && reaches(&h2, 0, "backup"));
    assert!(!capture.text().contains("bad vrrp cksum"));
    // The master answers for the last address as for the first.
    assert_eq!(client.arping("10.7.1.100")?, [h1.mac()?]);
    master.stop()?;
    assert!(eventually(TIMEOUT, || held(&h2) == MANY && held(&h1) == 0), "{} and {}", held(&h1), held(&h2));
    Ok(())
}
