//! Routes and rules as text.

use std::fmt;
use std::net::IpAddr;

use vrrp_ebpf::advert::Family;

use super::route::{Metric, Route, RouteKind};
use super::rule::{Action, Rule};
use super::words::{Mark, PROTOCOLS, SCOPES};
use super::{Prefix, TABLE_DEFAULT, TABLE_LOCAL, TABLE_MAIN};

/// Writes the route as iproute2 would.
impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, Style::Iproute2)
    }
}

/// A route as a line of `virtual_routes`, with keepalived's additions to the grammar of iproute2. The line is read as the same
/// route.
pub struct RouteLine<'r>(pub &'r Route);

impl fmt::Display for RouteLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.write(f, Style::Keepalived)
    }
}

/// A rule as a line of `virtual_rules`, with keepalived's additions to the grammar of iproute2. The line is read as the same
/// rule.
pub struct RuleLine<'r>(pub &'r Rule);

impl fmt::Display for RuleLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.write(f, Style::Keepalived)
    }
}

/// The grammar of the output.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    Iproute2,
    Keepalived,
}

impl Style {
    fn protocol(self) -> &'static str {
        match self {
            Self::Iproute2 => "proto",
            Self::Keepalived => "protocol",
        }
    }
}

impl Route {
    fn write(&self, f: &mut fmt::Formatter<'_>, style: Style) -> fmt::Result {
        if self.kind != RouteKind::Unicast {
            write!(f, "{} ", self.kind.name())?;
        }
        let family = self.family();
        if self.destination != Prefix::all(family) {
            write!(f, "{}", self.destination)?;
        } else if family == Family::V6 && style == Style::Keepalived {
            write!(f, "default6")?;
        } else {
            write!(f, "default")?;
        }
        if let Some(from) = self.from {
            write!(f, " from {from}")?;
        }
        write_hop(f, family, self.via, self.dev.as_deref(), self.onlink)?;
        if self.table != TABLE_MAIN {
            write!(f, " table {}", TableName(self.table))?;
        }
        write!(f, " {} {}", style.protocol(), ProtocolName(self.protocol))?;
        if let Some(scope) = self.scope {
            write!(f, " scope {}", ScopeName(scope))?;
        }
        if let Some(source) = self.source {
            write!(f, " src {source}")?;
        }
        if let Some(priority) = self.priority {
            write!(f, " metric {priority}")?;
        }
        if self.tos != 0 {
            write!(f, " tos {:#04x}", self.tos)?;
        }
        for Metric { kind, value, locked } in &self.metrics {
            let lock = if *locked { "lock " } else { "" };
            write!(f, " {} {lock}{value}", kind.name())?;
        }
        if style == Style::Keepalived {
            if self.append {
                write!(f, " append")?;
            }
            write_tracking(f, self.no_track, self.track_group.as_deref())?;
        }
        for hop in &self.next_hops {
            write!(f, " nexthop")?;
            write_hop(f, family, hop.via, hop.dev.as_deref(), hop.onlink)?;
            write!(f, " weight {}", hop.weight)?;
        }
        Ok(())
    }
}

fn write_tracking(f: &mut fmt::Formatter<'_>, no_track: bool, track_group: Option<&str>) -> fmt::Result {
    if no_track {
        write!(f, " no_track")?;
    }
    if let Some(group) = track_group {
        write!(f, " track_group {group}")?;
    }
    Ok(())
}

fn write_hop(
    f: &mut fmt::Formatter<'_>,
    family: Family,
    via: Option<IpAddr>,
    dev: Option<&str>,
    onlink: bool,
) -> fmt::Result {
    match via {
        Some(IpAddr::V6(via)) if family == Family::V4 => write!(f, " via inet6 {via}")?,
        Some(via) => write!(f, " via {via}")?,
        None => {}
    }
    if let Some(dev) = dev {
        write!(f, " dev {dev}")?;
    }
    if onlink {
        write!(f, " onlink")?;
    }
    Ok(())
}

/// Writes the rule as iproute2 would.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, Style::Iproute2)
    }
}

impl Rule {
    fn write(&self, f: &mut fmt::Formatter<'_>, style: Style) -> fmt::Result {
        if self.not {
            write!(f, "not ")?;
        }
        // If no address gives the family, only keepalived's grammar has a word for it (`default6`).
        let family_unsaid = self.family == Family::V6 && self.to.is_none();
        match self.from {
            Some(from) => write!(f, "from {from}")?,
            None if family_unsaid && style == Style::Keepalived => write!(f, "from default6")?,
            None => write!(f, "from all")?,
        }
        if let Some(to) = self.to {
            write!(f, " to {to}")?;
        }
        if self.tos != 0 {
            write!(f, " tos {:#04x}", self.tos)?;
        }
        if let Some(Mark { value, mask }) = self.fwmark {
            write!(f, " fwmark {value:#x}")?;
            if let Some(mask) = mask {
                write!(f, "/{mask:#x}")?;
            }
        }
        if let Some(iif) = &self.iif {
            write!(f, " iif {iif}")?;
        }
        if let Some(oif) = &self.oif {
            write!(f, " oif {oif}")?;
        }
        if let Some(preference) = self.preference {
            write!(f, " preference {preference}")?;
        }
        match self.action {
            Action::Table(table) => write!(f, " lookup {}", TableName(table))?,
            Action::Goto(target) => write!(f, " goto {target}")?,
            Action::Nop => write!(f, " nop")?,
            Action::Blackhole => write!(f, " blackhole")?,
            Action::Unreachable => write!(f, " unreachable")?,
            Action::Prohibit => write!(f, " prohibit")?,
        }
        if let Some(length) = self.suppress_prefix_length {
            write!(f, " suppress_prefixlength {length}")?;
        }
        match style {
            Style::Iproute2 => write!(f, " proto {}", ProtocolName(self.protocol)),
            Style::Keepalived => {
                // In rules, keepalived accepts only numbers here.
                write!(f, " protocol {}", self.protocol)?;
                write_tracking(f, self.no_track, self.track_group.as_deref())
            }
        }
    }
}

/// A table, written by name if it has one.
struct TableName(u32);

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            TABLE_MAIN => f.write_str("main"),
            TABLE_LOCAL => f.write_str("local"),
            TABLE_DEFAULT => f.write_str("default"),
            other => write!(f, "{other}"),
        }
    }
}

/// A protocol, written by name if it has one.
struct ProtocolName(u8);

impl fmt::Display for ProtocolName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_named(f, PROTOCOLS, self.0)
    }
}

/// A scope, written by name if it has one.
struct ScopeName(u8);

impl fmt::Display for ScopeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_named(f, SCOPES, self.0)
    }
}

fn write_named(f: &mut fmt::Formatter<'_>, names: &[(&str, u8)], number: u8) -> fmt::Result {
    match names.iter().find(|(_, named)| *named == number) {
        Some((name, _)) => f.write_str(name),
        None => write!(f, "{number}"),
    }
}
