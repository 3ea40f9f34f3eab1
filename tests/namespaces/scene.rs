//! What every scene with other devices asks: exactly one router holds the address, and goes on to.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use vrrp_tests::lab::{Host, eventually};

use crate::common::{Config, PATIENCE};

/// Longer than the master-down interval at one advert a second: a second master would show.
pub(crate) const AND_STAYS_SO: Duration = Duration::from_secs(5);

/// Options of an agent that chooses its data plane by itself, as on a host where nobody has thought of it.
pub(crate) const BY_DEFAULT: [&str; 2] = ["--dataplane", "auto"];

/// The usual instance on another interface.
pub(crate) fn on(interface: &str, config: &Config) -> String {
    config.text().replace("interface eth0", &format!("interface {interface}"))
}

/// Who is asked about an address: the router that must have it, the one that must not, and the client that asks on the wire.
pub(crate) struct Scene<'a> {
    pub(crate) holder: &'a Host,
    pub(crate) other: &'a Host,
    pub(crate) client: &'a Host,
    /// By which interface the client asks.
    pub(crate) from: &'a str,
    pub(crate) vip: &'a str,
    /// The hardware address that must answer, and no other.
    pub(crate) mac: String,
}

impl Scene<'_> {
    /// What is not as it must be: the holder is master, the other one backup, the address on the one only, and one answer.
    fn fault(&self) -> Option<String> {
        let Self { holder, other, client, from, vip, mac } = self;
        let states = (holder.state(0), other.state(0));
        let has = (holder.has_address(vip), other.has_address(vip));
        let answers = client.who_has(from, vip).unwrap_or_default();
        let right = (states.0.as_str(), states.1.as_str()) == ("master", "backup")
            && matches!(has, (Ok(true), Ok(false)))
            && answers == [mac.as_str()];
        (!right).then(|| {
            format!(
                "{} is {}, {} is {}; {vip} is there: {has:?}; answers {answers:?}, expected from {mac}",
                holder.name(),
                states.0,
                other.name(),
                states.1
            )
        })
    }

    /// Waits until one router has it, and watches that it keeps it.
    pub(crate) fn settles(&self) -> Result<()> {
        let mut last = None;
        let settled = eventually(PATIENCE, || {
            last = self.fault();
            last.is_none()
        });
        ensure!(settled, "never right: {}\n{}", last.unwrap_or_default(), self.story());
        let start = Instant::now();
        while start.elapsed() < AND_STAYS_SO {
            let fault = self.fault();
            let after = start.elapsed();
            ensure!(fault.is_none(), "after {after:?}: {}\n{}", fault.unwrap_or_default(), self.story());
        }
        Ok(())
    }

    /// What both agents say of themselves.
    pub(crate) fn story(&self) -> String {
        [self.holder, self.other].map(|host| format!("{}: {}\n", host.name(), status_text(host))).concat()
    }
}

/// `vrrp-agent status` of a host, or why there is none.
pub(crate) fn status_text(host: &Host) -> String {
    let agent = vrrp_tests::lab::agent();
    let text = agent.and_then(|agent| vrrp_tests::lab::run(host.command(agent).arg("status")));
    text.unwrap_or_else(|error| format!("{error:#}"))
}
