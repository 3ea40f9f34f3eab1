use proptest::prelude::*;
use vrrp_ebpf::advert::Version;
use vrrp_ebpf::election::Preempt;

use super::*;
use crate::vrrp::Weight;

/// The reference example of the README.
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
    assert_eq!(instance.tracked, [Tracked { target: TrackTarget::Script(0), weight: Weight::straight(-5) }]);
    assert_eq!(instance.vips[0].address.to_string(), "192.168.1.10");
    // With `state MASTER` and `nopreempt` together, keepalived preempts. This daemon does the same, and reports it.
    assert_eq!(instance.preempt, Preempt::Yes);
    let [insecure, preempts] = &reading.diagnostics[..] else { panic!("two: {:?}", reading.diagnostics) };
    assert!(insecure.message.contains("without `enable_script_security`"), "{insecure:?}");
    assert!(preempts.message.contains("`nopreempt` has no effect"), "{preempts:?}");
}

/// As with keepalived since 2.3. Without a peer or without a source address, keepalived reports an error.
#[test]
fn a_unicast_instance_with_a_source_needs_no_interface() {
    let text = |more: &str| {
        format!("vrrp_instance V {{\nvirtual_router_id 1\n{more}\nvirtual_ipaddress {{\n10.0.0.1\n}}\n}}\n")
    };
    let peer = "unicast_peer {\n10.0.0.3\n}";
    let reading = parse(&text(&format!("unicast_src_ip 10.0.0.2\n{peer}")));
    assert!(reading.diagnostics.is_empty(), "{:?}", reading.diagnostics);
    let instance = &reading.config.expect("a valid file").instances[0];
    assert!(!instance.names_interface(), "{}", instance.interface);
    for more in ["unicast_src_ip 10.0.0.2", peer, "mcast_src_ip 10.0.0.2"] {
        let reading = parse(&text(more));
        assert!(reading.diagnostics.iter().any(|d| d.message.contains("no valid interface")), "{more}");
    }
}

#[test]
fn complaints_have_their_place() {
    for (text, line_column, message) in [
        ("vrrp_instance V {\n  interface eth0\n}\n", (1, 1), "`V` has no valid virtual_router_id"),
        ("vrrp_instance V {\n  virtual_router_id 1\n}\n", (1, 1), "`V` has no valid interface"),
        ("vrrp_script {\n}\n", (1, 1), "without a name"),
        ("vrrp_instance V {\n  interface lo\n  virtual_router_id 1\n}\n", (1, 1), "no valid interface"),
        (&instance("priority"), (5, 1), "`priority` needs a value"),
        (&instance("authentication {\nauth_pass\n}"), (6, 1), "`auth_pass` needs a value"),
        (&instance("auth_hmac {\n}"), (5, 1), "`auth_hmac` without a valid key"),
        (&instance("auth_hmac {\nkey 1 short\n}"), (6, 7), "a key of 5 bytes"),
        (&instance(&format!("auth_hmac {{\nkey 1 {KEY}\nkey 1 {KEY}\n}}")), (7, 1), "a number of its own"),
        (
            &instance(&format!("auth_hmac {{\nkey 1 {KEY}\nactive_key 2\n}}")),
            (5, 1),
            "not the number of a valid key",
        ),
        (&instance(&format!("auth_hmac {{\nkey 1 {KEY}\nmode\n}}")), (7, 1), "`mode` must be `enforce`"),
        (&instance("auth_hmac {\nkey 1 hex:123\n}"), (6, 7), "not an even number of hexadecimal digits"),
        (&(instance("") + &instance("").replace(" V ", " W ")), (7, 1), "has the virtual_router_id of `V`"),
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
        [Tracked { target: TrackTarget::Script(1), weight: Weight::NONE }],
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
        ("authentication {\nauth_type PASS auth_pass x\n}", "authentication without a password"),
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

/// Observed with keepalived 2.2.7, its `-t` and its dump: in each case, the warning or its absence, and the value that is used.
#[test]
fn r10_what_keepalived_goes_on_with_is_gone_on_with() {
    for (body, message, sends_to, addresses) in [
        ("unicast_peer {\n10.0.0.2/24\n}", "", "10.0.0.2", "10.0.0.1/32"),
        ("unicast_peer {\nnowhere\n10.0.0.2\n}", "not the address of a peer", "10.0.0.2", "10.0.0.1/32"),
        ("unicast_peer {\nfe80::2\n10.0.0.2\n}", "fe80::2 is IPv6", "10.0.0.2", "10.0.0.1/32"),
        ("virtual_ipaddress {\nfe80::1\n10.0.0.2\n}", "fe80::1 is IPv6", "", "10.0.0.1/32 10.0.0.2/32"),
        (
            "virtual_ipaddress {\n10.0.0.2/255.255.255.0\n10.0.0.3/24x\n10.0.0.4/33\n10.0.0.5/0\n}",
            "bad prefix length `255.255.255.0`",
            "",
            "10.0.0.1/32 10.0.0.2/32 10.0.0.3/24 10.0.0.4/32 10.0.0.5/0",
        ),
        ("virtual_ipaddress {\n10.0.0.2 dev\n}", "`dev` of an address needs a value", "", "10.0.0.1/32"),
        ("virtual_ipaddress {\n10.0.0.2 brd x\n}", "bad value `x` for `brd`", "", "10.0.0.1/32"),
        ("virtual_ipaddress {\n10.0.0.2 scope x\n}", "bad value `x`", "", "10.0.0.1/32 10.0.0.2/32"),
        (
            "virtual_ipaddress {\n\"10.0.0.2\n10.0.0.3\n}",
            "does not end on its line",
            "",
            "10.0.0.1/32 10.0.0.3/32",
        ),
        ("mcast_src_ip fe80::9", "fe80::9 is IPv6", "", "10.0.0.1/32"),
        ("mcast_src_ip 10.0.0.9/24", "", "", "10.0.0.1/32"),
        ("mcast_dst_ip ff02::99", "ff02::99 is IPv6", "", "10.0.0.1/32"),
        ("native_ipv6", "`native_ipv6` in an instance with IPv4", "", "10.0.0.1/32"),
        (
            "authentication {\nauth_type MD5\nauth_pass x\n}",
            "unknown authentication type `MD5`",
            "",
            "10.0.0.1/32",
        ),
        ("strict_mode on\nunicast_peer {\n10.0.0.2\n}", "", "10.0.0.2", "10.0.0.1/32"),
        ("strict_mode on\naccept", "clients cannot reach the addresses", "", "10.0.0.1/32"),
        ("{\nvirtual_ipaddress {\n10.0.0.2\n}\n}", "a block without a name", "", "10.0.0.1/32 10.0.0.2/32"),
        ("nopreempt {\n}", "`nopreempt` has no block", "", "10.0.0.1/32"),
        ("unicast_peer x {\n10.0.0.2\n}", "the block `unicast_peer` has no name", "10.0.0.2", "10.0.0.1/32"),
        ("state BACKUP MASTER", "", "", "10.0.0.1/32"),
    ] {
        let text = instance(body);
        let found = complaints(&text);
        let warnings: Vec<&String> =
            found.iter().filter(|(severity, ..)| *severity >= Severity::Warning).map(|(.., m)| m).collect();
        match message {
            "" => assert!(warnings.is_empty(), "{body}: {found:?}"),
            _ => assert!(warnings.iter().any(|warning| warning.contains(message)), "{body}: {found:?}"),
        }
        let config = parse(&text).config.unwrap_or_else(|| panic!("{body}: {found:?}"));
        let [instance] = &config.instances[..] else { panic!("{body}: {config:?}") };
        let peers: Vec<String> = instance.peers.iter().map(|peer| peer.address.to_string()).collect();
        let vips: Vec<String> =
            instance.vips.iter().map(|vip| format!("{}/{}", vip.address, vip.prefix)).collect();
        assert_eq!((peers.join(" ").as_str(), vips.join(" ").as_str()), (sends_to, addresses), "{body}");
    }
}

/// In each case, `keepalived -t` of 2.2.7 exits with 5. Of two instances with the same name the first counts; a block without
/// exactly one name is left out.
#[test]
fn r15_names_are_told_apart_as_by_keepalived() {
    let second = instance("").replace("_id 1", "_id 2");
    for (text, message) in [
        (instance("") + &second, "a second vrrp_instance `V`"),
        (instance("") + &second.replace(" V ", " "), "a `vrrp_instance` without a name"),
        (instance("") + &second.replace(" V ", " V W "), "a `vrrp_instance` with more than one name"),
        (instance("") + "vrrp_sync_group {\n}\n", "a `vrrp_sync_group` without a name"),
        (instance("") + "track_group a b {\n}\n", "a `track_group` with more than one name"),
    ] {
        let found = complaints(&text);
        assert!(found.iter().any(|(s, _, m)| *s == Severity::Warning && m.contains(message)), "{found:?}");
        let config = parse(&text).config.unwrap_or_else(|| panic!("{found:?}"));
        assert_eq!(config.instances.iter().map(|instance| instance.vrid).collect::<Vec<u8>>(), [1]);
    }
}

/// keepalived 2.2.7 says `nopreempt is incompatible with priority 255. resetting nopreempt`.
#[test]
fn the_owner_of_the_addresses_always_preempts() {
    let reading = parse(&instance("state BACKUP\npriority 255\nnopreempt"));
    assert_eq!(reading.config.expect("it can be run").instances[0].preempt, Preempt::Yes);
    assert_eq!(reading.diagnostics.len(), 1, "{:?}", reading.diagnostics);
}

/// `state MASTER` without `priority` makes the router the owner of the addresses, which accepts what is sent to them (RFC 9568
/// section 6.4.3).
#[test]
fn an_owner_by_its_state_alone_accepts_what_is_sent_to_its_addresses() {
    for body in ["strict_mode on\nstate MASTER", "no_accept\nstate MASTER"] {
        let reading = parse(&instance(body));
        let config = reading.config.expect("it can be run");
        assert!(config.instances[0].accept, "{body}");
        let unreachable = reading.diagnostics.iter().filter(|d| d.message.contains("cannot reach")).count();
        assert_eq!(unreachable, 0, "{body}: {:?}", reading.diagnostics);
    }
}

/// keepalived 2.2.7 logs this, but counts it as an error only with `vrrp_strict`.
#[test]
fn r15_the_first_ipv6_address() {
    for (addresses, severity, first) in [
        ("2001:db8::1", Some(Severity::Note), "2001:db8::1"),
        ("fe80::1\n2001:db8::1", None, "fe80::1"),
        ("2001:db8::1\nfe80::1", Some(Severity::Note), "fe80::1"),
        ("2001:db8::1\n2001:db8::2", Some(Severity::Note), "2001:db8::1"),
        ("2001:db8::1\nfe80::1\n}\nstrict_mode on\nuse_vmac {", Some(Severity::Warning), "fe80::1"),
    ] {
        let text = instance("").replace("{ 10.0.0.1 }", &format!("{{\n{addresses}\n}}"));
        let worst = complaints(&text).iter().map(|(severity, ..)| *severity).max();
        assert_eq!(worst, severity, "{addresses}");
        let config = parse(&text).config.expect("it can be run");
        assert_eq!(config.instances[0].vips[0].address.to_string(), first);
    }
}

#[test]
fn r11_an_empty_file_is_not_broken() {
    for text in ["", "# nothing\n", "global_defs {\nrouter_id x\n}\n"] {
        let reading = parse(text);
        assert!(reading.config.is_some_and(|config| config.instances.is_empty()), "{text}");
        assert!(reading.diagnostics.iter().all(|diagnostic| diagnostic.severity == Severity::Note));
    }
}

#[test]
fn r14_vrrp_strict_says_that_the_addresses_cannot_be_reached() {
    let strict = "global_defs {\nvrrp_strict\n}\n";
    let says = |text: &str| {
        complaints(text).iter().filter(|(.., message)| message.contains("clients cannot reach")).count()
    };
    assert_eq!(says(&(strict.to_owned() + &instance(""))), 1);
    assert_eq!(says(&(strict.to_owned() + &instance("priority 255"))), 0);
    assert_eq!(says(&(strict.to_owned() + &instance("strict_mode off"))), 0);
    let config = parse(&(strict.to_owned() + &instance(""))).config.expect("it can be run");
    assert!(!config.instances[0].accept);
}

#[test]
fn r17_a_byte_order_mark_is_no_keyword() {
    let text = "\u{feff}".to_owned() + &instance("");
    let [(Severity::Note, (1, 1), message)] = &complaints(&text)[..] else {
        panic!("{:?}", complaints(&text))
    };
    assert!(message.contains("byte order mark"), "{message}");
    assert!(parse(&text).config.is_some_and(|config| config.instances.len() == 1));
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

/// `keepalived -t` of 2.2.7 exits with 5 in each case, but with 0 where `dynamic_interfaces` allows the interface to appear
/// later.
#[test]
fn r13_what_is_not_on_this_host_is_named() {
    let text = "vrrp_script s {\nscript /no/such/program\n}\n".to_owned()
        + &instance(
            "track_interface {\neht1\n}\ntrack_script {\ns\n}\nvirtual_routes {\n10.9.0.0/16 dev eht2\n}",
        );
    let look = |text: &str| {
        let mut reading = parse(text);
        reading.look_at_host(|name| name == "eth0", |_, script| Some(script.program.command[0].clone()));
        let said =
            reading.diagnostics.iter().filter(|diagnostic| diagnostic.message.contains("on this host"));
        said.map(|diagnostic| (diagnostic.severity, diagnostic.message.clone())).collect::<Vec<_>>()
    };
    let missing = |name: &str| format!("interface {name} does not exist on this host");
    let script = (Severity::Warning, "script s cannot run on this host: /no/such/program".to_owned());
    assert_eq!(
        look(&text),
        [script.clone(), (Severity::Warning, missing("eht1")), (Severity::Warning, missing("eht2"))]
    );
    let dynamic = "global_defs {\ndynamic_interfaces\n}\n".to_owned() + &text;
    assert_eq!(
        look(&dynamic),
        [script, (Severity::Note, missing("eht1")), (Severity::Note, missing("eht2"))]
    );
    assert_eq!(look(&instance("").replace("eth0", "eht0")), [(Severity::Warning, missing("eht0"))]);
}
