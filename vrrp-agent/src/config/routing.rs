//! Lines of `virtual_routes` and `virtual_rules`, and of their static counterparts: the grammar of iproute2, as far as this
//! daemon supports it. An unsupported word is an error that names the word; no word is ignored silently.

mod read_route;
mod route;
mod rule;
mod tables;
mod text;
mod words;

#[cfg(test)]
mod tests;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use vrrp_ebpf::advert::Family;

pub(super) use read_route::route;
pub use route::{Metric, MetricKind, NextHop, Route, RouteKind};
pub use rule::{Action, Rule};
pub(super) use rule::{PreferenceNumbering, parse_rule};
pub(super) use tables::{Directories, Tables, number};
pub use text::{RouteLine, RuleLine};
pub use words::Mark;
pub(super) use words::{BadWord, scope};

use crate::wire::advert::family as family_of;
use words::decimal;

/// keepalived's number in `rt_protos`. It distinguishes the routes and rules of this daemon from those of other programs.
pub const PROTOCOL: u8 = 18;

/// The table that is looked up when no rule says otherwise.
pub const TABLE_MAIN: u32 = 254;

const TABLE_DEFAULT: u32 = 253;
const TABLE_LOCAL: u32 = 255;

/// An address with a prefix length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Prefix {
    /// The address.
    pub address: IpAddr,
    /// The number of significant bits, counted from the first.
    pub length: u8,
}

impl Prefix {
    /// Returns the prefix of all addresses of a family: `default`.
    #[must_use]
    pub fn all(family: Family) -> Self {
        let address = match family {
            Family::V4 => Ipv4Addr::UNSPECIFIED.into(),
            Family::V6 => Ipv6Addr::UNSPECIFIED.into(),
        };
        Self { address, length: 0 }
    }

    /// Returns the address family.
    #[must_use]
    pub fn family(self) -> Family {
        family_of(self.address)
    }

    /// Returns the same prefix with all host bits zero.
    #[must_use]
    pub fn network(self) -> Self {
        let length = u32::from(self.length);
        let address = match self.address {
            IpAddr::V4(address) => {
                let host = u32::MAX.checked_shr(length).unwrap_or(0);
                Ipv4Addr::from(u32::from(address) & !host).into()
            }
            IpAddr::V6(address) => {
                let host = u128::MAX.checked_shr(length).unwrap_or(0);
                Ipv6Addr::from(u128::from(address) & !host).into()
            }
        };
        Self { address, ..self }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address = address.parse::<IpAddr>().ok()?;
        let full = match address {
            IpAddr::V4(_) => 32,
            IpAddr::V6(_) => 128,
        };
        let length = match length {
            Some(length) => u8::try_from(decimal(length)?).ok().filter(|length| *length <= full)?,
            None => full,
        };
        Some(Self { address, length })
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}
