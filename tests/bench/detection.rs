//! `cargo xtask bench detection`: how late a dead master is replaced, ours beside keepalived in the same run. The master is
//! killed. The lateness is the time from its last advert on the wire to the new master's first advert and first gratuitous ARP,
//! less the master-down interval. It is also measured with the cores oversubscribed four times, and under a flood of bad
//! adverts. Needs root.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use vrrp_tests::lab::{Host, Lab, Process, Recorded, eventually};

/// The longest wait: a minute is more than any of the failovers needs.
const TIMEOUT: Duration = Duration::from_secs(60);
const INTERVAL: Duration = Duration::from_millis(10);
const LOW: u32 = 100;
const ALL: u8 = 255;

#[expect(dead_code, reason = "the namespace tests send single frames too")]
#[path = "../namespaces/sender.rs"]
mod sender;

use sender::{Flood, bad_adverts};

/// The load on the machine during a failover.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Load {
    None,
    /// Busy loops, with this number for each core.
    Busy(usize),
    /// As many bad adverts for the first instance as a thread can send.
    Flood,
}

impl Load {
    fn name(self) -> String {
        match self {
            Self::None => "idle".to_owned(),
            Self::Busy(loops) => format!("{loops} busy loops for each core"),
            Self::Flood => "a flood of bad adverts".to_owned(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Daemon {
    Ours,
    Keepalived,
}

/// The times from failovers, less the master-down interval, in microseconds.
#[derive(Default)]
struct Lateness {
    advert: Vec<f64>,
    announcement: Vec<f64>,
    /// The lateness of the kernel's timer, as the agent's log gives it.
    kernel: Vec<f64>,
}

fn main() -> Result<()> {
    println!(
        "µs after the master-down interval (36.094 ms) from the last advert on the wire: median / p99 / max"
    );
    println!("{:<44} {:>26} {:>26} {:>26}", "", "first advert", "first ARP", "kernel noticed");
    for load in [Load::None, Load::Busy(4), Load::Flood] {
        for (instances, failovers) in [(1, 10), (ALL, 2)] {
            for daemon in [Daemon::Ours, Daemon::Keepalived] {
                let loops = match load {
                    Load::Busy(loops) => Loops::start(loops)?,
                    Load::None | Load::Flood => Loops(Vec::new()),
                };
                let mut lateness = Lateness::default();
                for _ in 0..failovers {
                    failover(daemon, instances, load, &mut lateness)?;
                }
                drop(loops);
                let what = format!("{daemon:?}, {instances} instances, {}", load.name());
                let Lateness { advert, announcement, kernel } = lateness;
                println!("{what:<44} {:>26} {:>26} {:>26}", sums(advert), sums(announcement), sums(kernel));
            }
        }
    }
    Ok(())
}

fn sums(mut figures: Vec<f64>) -> String {
    if figures.is_empty() {
        return "-".to_owned();
    }
    figures.sort_by(f64::total_cmp);
    let at = |share: f64| figures[((figures.len() - 1) as f64 * share).round() as usize];
    format!("{:.0} / {:.0} / {:.0}", at(0.5), at(0.99), at(1.0))
}

fn vip(vrid: u8) -> [u8; 4] {
    [192, 168, 3, vrid]
}

fn config(priority: u32, instances: u8) -> String {
    let instance = |vrid: u8| {
        let [a, b, c, d] = vip(vrid);
        format!(
            "vrrp_instance V{vrid} {{\ninterface eth0\nversion 3\nvirtual_router_id {vrid}\npriority {priority}\n\
             advert_int 0.01\nvirtual_ipaddress {{\n{a}.{b}.{c}.{d}\n}}\n}}\n"
        )
    };
    (1..=instances).map(instance).collect()
}

fn start(daemon: Daemon, host: &Host, config: &str) -> Result<Process> {
    match daemon {
        Daemon::Ours => host.agent(config),
        Daemon::Keepalived => host.keepalived(config),
    }
}

fn failover(daemon: Daemon, instances: u8, load: Load, lateness: &mut Lateness) -> Result<()> {
    let lab = Lab::new()?;
    let (h1, h2, client) = (lab.host("h1", 11)?, lab.host("h2", 12)?, lab.host("client", 13)?);
    let master = start(daemon, &h1, &config(200, instances))?;
    let held = |host: &Host| {
        let text = host.run("ip", &["-o", "address", "show", "dev", "eth0"]).unwrap_or_default();
        (1..=instances).filter(|vrid| text.contains(&format!(" 192.168.3.{vrid}/"))).count()
    };
    let all = eventually(TIMEOUT, || held(&h1) == usize::from(instances));
    ensure!(all, "{daemon:?}: {} of {instances} addresses after {TIMEOUT:?}", held(&h1));
    let backup = start(daemon, &h2, &config(LOW, instances))?;
    std::thread::sleep(Duration::from_secs(2));
    let flood = match load {
        Load::Flood => {
            let stranger = lab.host("stranger", 14)?;
            let nobodys = (instances < ALL).then_some(ALL);
            let flood =
                Flood::start(&stranger, bad_adverts(1, vip(1).into(), h1.address().parse()?, nobodys))?;
            Some((flood, stranger))
        }
        Load::None | Load::Busy(_) => None,
    };
    // The flood is left out: tcpdump could not keep up with it.
    let recording = client.record("(ip proto 112 and not ether src 02:00:00:00:00:66) or arp")?;
    std::thread::sleep(Duration::from_millis(500));
    kill(&h1)?;
    if !eventually(TIMEOUT, || held(&h2) == usize::from(instances)) {
        println!("{daemon:?}: {} of {instances} addresses were taken over within {TIMEOUT:?}", held(&h2));
    }
    drop(master);
    if let Some((flood, _stranger)) = flood {
        flood.stop()?;
    }
    let down = INTERVAL * 3 + INTERVAL * (256 - LOW) / 256;
    let late =
        |from: Duration, to: Duration| (to.as_secs_f64() - from.as_secs_f64() - down.as_secs_f64()) * 1e6;
    let seen = recording.finish()?;
    for vrid in 1..=instances {
        let of = |host: u8| seen.iter().filter(move |seen| seen.advert == Some((host, vrid)));
        let Some(last) = of(11).next_back() else { continue };
        let Some(first) = of(12).find(|seen| seen.at > last.at) else { continue };
        lateness.advert.push(late(last.at, first.at));
        // The old master's announcements do not count: the new master advertises first.
        let claims = |seen: &&Recorded| seen.announced == Some(vip(vrid)) && seen.at > first.at;
        if let Some(announcement) = seen.iter().find(claims) {
            lateness.announcement.push(late(last.at, announcement.at));
        }
    }
    lateness.kernel.extend(noticed(&backup.log()));
    Ok(())
}

/// Kills every daemon of a host at once: keepalived's parent, killed alone, has a child that resigns.
fn kill(host: &Host) -> Result<()> {
    let pids = vrrp_tests::lab::ip(&["netns", "pids", host.namespace()])?;
    for pid in pids.lines() {
        let _gone = nix::sys::signal::kill(Pid::from_raw(pid.trim().parse()?), Signal::SIGKILL);
    }
    Ok(())
}

/// The values of `noticed N µs` in the agent's log.
fn noticed(log: &str) -> impl Iterator<Item = f64> + '_ {
    log.lines().filter(|line| line.contains("-> MASTER")).filter_map(|line| {
        let (_, rest) = line.split_once("noticed ")?;
        rest.split(' ').next()?.parse().ok()
    })
}

/// Programs that keep the cores busy, as many for each core as asked, until they are dropped.
struct Loops(Vec<Child>);

impl Loops {
    fn start(for_each_core: usize) -> Result<Self> {
        let cores = std::thread::available_parallelism()?.get();
        let mut loops = Self(Vec::new());
        for _ in 0..for_each_core * cores {
            let mut command = Command::new("sh");
            command.args(["-c", "while :; do :; done"]).stdin(Stdio::null());
            loops.0.push(command.spawn()?);
        }
        Ok(loops)
    }
}

impl Drop for Loops {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ended = child.kill();
            let _ended = child.wait();
        }
    }
}
