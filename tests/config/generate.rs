//! Files from a seed: as users write them, with a slip here and there. The files leave out what 2.2.7 and we treat differently
//! on purpose: keywords and values that are newer (`use_symlink_paths`, `v3_checksum_as_v2`, `interval 0.5`), keywords of parts
//! that Debian has not built in (`vrrp_iptables`), and a user that this host does not have, which we report when the script is
//! to run.

use vrrp_tests::random::Random;

const GLOBALS: &[&str] = &[
    "router_id LVS_1",
    "vrrp_version 3",
    "vrrp_version 2",
    "vrrp_version 4",
    "vrrp_garp_master_delay 2",
    "vrrp_garp_master_repeat 3",
    "vrrp_garp_master_refresh 60",
    "vrrp_garp_interval 0.001",
    "vrrp_garp_interval 0",
    "vrrp_gna_interval 0",
    "vrrp_gna_interval 0.0001",
    "vrrp_skip_check_adv_addr",
    "vrrp_lower_prio_no_advert",
    "vrrp_lower_prio_no_advert false",
    "vrrp_higher_prio_send_advert true",
    "vrrp_down_timer_adverts 5",
    "vrrp_down_timer_adverts 0",
    "vrrp_check_unicast_src",
    "notification_email {\n  ops@example.com\n}",
    "notification_email_from lb@example.com",
    "smtp_server 127.0.0.1",
    "smtp_connect_timeout 30",
    "dynamic_interfaces",
    "vrrp_startup_delay 5",
    "max_auto_priority 50",
    "checker_priority 5",
    "nonsense 1",
    "lvs_id LB1",
    "vrrp_mcast_group4 224.0.0.18",
    "enable_traps",
    "umask 022",
    "process_names",
    "vrrp_notify_priority_changes on",
];

const INSTANCE: &[&str] = &[
    "state MASTER",
    "state BACKUP",
    "state SLAVE",
    "priority 150",
    "priority 0",
    "priority 254",
    "priority 300",
    "priority abc",
    "advert_int 1",
    "advert_int 2",
    "advert_int 0.5",
    "advert_int 0",
    "nopreempt",
    "preempt",
    "preempt_delay 5",
    "preempt_delay 2000",
    "version 3",
    "version 2",
    "version 5",
    "authentication {\n  auth_type PASS\n  auth_pass 1111\n}",
    "authentication {\n  auth_type PASS\n  auth_pass longer_than_eight\n}",
    "authentication {\n  auth_type AH\n  auth_pass secret\n}",
    "authentication {\n  auth_type NONE\n}",
    "garp_master_delay 1",
    "garp_master_repeat 2",
    "garp_master_refresh 10",
    "garp_lower_prio_repeat 1",
    "lower_prio_no_advert",
    "higher_prio_send_advert on",
    "higher_prio_send_advert maybe",
    "dont_track_primary",
    "track_interface {\n  eth1\n}",
    "track_interface {\n  eth1 weight 10\n}",
    "track_script {\n  good\n}",
    "track_script {\n  good weight -20\n}",
    "track_script {\n  good weight 300\n}",
    "track_script {\n  missing\n}",
    "unicast_src_ip 192.168.1.1",
    "unicast_peer {\n  192.168.1.2\n}",
    "unicast_peer {\n  192.168.1.2 min_ttl 250\n}",
    "unicast_peer {\n  not_an_address\n}",
    "mcast_src_ip 192.168.1.1",
    "mcast_src_ip nowhere",
    "virtual_ipaddress_excluded {\n  10.0.9.1\n}",
    "use_vmac",
    "use_vmac vrrp.7",
    "vmac_xmit_base",
    "accept",
    "no_accept",
    "debug 1",
    "debug 9",
    "smtp_alert",
    "smtp_alert true",
    "notify /bin/true",
    "notify_master \"/bin/true a b\"",
    "notify_backup /bin/true",
    "promote_secondaries",
    "prioirty 100",
    "nonsense",
    "down_timer_adverts 4",
    "down_timer_adverts 200",
    "check_unicast_src off",
    "virtual_routes {\n  10.9.0.0/16 via 192.168.1.254 dev eth0\n}",
    "virtual_rules {\n  from 10.9.0.0/16 lookup 100 preference 100\n}",
    "skip_check_adv_addr",
    "interface eth0",
    "strict_mode off",
    "notify_priority_changes off",
    "garp_extra_if all 5",
];

const ADDRESSES: &[&str] = &[
    "10.0.0.1",
    "10.0.0.2/24",
    "10.0.0.3/24 dev eth0",
    "10.0.0.4/24 dev eth1 label eth1:1",
    "10.0.0.5/32 brd 10.0.0.255",
    "10.0.0.6/24 brd + scope global",
    "10.0.0.7 scope link",
    "10.0.0.8 no_track",
    "10.0.0.9/33",
    "10.0.0.300",
    "10.0.0.10 nonsense",
    "10.0.0.11/24 preferred_lft 0",
    "10.0.0.12 dev",
];

const SCRIPT: &[&str] = &[
    "interval 2",
    "timeout 3",
    "weight -5",
    "weight 300",
    "rise 2",
    "fall 3",
    "rise 0",
    "init_fail",
    "user root",
    "raise 3",
];

/// Makes a configuration file.
pub(crate) fn file(random: &mut Random) -> String {
    // Without these keepalived complains of each script.
    let mut text = "global_defs {\n  script_user root\n  enable_script_security\n}\n".to_owned();
    if random.below(2) == 0 {
        block(&mut text, "global_defs", &some(random, GLOBALS, 3));
    }
    let mut script = vec![if random.below(12) == 0 { "" } else { "script /bin/true" }];
    script.extend(some(random, SCRIPT, 2));
    block(&mut text, "vrrp_script good", &script);
    let instances = 1 + random.below(2);
    for number in 0..instances {
        let vrid = if random.below(15) == 0 {
            "virtual_router_id 0".to_owned()
        } else {
            format!("virtual_router_id {}", 51 + number)
        };
        let addresses = some(random, ADDRESSES, 2);
        let addresses =
            format!("virtual_ipaddress {{\n  192.168.5.{}\n  {}\n}}", number + 1, addresses.join("\n  "));
        let mut lines = vec!["interface eth0", &vrid, &addresses];
        lines.extend(some(random, INSTANCE, 3));
        if random.below(15) == 0 {
            lines.remove(usize::try_from(random.below(2)).unwrap_or(0));
        }
        block(&mut text, &format!("vrrp_instance VI_{number}"), &lines);
    }
    if instances == 2 && random.below(3) == 0 {
        let member = if random.below(5) == 0 { "VI_9" } else { "VI_1" };
        block(&mut text, "vrrp_sync_group VG", &[&format!("group {{\n  VI_0\n  {member}\n}}")]);
    }
    match random.below(40) {
        0 => text.push_str("}\n"),
        1 => text.truncate(text.len() - 2),
        2 => text.push_str("nonsense {\n  a\n}\n"),
        _ => {}
    }
    text
}

fn block(text: &mut String, head: &str, lines: &[&str]) {
    *text += &format!("{head} {{\n");
    for line in lines.iter().flat_map(|line| line.lines()) {
        *text += &format!("  {line}\n");
    }
    *text += "}\n";
}

fn some<'t>(random: &mut Random, from: &[&'t str], most: u64) -> Vec<&'t str> {
    (0..random.below(most + 1)).map(|_| *random.pick(from)).collect()
}
