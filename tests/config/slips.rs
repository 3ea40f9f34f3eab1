//! Slips that keepalived 2.2.7 complains of and goes on with, goes on with in silence, or ends at: bad prefixes, mixed families,
//! netmasks, addresses given twice, numbers out of range, unknown sub-keywords, missing values, names given twice.
//!
//! The files leave out what 2.2.7 and we treat differently on purpose: `IP/` and `IP/word`, for which keepalived makes a route
//! to everywhere; a script line whose quote is not closed, at which keepalived crashes; and braces within an instance that
//! belong to no keyword, of which keepalived takes the closing one for the end of the instance.

use vrrp_tests::random::Random;

/// Lines of an instance, before and behind its addresses.
const INSTANCE: &[&str] = &[
    "priority",
    "priority 100.5",
    "state MASTER\npriority 300",
    "state MASTER",
    "priority 255",
    "advert_int 3\nadvert_int abc",
    "priority 200\npriority 300",
    "priority -1",
    "priority +7",
    "priority 100 101",
    "advert_int",
    "advert_int .5",
    "advert_int 1s",
    "advert_int 300",
    "state",
    "state MASTER BACKUP",
    "state master",
    "interface",
    "interface eth0 eth1",
    "interface lo",
    "interface \"eth0",
    "virtual_router_id",
    "virtual_router_id 51 52",
    "virtual_router_id 0x33",
    "version",
    "version 3.0",
    "native_ipv6",
    "authentication {\n}",
    "authentication {\n  auth_type PASS\n}",
    "authentication {\n  auth_pass 1111\n}",
    "authentication {\n  auth_type MD5\n  auth_pass 1111\n}",
    "authentication {\n  auth_type PASS auth_pass 1111\n}",
    "authentication {\n  auth_type\n}",
    "authentication {\n  auth_type PASS\n  auth_pass 1 2\n}",
    "unicast_peer {\n}",
    "unicast_peer {\n  192.168.1.2/24\n}",
    "unicast_peer {\n  192.168.1.2/99\n  192.168.1.3/255.255.255.0\n}",
    "unicast_peer {\n  fe80::2\n}",
    "unicast_peer {\n  fe80::2\n  192.168.1.2\n}",
    "unicast_peer {\n  peer.example.com\n  192.168.1.2\n}",
    "unicast_peer {\n  192.168.1.2 foo\n}",
    "unicast_peer {\n  192.168.1.2 min_ttl\n}",
    "unicast_peer {\n  192.168.1.2 min_ttl 200 max_ttl 100\n}",
    "unicast_peer {\n  192.168.1.2 max_ttl 300\n}",
    "unicast_peer x {\n  192.168.1.2\n}",
    "unicast_src_ip",
    "unicast_src_ip 192.168.1.1/24\nunicast_peer {\n  192.168.1.2\n}",
    "unicast_src_ip fe80::9\nunicast_peer {\n  192.168.1.2\n}",
    "mcast_src_ip 192.168.1.1/24",
    "mcast_src_ip fe80::9",
    "mcast_dst_ip ff02::99",
    "mcast_dst_ip 239.1.1.1/24",
    "mcast_dst_ip 10.0.0.1",
    "virtual_ipaddress {\n  2001:db8::1\n}",
    "virtual_ipaddress {\n  fe80::10\n  2001:db8::1/64\n}",
    "virtual_ipaddress_excluded {\n  2001:db8::1/64\n  192.168.5.1\n}",
    "virtual_ipaddress_excluded {\n  10.0.0.1/255.0.0.0\n  nonsense\n}",
    "virtual_ipaddress x {\n  192.168.5.77\n}",
    "nopreempt yes",
    "track_interface {\n  eth0\n}",
    "track_interface {\n  eth1\n  eth1\n}",
    "track_interface {\n  eth1 weight\n}",
    "track_interface {\n  eth1 weight 500\n}",
    "track_script {\n  good weight\n}",
    "track_script x {\n  good\n}",
    "track_file {\n  nothing\n}",
    "strict_mode on",
    "strict_mode on\naccept",
    "garp_master_delay",
    "garp_master_delay -1",
    "garp_master_repeat 5.5",
    "preempt_delay 0x10",
    "notify_master",
    "unicast_ttl 300",
    "bogus \"x",
];

const ADDRESSES: &[&str] = &[
    "10.0.0.1/255.255.255.0",
    "10.0.0.2/24x",
    "10.0.0.3/33",
    "10.0.0.4/-1",
    "10.0.0.5/0",
    "10.0.0.6/24",
    "10.0.0.6",
    "10.0.0.07",
    "10.0.0.8,",
    "10.0.0.9 10.0.0.10",
    "10.0.0.11-12",
    "vip.example.com",
    "10.0.0.13 dev",
    "10.0.0.14 label",
    "10.0.0.15 label a_label_that_is_too_long",
    "10.0.0.16/24 brd nonsense",
    "10.0.0.17/24 brd",
    "10.0.0.18 scope nonsense",
    "10.0.0.19 scope",
    "10.0.0.20 peer",
    "10.0.0.21 bogus",
    "10.0.0.22 bogus dev eth1",
    "\"10.0.0.23",
    "10.0.0.24 preferred_lft",
    "2001:db8::1",
    "2001:db8::2/129",
    "fe80::3%eth0",
    "2001:db8::4/64 label x",
    "2001:db8::5/64 brd +",
    "fe80::10",
    "FE80::11/64",
    "192.168.5.1",
];

/// Makes a file with an instance that has some of these lines, and sometimes with a second instance.
pub(crate) fn file(random: &mut Random) -> String {
    let mut text = "global_defs {\n  script_user root\n  enable_script_security\n}\nvrrp_script good {\n  script /bin/true\n}\n"
        .to_owned();
    let some = |random: &mut Random, from: &[&'static str], most: u64| -> Vec<&'static str> {
        (0..random.below(most + 1)).map(|_| *random.pick(from)).collect()
    };
    let names: &[&str] = match random.below(12) {
        0 => &["A", "A"],
        1 => &["A", ""],
        2 => &["A", "B C"],
        3 => &["A", "B"],
        _ => &["A"],
    };
    for (number, name) in names.iter().enumerate() {
        let (before, behind) = (some(random, INSTANCE, 1), some(random, INSTANCE, 1));
        // keepalived joins two authentication blocks of an instance.
        let twice = [&before, &behind].iter().all(|lines| lines.iter().any(|line| line.starts_with("auth")));
        let behind = if twice { Vec::new() } else { behind };
        let mut addresses = some(random, ADDRESSES, 1);
        if random.below(5) > 0 {
            addresses.insert(0, if random.below(4) == 0 { "fe80::1" } else { "192.168.5.1" });
        }
        text += &format!(
            "vrrp_instance {name} {{\ninterface eth0\nvirtual_router_id {}\n{}\nvirtual_ipaddress {{\n{}\n}}\n{}\n}}\n",
            61 + number,
            before.join("\n"),
            addresses.join("\n"),
            behind.join("\n")
        );
    }
    match random.below(40) {
        0 => text += "vrrp_sync_group {\n  group {\n    A\n  }\n}\n",
        1 => text += "vrrp_sync_group G H {\n  group {\n    A\n  }\n}\n",
        2 => text += "track_group {\n  group {\n    A\n  }\n}\n",
        3 => text += "vrrp_script {\n  script /bin/true\n}\n",
        4 => text += "{\n}\n",
        5 => text += "include /nonexistent/file.conf\n",
        6 => text += "# K\u{f6}ln\n",
        _ => {}
    }
    text
}
