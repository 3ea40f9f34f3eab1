//! Addresses, and other things that are set on the host.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use super::super::routing::{Prefix, Route, Rule};

/// A virtual address, or a static one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Vip {
    /// The address.
    pub address: IpAddr,
    /// The prefix length.
    pub prefix: u8,
    /// The interface, if it is not the instance's interface.
    pub dev: Option<String>,
    /// The label, as old tools show it.
    pub label: Option<String>,
    /// The broadcast address.
    pub broadcast: Option<Ipv4Addr>,
    /// The scope, as a number of `rt_scopes`.
    pub scope: Option<u8>,
    /// The other end of a point-to-point link, and the prefix length of the route to it.
    pub peer: Option<Prefix>,
    /// The time in seconds for which the address is preferred as a source; `u32::MAX` means forever.
    pub preferred: Option<u32>,
    /// The track group whose instances are in fault without the address; static addresses only.
    pub track_group: Option<String>,
    /// The options without a value.
    pub traits: BTreeSet<AddressTrait>,
}

impl Vip {
    /// Creates an address without any options.
    #[must_use]
    pub fn plain(address: IpAddr, prefix: u8) -> Self {
        Self {
            address,
            prefix,
            dev: None,
            label: None,
            broadcast: None,
            scope: None,
            peer: None,
            preferred: None,
            track_group: None,
            traits: BTreeSet::new(),
        }
    }

    /// Returns true if the address has this option.
    #[must_use]
    pub fn is(&self, of: AddressTrait) -> bool {
        self.traits.contains(&of)
    }
}

/// The options of an address that have no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AddressTrait {
    /// `no_track`: the loss of the address or of its interface has no effect.
    Untracked,
    /// `noprefixroute`: the kernel adds no route to the network of the address.
    NoPrefixRoute,
    /// `home`: the address is a home address of mobile IPv6.
    Home,
    /// `mngtmpaddr`: the kernel derives temporary addresses from the address.
    MakesTemporary,
    /// `autojoin`: the address is a multicast group, which the kernel joins.
    Joined,
    /// `-nodad`: the kernel first makes duplicate address detection.
    Probed,
    /// `use_vmac`: the address belongs on the interface with the virtual hardware address. This daemon has no such interface.
    Vmac,
}

impl AddressTrait {
    /// All options.
    pub const ALL: [Self; 7] = [
        Self::Untracked,
        Self::NoPrefixRoute,
        Self::Home,
        Self::MakesTemporary,
        Self::Joined,
        Self::Probed,
        Self::Vmac,
    ];

    /// Returns the keyword of the option.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Untracked => "no_track",
            Self::NoPrefixRoute => "noprefixroute",
            Self::Home => "home",
            Self::MakesTemporary => "mngtmpaddr",
            Self::Joined => "autojoin",
            Self::Probed => "-nodad",
            Self::Vmac => "use_vmac",
        }
    }
}

/// The things that are set on the host in every state, as long as the daemon runs (`static_ipaddress`, `static_routes`,
/// `static_rules`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StaticResources {
    /// The addresses, each with its interface.
    pub addresses: Vec<Vip>,
    /// The routes.
    pub routes: Vec<Route>,
    /// The rules.
    pub rules: Vec<Rule>,
}
