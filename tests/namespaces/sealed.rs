//! Adverts under `auth_hmac`, which no keepalived of a distribution knows yet: our routers are tested among themselves.

use anyhow::Result;
use vrrp_tests::lab::{Host, Lab};

use crate::common::{Config, TIMEOUT, VIP, reaches};

const KEY: &str = "0123456789abcdef0123456789abcdef";

fn config(priority: u8, vip: &'static str, hmac: &str) -> Config {
    let more = format!("auth_hmac {{\n{hmac}\n}}\nnative_ipv6");
    let more = if vip.contains(':') { more } else { more.replace("native_ipv6", "") };
    Config { version: 3, password: None, interval: "0.5", vip, more, ..Config::priority(priority) }
}

fn counter(host: &Host, name: &str) -> u64 {
    host.status().unwrap_or_default()["counters"][name].as_u64().unwrap_or_default()
}

fn moves_and_returns(vip: &'static str) -> Result<()> {
    let lab = Lab::new()?;
    let (h1, h2, client) = (lab.host("h1", 11)?, lab.host("h2", 12)?, lab.host("client", 13)?);
    let capture = client.capture()?;
    let key = format!("key 1 {KEY}");
    let first = h1.agent(&config(100, vip, &key).text())?;
    let _second = h2.agent(&config(90, vip, &key).text())?;
    h1.wait_for_address(vip.lines().next().expect("an address"), true, TIMEOUT)?;
    assert!(reaches(&h2, 0, "backup"));
    first.stop()?;
    assert!(reaches(&h2, 0, "master"));
    let _first = h1.agent(&config(100, vip, &key).text())?;
    assert!(reaches(&h1, 0, "master") && reaches(&h2, 0, "backup"));
    assert!(counter(&h2, "advert_accepted") > 2);
    // Over IPv4 keepalived's checksum ends where the message does, and tcpdump, which knows no trailer, takes it for wrong.
    let wrong = capture.text().contains("bad vrrp cksum");
    assert!(!wrong || !vip.contains(':'), "{}", capture.text());
    Ok(())
}

#[test]
fn a_pair_with_a_key_moves_and_returns() -> Result<()> {
    moves_and_returns(VIP)
}

#[test]
fn a_pair_with_a_key_moves_and_returns_over_ipv6() -> Result<()> {
    moves_and_returns("fe80::10\nfd00::10")
}

/// The roll-out that keepalived describes: receive-only, permissive, enforce, one router at a time, without a failover.
#[test]
fn routers_at_neighbouring_steps_of_the_roll_out_hear_each_other() -> Result<()> {
    let key = format!("key 1 {KEY}");
    let steps = ["mode receive-only", "mode permissive", "mode enforce"];
    for (high, low) in [(0, 1), (1, 0), (1, 2), (2, 1)] {
        let lab = Lab::new()?;
        let (h1, h2) = (lab.host("h1", 11)?, lab.host("h2", 12)?);
        let with = |step: usize| format!("{key}\n{}", steps[step]);
        let _first = h1.agent(&config(100, VIP, &with(high)).text())?;
        let _second = h2.agent(&config(90, VIP, &with(low)).text())?;
        assert!(reaches(&h1, 0, "master"), "{high} {low}");
        std::thread::sleep(std::time::Duration::from_secs(3));
        assert_eq!(h2.state(0), "backup", "{high} {low}");
    }
    Ok(())
}

/// Adverts of a router that does not know the key are not believed, and are counted.
#[test]
fn a_stranger_is_not_believed() -> Result<()> {
    let lab = Lab::new()?;
    let (h1, h2) = (lab.host("h1", 11)?, lab.host("h2", 12)?);
    let _ours = h1.agent(&config(100, VIP, &format!("key 1 {KEY}")).text())?;
    assert!(reaches(&h1, 0, "master"));
    let other = KEY.replace('0', "9");
    let _stranger = h2.agent(&config(200, VIP, &format!("key 1 {other}")).text())?;
    assert!(vrrp_tests::lab::eventually(TIMEOUT, || counter(&h1, "bad_seal") > 2));
    assert_eq!(h1.state(0), "master");
    Ok(())
}
