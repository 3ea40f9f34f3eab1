//! Traps: what managers are told without asking, about the states of instances and groups.

use std::net::IpAddr;

use super::super::oid::{Oid, Value, VarBind};
use super::{InstanceKey, Table, keepalived, standard};
use crate::config::Mib;
use crate::notify::{Event, Notification, Subject};

/// `snmpTrapOID.0`: the object that says which trap it is.
const TRAP: [u32; 11] = [1, 3, 6, 1, 6, 3, 1, 1, 4, 1, 0];

impl Table {
    /// Returns true if the table has the values for traps about this.
    #[must_use]
    pub(in crate::snmp) fn knows(&self, notification: &Notification) -> bool {
        match notification.subject {
            Subject::Instance => self.instances.contains_key(&notification.name),
            Subject::Group => self.groups.contains_key(&notification.name),
        }
    }

    /// Returns the traps about an event: none, or one of each MIB that has a trap for it.
    #[must_use]
    pub(in crate::snmp) fn traps(&self, notification: &Notification) -> Vec<Vec<VarBind>> {
        let Some(state) = state(notification.event) else { return Vec::new() };
        let has = |mib| self.mibs.contains(&mib);
        let mut traps = Vec::new();
        match notification.subject {
            Subject::Group => {
                if let Some(&number) = self.groups.get(&notification.name).filter(|_| has(Mib::Keepalived)) {
                    traps.push(self.group_changed(number, &notification.name, state));
                }
            }
            Subject::Instance => {
                let Some(&key) = self.instances.get(&notification.name) else { return traps };
                if has(Mib::Keepalived) {
                    traps.push(self.instance_changed(key, &notification.name, state));
                }
                let Some(interface) = key.interface.filter(|_| notification.event == Event::Master) else {
                    return traps;
                };
                // An instance of version 3 has no row in the MIB of version 2.
                let version_2 = standard::master_version_2(interface, key.vrid);
                if let IpAddr::V4(source) = key.source
                    && self.objects.contains_key(&version_2)
                {
                    let master = bind(version_2, Value::IpAddress(source.octets()));
                    traps.push(vec![is(&[&standard::VERSION_2[..], &[0, 1]].concat()), master]);
                }
                if has(Mib::Rfc6527) {
                    traps.push(new_master(key, interface));
                }
            }
        }
        traps
    }

    /// `vrrpSyncGroupStateChange`.
    fn group_changed(&self, number: u32, name: &str, state: i32) -> Vec<VarBind> {
        let cell = |column| keepalived::vrrp().join(&[1, 1, column, number]);
        vec![
            is(keepalived::vrrp().join(&[10, 0, 1]).numbers()),
            bind(cell(2), Value::text(name)),
            bind(cell(3), Value::Integer(state)),
            self.get(&keepalived::router_id()),
        ]
    }

    /// `vrrpInstanceStateChange`.
    fn instance_changed(&self, key: InstanceKey, name: &str, state: i32) -> Vec<VarBind> {
        let cell = |column| keepalived::vrrp().join(&[3, 1, column, key.number]);
        vec![
            is(keepalived::vrrp().join(&[10, 0, 2]).numbers()),
            bind(cell(2), Value::text(name)),
            bind(cell(4), Value::Integer(state)),
            bind(cell(5), keepalived::hint(key.hint)),
            self.get(&keepalived::router_id()),
        ]
    }
}

/// `vrrpv3NewMaster`.
fn new_master(key: InstanceKey, interface: u32) -> Vec<VarBind> {
    let cell = |column| standard::version_3(column, interface, key.vrid, key.source);
    vec![
        is(&[&standard::VERSION_3[..], &[0, 1]].concat()),
        bind(cell([1, 1, 1, 1, 3]), Value::address(key.source)),
        bind(cell([1, 2, 5, 1, 2]), standard::reason(key.won_by)),
    ]
}

/// The object that says which trap it is.
fn is(trap: &[u32]) -> VarBind {
    bind(Oid::new(&TRAP), Value::Name(Oid::new(trap)))
}

fn bind(name: Oid, value: Value) -> VarBind {
    VarBind { name, value }
}

/// `VrrpState`. An instance that stops is in its initial state, and one that a reload has removed counts as in fault; an event
/// within a state is no change.
fn state(event: Event) -> Option<i32> {
    match event {
        Event::Stop => Some(0),
        Event::Backup => Some(1),
        Event::Master => Some(2),
        Event::Fault | Event::Deleted => Some(3),
        Event::MasterRxLowerPri | Event::MasterPriority | Event::BackupPriority => None,
    }
}
