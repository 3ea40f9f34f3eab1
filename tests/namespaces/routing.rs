//! Routes and rules that move with the addresses, addresses with all their options, and what is static: as keepalived sets them.

use anyhow::Result;
use nix::sys::signal::Signal;
use vrrp_tests::lab::{Host, Lab, eventually};

use crate::common::{Config, Daemon, TIMEOUT, VIP, reaches};

const STATIC: &str = "static_ipaddress {\n10.55.0.1/24 brd + dev eth0 scope link\n}\n\
     static_routes {\n10.56.0.0/16 via 10.55.0.9 dev eth0 metric 7\nblackhole 10.57.0.0/16\n}\n\
     static_rules {\nfrom 10.58.0.0/16 table 77 preference 777\n}\n";

const VIRTUAL: &str = "virtual_ipaddress_excluded {\n10.61.0.1/24 label eth0:vip preferred_lft 600\n\
     10.62.0.1 peer 10.62.0.2\n2001:db8:61::1/64 preferred_lft forever home\n10.64.0.1/24 noprefixroute\n}\n\
     virtual_routes {\nsrc 10.61.0.1 to 10.63.0.0/16 via 10.61.0.9 dev eth0\n\
     10.65.0.0/16 via 10.61.0.9 dev eth0 table 88 metric 5 mtu 1400\n\
     2001:db8:63::/48 via 2001:db8:61::9 dev eth0\nunreachable 10.66.0.0/16\n\
     10.67.0.0/16 nexthop via 10.61.0.8 dev eth0 weight 2 nexthop via 10.61.0.9 dev eth0 weight 3\n}\n\
     virtual_rules {\nfrom 10.61.0.0/24 table 88 preference 888\nto 10.70.0.0/16 fwmark 16/0xff table 89 preference 889\n\
     from 2001:db8:61::/64 table 88 preference 890\n}\n";

fn config() -> String {
    Config { above: STATIC.to_owned(), more: VIRTUAL.to_owned(), ..Config::priority(100) }.text()
}

/// All that `ip` shows of addresses, routes and rules, without the values that differ from one moment to the next.
fn shown(host: &Host) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    for arguments in [
        &["-o", "address", "show", "dev", "eth0"][..],
        &["-4", "route", "show", "table", "all"],
        &["-6", "route", "show", "table", "all"],
        &["-4", "rule"],
        &["-6", "rule"],
    ] {
        for line in host.run("ip", arguments)?.lines() {
            // The hosts' own addresses, and lifetimes that run down.
            let own = line.contains(&host.address()) || line.contains("fe80") || line.contains("ff00::");
            let line = line.split_whitespace().map(|word| match word.strip_suffix("sec") {
                Some(seconds) if seconds.parse::<u32>().is_ok() => "Nsec",
                Some(_) | None => word,
            });
            if !own {
                // The mark of the daemon that has set an address is left out.
                lines.push(line.collect::<Vec<&str>>().join(" ").replace("proto 112 ", ""));
            }
        }
    }
    // The order does not matter: a line such as `1: eth0` begins with the interface's number.
    lines.sort();
    Ok(lines)
}

#[test]
fn what_a_master_sets_is_what_keepalived_sets() -> Result<()> {
    let lab = Lab::new()?;
    let mut all = Vec::new();
    for (name, daemon) in [("ours", Daemon::Ours), ("theirs", Daemon::Keepalived)] {
        let host = lab.host(name, 11)?;
        let before = shown(&host)?;
        let process = daemon.start_with(&host, &config())?;
        let complete = || shown(&host).is_ok_and(|shown| shown.iter().any(|line| line.starts_with("890:")));
        assert!(eventually(TIMEOUT, complete), "{daemon:?}: {}\n{:#?}", process.log(), shown(&host));
        std::thread::sleep(std::time::Duration::from_millis(500));
        let during = shown(&host)?;
        process.stop()?;
        let after = shown(&host)?;
        match daemon {
            Daemon::Ours => assert_eq!(before, after),
            // keepalived leaves the address that has a peer behind.
            Daemon::Keepalived => assert_ne!(before, after),
        }
        all.push(during);
    }
    let [ours, theirs] = &all[..] else { panic!() };
    println!("{ours:#?}");
    assert_eq!(ours, theirs);
    Ok(())
}

#[test]
fn routes_leave_with_the_master_and_are_put_back_when_others_remove_them() -> Result<()> {
    let lab = Lab::new()?;
    let (h1, h2) = (lab.host("h1", 11)?, lab.host("h2", 12)?);
    let first = h1.agent(&config())?;
    let second = h2.agent(&config().replace("priority 100", "priority 90"))?;
    h1.wait_for_address(VIP, true, TIMEOUT)?;
    let has =
        |host: &Host, what: &str| shown(host).is_ok_and(|all| all.iter().any(|line| line.contains(what)));
    let (route, rule, fixed) = ("10.63.0.0/16", "888:", "10.56.0.0/16");
    assert!(eventually(TIMEOUT, || has(&h1, rule)) && has(&h1, route));
    assert!(!has(&h2, route) && !has(&h2, rule) && has(&h2, fixed), "{:#?}", shown(&h2)?);

    // An operator removes routes and rules.
    h1.run("ip", &["route", "del", route])?;
    h1.run("ip", &["rule", "del", "preference", "888"])?;
    h1.run("ip", &["route", "del", fixed])?;
    assert!(eventually(TIMEOUT, || has(&h1, route) && has(&h1, rule) && has(&h1, fixed)), "{}", first.log());
    assert_eq!(h1.state(0), "master");

    // A reload of another file.
    lab.write(
        "h1.conf",
        &config().replace("10.63.0.0/16", "10.68.0.0/16").replace("10.56.0.0", "10.59.0.0"),
    )?;
    first.signal(Signal::SIGHUP)?;
    assert!(eventually(TIMEOUT, || has(&h1, "10.68.0.0/16") && has(&h1, "10.59.0.0/16")), "{}", first.log());
    assert!(!has(&h1, route) && !has(&h1, fixed) && has(&h1, "10.65.0.0/16"), "{:#?}", shown(&h1)?);
    assert_eq!(h1.state(0), "master");

    // The agent is killed: the things that it left go when it starts again as backup.
    first.signal(Signal::SIGKILL)?;
    assert!(reaches(&h2, 0, "master") && eventually(TIMEOUT, || has(&h2, rule)));
    drop(first);
    assert!(has(&h1, rule));
    let first = h1.agent(&config().replace("priority 100", "priority 80"))?;
    assert!(eventually(TIMEOUT, || !has(&h1, rule) && !has(&h1, "10.65.0.0/16")), "{}", first.log());
    assert_eq!(h2.state(0), "master", "{}", second.log());
    Ok(())
}

#[test]
fn of_two_instances_with_the_same_route_one_may_leave() -> Result<()> {
    let lab = Lab::new()?;
    let (h1, h2) = (lab.host("h1", 11)?, lab.host("h2", 12)?);
    let routes = "virtual_routes {\n10.63.0.0/16 dev eth0\n}\n";
    let both = |second: u8| {
        let one = Config { more: routes.to_owned(), ..Config::priority(100) };
        let two = Config { name: "VI_2", vrid: 52, vip: "192.168.1.20", ..one.clone() };
        one.text() + &Config { priority: second, ..two }.text()
    };
    let _agent = h1.agent(&both(90))?;
    h1.wait_for_address("192.168.1.20", true, TIMEOUT)?;
    h1.wait_for_address(VIP, true, TIMEOUT)?;
    // The other host takes the second instance only.
    let other = both(95).replace("priority 100", "priority 50");
    let _other = h2.agent(&other)?;
    h1.wait_for_address("192.168.1.20", false, TIMEOUT)?;
    h2.wait_for_address("192.168.1.20", true, TIMEOUT)?;
    assert!(h1.run("ip", &["route"])?.contains("10.63.0.0/16"));
    Ok(())
}
