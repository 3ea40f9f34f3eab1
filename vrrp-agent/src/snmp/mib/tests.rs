use std::collections::BTreeMap;

use super::*;
use crate::control::MasterStatus;
use crate::notify::{Event, Notification, Subject};

/// Two instances of a group, one master and one backup, and one of version 3 and IPv6.
const FILE: &str = "global_defs {
    router_id LB1
    enable_snmp_vrrp
    enable_snmp_rfc
    enable_traps
}
vrrp_instance A {
    interface eth0
    virtual_router_id 51
    priority 150
    virtual_ipaddress {
        192.0.2.51/24
    }
    virtual_ipaddress_excluded {
        192.0.2.52/24
    }
}
vrrp_instance B {
    version 3
    state MASTER
    interface eth1
    virtual_router_id 52
    advert_int 0.5
    virtual_ipaddress {
        fe80::52
    }
}
vrrp_sync_group G {
    group {
        A
        B
    }
}
";

fn status(config: &InstanceConfig, state: &str, source: &str) -> InstanceStatus {
    let source: IpAddr = source.parse().unwrap();
    InstanceStatus {
        name: config.name.clone(),
        state: state.to_owned(),
        for_seconds: 1.0,
        cause: String::new(),
        lacks: Vec::new(),
        interface: config.interface.clone(),
        vrid: config.vrid,
        source,
        won_by: (state == "master").then_some(WonBy::Silence),
        version: config.version as u8,
        group: None,
        waits_for_group: false,
        priority: 140,
        base_priority: config.priority,
        interval_seconds: 1.0,
        master: (state == "master").then_some(MasterStatus { address: source, priority: 140, is_self: true }),
        vips: Vec::new(),
        missing: Vec::new(),
        lease_seconds: None,
        master_down_seconds: None,
        watch: None,
        adverts_sent: 7,
        resignations_sent: 2,
        became_master: 3,
    }
}

fn table() -> Table {
    let config = crate::config::parse(FILE).config.expect("a valid file");
    let [a, b] = config.instances.as_slice() else { panic!("{:?}", config.instances) };
    let snapshot = Snapshot {
        version: "1".to_owned(),
        pid: 1,
        router_id: None,
        dataplane: String::new(),
        pins: None,
        instances: vec![status(a, "master", "192.0.2.1"), status(b, "fault", "fe80::1")],
        scripts: Vec::new(),
        interfaces: Vec::new(),
        files: Vec::new(),
        processes: Vec::new(),
        counters: BTreeMap::from([("bad_checksum".to_owned(), 5)]),
    };
    let interface = |name: &str| (name == "eth0").then_some(3).or((name == "eth1").then_some(4));
    Table::new(&Facts { config: &config, snapshot: &snapshot, interface: &interface })
}

fn keepalived(numbers: &[u32]) -> Oid {
    Oid::new(&[1, 3, 6, 1, 4, 1, 9586, 100, 5]).join(numbers)
}

fn standard(numbers: &[u32]) -> Oid {
    Oid::new(&[1, 3, 6, 1, 2, 1]).join(numbers)
}

#[test]
fn what_objects_are() {
    let table = table();
    for (name, value) in [
        (keepalived(&[1, 2, 0]), Value::text("LB1")),
        (keepalived(&[1, 4, 0]), Value::Integer(1)),
        (keepalived(&[2, 1, 1, 2, 1]), Value::text("G")),
        // One member of the group is in fault.
        (keepalived(&[2, 1, 1, 3, 1]), Value::Integer(3)),
        (keepalived(&[2, 2, 1, 2, 1, 2]), Value::text("B")),
        (keepalived(&[2, 3, 1, 2, 1]), Value::text("A")),
        (keepalived(&[2, 3, 1, 3, 2]), Value::Gauge32(52)),
        (keepalived(&[2, 3, 1, 4, 1]), Value::Integer(2)),
        (keepalived(&[2, 3, 1, 4, 2]), Value::Integer(3)),
        (keepalived(&[2, 3, 1, 5, 2]), Value::Integer(2)),
        (keepalived(&[2, 3, 1, 7, 1]), Value::Integer(150)),
        (keepalived(&[2, 3, 1, 8, 1]), Value::Integer(140)),
        (keepalived(&[2, 3, 1, 12, 1]), Value::Gauge32(1)),
        (keepalived(&[2, 3, 1, 12, 2]), Value::Gauge32(50)),
        (keepalived(&[2, 6, 1, 3, 1, 2]), Value::OctetString(vec![192, 0, 2, 52])),
        (keepalived(&[2, 6, 1, 7, 1, 2]), Value::Integer(3)),
        (keepalived(&[2, 6, 1, 11, 1, 1]), Value::Integer(1)),
        (keepalived(&[2, 6, 1, 11, 1, 2]), Value::Integer(2)),
        (standard(&[68, 1, 3, 1, 3, 3, 51]), Value::Integer(3)),
        (standard(&[68, 1, 3, 1, 7, 3, 51]), Value::IpAddress([192, 0, 2, 1])),
        (standard(&[68, 1, 4, 1, 2, 3, 51, 192, 0, 2, 51]), Value::Integer(1)),
        (standard(&[68, 2, 1, 0]), Value::Counter32(5)),
        (standard(&[207, 1, 1, 1, 1, 6, 4, 52, 2]), Value::Integer(1)),
        (standard(&[207, 1, 1, 1, 1, 9, 4, 52, 2]), Value::Integer(50)),
        (standard(&[207, 1, 2, 5, 1, 1, 4, 52, 2]), Value::Counter32(3)),
        // An instance of version 3 has no place in the MIB of version 2, and the reason why it was last master is not known.
        (standard(&[68, 1, 3, 1, 3, 4, 52]), Value::NoSuchInstance),
        (standard(&[207, 1, 2, 5, 1, 2, 4, 52, 2]), Value::NoSuchInstance),
        (keepalived(&[2, 3, 1, 2, 3]), Value::NoSuchInstance),
        (keepalived(&[2, 3, 1, 99, 1]), Value::NoSuchObject),
        (keepalived(&[]), Value::NoSuchObject),
        (Oid::default(), Value::NoSuchObject),
    ] {
        assert_eq!(table.get(&name), VarBind { name, value });
    }
}

/// Asks as a manager does that wants every object.
fn walk(table: &Table, range: Range) -> Vec<VarBind> {
    let mut range = range;
    let step = || {
        let found = table.next(&range);
        (range.start, range.first) = (found.name.clone(), First::Excluded);
        (found.value != Value::EndOfMibView).then_some(found)
    };
    std::iter::from_fn(step).collect()
}

#[test]
fn one_after_the_other() {
    let table = table();
    let all = walk(&table, Range::default());
    assert_eq!(all.len(), table.objects.len());
    assert!(all.is_sorted_by(|a, b| a.name < b.name));
    assert!(all.iter().all(|object| table.get(&object.name) == *object));
    let subtrees: Vec<Oid> = Mib::ALL.into_iter().flat_map(Table::subtrees).collect();
    for object in &all {
        assert!(subtrees.iter().any(|subtree| object.name.is_below(subtree)), "{}", object.name);
    }
    // The end does not belong to a range; the beginning does if it says so.
    let names = Range {
        start: keepalived(&[2, 3, 1, 2]),
        end: Some(keepalived(&[2, 3, 1, 2, 2])),
        ..Range::default()
    };
    assert_eq!(walk(&table, names.clone()).len(), 1);
    let first = Range { start: keepalived(&[2, 3, 1, 2, 1]), first: First::Included, end: names.end };
    assert_eq!(walk(&table, first).len(), 1);
}

#[test]
fn several_at_once() {
    let table = table();
    let from = |column| Range { start: keepalived(&[2, 3, 1, column]), ..Range::default() };
    let ranges = [from(2), from(3), from(4)];
    let names = |found: Vec<VarBind>| found.into_iter().map(|object| object.name).collect::<Vec<Oid>>();
    let cell = |column, row| keepalived(&[2, 3, 1, column, row]);
    let expected = vec![cell(2, 1), cell(3, 1), cell(4, 1), cell(3, 2), cell(4, 2)];
    assert_eq!(names(table.bulk(1, 2, &ranges, 100)), expected);
    assert_eq!(table.bulk(9, 2, &ranges, 100).len(), 3);
    assert_eq!(table.bulk(0, u16::MAX, &ranges, 10).len(), 9);
    let behind = [Range { start: Oid::new(&[1, 4]), ..Range::default() }];
    assert_eq!(table.bulk(0, u16::MAX, &behind, 100).len(), 1);
}

#[test]
fn what_is_told() {
    let table = table();
    let told = |subject, name: &str, event| {
        let name = name.to_owned();
        let notification = Notification { subject, name, slot: None, event, priority: 0 };
        assert!(table.knows(&notification));
        table.traps(&notification)
    };
    let trap = |of: Oid, values: Vec<(Oid, Value)>| {
        let trap = (Oid::new(&[1, 3, 6, 1, 6, 3, 1, 1, 4, 1, 0]), Value::Name(of));
        [vec![trap], values]
            .concat()
            .into_iter()
            .map(|(name, value)| VarBind { name, value })
            .collect::<Vec<_>>()
    };
    let router = (keepalived(&[1, 2, 0]), Value::text("LB1"));
    let changed = |state| {
        let cell = |column| keepalived(&[2, 3, 1, column, 1]);
        let name = (cell(2), Value::text("A"));
        let values =
            vec![name, (cell(4), Value::Integer(state)), (cell(5), Value::Integer(1)), router.clone()];
        trap(keepalived(&[2, 10, 0, 2]), values)
    };
    let master = standard(&[68, 1, 3, 1, 7, 3, 51]);
    let version_2 = trap(standard(&[68, 0, 1]), vec![(master, Value::IpAddress([192, 0, 2, 1]))]);
    let master = (standard(&[207, 1, 1, 1, 1, 3, 3, 51, 1]), Value::OctetString(vec![192, 0, 2, 1]));
    let reason = (standard(&[207, 1, 2, 5, 1, 2, 3, 51, 1]), Value::Integer(3));
    let version_3 = trap(standard(&[207, 0, 1]), vec![master, reason]);
    assert_eq!(told(Subject::Instance, "A", Event::Master), [changed(2), version_2, version_3]);
    assert_eq!(told(Subject::Instance, "A", Event::Backup), [changed(1)]);
    assert_eq!(told(Subject::Instance, "A", Event::MasterPriority), [] as [Vec<VarBind>; 0]);
    assert_eq!(told(Subject::Instance, "B", Event::Master).len(), 2);
    let group = vec![
        (keepalived(&[2, 1, 1, 2, 1]), Value::text("G")),
        (keepalived(&[2, 1, 1, 3, 1]), Value::Integer(3)),
        router.clone(),
    ];
    assert_eq!(told(Subject::Group, "G", Event::Fault), [trap(keepalived(&[2, 10, 0, 1]), group)]);
}
