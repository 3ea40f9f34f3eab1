//! Settings of SNMP.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// The data for SNMP managers, and the master agent that answers them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snmp {
    /// The sets of objects that managers can read. If there are none, SNMP is off.
    pub mibs: BTreeSet<Mib>,
    /// The setting for notifications about changes.
    pub traps: Traps,
    /// The address of the master agent, which answers the managers and asks this daemon.
    pub master: MasterAgent,
}

/// A management information base: a set of objects that managers know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mib {
    /// KEEPALIVED-MIB (`enable_snmp_vrrp`).
    Keepalived,
    /// VRRP-MIB, of version 2 (`enable_snmp_rfcv2`).
    Rfc2787,
    /// VRRPV3-MIB (`enable_snmp_rfcv3`).
    Rfc6527,
}

impl Mib {
    /// All of them, in the order of the enum.
    pub const ALL: [Self; 3] = [Self::Keepalived, Self::Rfc2787, Self::Rfc6527];

    /// Returns the keyword that enables the MIB.
    #[must_use]
    pub fn keyword(self) -> &'static str {
        match self {
            Self::Keepalived => "enable_snmp_vrrp",
            Self::Rfc2787 => "enable_snmp_rfcv2",
            Self::Rfc6527 => "enable_snmp_rfcv3",
        }
    }
}

/// `enable_traps`: notifications about changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Traps {
    /// No notifications are sent; managers have to ask.
    #[default]
    Unsent,
    /// Notifications are sent.
    Sent,
}

/// The address where a master agent listens for subagents (`snmp_socket`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MasterAgent {
    /// A Unix socket with this path.
    Unix(PathBuf),
    /// A TCP port of a host, which is a name or an address.
    Tcp(String, u16),
}

impl Default for MasterAgent {
    fn default() -> Self {
        Self::Unix("/var/agentx/master".into())
    }
}

/// The text is neither `unix:PATH` nor `tcp:HOST:PORT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected: unix:PATH or tcp:HOST:PORT")]
pub struct NoMasterAgent;

/// The default port (RFC 2741 section 8.1.1).
const PORT: u16 = 705;

impl FromStr for MasterAgent {
    type Err = NoMasterAgent;

    /// Parses the address as Net-SNMP does. A path may stand without `unix:`, and a port without a host means a port of this
    /// host.
    fn from_str(text: &str) -> Result<Self, NoMasterAgent> {
        let path = text.strip_prefix("unix:").or(text.starts_with('/').then_some(text));
        if let Some(path) = path.filter(|path| !path.is_empty()) {
            return Ok(Self::Unix(path.into()));
        }
        let tcp = text.strip_prefix("tcp:").or(text.strip_prefix("tcp6:")).ok_or(NoMasterAgent)?;
        let (host, port) = match tcp.rsplit_once(':') {
            // An IPv6 address without a port ends in `]`.
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().map_err(|_| NoMasterAgent)?),
            Some(_) => (tcp, PORT),
            None => match tcp.parse() {
                Ok(port) => ("localhost", port),
                Err(_) => (tcp, PORT),
            },
        };
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        if host.is_empty() || port == 0 { Err(NoMasterAgent) } else { Ok(Self::Tcp(host.to_owned(), port)) }
    }
}

impl fmt::Display for MasterAgent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp(host, port) if host.contains(':') => write!(f, "tcp:[{host}]:{port}"),
            Self::Tcp(host, port) => write!(f, "tcp:{host}:{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_master_agent_listens() {
        let tcp = |host: &str, port| Ok(MasterAgent::Tcp(host.to_owned(), port));
        for (text, expected) in [
            ("unix:/run/x", Ok(MasterAgent::Unix("/run/x".into()))),
            ("/run/x", Ok(MasterAgent::Unix("/run/x".into()))),
            ("tcp:192.0.2.1:7050", tcp("192.0.2.1", 7050)),
            ("tcp:agent.example.org", tcp("agent.example.org", 705)),
            ("tcp:7050", tcp("localhost", 7050)),
            ("tcp6:[2001:db8::1]:7050", tcp("2001:db8::1", 7050)),
            ("tcp:[2001:db8::1]", tcp("2001:db8::1", 705)),
            ("unix:", Err(NoMasterAgent)),
            ("udp:192.0.2.1:705", Err(NoMasterAgent)),
            ("tcp::705", Err(NoMasterAgent)),
            ("tcp:host:0", Err(NoMasterAgent)),
            ("tcp:host:x", Err(NoMasterAgent)),
            ("master", Err(NoMasterAgent)),
        ] {
            assert_eq!(text.parse::<MasterAgent>(), expected, "{text}");
            if let Ok(agent) = expected {
                assert_eq!(agent.to_string().parse(), Ok(agent), "{text}");
            }
        }
    }
}
