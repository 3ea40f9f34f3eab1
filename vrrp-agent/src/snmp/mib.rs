//! What there is to ask for: objects and what they are, at one moment.

mod keepalived;
mod standard;
mod traps;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::ops::Bound;

use super::agentx::{First, Range};
use super::oid::{Oid, Value, VarBind};
use crate::config::{Config, Hint, InstanceConfig, Mib};
use crate::control::{InstanceStatus, Snapshot, WonBy};

/// What objects are made of.
pub struct Facts<'f> {
    /// The configuration.
    pub config: &'f Config,
    /// What has become of it.
    pub snapshot: &'f Snapshot,
    /// The number of an interface, if it is there.
    pub interface: &'f dyn Fn(&str) -> Option<u32>,
}

impl Facts<'_> {
    /// The instances, each with its number from 1 and where it stands. One that the other side does not know is left out: a
    /// reload is going on.
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
    /// What the names of objects begin with, without the row.
    kinds: BTreeSet<Oid>,
    mibs: BTreeSet<Mib>,
    instances: HashMap<String, InstanceKey>,
    /// Numbers of sync groups.
    groups: HashMap<String, u32>,
}

/// How an instance is named in the tables, and what its traps say.
#[derive(Clone, Copy, Debug)]
struct InstanceKey {
    number: u32,
    vrid: u8,
    hint: Hint,
    /// The number of its interface, if that is there.
    interface: Option<u32>,
    source: IpAddr,
    won_by: Option<WonBy>,
}

impl Table {
    /// All objects that the configuration has managers see.
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

    /// What lies below these names is ours.
    #[must_use]
    pub(super) fn subtrees(mib: Mib) -> Vec<Oid> {
        match mib {
            Mib::Keepalived => keepalived::subtrees(),
            Mib::Rfc2787 => vec![Oid::new(&standard::VERSION_2)],
            Mib::Rfc6527 => vec![Oid::new(&standard::VERSION_3)],
        }
    }

    /// What an object is.
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

    /// The first object in a range.
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

    /// The first object in some ranges, several in turn in the others (RFC 2741 section 7.2.3.3), but no more than `most`.
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

    /// An object that there is once.
    fn scalar(&mut self, kind: &Oid, value: Value) {
        self.cell(kind, &[0], value);
    }

    /// A row of a table, by its columns.
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

/// A `TruthValue`, and the many enumerations whose first word is yes and whose second is no.
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

/// The same as an object.
fn address_type(address: IpAddr) -> Value {
    Value::Integer(if address.is_ipv4() { 1 } else { 2 })
}

#[cfg(test)]
mod tests;
