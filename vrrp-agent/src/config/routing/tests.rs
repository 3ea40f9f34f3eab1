//! Tests of the parser for routes and rules. The expected values are worked out by hand from iproute2's grammar and
//! keepalived's manual.

use super::super::files::Memory;
use super::read_route::UNSUPPORTED_IN_ROUTES;
use super::rule::UNSUPPORTED_IN_RULES;
use super::tables::number;
use super::*;

fn read_route(line: &str) -> Result<Route, BadWord> {
    let words: Vec<&str> = line.split_whitespace().collect();
    route(&words, &Tables::new(&Memory::new([("", "")]), &Directories::default()))
}

fn read_rule(line: &str) -> Result<Rule, BadWord> {
    let words: Vec<&str> = line.split_whitespace().collect();
    parse_rule(&words, &Tables::new(&Memory::new([("", "")]), &Directories::default()))
}

fn prefix(text: &str) -> Prefix {
    Prefix::parse(text).unwrap()
}

/// Returns `192.168.2.0/24 via 10.0.0.1 dev eth0`, worked out by hand.
fn plain() -> Route {
    Route {
        via: Some([10, 0, 0, 1].into()),
        dev: Some("eth0".to_owned()),
        ..Route::to(Prefix { address: [192, 168, 2, 0].into(), length: 24 })
    }
}

#[test]
fn plain_routes() {
    assert_eq!(read_route("192.168.2.0/24 via 10.0.0.1 dev eth0"), Ok(plain()));
    assert_eq!(read_route("to 192.168.2.0/24 gw 10.0.0.1 oif eth0"), Ok(plain()));
    assert_eq!(read_route("192.168.2.0/24 via inet 10.0.0.1 dev eth0"), Ok(plain()));
    assert_eq!(read_route("unicast 192.168.2.0/24 via 10.0.0.1 dev eth0"), Ok(plain()));
    // The order of the words does not matter, and the last occurrence of an option counts.
    let line = "dev eth9 via 10.0.0.1 table main table 254 192.168.2.0/24 dev eth0";
    assert_eq!(read_route(line), Ok(plain()));
}

#[test]
fn all_options() {
    let line = "src 192.168.100.1 to 192.168.2.0/24 via 10.0.0.1 dev eth0 table 0x10 metric 7 proto bird \
                scope link tos 0x10 mtu lock 1400 advmss 1300 onlink append no_track track_group G";
    let expected = Route {
        onlink: true,
        source: Some([192, 168, 100, 1].into()),
        table: 16,
        priority: Some(7),
        protocol: 12,
        scope: Some(253),
        tos: 16,
        metrics: vec![
            Metric { kind: MetricKind::Mtu, value: 1400, locked: true },
            Metric { kind: MetricKind::Advmss, value: 1300, locked: false },
        ],
        append: true,
        no_track: true,
        track_group: Some("G".to_owned()),
        ..plain()
    };
    assert_eq!(read_route(line), Ok(expected));
    for priority in ["metric", "priority", "preference"] {
        let line = format!("192.168.2.0/24 via 10.0.0.1 dev eth0 {priority} 5");
        assert_eq!(read_route(&line), Ok(Route { priority: Some(5), ..plain() }), "{priority}");
    }
}

#[test]
fn families() {
    let destination = |line: &str| read_route(line).unwrap().destination;
    let (v4, v6) = (Prefix::all(Family::V4), Prefix::all(Family::V6));
    assert_eq!(destination("default via 10.0.0.1"), v4);
    assert_eq!(destination("0.0.0.0/0 via 10.0.0.1"), v4);
    assert_eq!(destination("any dev eth0"), v4);
    assert_eq!(destination("default via fe80::1 dev eth0"), v6);
    assert_eq!(destination("default via inet6 fe80::1 dev eth0"), v6);
    assert_eq!(destination("default src 2001:db8::1 dev eth0"), v6);
    assert_eq!(destination("default6 dev eth0"), v6);
    assert_eq!(destination("inet6 default dev eth0"), v6);
    assert_eq!(destination("default nexthop via fe80::1 dev eth0 nexthop via fe80::2 dev eth0"), v6);
    // Host bits of IPv6 prefixes are cleared, as in the kernel.
    assert_eq!(destination("2001:db8::1/64 dev eth0"), prefix("2001:db8::/64"));
    // An IPv4 route may have an IPv6 router, if the line says `inet6`.
    let route = read_route("192.168.2.0/24 via inet6 fe80::1 dev eth0").unwrap();
    assert_eq!((route.family(), route.via), (Family::V4, Some("fe80::1".parse().unwrap())));
}

#[test]
fn kinds() {
    for (word, kind) in [
        ("blackhole", RouteKind::Blackhole),
        ("unreachable", RouteKind::Unreachable),
        ("prohibit", RouteKind::Prohibit),
        ("throw", RouteKind::Throw),
    ] {
        let expected = Route { kind, via: None, dev: None, ..plain() };
        assert_eq!(read_route(&format!("{word} 192.168.2.0/24")), Ok(expected), "{word}");
    }
    assert_eq!(read_route("local 192.168.2.0/24 dev lo").unwrap().table, 255);
    assert_eq!(read_route("local 192.168.2.0/24 dev lo table 7").unwrap().table, 7);
}

#[test]
fn several_ways() {
    let hop = |via: [u8; 4], dev: Option<&str>, onlink, weight| NextHop {
        via: Some(via.into()),
        dev: dev.map(str::to_owned),
        onlink,
        weight,
    };
    let line = "192.168.2.0/24 table 6 nexthop via 10.0.0.1 dev eth0 weight 2 nexthop via 10.0.0.2 onlink \
                weight 256 nexthop via 10.0.0.3";
    let expected = Route {
        via: None,
        dev: None,
        table: 6,
        next_hops: vec![
            hop([10, 0, 0, 1], Some("eth0"), false, 2),
            hop([10, 0, 0, 2], None, true, 256),
            hop([10, 0, 0, 3], None, false, 1),
        ],
        ..plain()
    };
    assert_eq!(read_route(line), Ok(expected));
}

#[test]
fn tracking_needs_an_interface() {
    assert!(read_route("192.168.2.0/24 via 10.0.0.1 dev eth0").unwrap().tracked());
    assert!(!read_route("192.168.2.0/24 via 10.0.0.1 dev eth0 no_track").unwrap().tracked());
    assert!(!read_route("192.168.2.0/24 via 10.0.0.1").unwrap().tracked());
    let route = read_route("10.0.0.0/8 nexthop dev eth0 nexthop via 10.0.0.2 nexthop dev eth1").unwrap();
    assert_eq!(route.interfaces().collect::<Vec<_>>(), ["eth0", "eth1"]);
}

#[test]
fn bad_routes() {
    for (line, index, message) in [
        ("", 0, "a route needs a destination"),
        ("via 10.0.0.1", 0, "a route needs a destination"),
        ("10.0.0.0/8", 0, "a route needs `via`, `dev` or `nexthop`"),
        ("10.0.0.0/8 dev", 1, "`dev` needs a value"),
        ("10.0.0.0/8 dev averyveryverylongname", 2, "15 bytes at most"),
        ("10.0.0.0/33 dev eth0", 0, "`10.0.0.0/33` is not a keyword of a route"),
        ("to 10.0.0.0/33 dev eth0", 1, "bad value `10.0.0.0/33`"),
        ("to blackhole 10.0.0.0/8", 1, "bad value `blackhole`"),
        ("10.0.0.0/8 blackhole", 1, "`blackhole` needs a value"),
        ("10/8 dev eth0", 0, "`10/8` is not a keyword of a route"),
        ("10.0.0.1/8 dev eth0", 0, "`10.0.0.1/8` is not a network: write `10.0.0.0/8`"),
        ("10.0.0.0/8 via dev eth0", 2, "bad value `dev`"),
        ("10.0.0.0/8 via 10.0.0.1/24", 2, "bad value `10.0.0.1/24`"),
        ("10.0.0.0/8 via fe80::1 dev eth0", 2, "IPv4 and IPv6 on one line"),
        ("10.0.0.0/8 via inet6 10.0.0.1 dev eth0", 3, "bad value `10.0.0.1`"),
        ("2001:db8::/64 via 10.0.0.1", 2, "IPv4 and IPv6 on one line"),
        ("2001:db8::/64 via inet 10.0.0.1", 3, "cannot lead to an IPv4 router"),
        ("10.0.0.0/8 dev eth0 from 10.0.0.0/8", 4, "only IPv6 routes have `from`"),
        ("10.0.0.0/8 dev eth0 tos 256", 4, "bad value `256`"),
        ("10.0.0.0/8 dev eth0 tos ff", 4, "bad value `ff`"),
        ("10.0.0.0/8 dev eth0 metric 0x10", 4, "bad value `0x10`"),
        ("10.0.0.0/8 dev eth0 metric -1", 4, "bad value `-1`"),
        ("10.0.0.0/8 dev eth0 table small", 4, "the number or the name of a routing table"),
        ("10.0.0.0/8 dev eth0 proto nosuch", 4, "bad value `nosuch`"),
        ("10.0.0.0/8 dev eth0 scope bogus", 4, "bad value `bogus`"),
        ("10.0.0.0/8 dev eth0 hoplimit lock 5", 4, "bad value `lock`"),
        ("10.0.0.0/8 dev eth0 weight 3", 3, "`weight` of a route is not supported outside `nexthop`"),
        ("10.0.0.0/8 via 10.0.0.1 or 10.0.0.2", 3, "`or` of a route is not supported"),
        ("10.0.0.0/8 dev eth0 realms 3/4", 3, "`realms` of a route is not supported"),
        ("10.0.0.0/8 dev eth0 bogus", 3, "`bogus` is not a keyword of a route"),
        ("blackhole 10.0.0.0/8 via 10.0.0.1", 3, "a `blackhole` route leads nowhere"),
        ("blackhole 10.0.0.0/8 dev eth0", 1, "a `blackhole` route leads nowhere"),
        ("10.0.0.0/8 nexthop weight 3", 1, "a `nexthop` needs `via` or `dev`"),
        ("10.0.0.0/8 nexthop dev eth0 nexthop", 4, "a `nexthop` needs `via` or `dev`"),
        ("10.0.0.0/8 nexthop dev eth0 weight 0", 5, "bad value `0`"),
        ("10.0.0.0/8 nexthop dev eth0 weight 257", 5, "bad value `257`"),
        ("10.0.0.0/8 nexthop dev eth0 metric 5", 4, "`metric` after `nexthop`"),
        ("10.0.0.0/8 dev eth0 nexthop via 10.0.0.1", 3, "write them after each `nexthop`"),
        ("10.0.0.0/8 nexthop via 10.0.0.1 nexthop via fe80::1", 6, "IPv4 and IPv6 on one line"),
    ] {
        let bad = read_route(line).expect_err(line);
        assert_eq!(bad.index, index, "{line}: {}", bad.message);
        assert!(bad.message.contains(message), "{line}: {}", bad.message);
    }
}

#[test]
fn what_does_not_work_is_named() {
    for (word, _) in UNSUPPORTED_IN_ROUTES {
        let bad = read_route(&format!("10.0.0.0/8 dev eth0 {word} x")).expect_err(word);
        assert!(bad.index == 3 && bad.message.contains(&format!("`{word}`")), "{}", bad.message);
        assert!(bad.message.contains("not supported"), "{}", bad.message);
    }
    for (word, _) in UNSUPPORTED_IN_RULES {
        let bad = read_rule(&format!("table 3 {word} x")).expect_err(word);
        assert!(bad.index == 2 && bad.message.contains(&format!("`{word}`")), "{}", bad.message);
        assert!(bad.message.contains("not supported"), "{}", bad.message);
    }
}

#[test]
fn routes_as_iproute2_writes_them() {
    for (line, expected) in [
        ("0.0.0.0/0 gw 10.0.0.1", "default via 10.0.0.1 proto keepalived"),
        ("blackhole 10.0.0.0/8 table 7", "blackhole 10.0.0.0/8 table 7 proto keepalived"),
        (
            "10.0.0.0/8 via inet6 fe80::1 dev eth0 proto 77 scope global src 10.0.0.9 metric 5 tos 8 mtu lock 9",
            "10.0.0.0/8 via inet6 fe80::1 dev eth0 proto 77 scope global src 10.0.0.9 metric 5 tos 0x08 mtu lock 9",
        ),
        (
            "2001:db8::/64 from 2001:db8:1::/64 nexthop via fe80::1 dev eth0 onlink nexthop dev eth1 weight 3",
            "2001:db8::/64 from 2001:db8:1::/64 proto keepalived nexthop via fe80::1 dev eth0 onlink weight 1 \
             nexthop dev eth1 weight 3",
        ),
    ] {
        let route = read_route(line).unwrap();
        assert_eq!(route.to_string(), expected);
        // The text of a route is read as the same route.
        assert_eq!(read_route(&route.to_string()), Ok(route));
    }
}

/// Returns `from 192.168.2.0/24 table 1`, worked out by hand.
fn plain_rule() -> Rule {
    Rule {
        from: Some(Prefix { address: [192, 168, 2, 0].into(), length: 24 }),
        ..Rule::new(Family::V4, Action::Table(1))
    }
}

#[test]
fn rules() {
    assert_eq!(read_rule("from 192.168.2.0/24 table 1"), Ok(plain_rule()));
    assert_eq!(read_rule("from 192.168.2.0/24 lookup 1"), Ok(plain_rule()));
    let line = "not from 192.168.2.0/24 to 192.168.29.0/26 table main iif eth0 oif eth1 tos 22 fwmark 24/0xf \
                preference 39 protocol 4 suppress_prefixlength 0 no_track track_group G";
    let expected = Rule {
        not: true,
        to: Some(Prefix { address: [192, 168, 29, 0].into(), length: 26 }),
        iif: Some("eth0".to_owned()),
        oif: Some("eth1".to_owned()),
        fwmark: Some(Mark { value: 24, mask: Some(15) }),
        tos: 22,
        preference: Some(39),
        action: Action::Table(254),
        suppress_prefix_length: Some(0),
        protocol: 4,
        no_track: true,
        track_group: Some("G".to_owned()),
        ..plain_rule()
    };
    assert_eq!(read_rule(line), Ok(expected));
    for word in ["priority", "preference", "order"] {
        let line = format!("from 192.168.2.0/24 {word} 5 goto 6");
        let expected = Rule { preference: Some(5), action: Action::Goto(6), ..plain_rule() };
        assert_eq!(read_rule(&line), Ok(expected), "{word}");
    }
    for (word, action) in [
        ("blackhole", Action::Blackhole),
        ("unreachable", Action::Unreachable),
        ("prohibit", Action::Prohibit),
        ("nop", Action::Nop),
    ] {
        let expected = Rule { action, ..plain_rule() };
        assert_eq!(read_rule(&format!("from 192.168.2.0/24 {word}")), Ok(expected), "{word}");
    }
}

#[test]
fn families_of_rules() {
    let family = |line: &str| read_rule(line).unwrap().family;
    assert_eq!(family("iif eth0 table 3"), Family::V4);
    assert_eq!(family("from all table 3"), Family::V4);
    assert_eq!(family("inet6 iif eth0 table 3"), Family::V6);
    assert_eq!(family("from default6 table 3"), Family::V6);
    assert_eq!(family("from all to 2001:db8::/32 table 3"), Family::V6);
}

#[test]
fn bad_rules() {
    for (line, index, message) in [
        ("", 0, "a rule needs `table`"),
        ("from 10.0.0.0/8", 0, "a rule needs `table`"),
        ("from", 0, "`from` needs a value"),
        ("10.0.0.0/8 table 3", 0, "`10.0.0.0/8` is not a keyword of a rule"),
        ("from 10.0.0.0/8 to 2001:db8::/32 table 3", 3, "IPv4 and IPv6 on one line"),
        ("from 10.0.0.0/8 table 0", 3, "0 is not a number of a table"),
        ("from 10.0.0.0/8 table 3 table 4", 4, "a rule can have only one action"),
        ("from 10.0.0.0/8 table 3 blackhole", 4, "a rule can have only one action"),
        ("from 10.0.0.0/8 goto 40", 2, "`goto` leads to a later rule"),
        ("preference 5 from 10.0.0.0/8 goto 5", 4, "`goto` leads to a later rule"),
        ("fwmark x table 3", 1, "bad value `x`"),
        ("fwmark 1/ table 3", 1, "bad value `1/`"),
        ("blackhole suppress_prefixlength 0", 1, "`suppress_prefixlength` needs `table`"),
        ("table 3 uidrange 1-2", 2, "`uidrange` of a rule is not supported"),
        ("table 3 bogus", 2, "`bogus` is not a keyword of a rule"),
    ] {
        let bad = read_rule(line).expect_err(line);
        assert_eq!(bad.index, index, "{line}: {}", bad.message);
        assert!(bad.message.contains(message), "{line}: {}", bad.message);
    }
}

#[test]
fn rules_without_a_number_are_numbered_downwards() {
    let mut preferences = PreferenceNumbering::default();
    let mut numbered = |line: &str| {
        let mut rule = read_rule(line).unwrap();
        (preferences.set_if_missing(&mut rule), rule.preference)
    };
    assert_eq!(numbered("from all table 1"), (true, Some(16_384)));
    assert_eq!(numbered("from all table 1 preference 7"), (false, Some(7)));
    assert_eq!(numbered("from all table 2"), (true, Some(16_383)));
}

#[test]
fn rules_as_iproute2_writes_them() {
    for (line, expected) in [
        ("table 1", "from all lookup 1 proto keepalived"),
        (
            "not to 10.0.0.0/8 preference 5 goto 9",
            "not from all to 10.0.0.0/8 preference 5 goto 9 proto keepalived",
        ),
        (
            "from 10.0.0.0/8 fwmark 16/255 iif eth0 tos 8 lookup main suppress_prefixlength 0",
            "from 10.0.0.0/8 tos 0x08 fwmark 0x10/0xff iif eth0 lookup main suppress_prefixlength 0 proto keepalived",
        ),
    ] {
        let rule = read_rule(line).unwrap();
        assert_eq!(rule.to_string(), expected);
        assert_eq!(read_rule(&rule.to_string()), Ok(rule));
    }
}

#[test]
fn lines_are_read_as_the_same() {
    for line in [
        "default6 dev eth0 append no_track",
        "default via 10.0.0.1 track_group G protocol bird",
        "default6 no_track nexthop via fe80::1 dev eth0 nexthop dev eth1 weight 256",
        "local 10.0.0.0/8 dev lo",
    ] {
        let route = read_route(line).unwrap();
        assert_eq!(read_route(&RouteLine(&route).to_string()), Ok(route), "{line}");
    }
    for line in ["inet6 iif eth0 table 3 no_track", "not from 10.0.0.0/8 nop track_group G", "table 3"] {
        let rule = read_rule(line).unwrap();
        assert_eq!(read_rule(&RuleLine(&rule).to_string()), Ok(rule), "{line}");
    }
    // keepalived 2.2.7 accepts exactly these words without a warning.
    let route = read_route("default via 10.0.0.1 dev eth0 onlink").unwrap();
    assert_eq!(RouteLine(&route).to_string(), "default via 10.0.0.1 dev eth0 onlink protocol keepalived");
    let rule = read_rule("inet6 iif eth0 preference 7 table 3").unwrap();
    assert_eq!(RuleLine(&rule).to_string(), "from default6 iif eth0 preference 7 lookup 3 protocol 18");
}

#[test]
fn networks() {
    assert_eq!(prefix("10.1.2.3/8").network(), prefix("10.0.0.0/8"));
    assert_eq!(prefix("10.1.2.3/0").network(), prefix("0.0.0.0/0"));
    assert_eq!(prefix("10.1.2.3").network(), prefix("10.1.2.3/32"));
    assert_eq!(prefix("2001:db8::1/64").network(), prefix("2001:db8::/64"));
    assert_eq!(prefix("2001:db8::1").network(), prefix("2001:db8::1/128"));
}

#[test]
fn numbers() {
    assert_eq!(
        [number("16"), number("0x10"), number("020"), number("0")],
        [Some(16), Some(16), Some(16), Some(0)]
    );
    assert_eq!([number("+1"), number("0x"), number("08"), number(""), number("-1")], [None; 5]);
    assert_eq!(
        [decimal("010"), decimal("+1"), decimal(""), decimal("4294967296")],
        [Some(10), None, None, None]
    );
}
