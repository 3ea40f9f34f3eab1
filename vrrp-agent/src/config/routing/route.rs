//! A route, as the configuration has it.

use std::net::IpAddr;

use vrrp_ebpf::advert::Family;

use super::{PROTOCOL, Prefix, TABLE_MAIN};

/// What becomes of a packet that a route is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RouteKind {
    /// It is sent on.
    #[default]
    Unicast,
    /// It is taken for the host's own.
    Local,
    /// It is dropped.
    Blackhole,
    /// It is dropped, and the sender told that there is no way.
    Unreachable,
    /// It is dropped, and the sender told that it may not.
    Prohibit,
    /// The next rule is asked.
    Throw,
}

impl RouteKind {
    /// As iproute2 calls it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unicast => "unicast",
            Self::Local => "local",
            Self::Blackhole => "blackhole",
            Self::Unreachable => "unreachable",
            Self::Prohibit => "prohibit",
            Self::Throw => "throw",
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        let all =
            [Self::Unicast, Self::Local, Self::Blackhole, Self::Unreachable, Self::Prohibit, Self::Throw];
        all.into_iter().find(|kind| kind.name() == name)
    }

    /// Whether such a route says where packets go.
    pub(super) fn leads_somewhere(self) -> bool {
        matches!(self, Self::Unicast | Self::Local)
    }
}

/// One way of several.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NextHop {
    /// The router.
    pub via: Option<IpAddr>,
    /// The interface.
    pub dev: Option<String>,
    /// Whether the router is taken to be on the interface's link, whatever the addresses say.
    pub onlink: bool,
    /// Its share, 1 to 256.
    pub weight: u16,
}

/// What a route says of the connections over it, as far as it is a plain number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MetricKind {
    /// Longest packet.
    Mtu,
    /// Longest TCP window offered.
    Window,
    /// Slow start threshold.
    SsThresh,
    /// Congestion window.
    Cwnd,
    /// Segment size offered.
    Advmss,
    /// Reordering taken for granted.
    Reordering,
    /// TTL or hop limit.
    HopLimit,
    /// Congestion window at first.
    InitCwnd,
    /// Window offered at first.
    InitRwnd,
}

impl MetricKind {
    const ALL: [Self; 9] = [
        Self::Mtu,
        Self::Window,
        Self::SsThresh,
        Self::Cwnd,
        Self::Advmss,
        Self::Reordering,
        Self::HopLimit,
        Self::InitCwnd,
        Self::InitRwnd,
    ];

    /// As iproute2 calls it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Mtu => "mtu",
            Self::Window => "window",
            Self::SsThresh => "ssthresh",
            Self::Cwnd => "cwnd",
            Self::Advmss => "advmss",
            Self::Reordering => "reordering",
            Self::HopLimit => "hoplimit",
            Self::InitCwnd => "initcwnd",
            Self::InitRwnd => "initrwnd",
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Those that may be locked, as keepalived's grammar has it.
    pub(super) fn may_be_locked(self) -> bool {
        matches!(self, Self::Mtu | Self::SsThresh | Self::Cwnd | Self::Advmss | Self::Reordering)
    }
}

/// A metric and its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Metric {
    /// Which.
    pub kind: MetricKind,
    /// How much.
    pub value: u32,
    /// Whether the kernel may not learn better.
    pub locked: bool,
}

/// A line of `virtual_routes` or `static_routes`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Route {
    /// What becomes of the packets.
    pub kind: RouteKind,
    /// Where they go to; says the route's family.
    pub destination: Prefix,
    /// Where they come from (`from`); IPv6 only.
    pub from: Option<Prefix>,
    /// The router.
    pub via: Option<IpAddr>,
    /// The interface.
    pub dev: Option<String>,
    /// Whether the router is taken to be on the interface's link, whatever the addresses say.
    pub onlink: bool,
    /// Several ways, instead of `via` and `dev`.
    pub next_hops: Vec<NextHop>,
    /// The address that the host's own packets have as source (`src`).
    pub source: Option<IpAddr>,
    /// The table.
    pub table: u32,
    /// The lesser, the better (`metric`).
    pub priority: Option<u32>,
    /// Who has put it there.
    pub protocol: u8,
    /// Scope, as `rt_scopes` numbers it; none is what suits the rest.
    pub scope: Option<u8>,
    /// The type of service that it is for; 0 is any.
    pub tos: u8,
    /// What it says of connections, each kind once.
    pub metrics: Vec<Metric>,
    /// Whether it goes behind other routes to the same place, not before them.
    pub append: bool,
    /// Whether its loss is nobody's concern.
    pub no_track: bool,
    /// Whose concern its loss is; static routes only.
    pub track_group: Option<String>,
}

impl Route {
    /// A route to there of which nothing else is said.
    #[must_use]
    pub fn to(destination: Prefix) -> Self {
        Self {
            kind: RouteKind::Unicast,
            destination,
            from: None,
            via: None,
            dev: None,
            onlink: false,
            next_hops: Vec::new(),
            source: None,
            table: TABLE_MAIN,
            priority: None,
            protocol: PROTOCOL,
            scope: None,
            tos: 0,
            metrics: Vec::new(),
            append: false,
            no_track: false,
            track_group: None,
        }
    }

    /// Its family.
    #[must_use]
    pub fn family(&self) -> Family {
        self.destination.family()
    }

    /// Whether its loss is its instance's concern. As with keepalived, a route without `dev` is not tracked.
    #[must_use]
    pub fn tracked(&self) -> bool {
        !self.no_track && self.dev.is_some()
    }

    /// The interfaces that it names.
    pub fn interfaces(&self) -> impl Iterator<Item = &str> {
        self.dev.as_deref().into_iter().chain(self.next_hops.iter().filter_map(|hop| hop.dev.as_deref()))
    }
}
