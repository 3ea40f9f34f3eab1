//! KEEPALIVED-MIB, as far as it is about VRRP. Its routes, rules, BFD and virtual servers are left out, and also what a sync
//! group tracks: here the members of the group track that.

mod tracked;

use std::net::IpAddr;
use std::time::Duration;

use vrrp_ebpf::advert::Version;
use vrrp_ebpf::election::Preempt;

use super::super::oid::{Oid, Value};
use super::{Facts, Table, address_type, gauge, yes};
use crate::config::{
    Authentication, Group, InitialState, InstanceConfig, Mail, MissingInterfaces, NotifyScripts, OnDelete,
    Primary, Program, Secondaries, Traps, Vip,
};
use crate::control::InstanceStatus;

/// keepalived's place among the projects of Debian.
const KEEPALIVED: [u32; 9] = [1, 3, 6, 1, 4, 1, 9586, 100, 5];
/// `InetAddressType`: a name.
const DNS: Value = Value::Integer(16);

pub(super) fn subtrees() -> Vec<Oid> {
    vec![global(), vrrp()]
}

fn global() -> Oid {
    Oid::new(&KEEPALIVED).join(&[1])
}

pub(super) fn vrrp() -> Oid {
    Oid::new(&KEEPALIVED).join(&[2])
}

/// `routerId`, which each trap contains.
pub(super) fn router_id() -> Oid {
    global().join(&[2, 0])
}

pub(super) fn fill(table: &mut Table, facts: &Facts<'_>) {
    let Facts { config, snapshot, .. } = facts;
    let mut global = |number: u32, value| table.scalar(&global().join(&[number]), value);
    global(1, Value::text(&format!("vrrp-agent {}", snapshot.version)));
    global(2, Value::text(config.router_id.as_deref().unwrap_or_default()));
    global(4, yes(config.snmp.traps == Traps::Sent));
    // Changes of a link are reported by netlink.
    global(5, Value::Integer(1));
    global(8, Value::text(config.host.place.net_namespace.as_deref().unwrap_or_default()));
    global(9, yes(config.dbus.is_some()));
    global(10, yes(config.missing == MissingInterfaces::Awaited));
    if let Some(settings) = &config.mail {
        mail(table, settings);
    }
    for (number, of) in (1..).zip(&config.groups) {
        group(table, facts, number, of);
    }
    for vip in (1..).zip(&config.statics.addresses) {
        // Static addresses belong to instance 0, and are always set.
        address(table, facts, 0, vip, "", &[Standing::Set]);
    }
    for (number, config, status) in facts.instances() {
        instance(table, facts, number, config, status);
        let held = (status.state == "master").then_some(Standing::Set);
        let advertised = config.vips.iter().map(|vip| (vip, Some(Standing::Advertised)));
        let excluded = config.excluded.iter().map(|vip| (vip, None));
        for (place, (vip, advertised)) in (1..).zip(advertised.chain(excluded)) {
            let standing: Vec<Standing> = held.into_iter().chain(advertised).collect();
            address(table, facts, number, (place, vip), &config.interface, &standing);
        }
        tracked::by_instance(table, facts, number, config);
    }
    tracked::all(table, facts);
}

fn mail(table: &mut Table, mail: &Mail) {
    let base = global().join(&[3]);
    let mut scalar = |number: u32, value| table.scalar(&base.join(&[number]), value);
    if let Ok(address) = mail.server.parse::<IpAddr>() {
        scalar(1, address_type(address));
        scalar(2, Value::address(address));
    } else {
        scalar(1, DNS);
        scalar(2, Value::text(&mail.server));
    }
    scalar(3, gauge(mail.timeout.as_secs()));
    if let Some(from) = &mail.from {
        scalar(4, Value::text(from));
    }
    scalar(6, gauge(mail.port));
    scalar(7, yes(mail.faults));
    for (number, to) in (1..).zip(&mail.to) {
        table.row(&base.join(&[5, 1]), &[number], [(2, Value::text(to))]);
    }
}

fn group(table: &mut Table, facts: &Facts<'_>, number: u32, group: &Group) {
    let members: Vec<&InstanceConfig> =
        group.members.iter().map(|&slot| &facts.config.instances[slot]).collect();
    let of = |name: &str| facts.snapshot.instances.iter().find(|status| status.name == name);
    let states: Vec<i32> = members.iter().filter_map(|member| of(&member.name)).map(state).collect();
    // A group is where all its members are; while they move it is where the first member is.
    let together = if states.contains(&FAULT) { FAULT } else { states.first().copied().unwrap_or(INIT) };
    let notify = &group.notify;
    let columns = [
        (2, Value::text(&group.name)),
        (3, Value::Integer(together)),
        (4, yes(notify.smtp_alert)),
        (5, yes(notify.programs().next().is_some())),
    ];
    table.row(&vrrp().join(&[1, 1]), &[number], columns);
    table.row(&vrrp().join(&[1, 1]), &[number], scripts(notify, [6, 7, 8, 9, 11]));
    for (place, member) in (1..).zip(members) {
        table.row(&vrrp().join(&[2, 1]), &[number, place], [(2, Value::text(&member.name))]);
    }
}

fn instance(
    table: &mut Table,
    facts: &Facts<'_>,
    number: u32,
    config: &InstanceConfig,
    status: &InstanceStatus,
) {
    let notify = &config.notify;
    let state = state(status);
    let wanted = if status.waits_for_group { MASTER } else { state };
    let interval = match config.version {
        Version::V2 => config.interval.as_secs().into(),
        Version::V3 => config.interval.as_millis() / 10,
    };
    let entry = vrrp().join(&[3, 1]);
    let columns = [
        (2, Value::text(&config.name)),
        (3, gauge(config.vrid)),
        (4, Value::Integer(state)),
        (5, hint(config.hint)),
        (6, Value::Integer(wanted)),
        (7, Value::Integer(config.priority.into())),
        (8, Value::Integer(status.priority.into())),
        (9, yes(state == MASTER)),
        (10, Value::text(&config.interface)),
        (11, yes(config.primary == Primary::Tracked)),
        (12, gauge(interval)),
        (13, yes(config.preempt == Preempt::Yes)),
        (14, gauge(config.preempt_delay.as_secs())),
        (15, authentication(config)),
        (19, gauge(config.garp.delay.unwrap_or(Duration::ZERO).as_secs())),
        (20, yes(notify.smtp_alert)),
        (21, yes(notify.programs().next().is_some())),
        (27, yes(config.accept)),
        (28, yes(config.secondaries == Secondaries::Promoted)),
        // Changes of a link are reported by netlink.
        (29, yes(false)),
        (30, Value::Integer(config.version as i32)),
        (33, yes(matches!(notify.on_delete, OnDelete::Deleted(_)))),
        (34, address_type(config.group)),
        (35, Value::address(config.group)),
    ];
    table.row(&entry, &[number], columns);
    let place = usize::try_from(number - 1).unwrap_or(usize::MAX);
    let group = facts.config.groups.iter().find(|group| group.members.contains(&place));
    table.row(&entry, &[number], group.map(|group| (18, Value::text(&group.name))));
    table.row(&entry, &[number], scripts(notify, [22, 23, 24, 26, 25]));
    let deleted = match &notify.on_delete {
        OnDelete::Deleted(program) => program.as_ref(),
        OnDelete::Fault => None,
    };
    let rare = [(31, notify.lower_heard.as_ref()), (32, deleted)];
    table.row(&entry, &[number], rare.into_iter().filter_map(command));
}

/// A property of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// It is on the host.
    Set,
    /// It is in the adverts.
    Advertised,
}

fn address(
    table: &mut Table,
    facts: &Facts<'_>,
    instance: u32,
    (place, vip): (u32, &Vip),
    interface: &str,
    standing: &[Standing],
) {
    let interface = vip.dev.as_deref().unwrap_or(interface);
    let entry = vrrp().join(&[6, 1]);
    let row = [instance, place];
    let columns = [
        (2, address_type(vip.address)),
        (3, Value::address(vip.address)),
        (5, gauge(vip.prefix)),
        (6, Value::Integer(scope(vip.scope))),
        (8, Value::text(interface)),
        (10, yes(standing.contains(&Standing::Set))),
        (11, yes(standing.contains(&Standing::Advertised))),
    ];
    table.row(&entry, &row, columns);
    let optional = [
        (4, vip.broadcast.map(|address| Value::address(address.into()))),
        (7, (facts.interface)(interface).and_then(|number| i32::try_from(number).ok()).map(Value::Integer)),
        (9, vip.label.as_deref().map(Value::text)),
        (12, vip.peer.map(|peer| Value::address(peer.address))),
    ];
    table.row(&entry, &row, optional.into_iter().filter_map(|(column, value)| Some((column, value?))));
}

/// The `InetScopeType` of a scope, as `rt_scopes` numbers scopes.
fn scope(scope: Option<u8>) -> i32 {
    match scope {
        // Host and link.
        Some(254) => 1,
        Some(253) => 2,
        // Site.
        Some(200) => 5,
        Some(_) | None => 14,
    }
}

/// The scripts of the states, in these columns: master, backup, fault, any, stop.
fn scripts(notify: &NotifyScripts, columns: [u32; 5]) -> impl Iterator<Item = (u32, Value)> {
    let NotifyScripts { master, backup, fault, any, stop, .. } = notify;
    let programs = [master, backup, fault, any, stop].map(Option::as_ref);
    columns.into_iter().zip(programs).filter_map(command)
}

fn command((column, program): (u32, Option<&Program>)) -> Option<(u32, Value)> {
    Some((column, Value::text(&program?.command.join(" "))))
}

const INIT: i32 = 0;
const BACKUP: i32 = 1;
const MASTER: i32 = 2;
const FAULT: i32 = 3;

/// `VrrpState`.
fn state(status: &InstanceStatus) -> i32 {
    match status.state.as_str() {
        "master" => MASTER,
        "backup" => BACKUP,
        "fault" => FAULT,
        _ => INIT,
    }
}

pub(super) fn hint(hint: InitialState) -> Value {
    Value::Integer(match hint {
        InitialState::Master => MASTER,
        InitialState::Backup => BACKUP,
    })
}

fn authentication(config: &InstanceConfig) -> Value {
    Value::Integer(match config.authentication {
        None => 0,
        Some(Authentication::Pass(_)) => 1,
        Some(Authentication::Ah(_)) => 2,
    })
}
