//! Addresses, and what else is put on the host.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use super::super::routing::{Prefix, Route, Rule};

/// A virtual address, or a static one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Vip {
    /// The address.
    pub address: IpAddr,
    /// Prefix length.
    pub prefix: u8,
    /// Another interface than the instance's.
    pub dev: Option<String>,
    /// Label, as old tools show it.
    pub label: Option<String>,
    /// Broadcast address.
    pub broadcast: Option<Ipv4Addr>,
    /// Scope, as `rt_scopes` numbers it.
    pub scope: Option<u8>,
    /// The other end of a point-to-point link, and how many of its bits are routed there.
    pub peer: Option<Prefix>,
    /// How many seconds it is preferred as a source; `u32::MAX` is for ever.
    pub preferred: Option<u32>,
    /// Whose concern its loss is; static addresses only.
    pub track_group: Option<String>,
    /// What else is said of it.
    pub traits: BTreeSet<AddressTrait>,
}

impl Vip {
    /// An address of which nothing else is said.
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

    /// Whether this is said of it.
    #[must_use]
    pub fn is(&self, of: AddressTrait) -> bool {
        self.traits.contains(&of)
    }
}

/// What can be said of an address in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AddressTrait {
    /// `no_track`: it may go, and its interface too.
    Untracked,
    /// `noprefixroute`: there is no route to its network.
    NoPrefixRoute,
    /// `home`: mobile IPv6's home address.
    Home,
    /// `mngtmpaddr`: temporary addresses are made of it.
    MakesTemporary,
    /// `autojoin`: the multicast group that it is is joined.
    Joined,
    /// `-nodad`: the kernel looks for duplicates first.
    Probed,
    /// `use_vmac`: it belongs on the interface of a virtual hardware address. There is none here.
    Vmac,
}

impl AddressTrait {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Untracked,
        Self::NoPrefixRoute,
        Self::Home,
        Self::MakesTemporary,
        Self::Joined,
        Self::Probed,
        Self::Vmac,
    ];

    /// Its word.
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

/// What is on the host for as long as the daemon runs, in every state (`static_ipaddress`, `static_routes`, `static_rules`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fixtures {
    /// Addresses, each with its interface.
    pub addresses: Vec<Vip>,
    /// Routes.
    pub routes: Vec<Route>,
    /// Rules.
    pub rules: Vec<Rule>,
}
