//! Configurations and the usual pair of hosts.

use std::time::Duration;

use anyhow::Result;
use vrrp_tests::lab::{Capture, Host, Lab, Process};

/// The virtual address.
pub(crate) const VIP: &str = "192.168.1.10";
/// Longer than any election here.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(12);

/// One instance.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) name: &'static str,
    pub(crate) vrid: u8,
    pub(crate) version: u8,
    pub(crate) priority: u8,
    pub(crate) interval: &'static str,
    pub(crate) password: Option<&'static str>,
    pub(crate) vip: &'static str,
    /// Lines inside the instance.
    pub(crate) more: String,
    /// Blocks above it.
    pub(crate) above: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            name: "VI_1",
            vrid: 51,
            version: 2,
            priority: 100,
            interval: "1",
            password: Some("1111"),
            vip: VIP,
            more: String::new(),
            above: String::new(),
        }
    }
}

impl Config {
    pub(crate) fn priority(priority: u8) -> Self {
        Self { priority, ..Self::default() }
    }

    pub(crate) fn text(&self) -> String {
        let Self { name, vrid, version, priority, interval, password, vip, more, above } = self;
        let authentication = password.map_or_else(String::new, |password| {
            format!("authentication {{\nauth_type PASS\nauth_pass {password}\n}}")
        });
        format!(
            "{above}\nvrrp_instance {name} {{\nstate BACKUP\ninterface eth0\nversion {version}\n\
             virtual_router_id {vrid}\npriority {priority}\nadvert_int {interval}\n{authentication}\n\
             virtual_ipaddress {{\n{vip}\n}}\n{more}\n}}\n"
        )
    }

    /// 3 intervals and the skew of version 2 (RFC 3768 section 6.1) or 3 (RFC 9568 section 6.1).
    pub(crate) fn master_down_interval(&self) -> Duration {
        let interval = Duration::from_secs_f64(self.interval.parse().unwrap());
        let unit = if self.version == 2 { Duration::from_secs(1) } else { interval };
        3 * interval + unit * (256 - u32::from(self.priority)) / 256
    }
}

/// The daemon that runs on a host.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Daemon {
    Ours,
    Keepalived,
}

impl Daemon {
    pub(crate) fn start(self, host: &Host, config: &Config) -> Result<Process> {
        self.start_with(host, &config.text())
    }

    pub(crate) fn start_with(self, host: &Host, config: &str) -> Result<Process> {
        match self {
            Self::Ours => host.agent(config),
            Self::Keepalived => host.keepalived(config),
        }
    }
}

/// Two hosts with an agent each, and a client that watches the wire.
pub(crate) struct Pair {
    pub(crate) master: Process,
    pub(crate) backup: Process,
    pub(crate) capture: Capture,
    pub(crate) client: Host,
    pub(crate) h1: Host,
    pub(crate) h2: Host,
    pub(crate) lab: Lab,
}

pub(crate) const HIGH: u8 = 100;
pub(crate) const LOW: u8 = 90;

impl Pair {
    /// Host 1 is master with priority 100, host 2 backup with 90, both settled.
    pub(crate) fn start(options: &[&str]) -> Result<Self> {
        Self::start_with(options, "")
    }

    /// The same with more lines in both instances.
    pub(crate) fn start_with(options: &[&str], more: &str) -> Result<Self> {
        let config = |priority| Config { more: more.to_owned(), ..Config::priority(priority) }.text();
        let lab = Lab::new()?;
        let (h1, h2, client) = (lab.host("h1", 11)?, lab.host("h2", 12)?, lab.host("client", 13)?);
        let capture = client.capture()?;
        let master = h1.agent_with(&config(HIGH), options)?;
        let backup = h2.agent_with(&config(LOW), options)?;
        h1.wait_for_address(VIP, true, TIMEOUT)?;
        Ok(Self { master, backup, capture, client, h1, h2, lab })
    }

    /// The time from host 1's last advert before now to host 2's first advert after it.
    pub(crate) fn gap(&self) -> Result<Duration> {
        let first =
            self.capture.wait_for("advert of host 2", TIMEOUT, |p| p.content.source == self.h2.address())?;
        let adverts = self.capture.adverts();
        let last = adverts.iter().rfind(|p| p.content.source == self.h1.address() && p.at < first.at);
        Ok(first.at - last.expect("host 1 was master").at)
    }
}

/// True if an instance reaches a state in time.
pub(crate) fn reaches(host: &Host, instance: usize, state: &str) -> bool {
    vrrp_tests::lab::eventually(TIMEOUT, || host.state(instance) == state)
}

/// Runs an experiment whose result depends on how busy the machine is, up to three times, until it is within a bound.
/// Prints every figure.
pub(crate) fn within(what: &str, bound: Duration, experiment: impl Fn() -> Result<Duration>) -> Result<()> {
    let mut figures = Vec::new();
    for _ in 0..3 {
        let figure = experiment()?;
        println!("{what}: {figure:?}, bound {bound:?}");
        if figure <= bound {
            return Ok(());
        }
        figures.push(figure);
    }
    anyhow::bail!("{what}: {figures:?}, all over {bound:?}")
}

/// The web page at the virtual address, as a client gets it.
pub(crate) fn page(client: &Host) -> Option<String> {
    let request = format!(
        "exec 3<>/dev/tcp/{VIP}/80; printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3; timeout 1 tail -n 1 <&3"
    );
    let text = client.run("timeout", &["1", "bash", "-c", &request]).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}
