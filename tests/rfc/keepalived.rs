//! keepalived's own rules, as docs/vrrp.md has them: each row's section is one of its headings, or one of RFC 9568. Notification,
//! signals, reload and syntax have their own tests.

use std::time::Duration;

use vrrp_agent::config::{Config, InstanceConfig, Script, parse};
use vrrp_agent::track::script::Counter;
use vrrp_agent::vrrp::{
    Cause, Condition, Fault, GarpSchedule, Instance, OnHigher, OnLower, Output, Params, State, Watch, Weight,
    WeightEffect, effective_priority,
};
use vrrp_ebpf::advert::Version;
use vrrp_ebpf::election::Preempt;

use super::states::{at, drain, heard, master, params, started, takes_over};
use super::{Row, check};

fn config(more: &str) -> Config {
    let text = format!(
        "vrrp_script S {{\nscript /bin/true\n}}\nvrrp_instance V {{\ninterface eth0\nvirtual_router_id 51\n\
         virtual_ipaddress {{\n10.0.0.100\n}}\n{more}\n}}\n"
    );
    parse(&text).config.expect("a valid file")
}

fn instance(more: &str) -> InstanceConfig {
    config(more).instances.remove(0)
}

fn counter(rise: u32, fall: u32, results: &[bool]) -> Condition {
    let script = Script { rise, fall, ..config("").scripts[0].clone() };
    let mut counter = Counter::new(&script);
    for &result in results {
        counter.record(result);
    }
    counter.state()
}

fn master_with(params: Params) -> Instance {
    let mut instance = started(params);
    instance.handle_timeout(at(4000));
    instance.handle_installed(at(4000));
    drain(&mut instance);
    instance
}

fn hears(mut instance: Instance, millis: u64, priority: u8, last: u8) -> Vec<Output> {
    instance.handle_advert(at(millis), &heard(priority, last), Watch::Here);
    drain(&mut instance)
}

const fn announce(repeat: u32) -> Output {
    Output::Announce { repeat }
}

#[test]
fn scripts_and_weights() {
    check(&[
        Row {
            section: "script counter",
            rule: "it is up after `rise` successes and down after `fall` failures in a row",
            satisfied: || counter(2, 3, &[true, false, false, false]) == Condition::Down,
            violated: Some(|| counter(2, 3, &[true, false, false]) == Condition::Down),
        },
        Row {
            section: "script counter",
            rule: "and up again after `rise` successes",
            satisfied: || counter(2, 1, &[false, true, true]) == Condition::Up,
            violated: Some(|| counter(2, 1, &[false, true]) == Condition::Up),
        },
        Row {
            section: "script counter",
            rule: "the first exit counts alone",
            satisfied: || {
                counter(3, 3, &[true]) == Condition::Up && counter(3, 3, &[false]) == Condition::Down
            },
            violated: Some(|| counter(3, 3, &[]) != Condition::Unknown),
        },
        Row {
            section: "priorities and weights",
            rule: "a positive weight counts while it is up, a negative one while it is down",
            satisfied: || {
                Weight::straight(5).of(Condition::Up) == WeightEffect::Adds(5)
                    && Weight::straight(-5).of(Condition::Down) == WeightEffect::Adds(-5)
            },
            violated: Some(|| {
                Weight::straight(5).of(Condition::Down) != WeightEffect::Adds(0)
                    || Weight::straight(-5).of(Condition::Up) != WeightEffect::Adds(0)
            }),
        },
        Row {
            section: "priorities and weights",
            rule: "the priority stays within 1 and 254, the sum itself is not bounded, the owner does not move",
            satisfied: || {
                effective_priority(100, 300) == 254
                    && effective_priority(100, 300 - 290) == 110
                    && effective_priority(255, -300) == 255
            },
            violated: Some(|| effective_priority(100, -300) != 1),
        },
        Row {
            section: "priorities and weights",
            rule: "a priority that changes shifts a running master-down timer",
            satisfied: || {
                // The skew goes from 156/256 s to 56/256 s: 3.219 s.
                let mut instance = started(params(100));
                instance.set_contributions(at(1000), 100);
                instance.handle_timeout(at(3219));
                instance.state() == State::Master
            },
            violated: Some(|| {
                let mut instance = started(params(100));
                instance.set_contributions(at(1000), 100);
                instance.handle_timeout(at(3218));
                instance.state() == State::Master
            }),
        },
    ]);
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of rules")]
fn what_the_file_says() {
    check(&[
        Row {
            section: "priorities and weights",
            rule: "`state MASTER` is a hint: only priority 255 is master at once",
            satisfied: || instance("state MASTER").priority == 255,
            violated: Some(|| instance("state MASTER\npriority 100").priority != 100),
        },
        Row {
            section: "priorities and weights",
            rule: "it clears nopreempt and preempt_delay",
            satisfied: || {
                let instance = instance("state MASTER\npriority 100\nnopreempt\npreempt_delay 5");
                instance.preempt == Preempt::Yes && instance.preempt_delay.is_zero()
            },
            violated: Some(|| instance("state BACKUP\nnopreempt").preempt != Preempt::No),
        },
        Row {
            section: "defaults",
            rule: "the defaults: version 2, priority 100, one second, three adverts, accept",
            satisfied: || {
                let i = instance("");
                (i.version, i.priority, i.interval) == (Version::V2, 100, Duration::from_secs(1))
                    && (i.down_adverts, i.accept) == (3, true)
            },
            violated: Some(|| instance("no_accept").accept || !instance("no_accept\npriority 255").accept),
        },
        Row {
            section: "timers",
            rule: "an interval is whole seconds in version 2, centiseconds up to 40.95 s in version 3",
            satisfied: || {
                instance("advert_int 0.3").interval == Duration::from_secs(1)
                    && instance("version 3\nadvert_int 0.3").interval == Duration::from_millis(300)
            },
            violated: Some(|| instance("version 3\nadvert_int 60").interval != Duration::from_millis(40_950)),
        },
        Row {
            section: "packets",
            rule: "addresses beyond 255 are held and not advertised",
            satisfied: || {
                let more: String = (0..300).map(|n| format!("10.1.{}.{}\n", n / 256, n % 256)).collect();
                let i = instance(&format!("virtual_ipaddress {{\n{more}}}"));
                (i.vips.len(), i.excluded.len()) == (255, 301 - 255)
            },
            violated: None,
        },
        Row {
            section: "5.2.9, erratum 8300",
            rule: "the first IPv6 address of an advert is link-local",
            satisfied: || {
                let text = "vrrp_instance V {\ninterface eth0\nvirtual_router_id 1\nvirtual_ipaddress {\nfd00::1\nfe80::1\n}\n}\n";
                let config = parse(text).config.expect("a valid file");
                config.instances[0].vips[0].address.to_string() == "fe80::1"
            },
            violated: None,
        },
        Row {
            section: "7.3",
            rule: "a virtual router's hardware address is 00-00-5E-00-01-VRID, 02 for IPv6",
            satisfied: || instance("use_vmac").virtual_mac() == [0, 0, 0x5e, 0, 1, 51],
            violated: Some(|| {
                let text = "vrrp_instance V {\ninterface eth0\nvirtual_router_id 1\nvirtual_ipaddress {\nfe80::1\n}\n}\n";
                let config = parse(text).config.expect("a valid file");
                config.instances[0].virtual_mac() != [0, 0, 0x5e, 0, 2, 1]
            }),
        },
        Row {
            section: "announcements",
            rule: "the defaults: five, five more after five seconds, no refresh; the same after a lower router",
            satisfied: || {
                let five = Duration::from_secs(5);
                instance("").garp
                    == GarpSchedule {
                        repeat: 5,
                        delay: Some(five),
                        refresh: None,
                        refresh_repeat: 1,
                        lower_repeat: 5,
                        lower_delay: Some(five),
                    }
            },
            violated: Some(|| instance("garp_master_delay 0").garp.delay.is_some()),
        },
    ]);
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of rules")]
fn backup_and_master() {
    check(&[
        Row {
            section: "timers",
            rule: "version 2's skew does not depend on the interval: 6.609 s at two seconds",
            satisfied: || {
                let params = Params { version: Version::V2, interval: Duration::from_secs(2), ..params(100) };
                takes_over(started(params), 0, &heard(1, 1), 6610)
            },
            violated: Some(|| {
                let params = Params { version: Version::V2, interval: Duration::from_secs(2), ..params(100) };
                takes_over(started(params), 0, &heard(1, 1), 6609)
            }),
        },
        Row {
            section: "timers",
            rule: "down_timer_adverts replaces three",
            satisfied: || {
                takes_over(started(Params { down_adverts: 5, ..params(100) }), 0, &heard(1, 1), 5610)
            },
            violated: Some(|| {
                takes_over(started(Params { down_adverts: 5, ..params(100) }), 0, &heard(1, 1), 5609)
            }),
        },
        Row {
            section: "preemption and ties",
            rule: "addresses are not compared: an equal priority with a lower address is obeyed",
            satisfied: || !takes_over(started(params(100)), 1000, &heard(100, 1), 4600),
            violated: None,
        },
        Row {
            section: "preemption and ties",
            rule: "preempt_delay: a lower master is let be for so long, from its first advert on",
            satisfied: || {
                let delay = Duration::from_secs(3);
                let mut instance = started(Params { preempt_delay: delay, ..params(100) });
                for second in 1..=5 {
                    instance.handle_advert(at(second * 1000), &heard(50, 9), Watch::Here);
                    instance.handle_timeout(at(second * 1000));
                }
                // The delay is over at 4 s; the advert at 3 s has set the timer to 6.609 s.
                instance.handle_timeout(at(7610));
                instance.state() == State::Master
            },
            violated: Some(|| {
                let delay = Duration::from_secs(3);
                let mut instance = started(Params { preempt_delay: delay, ..params(100) });
                instance.handle_advert(at(3000), &heard(50, 9), Watch::Here);
                instance.handle_timeout(at(3700));
                instance.state() == State::Master
            }),
        },
        Row {
            section: "states, master",
            rule: "a lower advert is answered by an advert, unless lower_prio_no_advert, and by announcements",
            satisfied: || {
                let outputs = hears(master(), 4500, 50, 9);
                outputs == [Output::Advertise { priority: 100 }, announce(5), Output::LowerHeard]
            },
            violated: Some(|| {
                let params = Params { on_lower: OnLower::Ignore, ..params(100) };
                hears(master_with(params), 4500, 50, 9) != [announce(5), Output::LowerHeard]
            }),
        },
        Row {
            section: "states, master",
            rule: "with higher_prio_send_advert a last advert goes before it yields",
            satisfied: || {
                let params = Params { on_higher: OnHigher::AdvertiseAndYield, ..params(100) };
                hears(master_with(params), 4500, 200, 9)[0] == Output::Advertise { priority: 100 }
            },
            violated: Some(|| {
                hears(master(), 4500, 200, 9).iter().any(|output| matches!(output, Output::Advertise { .. }))
            }),
        },
        Row {
            section: "preemption and ties, erratum 8298",
            rule: "of two owners the greater address stays",
            satisfied: || {
                let mut owner = started(params(255));
                owner.handle_advert(at(100), &heard(255, 9), Watch::Here);
                owner.state() == State::Backup
            },
            violated: Some(|| {
                let mut owner = started(params(255));
                owner.handle_advert(at(100), &heard(255, 1), Watch::Here);
                owner.state() != State::Master
            }),
        },
        Row {
            section: "taking over and resigning",
            rule: "advert, then addresses, then announcements",
            satisfied: || {
                let mut instance = started(params(100));
                instance.handle_timeout(at(4000));
                let outputs = drain(&mut instance);
                instance.handle_installed(at(4001));
                let positions = [Output::Advertise { priority: 100 }, Output::Install]
                    .map(|wanted| outputs.iter().position(|output| *output == wanted));
                positions[0].is_some() && positions[0] < positions[1] && drain(&mut instance) == [announce(5)]
            },
            violated: Some(|| {
                let mut instance = started(params(100));
                instance.handle_timeout(at(4000));
                drain(&mut instance).contains(&announce(5))
            }),
        },
        Row {
            section: "announcements",
            rule: "a second burst after the delay, refreshes from then on",
            satisfied: || {
                let garp = GarpSchedule {
                    delay: Some(Duration::from_secs(2)),
                    refresh: Some(Duration::from_secs(10)),
                    refresh_repeat: 2,
                    ..params(100).garp
                };
                let mut instance = master_with(Params { garp, ..params(100) });
                let mut announced = Vec::new();
                for second in 5..30 {
                    instance.handle_timeout(at(second * 1000));
                    let outputs = drain(&mut instance);
                    let announce = |output| match output {
                        Output::Announce { repeat } => Some((second, repeat)),
                        _ => None,
                    };
                    announced.extend(outputs.into_iter().filter_map(announce));
                }
                announced == [(6, 5), (16, 2), (26, 2)]
            },
            violated: None,
        },
        Row {
            section: "states, master",
            rule: "a master that falls into fault resigns twice, a backup not at all",
            satisfied: || {
                let mut instance = master();
                instance.set_fault(at(4500), Fault::Present);
                let resignation = Output::Advertise { priority: 0 };
                drain(&mut instance).iter().filter(|output| **output == resignation).count() == 2
            },
            violated: Some(|| {
                let mut instance = started(params(100));
                instance.set_fault(at(500), Fault::Present);
                drain(&mut instance).iter().any(|output| matches!(output, Output::Advertise { .. }))
            }),
        },
        Row {
            section: "states, fault",
            rule: "after a fault the whole wait begins anew",
            satisfied: || {
                let mut instance = started(params(100));
                instance.set_fault(at(100), Fault::Present);
                instance.set_fault(at(3000), Fault::None);
                instance.handle_timeout(at(6610));
                instance.state() == State::Master
            },
            violated: Some(|| {
                let mut instance = started(params(100));
                instance.set_fault(at(100), Fault::Present);
                instance.set_fault(at(3000), Fault::None);
                instance.handle_timeout(at(6609));
                instance.state() == State::Master
            }),
        },
        Row {
            section: "states, master",
            rule: "an address that somebody else removed: resign, and master again after the skew",
            satisfied: || {
                let mut instance = master();
                instance.handle_addresses_lost(at(5000));
                let lost = Output::Transition {
                    from: State::Master,
                    to: State::Backup,
                    cause: Cause::AddressesLost,
                };
                let outputs = drain(&mut instance);
                instance.handle_timeout(at(5610));
                outputs[0] == Output::Advertise { priority: 0 }
                    && outputs.contains(&lost)
                    && instance.state() == State::Master
            },
            violated: Some(|| {
                let mut instance = master();
                instance.handle_addresses_lost(at(5000));
                instance.handle_timeout(at(5609));
                instance.state() == State::Master
            }),
        },
        Row {
            section: "taking over and resigning",
            rule: "one resignation, then the addresses go",
            satisfied: || {
                let mut instance = master();
                instance.stop(at(5000));
                let outputs = drain(&mut instance);
                outputs[..2] == [Output::Advertise { priority: 0 }, Output::Withdraw]
            },
            violated: None,
        },
    ]);
}
