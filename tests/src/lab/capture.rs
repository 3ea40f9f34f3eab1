//! The packets that a host sees on the wire, by tcpdump, which is not a program of ours.

use std::time::{Duration, SystemTime};

use anyhow::{Result, bail};

use super::{Host, Process, eventually};

/// A running capture of adverts and ARP.
#[derive(Debug)]
pub struct Capture {
    process: Process,
}

/// A packet seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet<T> {
    /// The time since the Unix epoch, by the kernel's clock.
    pub at: Duration,
    /// The content of the packet.
    pub content: T,
}

/// An advert, as tcpdump reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advert {
    /// Sender.
    pub source: String,
    /// Version.
    pub version: u8,
    /// Virtual router.
    pub vrid: u8,
    /// Priority.
    pub priority: u8,
}

/// An ARP packet, as tcpdump reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arp {
    /// Hardware address of the frame's sender.
    pub mac: String,
    /// The line without its time.
    pub text: String,
}

impl Capture {
    pub(super) fn start(host: &Host) -> Result<Self> {
        Self::of(host, "ip proto 112 or ip proto 51 or ip6 proto 112 or arp")
    }

    pub(super) fn of(host: &Host, filter: &str) -> Result<Self> {
        let mut command = host.command("tcpdump");
        command.args(["-i", "eth0", "-e", "-n", "-v", "-tt", "-l", "--immediate-mode"]);
        // The slices are small, since a burst of larger ones does not fit into the ring.
        command.args(["-s", "512", "-B", "8192"]);
        command.args(["--time-stamp-precision=nano", filter]);
        let process = host.spawn(&mut command, "tcpdump")?;
        if !process.says("listening on", Duration::from_secs(10)) {
            bail!("tcpdump does not listen: {}", process.log());
        }
        Ok(Self { process })
    }

    /// Everything seen so far, one packet a line.
    #[must_use]
    pub fn text(&self) -> String {
        // tcpdump -v breaks the line of an IP packet behind its header.
        self.process.log().replace("\n    ", " ")
    }

    /// The adverts seen so far.
    #[must_use]
    pub fn adverts(&self) -> Vec<Packet<Advert>> {
        self.text().lines().filter_map(advert).collect()
    }

    /// The ARP packets seen so far.
    #[must_use]
    pub fn arps(&self) -> Vec<Packet<Arp>> {
        self.text().lines().filter_map(arp).collect()
    }

    /// Waits for an advert that satisfies a condition.
    ///
    /// # Errors
    /// If none comes.
    pub fn wait_for(
        &self,
        what: &str,
        patience: Duration,
        satisfies: impl Fn(&Packet<Advert>) -> bool,
    ) -> Result<Packet<Advert>> {
        let mut found = None;
        let seen = eventually(patience, || {
            found = self.adverts().into_iter().find(|packet| satisfies(packet));
            found.is_some()
        });
        match found {
            Some(packet) if seen => Ok(packet),
            _ => bail!("no {what} within {patience:?}; seen:\n{}", self.text()),
        }
    }
}

/// Now, on the clock that captured packets are stamped with.
#[must_use]
pub fn now() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

fn time(line: &str) -> Option<Duration> {
    let (seconds, nanos) = line.split_whitespace().next()?.split_once('.')?;
    Some(Duration::new(seconds.parse().ok()?, nanos.parse().ok()?))
}

fn advert(line: &str) -> Option<Packet<Advert>> {
    let (before, after) = line.split_once(": VRRPv")?;
    let field = |name: &str| {
        let (_, rest) = after.split_once(name)?;
        rest.split([',', ' ']).next()?.parse().ok()
    };
    // Behind the last arrow there may be a header of its own: `1.2.3.4 > 224.0.0.18: AH(…): VRRPv2`.
    let source = before.rsplit_once(" > ")?.0.rsplit(' ').next()?.to_owned();
    let version = after.split(',').next()?.parse().ok()?;
    let content = Advert { source, version, vrid: field("vrid ")?, priority: field("prio ")? };
    Some(Packet { at: time(line)?, content })
}

fn arp(line: &str) -> Option<Packet<Arp>> {
    let (before, text) = line.split_once("ethertype ARP")?;
    let mac = before.split_whitespace().nth(1)?.to_owned();
    Some(Packet { at: time(line)?, content: Arp { mac, text: text.to_owned() } })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_tcpdump_writes() {
        let line = "1700000000.123456789 02:00:00:00:00:01 > 01:00:5e:00:00:12, ethertype IPv4 (0x0800), length 54: \
            (tos 0xc0, ttl 255, id 0, offset 0, flags [DF], proto VRRP (112), length 40) \
            192.168.1.11 > 224.0.0.18: VRRPv2, Advertisement, vrid 51, prio 100, authtype simple, intvl 1s, length 20";
        let packet = advert(line).unwrap();
        assert_eq!(packet.at, Duration::new(1_700_000_000, 123_456_789));
        let expected = Advert { source: "192.168.1.11".to_owned(), version: 2, vrid: 51, priority: 100 };
        assert_eq!(packet.content, expected);
    }
}
