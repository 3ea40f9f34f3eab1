//! A route of the configuration.

use std::net::IpAddr;

use vrrp_ebpf::advert::Family;

use super::{PROTOCOL, Prefix, TABLE_MAIN};

/// The treatment of a packet that matches the route.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RouteKind {
    /// The packet is forwarded.
    #[default]
    Unicast,
    /// The packet is delivered to the host itself.
    Local,
    /// The packet is dropped.
    Blackhole,
    /// The packet is dropped, and the sender is told that the destination is unreachable.
    Unreachable,
    /// The packet is dropped, and the sender is told that the communication is prohibited.
    Prohibit,
    /// The lookup continues with the next rule.
    Throw,
}

impl RouteKind {
    /// Returns the name in iproute2.
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

    /// Returns true if such a route needs `via`, `dev` or `nexthop`.
    pub(super) fn leads_somewhere(self) -> bool {
        matches!(self, Self::Unicast | Self::Local)
    }
}

/// One of several next hops.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NextHop {
    /// The router.
    pub via: Option<IpAddr>,
    /// The interface.
    pub dev: Option<String>,
    /// True if the router counts as reachable on the interface's link, whatever its address is.
    pub onlink: bool,
    /// The share of the traffic, 1 to 256.
    pub weight: u16,
}

/// A numeric route metric for the connections over the route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MetricKind {
    /// The largest packet.
    Mtu,
    /// The largest TCP window offered.
    Window,
    /// The slow start threshold.
    SsThresh,
    /// The congestion window.
    Cwnd,
    /// The TCP segment size offered.
    Advmss,
    /// The reordering that is assumed.
    Reordering,
    /// The TTL or hop limit.
    HopLimit,
    /// The initial congestion window.
    InitCwnd,
    /// The initial window offered.
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

    /// Returns the name in iproute2.
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

    /// Returns true if keepalived's grammar allows `lock` for this metric.
    pub(super) fn may_be_locked(self) -> bool {
        matches!(self, Self::Mtu | Self::SsThresh | Self::Cwnd | Self::Advmss | Self::Reordering)
    }
}

/// A metric and its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Metric {
    /// The kind of metric.
    pub kind: MetricKind,
    /// The value.
    pub value: u32,
    /// True if the kernel must not change the value.
    pub locked: bool,
}

/// A line of `virtual_routes` or `static_routes`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Route {
    /// The treatment of packets that match the route.
    pub kind: RouteKind,
    /// The destination of the packets. It also sets the family of the route.
    pub destination: Prefix,
    /// The source of the packets (`from`); IPv6 only.
    pub from: Option<Prefix>,
    /// The router.
    pub via: Option<IpAddr>,
    /// The interface.
    pub dev: Option<String>,
    /// True if the router counts as reachable on the interface's link, whatever its address is.
    pub onlink: bool,
    /// Several next hops, instead of `via` and `dev`.
    pub next_hops: Vec<NextHop>,
    /// The source address of packets that the host itself sends (`src`).
    pub source: Option<IpAddr>,
    /// The routing table.
    pub table: u32,
    /// The priority (`metric`): a smaller number is preferred.
    pub priority: Option<u32>,
    /// The origin of the route, as a number of `rt_protos`.
    pub protocol: u8,
    /// The scope, as a number of `rt_scopes`. `None` means the scope that fits the rest of the route.
    pub scope: Option<u8>,
    /// The type of service that the route is for; 0 means any.
    pub tos: u8,
    /// The metrics, each kind at most once.
    pub metrics: Vec<Metric>,
    /// True if the route is added behind other routes to the same destination, not before them.
    pub append: bool,
    /// True if the loss of the route has no effect on an instance.
    pub no_track: bool,
    /// The track group whose instances are in fault without the route; static routes only.
    pub track_group: Option<String>,
}

impl Route {
    /// Creates a route to this destination without any options.
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

    /// Returns the address family.
    #[must_use]
    pub fn family(&self) -> Family {
        self.destination.family()
    }

    /// Returns true if the loss of the route affects its instance. As with keepalived, a route without `dev` is not tracked.
    #[must_use]
    pub fn tracked(&self) -> bool {
        !self.no_track && self.dev.is_some()
    }

    /// Returns the interfaces that the route names.
    pub fn interfaces(&self) -> impl Iterator<Item = &str> {
        self.dev.as_deref().into_iter().chain(self.next_hops.iter().filter_map(|hop| hop.dev.as_deref()))
    }
}
