use proptest::prelude::*;
use vrrp_ebpf::advert::Version;
use vrrp_ebpf::election::Preempt;

use super::*;
use crate::vrrp::Weight;

/// The reference example of the README, as a user has it.
const REFERENCE: &str = include_str!("../../../config/reference-master.conf");

fn complaints(text: &str) -> Vec<(Severity, (usize, usize), String)> {
    let reading = parse(text);
    reading
        .diagnostics
        .iter()
        .map(|d| (d.severity, d.position(&reading.sources), d.message.clone()))
        .collect()
}

fn instance(body: &str) -> String {
    format!(
        "vrrp_instance V {{\ninterface eth0\nvirtual_router_id 1\nvirtual_ipaddress {{ 10.0.0.1 }}\n{body}\n}}\n"
    )
}

#[test]
fn the_reference_example() {
    let reading = parse(REFERENCE);
    let config = reading.config.expect("it can be run");
    assert_eq!(config.router_id.as_deref(), Some("192.168.1.11"));
    let [script] = &config.scripts[..] else { panic!("one script: {config:?}") };
    assert_eq!(script.program.command, ["/etc/keepalived/nginx.sh"]);
    assert_eq!(
        (script.interval.as_secs(), script.weight, script.fall, script.rise),
        (2, Weight::straight(-5), 3, 2)
    );
    let [instance] = &config.instances[..] else { panic!("one instance: {config:?}") };
    assert_eq!((instance.vrid, instance.priority, instance.version), (51, 100, Version::V2));
    assert_eq!(instance.interval.as_secs(), 2);
    assert_eq!(instance.authentication, Some(Authentication::Pass(*b"1111\0\0\0\0")));
    assert_eq!(instance.tracked, [Tracked { thing: Thing::Script(0), weight: Weight::straight(-5) }]);
    assert_eq!(instance.vips[0].address.to_string(), "192.168.1.10");
    // `state MASTER` and `nopreempt` together: keepalived preempts, and so do we, and say so.
    assert_eq!(instance.preempt, Preempt::Yes);
    let [insecure, preempts] = &reading.diagnostics[..] else { panic!("two: {:?}", reading.diagnostics) };
    assert!(insecure.message.contains("without `enable_script_security`"), "{insecure:?}");
    assert!(preempts.message.contains("`nopreempt` has no effect"), "{preempts:?}");
}

#[test]
fn complaints_have_their_place() {
    for (text, line_column, message) in [
        ("vrrp_instance V {\n  interface eth0\n}\n", (1, 1), "`V` has no valid virtual_router_id"),
        ("vrrp_instance V {\n  virtual_router_id 1\n}\n", (1, 1), "`V` has no valid interface"),
        ("\n  {\n}\n", (2, 3), "a block without a name"),
        ("vrrp_instance {\n}\n", (1, 1), "without a name"),
        ("global_defs {\n router_id \"x\n}\n", (2, 12), "does not end on its line"),
        ("", (1, 1), "no vrrp_instance"),
        (&instance("auth_hmac {\n}"), (5, 1), "`auth_hmac` without a valid key"),
        (&instance("auth_hmac {\nkey 1 short\n}"), (6, 7), "a key of 5 bytes"),
        (&instance(&format!("auth_hmac {{\nkey 1 {KEY}\nkey 1 {KEY}\n}}")), (7, 1), "a number of its own"),
        (&instance(&format!("auth_hmac {{\nkey 1 {KEY}\nactive_key 2\n}}")), (5, 1), "the number of no key"),
        (&instance(&format!("auth_hmac {{\nkey 1 {KEY}\nmode\n}}")), (7, 1), "`mode` is `enforce`"),
        (&instance("auth_hmac {\nkey 1 hex:123\n}"), (6, 7), "not an even number of hexadecimal digits"),
        (&instance("authentication {\nauth_type MD5\n}"), (6, 11), "unknown authentication type `MD5`"),
        (
            &("global_defs {\n vrrp_strict\n}\n".to_owned() + &instance("unicast_peer {\n10.0.0.2\n}")),
            (4, 1),
            "cannot be used with `vrrp_strict`",
        ),
        (&instance("virtual_ipaddress {\nfe80::1\n}"), (1, 1), "mixes IPv4 and IPv6: fe80::1"),
        (&(instance("") + &instance("")), (7, 1), "has the virtual_router_id of `V`"),
    ] {
        let found = complaints(text);
        let expected = |(severity, position, complaint): &(Severity, (usize, usize), String)| {
            *severity == Severity::Error && *position == line_column && complaint.contains(message)
        };
        assert!(found.iter().any(expected), "{text:?}: {found:?}");
        assert!(parse(text).config.is_none());
    }
}

const KEY: &str = "0123456789abcdef0123456789abcdef";

#[test]
fn keys_are_read_and_never_shown() {
    let text =
        instance(&format!("advert_int 2\nauth_hmac {{\nkey 7 {KEY}\nkey 8 hex:{KEY}{KEY}\nactive_key 8\n}}"));
    let config = parse(&text).config.expect("a valid file");
    let keys = config.instances[0].hmac.as_ref().expect("keys");
    assert_eq!(keys.keys[0].secret, KEY.as_bytes());
    assert_eq!(keys.sending().map(|key| (key.id, key.secret[..2].to_vec())), Some((8, vec![0x01, 0x23])));
    assert_eq!(
        (keys.replay, keys.mode),
        (Replay::Window(std::time::Duration::from_secs(6)), HmacMode::Enforce)
    );
    let text = instance("authentication {\nauth_type AH\nauth_pass s3cret\n}");
    let with_ah = parse(&text).config.expect("a valid file");
    assert_eq!(with_ah.instances[0].authentication, Some(Authentication::Ah(*b"s3cret\0\0")));
    let shown = format!("{config:?} {with_ah:?}");
    assert!(
        !shown.contains("0123456789") && !shown.contains("s3cret") && !shown.contains("115, 51"),
        "{shown}"
    );
}

#[test]
fn an_advert_has_one_seal() {
    let text = instance(&format!(
        "version 2\nauthentication {{\nauth_type AH\nauth_pass s3cret\n}}\nauth_hmac {{\nkey 7 {KEY}\n}}"
    ));
    let [(Severity::Warning, _, message)] = &complaints(&text)[..] else { panic!("{:?}", complaints(&text)) };
    assert!(message.contains("both `auth_type AH` and `auth_hmac`"), "{message}");
    let config = parse(&text).config.expect("it can be run");
    assert!(matches!(config.instances[0].sealing(), Some(Sealing::Ah(_))));
}

#[test]
fn peers_and_their_ttl() {
    let body = "unicast_src_ip 10.0.0.2\ncheck_unicast_src\nunicast_peer {\n10.0.0.3\n10.0.0.4 min_ttl 64 max_ttl 100\n}";
    let config = parse(&instance(body)).config.expect("a valid file");
    let [instance] = &config.instances[..] else { panic!("one instance: {config:?}") };
    let peer = |last, ttl| Peer { address: [10, 0, 0, last].into(), ttl };
    assert_eq!(instance.peers, [peer(3, 0..=255), peer(4, 64..=100)]);
    assert!(instance.only_peers);
}

#[test]
fn groups_are_resolved_at_the_end() {
    let group = "vrrp_sync_group VG {\ngroup {\nA\nB\n}\n}\n";
    let member = |name: &str, vrid: u8, more: &str| {
        format!(
            "vrrp_instance {name} {{\ninterface eth0\nvirtual_router_id {vrid}\n{more}\nvirtual_ipaddress {{\n10.0.0.{vrid}\n}}\n}}\n"
        )
    };
    let script = "vrrp_script S {\nscript /bin/true\nweight 5\n}\nvrrp_script F {\nscript /bin/true\n}\n";
    let text = format!("{script}{group}{}{}", member("A", 1, "track_script {\nS\nF\n}"), member("B", 2, ""));
    let config = parse(&text).config.expect("a valid file");
    assert_eq!(
        config.groups,
        [Group { name: "VG".to_owned(), members: vec![0, 1], notify: NotifyScripts::default() }]
    );
    assert_eq!(
        config.instances[0].tracked,
        [Tracked { thing: Thing::Script(1), weight: Weight::NONE }],
        "a weight would part them"
    );
    for (text, message) in [
        (format!("{}{}", member("A", 1, ""), group), "no vrrp_instance `B`"),
        (format!("{}{}", member("A", 1, ""), group), "fewer than two members"),
        (member("A", 1, "") + &member("B", 2, "") + group + group, "a second vrrp_sync_group `VG`"),
        (
            member("A", 1, "") + &member("B", 2, "") + group + &group.replace("VG", "W"),
            "`A` is a member of a group already",
        ),
        (member("A", 1, "priority 50") + &member("B", 2, "") + group, "have different priorities"),
    ] {
        let found = complaints(&text);
        assert!(
            found.iter().any(|(s, _, m)| *s < Severity::Error && m.contains(message)),
            "{message}: {found:?}"
        );
        assert!(parse(&text).config.is_some());
    }
}

#[test]
fn announcements_and_their_spacing() {
    let globals =
        "global_defs {\nvrrp_garp_interval 0.001\nvrrp_gna_interval 0\nvrrp_garp_lower_prio_repeat 2\n}\n";
    let text = globals.to_owned() + &instance("garp_master_repeat 7\ngarp_lower_prio_delay 0");
    let config = parse(&text).config.expect("a valid file");
    assert_eq!(config.spacing.arp, std::time::Duration::from_millis(1));
    assert!(config.spacing.na.is_zero());
    let garp = config.instances[0].garp;
    assert_eq!((garp.repeat, garp.lower_repeat, garp.lower_delay), (7, 2, None));
    assert!(
        complaints(&text).iter().any(|(_, _, message)| message.contains("bad value for `vrrp_gna_interval`"))
    );
    let plain = parse(&instance("garp_master_repeat 7")).config.expect("a valid file").instances[0].garp;
    assert_eq!((plain.lower_repeat, plain.lower_delay), (7, plain.delay));
}

/// keepalived resolves the version at the end of the file.
#[test]
fn the_version_may_stand_below() {
    let text = instance("") + "global_defs {\nvrrp_version 3\n}\n";
    assert_eq!(parse(&text).config.expect("a valid file").instances[0].version, Version::V3);
}

#[test]
fn what_keepalived_tolerates_is_tolerated() {
    for (body, message) in [
        ("priority 999", "bad value for `priority`"),
        ("state SLAVE", "unknown state `SLAVE`"),
        ("raise 3", "unknown keyword `raise`"),
        ("track_script {\n nothing\n}", "no vrrp_script `nothing` above"),
        ("advert_int 0.5", "version 2 cannot advertise every 0.5 s"),
        ("authentication {\nauth_type PASS auth_pass x\n}", "`auth_type` takes one value"),
        ("authentication {\nauth_type PASS\nauth_pass 123456789\n}", "a password longer than 8 bytes"),
    ] {
        let text = instance(body);
        let found = complaints(&text);
        assert!(
            found.iter().any(|(s, _, m)| *s == Severity::Warning && m.contains(message)),
            "{body}: {found:?}"
        );
        assert!(parse(&text).config.is_some(), "{body}: {found:?}");
    }
}

#[test]
fn a_complaint_shows_file_line_and_caret() {
    let text = instance("priority 999");
    let rendered = {
        let reading = parse(&text);
        reading.diagnostics[0].render(&reading.sources, false)
    };
    assert!(rendered.contains("/etc/keepalived/keepalived.conf:5:10"), "{rendered}");
    assert!(rendered.contains("^^^ expected: whole number from 1 to 255"), "{rendered}");
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC*") {
        let reading = parse(&text);
        for diagnostic in &reading.diagnostics {
            assert!(!diagnostic.render(&reading.sources, false).is_empty());
        }
    }

    #[test]
    fn no_arrangement_of_tokens_panics(
        tokens in prop::collection::vec(
            prop::sample::select(&["{", "}", "\n", " ", "\"", "#", "vrrp_instance", "V", "interface", "priority", "1",
                "virtual_ipaddress", "10.0.0.1", "dev", "global_defs", "vrrp_script", "script", "weight", "é",
                "$A=", "$A", "${A}", "\\", "~SEQ(A,1,3)", "~LST(A,1,2)", "@host ", "@^host ", "include x", "${_RANDOM 1 2}"][..]),
            0..60,
        )
    ) {
        let text = tokens.concat();
        let reading = parse(&text);
        for diagnostic in &reading.diagnostics {
            assert!(!diagnostic.render(&reading.sources, false).is_empty());
        }
    }
}
