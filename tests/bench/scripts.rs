//! `cargo xtask bench scripts`: what 500 check scripts a second, ten of which hang, do to the adverts of 50 masters at 100 ms: how far
//! from 100 ms the gaps between them are, beside keepalived with as many, in the same run. Needs root.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, ensure};
use vrrp_tests::lab::{Host, Lab, Process, eventually};

const TIMEOUT: Duration = Duration::from_secs(60);
const INTERVAL: Duration = Duration::from_millis(100);
const WATCHED: Duration = Duration::from_secs(20);
const INSTANCES: u8 = 50;
const SCRIPTS: usize = 500;
const HANGING: usize = 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Daemon {
    Ours,
    Keepalived,
}

fn main() -> Result<()> {
    println!(
        "{INSTANCES} masters at 100 ms for {WATCHED:?}: µs by which a gap between adverts is not 100 ms"
    );
    println!("{:<44} {:>30} {:>10} {:>8}", "", "median / p99 / max", "adverts", "masters");
    for scripts in [0, SCRIPTS] {
        for daemon in [Daemon::Ours, Daemon::Keepalived] {
            let what = format!("{daemon:?}, {scripts} scripts");
            println!("{what:<44} {}", run(daemon, scripts)?);
        }
    }
    Ok(())
}

fn config(scripts: usize, priority: u8) -> String {
    let mut text = "global_defs {\nscript_user root\n}\n".to_owned();
    for number in 0..scripts {
        let command = if number < HANGING { "/bin/sleep 3600" } else { "/bin/true" };
        text += &format!("vrrp_script s{number} {{\nscript \"{command}\"\ninterval 1\nweight 1\n}}\n");
    }
    for vrid in 1..=INSTANCES {
        let mut tracked = String::new();
        for number in (usize::from(vrid - 1)..scripts).step_by(INSTANCES.into()) {
            tracked += &format!("s{number}\n");
        }
        let tracked = if tracked.is_empty() { tracked } else { format!("track_script {{\n{tracked}}}\n") };
        text += &format!(
            "vrrp_instance V{vrid} {{\ninterface eth0\nversion 3\nvirtual_router_id {vrid}\npriority {priority}\n\
             advert_int 0.1\n{tracked}virtual_ipaddress {{\n192.168.3.{vrid}\n}}\n}}\n"
        );
    }
    text
}

fn start(daemon: Daemon, host: &Host, text: &str) -> Result<Process> {
    match daemon {
        Daemon::Ours => host.agent(text),
        Daemon::Keepalived => host.keepalived(text),
    }
}

fn held(host: &Host) -> usize {
    let text = host.run("ip", &["-o", "address", "show", "dev", "eth0"]).unwrap_or_default();
    (1..=INSTANCES).filter(|vrid| text.contains(&format!(" 192.168.3.{vrid}/"))).count()
}

fn run(daemon: Daemon, scripts: usize) -> Result<String> {
    let lab = Lab::new()?;
    let (h1, h2, client) = (lab.host("h1", 11)?, lab.host("h2", 12)?, lab.host("client", 13)?);
    let _master = start(daemon, &h1, &config(scripts, 200))?;
    ensure!(eventually(TIMEOUT, || held(&h1) == usize::from(INSTANCES)), "{} addresses", held(&h1));
    // A backup that would take over if the adverts came too late.
    let _backup = start(daemon, &h2, &config(0, 100))?;
    std::thread::sleep(Duration::from_secs(3));
    let recording = client.record("ip proto 112")?;
    std::thread::sleep(WATCHED);
    let seen = recording.finish()?;
    let mut last: BTreeMap<u8, Duration> = BTreeMap::new();
    let (mut late, mut masters) = (Vec::new(), BTreeMap::new());
    for (at, (host, vrid)) in seen.iter().filter_map(|seen| Some((seen.at, seen.advert?))) {
        *masters.entry(host).or_insert(0) += 1;
        if host == 11
            && let Some(before) = last.insert(vrid, at)
        {
            late.push((at - before).abs_diff(INTERVAL).as_secs_f64() * 1e6);
        }
    }
    late.sort_by(f64::total_cmp);
    let part = |share: f64| late[((late.len() - 1) as f64 * share).round() as usize];
    let figures = format!("{:.0} / {:.0} / {:.0}", part(0.5), part(0.99), part(1.0));
    Ok(format!("{figures:>30} {:>10} {:>8}", late.len(), masters.len()))
}
