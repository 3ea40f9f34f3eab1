//! Routes. "Already there" and "already gone" are success.

use std::net::IpAddr;

use futures_util::StreamExt as _;
use netlink_packet_route::route::{
    RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteMetric, RouteNextHop, RouteNextHopFlags,
    RouteProtocol, RouteScope, RouteType, RouteVia,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use nix::errno::Errno;
use nix::libc;
use rtnetlink::Handle;
use rtnetlink::packet_core::{
    NLM_F_ACK, NLM_F_APPEND, NLM_F_CREATE, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload,
};
use vrrp_ebpf::advert::Family;

use super::{NetError, answered};
use crate::config::routing::{Metric, MetricKind, Route, RouteKind};

/// An interface that a route names is not there.
#[derive(Debug)]
struct NoInterface {
    name: String,
    error: Errno,
}

/// Puts a route into its table.
///
/// # Errors
/// If an interface that it names is missing, or the kernel refuses.
pub async fn add(handle: &Handle, route: &Route) -> Result<(), NetError> {
    let message = message(route, index_of).map_err(|NoInterface { name, error }| {
        NetError::system(format!("add route {route}, because there is no interface `{name}`"), error)
    })?;
    // NLM_F_EXCL is never set: with it, any other route to the same place is "already there". Without it, only this very route
    // is.
    let place = if route.append { NLM_F_APPEND } else { 0 };
    let request = request(handle, RouteNetlinkMessage::NewRoute(message), NLM_F_CREATE | place);
    ignoring(request, &[libc::EEXIST], || format!("add route {route}")).await
}

/// Takes a route out of its table.
///
/// # Errors
/// If the kernel refuses.
pub async fn remove(handle: &Handle, route: &Route) -> Result<(), NetError> {
    // Where the interface is gone, its routes are gone too.
    let Ok(mut message) = message(route, index_of) else { return Ok(()) };
    // The kernel cuts large metrics down, and would then find no route with the metrics that it was given.
    message.attributes.retain(|attribute| !matches!(attribute, RouteAttribute::Metrics(_)));
    let request = request(handle, RouteNetlinkMessage::DelRoute(message), 0);
    ignoring(request, &[libc::ESRCH, libc::ENODEV], || format!("remove route {route}")).await
}

fn index_of(name: &str) -> Result<u32, Errno> {
    nix::net::if_::if_nametoindex(name)
}

/// Asks the kernel for a change, and waits for its answer.
pub(super) async fn request(
    handle: &Handle,
    message: RouteNetlinkMessage,
    flags: u16,
) -> Result<(), rtnetlink::Error> {
    let mut request = NetlinkMessage::from(message);
    request.header.flags = NLM_F_REQUEST | NLM_F_ACK | flags;
    let mut answers = handle.clone().request(request)?;
    while let Some(answer) = answers.next().await {
        if let NetlinkPayload::Error(error) = answer.payload {
            return Err(rtnetlink::Error::NetlinkError(error));
        }
    }
    Ok(())
}

/// Waits for the kernel's answer. An error with one of these numbers counts as success.
pub(super) async fn ignoring(
    request: impl Future<Output = Result<(), rtnetlink::Error>>,
    harmless: &[i32],
    doing: impl Fn() -> String,
) -> Result<(), NetError> {
    match answered(doing, request).await {
        Err(NetError::Netlink { source: rtnetlink::Error::NetlinkError(message), .. })
            if harmless.contains(&-message.raw_code()) =>
        {
            Ok(())
        }
        result => result,
    }
}

/// A family as netlink numbers it.
pub(super) fn address_family(family: Family) -> AddressFamily {
    match family {
        Family::V4 => AddressFamily::Inet,
        Family::V6 => AddressFamily::Inet6,
    }
}

/// Returns the number of a table for the header and, if the header has no room for it, for an attribute.
pub(super) fn table_parts(table: u32) -> (u8, Option<u32>) {
    match u8::try_from(table) {
        Ok(small) => (small, None),
        Err(_) => (RouteHeader::RT_TABLE_UNSPEC, Some(table)),
    }
}

fn message(
    route: &Route,
    index_of: impl Fn(&str) -> Result<u32, Errno>,
) -> Result<RouteMessage, NoInterface> {
    let find = |name: &str| index_of(name).map_err(|error| NoInterface { name: name.to_owned(), error });
    let (table, large_table) = table_parts(route.table);
    let mut message = RouteMessage::default();
    message.header = RouteHeader {
        address_family: address_family(route.family()),
        destination_prefix_length: route.destination.length,
        source_prefix_length: route.from.map_or(0, |from| from.length),
        tos: route.tos,
        table,
        protocol: RouteProtocol::from(route.protocol),
        scope: scope(route),
        kind: kind(route.kind),
        flags: if route.onlink { RouteFlags::Onlink } else { RouteFlags::empty() },
    };
    let attributes = &mut message.attributes;
    if route.destination.length > 0 {
        attributes.push(RouteAttribute::Destination(route.destination.address.into()));
    }
    if let Some(from) = route.from {
        attributes.push(RouteAttribute::Source(from.address.into()));
    }
    attributes.extend(large_table.map(RouteAttribute::Table));
    attributes.extend(route.priority.map(RouteAttribute::Priority));
    attributes.extend(route.source.map(|source| RouteAttribute::PrefSource(source.into())));
    attributes.extend(route.via.map(|via| gateway(route.family(), via)));
    if let Some(dev) = &route.dev {
        attributes.push(RouteAttribute::Oif(find(dev)?));
    }
    if !route.metrics.is_empty() {
        attributes.push(RouteAttribute::Metrics(metrics(&route.metrics)));
    }
    if !route.next_hops.is_empty() {
        let mut hops = Vec::new();
        for hop in &route.next_hops {
            let mut next = RouteNextHop::default();
            next.attributes.extend(hop.via.map(|via| gateway(route.family(), via)));
            if let Some(dev) = &hop.dev {
                next.interface_index = find(dev)?;
            }
            if hop.onlink {
                next.flags |= RouteNextHopFlags::Onlink;
            }
            // The kernel counts from 0, iproute2 from 1.
            next.hops = u8::try_from(hop.weight.saturating_sub(1)).unwrap_or(u8::MAX);
            hops.push(next);
        }
        attributes.push(RouteAttribute::MultiPath(hops));
    }
    Ok(message)
}

fn gateway(family: Family, via: IpAddr) -> RouteAttribute {
    match (family, via) {
        (Family::V4, IpAddr::V4(_)) | (Family::V6, IpAddr::V6(_)) => RouteAttribute::Gateway(via.into()),
        (Family::V4, IpAddr::V6(_)) | (Family::V6, IpAddr::V4(_)) => RouteAttribute::Via(RouteVia::from(via)),
    }
}

/// Returns the scope that was asked for, or the scope that iproute2 would choose. In IPv6 there are no scopes.
fn scope(route: &Route) -> RouteScope {
    let leads_on = route.via.is_some() || !route.next_hops.is_empty();
    match (route.scope, route.family(), route.kind) {
        (Some(scope), _, _) => RouteScope::from(scope),
        (None, Family::V4, RouteKind::Local) => RouteScope::Host,
        (None, Family::V4, RouteKind::Unicast) if !leads_on => RouteScope::Link,
        (None, _, _) => RouteScope::Universe,
    }
}

fn kind(kind: RouteKind) -> RouteType {
    match kind {
        RouteKind::Unicast => RouteType::Unicast,
        RouteKind::Local => RouteType::Local,
        RouteKind::Blackhole => RouteType::BlackHole,
        RouteKind::Unreachable => RouteType::Unreachable,
        RouteKind::Prohibit => RouteType::Prohibit,
        RouteKind::Throw => RouteType::Throw,
    }
}

fn metrics(metrics: &[Metric]) -> Vec<RouteMetric> {
    let of = |metric: &Metric| match metric.kind {
        MetricKind::Mtu => RouteMetric::Mtu(metric.value),
        MetricKind::Window => RouteMetric::Window(metric.value),
        MetricKind::SsThresh => RouteMetric::SsThresh(metric.value),
        MetricKind::Cwnd => RouteMetric::Cwnd(metric.value),
        MetricKind::Advmss => RouteMetric::Advmss(metric.value),
        MetricKind::Reordering => RouteMetric::Reordering(metric.value),
        MetricKind::HopLimit => RouteMetric::Hoplimit(metric.value),
        MetricKind::InitCwnd => RouteMetric::InitCwnd(metric.value),
        MetricKind::InitRwnd => RouteMetric::InitRwnd(metric.value),
    };
    let locked = metrics.iter().filter(|metric| metric.locked);
    let locks = locked.fold(0, |locks, metric| locks | 1 << number(metric.kind));
    let lock = (locks != 0).then_some(RouteMetric::Lock(locks));
    lock.into_iter().chain(metrics.iter().map(of)).collect()
}

/// The kernel's number of a metric (`RTAX_…`), which is also its bit among the locks.
fn number(kind: MetricKind) -> u32 {
    match kind {
        MetricKind::Mtu => 2,
        MetricKind::Window => 3,
        MetricKind::SsThresh => 6,
        MetricKind::Cwnd => 7,
        MetricKind::Advmss => 8,
        MetricKind::Reordering => 9,
        MetricKind::HopLimit => 10,
        MetricKind::InitCwnd => 11,
        MetricKind::InitRwnd => 14,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::routing::{NextHop, Prefix};

    fn plain() -> Route {
        Route {
            dev: Some("eth0".to_owned()),
            ..Route::to(Prefix { address: [192, 168, 2, 0].into(), length: 24 })
        }
    }

    fn index_of(name: &str) -> Result<u32, Errno> {
        match name {
            "eth0" => Ok(3),
            "eth1" => Ok(4),
            _ => Err(Errno::ENODEV),
        }
    }

    #[test]
    fn a_route_to_a_link() {
        let message = message(&plain(), index_of).unwrap();
        assert_eq!(message.header.scope, RouteScope::Link);
        assert_eq!(message.header.protocol, RouteProtocol::KeepAlived);
        assert_eq!(message.header.table, 254);
        let destination = RouteAttribute::Destination(IpAddr::from([192, 168, 2, 0]).into());
        assert_eq!(message.attributes, [destination, RouteAttribute::Oif(3)]);
    }

    #[test]
    fn a_large_table_and_locked_metrics() {
        let metrics = vec![
            Metric { kind: MetricKind::Mtu, value: 1400, locked: true },
            Metric { kind: MetricKind::Advmss, value: 1300, locked: false },
        ];
        let route = Route { table: 70_000, via: Some([10, 0, 0, 1].into()), metrics, ..plain() };
        let message = message(&route, index_of).unwrap();
        assert_eq!((message.header.table, message.header.scope), (0, RouteScope::Universe));
        assert!(message.attributes.contains(&RouteAttribute::Table(70_000)));
        let metrics = vec![RouteMetric::Lock(1 << 2), RouteMetric::Mtu(1400), RouteMetric::Advmss(1300)];
        assert!(message.attributes.contains(&RouteAttribute::Metrics(metrics)));
    }

    #[test]
    fn the_other_familys_router_and_several_ways() {
        let via: IpAddr = "fe80::1".parse().unwrap();
        let hop = NextHop { via: Some(via), dev: Some("eth1".to_owned()), onlink: true, weight: 256 };
        let route = Route { dev: None, next_hops: vec![hop], ..plain() };
        let message = message(&route, index_of).unwrap();
        let Some(RouteAttribute::MultiPath(hops)) = message.attributes.last() else { panic!("{message:?}") };
        assert_eq!((hops[0].hops, hops[0].interface_index), (255, 4));
        assert_eq!(hops[0].flags, RouteNextHopFlags::Onlink);
        assert_eq!(hops[0].attributes, [RouteAttribute::Via(RouteVia::from(via))]);
    }

    #[test]
    fn a_missing_interface_is_named() {
        let route = Route { dev: Some("eth9".to_owned()), ..plain() };
        assert_eq!(message(&route, index_of).unwrap_err().name, "eth9");
    }
}
