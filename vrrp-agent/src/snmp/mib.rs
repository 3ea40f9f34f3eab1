//! The objects that managers can ask for, with their values at one moment.

mod keepalived;
mod standard;
mod traps;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::ops::Bound;

use super::agentx::{First, Range};
use super::oid::{Oid, Value, VarBind};
use crate::config::{Config, InitialState, InstanceConfig, Mib};
use crate::control::{InstanceStatus, Snapshot, WonBy};

/// The facts that objects are made of.
pub struct Facts<'f> {
    /// The configuration.
    pub config: &'f Config,
    /// The present state of the daemon.
    pub snapshot: &'f Snapshot,
    /// The number of an interface, if it is there.
    pub interface: &'f dyn Fn(&str) -> Option<u32>,
}

impl Facts<'_> {
    /// Returns the instances, each with its number from 1 and its status. An instance without a status is left out: a reload is
    /// going on.
    fn instances(&self) -> Vec<(u32, &InstanceConfig, &InstanceStatus)> {
        let status: HashMap<&str, &InstanceStatus> =
            self.snapshot.instances.iter().map(|status| (status.name.as_str(), status)).collect();
        let known = |(number, config): (u32, _)| {
            let config: &InstanceConfig = config;
            Some((number, config, *status.get(config.name.as_str())?))
        };
        (1..).zip(&self.config.instances).filter_map(known).collect()
    }
}

/// The objects at one moment.
#[derive(Clone, Debug, Default)]
pub struct Table {
    objects: BTreeMap<Oid, Value>,
    /// The beginnings of the names of objects, without the row.
    kinds: BTreeSet<Oid>,
    mibs: BTreeSet<Mib>,
    instances: HashMap<String, InstanceKey>,
    /// Numbers of sync groups.
    groups: HashMap<String, u32>,
}

/// The name of an instance in the tables, and the values in its traps.
#[derive(Clone, Copy, Debug)]
struct InstanceKey {
    number: u32,
    vrid: u8,
    hint: InitialState,
    /// The number of its interface, if that is there.
    interface: Option<u32>,
    source: IpAddr,
    won_by: Option<WonBy>,
}

impl Table {
    /// Makes all objects that the configuration lets managers see.
    #[must_use]
    pub fn new(facts: &Facts<'_>) -> Self {
        let mut table = Self { mibs: facts.config.snmp.mibs.clone(), ..Self::default() };
        for (number, config, status) in facts.instances() {
            let key = InstanceKey {
                number,
                vrid: config.vrid,
                hint: config.hint,
                interface: (facts.interface)(&config.interface),
                source: status.source,
                won_by: status.won_by,
            };
            table.instances.insert(config.name.clone(), key);
        }
        table.groups = facts.config.groups.iter().map(|group| group.name.clone()).zip(1..).collect();
        for mib in table.mibs.clone() {
            match mib {
                Mib::Keepalived => keepalived::fill(&mut table, facts),
                Mib::Rfc2787 => standard::fill_version_2(&mut table, facts),
                Mib::Rfc6527 => standard::fill_version_3(&mut table, facts),
            }
        }
        table
    }

    /// Returns the names below which all objects are ours.
    #[must_use]
    pub(super) fn subtrees(mib: Mib) -> Vec<Oid> {
        match mib {
            Mib::Keepalived => keepalived::subtrees(),
            Mib::Rfc2787 => vec![Oid::new(&standard::VERSION_2)],
            Mib::Rfc6527 => vec![Oid::new(&standard::VERSION_3)],
        }
    }

    /// Returns an object by its name, or says that there is none.
    #[must_use]
    pub(super) fn get(&self, name: &Oid) -> VarBind {
        let kind = self.kinds.range(..=name.clone()).next_back();
        let missing = if kind.is_some_and(|kind| name.is_below(kind)) {
            Value::NoSuchInstance
        } else {
            Value::NoSuchObject
        };
        VarBind { name: name.clone(), value: self.objects.get(name).cloned().unwrap_or(missing) }
    }

    /// Returns the first object in a range.
    #[must_use]
    pub(super) fn next(&self, range: &Range) -> VarBind {
        let start = match range.first {
            First::Included => Bound::Included(&range.start),
            First::Excluded => Bound::Excluded(&range.start),
        };
        let next = self.objects.range((start, Bound::Unbounded)).next();
        match next.filter(|(name, _)| range.end.as_ref().is_none_or(|end| *name < end)) {
            Some((name, value)) => VarBind { name: name.clone(), value: value.clone() },
            None => VarBind { name: range.start.clone(), value: Value::EndOfMibView },
        }
    }

    /// Returns the first object in some ranges, several in turn in the others (RFC 2741 section 7.2.3.3), but no more than
    /// `most`.
    #[must_use]
    pub(super) fn bulk(
        &self,
        non_repeaters: u16,
        max_repetitions: u16,
        ranges: &[Range],
        most: usize,
    ) -> Vec<VarBind> {
        let (once, several) = ranges.split_at(ranges.len().min(non_repeaters.into()));
        let mut found: Vec<VarBind> = once.iter().map(|range| self.next(range)).collect();
        let mut several = several.to_vec();
        for _ in 0..max_repetitions {
            if several.is_empty() || found.len() + several.len() > most {
                break;
            }
            let row: Vec<VarBind> = several.iter().map(|range| self.next(range)).collect();
            for (range, object) in several.iter_mut().zip(&row) {
                (range.start, range.first) = (object.name.clone(), First::Excluded);
            }
            let at_the_end = row.iter().all(|object| object.value == Value::EndOfMibView);
            found.extend(row);
            if at_the_end {
                break;
            }
        }
        found
    }

    /// Adds an object that exists once.
    fn scalar(&mut self, kind: &Oid, value: Value) {
        self.cell(kind, &[0], value);
    }

    /// Adds a row to a table, by its columns.
    fn row(&mut self, entry: &Oid, row: &[u32], columns: impl IntoIterator<Item = (u32, Value)>) {
        for (column, value) in columns {
            self.cell(&entry.join(&[column]), row, value);
        }
    }

    fn cell(&mut self, kind: &Oid, row: &[u32], value: Value) {
        self.objects.insert(kind.join(row), value);
        self.kinds.insert(kind.clone());
    }
}

/// A `TruthValue`, and the many enumerations of which the first word means yes and the second no.
fn yes(yes: bool) -> Value {
    Value::Integer(if yes { 1 } else { 2 })
}

/// A number that is small by its nature.
fn gauge(number: impl TryInto<u32>) -> Value {
    Value::Gauge32(number.try_into().unwrap_or(u32::MAX))
}

/// `InetAddressType` (RFC 4001), in the name of a row.
fn family(address: IpAddr) -> u32 {
    match address {
        IpAddr::V4(_) => 1,
        IpAddr::V6(_) => 2,
    }
}

/// `InetAddressType` (RFC 4001), as an object.
fn address_type(address: IpAddr) -> Value {
    Value::Integer(if address.is_ipv4() { 1 } else { 2 })
}

#[cfg(test)]
mod tests;
