//! The parser of routes.

use std::net::IpAddr;

use vrrp_ebpf::advert::Family;

use super::route::{Metric, MetricKind, NextHop, Route, RouteKind};
use super::tables::Tables;
use super::words::{
    BadWord, Families, Gateway, Range, Words, bad_value, decimal, gateway, range, scope, unknown,
};
use super::{Prefix, TABLE_LOCAL, TABLE_MAIN, family_of};

/// Words of iproute2's or keepalived's grammar for routes that this daemon does not support.
pub(super) const UNSUPPORTED_IN_ROUTES: &[(&str, &str)] = &[
    ("anycast", ""),
    ("as", ""),
    ("broadcast", ""),
    ("congctl", ""),
    ("encap", ""),
    ("expires", ""),
    ("fastopen_no_cookie", ""),
    ("features", ""),
    ("multicast", ""),
    ("nat", ""),
    ("nhid", ""),
    ("or", ": write `nexthop via A nexthop via B`"),
    ("pervasive", ""),
    ("pref", ""),
    ("quickack", ""),
    ("realms", ""),
    ("rto_min", ""),
    ("rtt", ""),
    ("rttvar", ""),
    ("ttl-propagate", ""),
    ("vrf", ": write the number of its table, `table N`"),
    ("weight", " outside `nexthop`"),
];

/// Reads a line of `virtual_routes` or `static_routes`.
///
/// # Errors
/// If a word of the line cannot be used.
#[expect(clippy::too_many_lines, reason = "one arm for each word of a route")]
pub(in crate::config) fn route(words: &[&str], tables: &Tables<'_>) -> Result<Route, BadWord> {
    let mut route = Route::to(Prefix::all(Family::V4));
    let (mut destination, mut from, mut via) = (None, None, None);
    let mut said = Families(Vec::new());
    let mut table = None;
    let mut gateways = Vec::new();
    let mut words = Words::new(words, tables);
    while let Some((index, word)) = words.next() {
        match word {
            "inet6" => said.note(index, Some(Family::V6)),
            "inet" => said.note(index, Some(Family::V4)),
            "to" => {
                let (index, word) = words.value()?;
                destination = Some((index, word, range(index, word)?));
            }
            "from" => {
                let (index, word) = words.value()?;
                from = Some((index, range(index, word)?));
            }
            "src" => {
                let (index, word) = words.value()?;
                let source = word.parse::<IpAddr>().map_err(|_| bad_value(index, word, "an address"))?;
                said.note(index, Some(family_of(source)));
                route.source = Some(source);
            }
            "via" | "gw" => via = Some(gateway(&mut words)?),
            "dev" | "oif" => route.dev = Some(words.interface()?),
            "onlink" => route.onlink = true,
            "table" => table = Some(words.table()?),
            // Three names of the same option.
            "metric" | "priority" | "preference" => route.priority = Some(words.read("a number", decimal)?),
            "proto" | "protocol" => route.protocol = words.protocol()?,
            "scope" => route.scope = Some(words.read("a scope", scope)?),
            "tos" | "dsfield" => route.tos = words.tos()?,
            "append" => route.append = true,
            "no_track" => route.no_track = true,
            "track_group" => route.track_group = Some(words.value()?.1.to_owned()),
            "nexthop" => {
                gateways = next_hops(&mut words, &mut route.next_hops)?;
                check_next_hops(index, &route, via)?;
            }
            word => {
                if let Some(kind) = RouteKind::named(word) {
                    route.kind = kind;
                    let (index, word) = words.value()?;
                    destination = Some((index, word, range(index, word)?));
                } else if let Some(kind) = MetricKind::named(word) {
                    let locked = kind.may_be_locked() && words.skip("lock");
                    let most = if kind == MetricKind::HopLimit { 255 } else { u32::MAX };
                    let value =
                        words.read("a number in range", |word| decimal(word).filter(|n| *n <= most))?;
                    // The last occurrence counts, as with all other options.
                    route.metrics.retain(|metric| metric.kind != kind);
                    route.metrics.push(Metric { kind, value, locked });
                } else if let Some(range) = Range::parse(word) {
                    destination = Some((index, word, range));
                } else {
                    return Err(unknown(index, word, "route", UNSUPPORTED_IN_ROUTES));
                }
            }
        }
    }
    let Some((index, word, target)) = destination else {
        return Err(BadWord::new(0, "a route needs a destination"));
    };
    said.note(index, target.family());
    if let Some((index, from)) = from {
        said.note(index, from.family());
    }
    gateways.extend(via);
    // A gateway with an explicit family may have another family than the route: `via inet6 A` of an IPv4 route.
    for gateway in gateways.iter().filter(|gateway| !gateway.family_said) {
        said.note(gateway.index, Some(family_of(gateway.address)));
    }
    let family = if said.0.is_empty() {
        // Here only `via inet6 A` can give the family of `default`.
        gateways.first().map_or(Family::V4, |gateway| family_of(gateway.address))
    } else {
        said.agreed()?
    };
    if family == Family::V6
        && let Some(gateway) = gateways.iter().find(|gateway| gateway.address.is_ipv4())
    {
        return Err(BadWord::new(gateway.index, "an IPv6 route cannot lead to an IPv4 router"));
    }
    route.destination = destination_of(index, word, target, family)?;
    route.from = from.map(|(index, from)| source_of(index, from, family)).transpose()?.flatten();
    route.via = via.map(|via| via.address);
    // As with iproute2, a local route goes to the table `local` by default, because the kernel looks for local addresses only
    // there. Table number 0 counts as not set: the kernel takes it for `main`.
    route.table = match (table.filter(|table| *table != 0), route.kind) {
        (Some(table), _) => table,
        (None, RouteKind::Local) => TABLE_LOCAL,
        (None, _) => TABLE_MAIN,
    };
    let leads = route.via.is_some() || route.dev.is_some() || !route.next_hops.is_empty();
    if leads && !route.kind.leads_somewhere() {
        let message =
            format!("a `{}` route leads nowhere: it has no `via`, `dev` or `nexthop`", route.kind.name());
        return Err(BadWord::new(via.map_or(index, |via| via.index), message));
    }
    if !leads && route.kind.leads_somewhere() {
        return Err(BadWord::new(index, "a route needs `via`, `dev` or `nexthop`"));
    }
    Ok(route)
}

fn destination_of(index: usize, word: &str, range: Range, family: Family) -> Result<Prefix, BadWord> {
    let Range::Only(prefix) = range else { return Ok(Prefix::all(family)) };
    let network = prefix.network();
    // The kernel refuses host bits for IPv4, and clears them for IPv6.
    if family == Family::V4 && network != prefix {
        return Err(BadWord::new(index, format!("`{word}` is not a network: write `{network}`")));
    }
    Ok(network)
}

fn source_of(index: usize, range: Range, family: Family) -> Result<Option<Prefix>, BadWord> {
    match (range, family) {
        (Range::All | Range::AllV6, _) => Ok(None),
        (Range::Only(prefix), Family::V6) => Ok(Some(prefix.network())),
        (Range::Only(_), Family::V4) => {
            Err(BadWord::new(index, "only IPv6 routes have `from`; write a rule"))
        }
    }
}

/// Reads all words behind the first `nexthop`. Returns the gateways, because their families matter for the route.
fn next_hops(words: &mut Words<'_>, hops: &mut Vec<NextHop>) -> Result<Vec<Gateway>, BadWord> {
    let empty = || NextHop { via: None, dev: None, onlink: false, weight: 1 };
    let mut gateways = Vec::new();
    let mut hop = empty();
    let mut began = words.next.saturating_sub(1);
    let finish = |hop: NextHop, began: usize| {
        if hop.via.is_none() && hop.dev.is_none() {
            return Err(BadWord::new(began, "a `nexthop` needs `via` or `dev`"));
        }
        Ok(hop)
    };
    while let Some((index, word)) = words.next() {
        match word {
            "nexthop" => {
                hops.push(finish(std::mem::replace(&mut hop, empty()), began)?);
                began = index;
            }
            "via" | "gw" => {
                let gateway = gateway(words)?;
                hop.via = Some(gateway.address);
                gateways.push(gateway);
            }
            "dev" | "oif" => hop.dev = Some(words.interface()?),
            "onlink" => hop.onlink = true,
            "weight" => {
                hop.weight = words.read("a number from 1 to 256", |word| {
                    let weight = u16::try_from(decimal(word)?).ok()?;
                    (1..=256).contains(&weight).then_some(weight)
                })?;
            }
            word => {
                let message = format!(
                    "`{word}` after `nexthop`: options of the whole route stand before the first `nexthop`"
                );
                return Err(BadWord::new(index, message));
            }
        }
    }
    hops.push(finish(hop, began)?);
    Ok(gateways)
}

fn check_next_hops(index: usize, route: &Route, via: Option<Gateway>) -> Result<(), BadWord> {
    if via.is_some() || route.dev.is_some() || route.onlink {
        let message = "`nexthop` together with `via`, `dev` or `onlink`: write them after each `nexthop`";
        return Err(BadWord::new(index, message));
    }
    Ok(())
}
