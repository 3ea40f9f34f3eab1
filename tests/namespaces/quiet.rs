//! In steady state a backup's userspace sleeps: the kernel hears the adverts.

use std::time::Duration;

use anyhow::{Context as _, Result};
use vrrp_tests::lab::{Lab, Process};

use crate::common::{Config, HIGH, LOW, TIMEOUT, VIP, reaches};

/// How often the threads of a process have slept and been woken.
pub(crate) fn wake_ups(process: &Process) -> Result<u64> {
    let mut total = 0;
    for task in std::fs::read_dir(format!("/proc/{}/task", process.pid()))? {
        let status = std::fs::read_to_string(task?.path().join("status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        total += line.context("no such line")?.trim().parse::<u64>()?;
    }
    Ok(total)
}

#[test]
fn a_backup_makes_no_system_call_per_advert() -> Result<()> {
    let fast =
        |priority| Config { version: 3, interval: "0.01", password: None, ..Config::priority(priority) };
    let lab = Lab::new()?;
    let (h1, h2) = (lab.host("h1", 11)?, lab.host("h2", 12)?);
    let _master = h1.agent(&fast(HIGH).text())?;
    h1.wait_for_address(VIP, true, TIMEOUT)?;
    let backup = h2.agent(&fast(LOW).text())?;
    assert!(reaches(&h2, 0, "backup"));
    std::thread::sleep(Duration::from_secs(1));
    let adverts = || -> Result<u64> {
        h2.map("watchdogs")?[0]["formatted"]["value"]["adverts"].as_u64().context("no such field")
    };
    let (heard_before, woken_before) = (adverts()?, wake_ups(&backup)?);
    std::thread::sleep(Duration::from_secs(10));
    let (heard, woken) = (adverts()? - heard_before, wake_ups(&backup)? - woken_before);
    println!("10 s at 10 ms adverts: {heard} adverts heard by the kernel, {woken} wake-ups of the agent");
    assert!(heard > 500, "the master advertised {heard} times only");
    // The wake-ups are those of the report that the agent runs, ten a second, of the sweep, once a second, and of the runtime.
    assert!(woken < 150, "{woken} wake-ups for {heard} adverts");
    assert_eq!(h2.state(0), "backup");
    Ok(())
}
