//! The check of every scene with other devices: exactly one router holds the address, and goes on holding it.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use vrrp_tests::lab::{Host, eventually};

use crate::common::{Config, TIMEOUT};

/// Longer than the master-down interval at one advert a second: a second master would show.
pub(crate) const AND_STAYS_SO: Duration = Duration::from_secs(5);

/// Options of an agent that chooses its data plane by itself, as on a host whose operator has not chosen one.
pub(crate) const BY_DEFAULT: [&str; 2] = ["--dataplane", "auto"];

/// The usual instance on another interface.
pub(crate) fn on(interface: &str, config: &Config) -> String {
    config.text().replace("interface eth0", &format!("interface {interface}"))
}

/// The hosts that are asked about an address: the router that must have it, the router that must not have it, and the client
/// that asks on the wire.
pub(crate) struct Scene<'a> {
    pub(crate) holder: &'a Host,
    pub(crate) other: &'a Host,
    pub(crate) client: &'a Host,
    /// The interface on which the client asks.
    pub(crate) from: &'a str,
    pub(crate) vip: &'a str,
    /// The hardware address that must answer, and no other.
    pub(crate) mac: String,
}

impl Scene<'_> {
    /// Describes the state, unless it is right: the holder is master, the other router is backup, only the holder has the
    /// address, and there is one answer.
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

    /// Waits until one router has the address, and watches that it keeps the address.
    pub(crate) fn settles(&self) -> Result<()> {
        let mut last = None;
        let settled = eventually(TIMEOUT, || {
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

    /// The status of both agents.
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
