//! As many adverts as another core can send, none of which ought to be believed: they cause no failover, delay no advert of
//! ours, and the agents sleep on.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use vrrp_tests::lab::Lab;

use crate::common::{Config, HIGH, LOW, TIMEOUT, VIP, reaches};
use crate::quiet::wake_ups;
use crate::sender::{Flood, bad_adverts};

const VRID: u8 = 51;
const INTERVAL: Duration = Duration::from_millis(100);
const FLOOD: Duration = Duration::from_secs(6);

#[test]
fn a_flood_of_bad_adverts_changes_nothing() -> Result<()> {
    let fast =
        |priority| Config { version: 3, interval: "0.1", password: None, ..Config::priority(priority) };
    let lab = Lab::new()?;
    let (h1, h2, client) = (lab.host("h1", 11)?, lab.host("h2", 12)?, lab.host("client", 13)?);
    let master = h1.agent(&fast(HIGH).text())?;
    h1.wait_for_address(VIP, true, TIMEOUT)?;
    let backup = h2.agent(&fast(LOW).text())?;
    assert!(reaches(&h2, 0, "backup"));
    let recording = client.record(&format!("ip proto 112 and ether src {}", h1.mac()?))?;
    let woken = || Ok::<_, anyhow::Error>((wake_ups(&master)?, wake_ups(&backup)?));
    let before = woken()?;
    let start = Instant::now();
    let flood =
        Flood::start(&client, bad_adverts(VRID, VIP.parse()?, h1.address().parse()?, Some(VRID + 1)))?;
    std::thread::sleep(FLOOD);
    let sent = flood.stop()?;
    let seconds = start.elapsed().as_secs_f64();
    let after = woken()?;
    let seen = recording.finish()?;
    let (of_master, of_backup) = (after.0 - before.0, after.1 - before.1);
    let rate = |count: u64| count as f64 / seconds;
    let gaps = seen.windows(2).map(|pair| pair[1].at - pair[0].at);
    let longest = gaps.max().context("adverts of the master")?;
    println!(
        "{sent} bad adverts in {seconds:.1} s ({:.0} a second): the master woke {:.0} times a second, the backup {:.0}; longest \
         gap between the master's adverts {longest:?}",
        rate(sent),
        rate(of_master),
        rate(of_backup)
    );
    assert!(sent > 100_000, "{sent} are no flood");
    assert_eq!((h1.state(0).as_str(), h2.state(0).as_str()), ("master", "backup"));
    assert!(!backup.log().contains("-> MASTER") && !master.log().contains("MASTER -> "), "{}", backup.log());
    // An advert of lower priority causes an event, at most a hundred times a second, and each event wakes two threads once or
    // twice.
    assert!(rate(of_master) < 1000.0 && rate(of_backup) < 1000.0);
    assert!(longest < INTERVAL * 3, "{longest:?}");
    for host in [&h1, &h2] {
        let status = host.status()?;
        for reason in
            ["bad_checksum", "bad_ttl", "bad_version", "bad_length", "advert_not_ours", "advert_accepted"]
        {
            assert!(status["counters"][reason].as_u64() > Some(1000), "{reason}: {}", status["counters"]);
        }
    }
    Ok(())
}
