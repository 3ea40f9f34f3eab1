//! Section 6.4: the states.

use std::time::Duration;

use vrrp_agent::vrrp::{
    Fault, GarpSchedule, Instance, OnHigher, OnLower, Output, Params, State, SyncMembership, Time, Watch,
};
use vrrp_ebpf::advert::{Address, Advert, List, Version};
use vrrp_ebpf::election::{DOWN_ADVERTS, Preempt, Takeover};

use super::{Row, check, trace};

pub(super) fn params(priority: u8) -> Params {
    Params {
        version: Version::V3,
        priority,
        interval: Duration::from_secs(1),
        preempt: Preempt::Yes,
        preempt_delay: Duration::ZERO,
        on_lower: OnLower::Advertise,
        on_higher: OnHigher::Yield,
        down_adverts: DOWN_ADVERTS,
        address: Address::v4([10, 0, 0, 5]),
        garp: GarpSchedule {
            repeat: 5,
            delay: None,
            refresh: None,
            refresh_repeat: 1,
            lower_repeat: 5,
            lower_delay: None,
        },
        sync_membership: SyncMembership::Alone,
        takeover: Takeover::Kernel,
        install_time: Duration::from_secs(3),
    }
}

pub(super) const fn at(millis: u64) -> Time {
    Time::since_start(Duration::from_millis(millis))
}

pub(super) fn heard(priority: u8, last: u8) -> Advert {
    Advert { source: Address::v4([10, 0, 0, last]), priority, interval_ns: 1_000_000_000, list: List::Same }
}

pub(super) fn started(params: Params) -> Instance {
    trace(format!("started with priority {}, {:?}", params.priority, params.preempt));
    let mut instance = Instance::new(params, at(0));
    instance.start(at(0));
    drain(&mut instance);
    instance
}

pub(super) fn drain(instance: &mut Instance) -> Vec<Output> {
    let outputs = std::iter::from_fn(|| instance.poll_output()).collect();
    trace(format!("{:?} after {outputs:?}; next deadline {:?}", instance.state(), instance.next_deadline()));
    outputs
}

/// A master since second 4, whose outputs at the transition have been taken.
pub(super) fn master() -> Instance {
    let mut instance = started(params(100));
    instance.handle_timeout(at(4000));
    instance.handle_installed(at(4000));
    drain(&mut instance);
    instance
}

/// True if the instance is master at `later` after an advert at `millis` and no other advert.
pub(super) fn takes_over(mut instance: Instance, millis: u64, advert: &Advert, later: u64) -> bool {
    trace(format!("{:?} hears {advert:?} at {millis} ms", instance.state()));
    instance.handle_advert(at(millis), advert, Watch::Here);
    instance.handle_timeout(at(later));
    trace(format!("{:?} at {later} ms", instance.state()));
    instance.state() == State::Master
}

fn yields_to(advert: &Advert) -> bool {
    let mut instance = master();
    trace(format!("{:?} hears {advert:?}", instance.state()));
    instance.handle_advert(at(4500), advert, Watch::Here);
    trace(format!("{:?} afterwards", instance.state()));
    instance.state() == State::Backup
}

fn advertises_at_once(advert: &Advert) -> bool {
    let mut instance = master();
    instance.handle_advert(at(4500), advert, Watch::Here);
    drain(&mut instance).contains(&Output::Advertise { priority: 100 })
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of rules")]
fn the_states() {
    check(&[
        Row {
            section: "6.4.1",
            rule: "the owner is active at once, others are not",
            satisfied: || started(params(255)).state() == State::Master,
            violated: Some(|| started(params(254)).state() == State::Master),
        },
        Row {
            section: "6.4.1",
            rule: "a backup waits for three intervals and its skew: 3.609 s at priority 100",
            satisfied: || takes_over(started(params(100)), 0, &heard(1, 1), 3610),
            violated: Some(|| takes_over(started(params(100)), 0, &heard(1, 1), 3609)),
        },
        Row {
            section: "6.4.2",
            rule: "an equal or higher advert restarts the wait",
            satisfied: || {
                !takes_over(started(params(100)), 1000, &heard(100, 1), 4600)
                    && takes_over(started(params(100)), 1000, &heard(200, 1), 4610)
            },
            violated: Some(|| takes_over(started(params(100)), 1000, &heard(101, 1), 3700)),
        },
        Row {
            section: "6.4.2",
            rule: "a lower advert does not, if preemption is on",
            satisfied: || takes_over(started(params(100)), 1000, &heard(99, 9), 3610),
            violated: Some(|| {
                let params = Params { preempt: Preempt::No, ..params(100) };
                takes_over(started(params), 1000, &heard(99, 9), 3610)
            }),
        },
        Row {
            section: "6.4.2",
            rule: "priority 0 sets the timer to the skew time",
            satisfied: || takes_over(started(params(100)), 1000, &heard(0, 1), 1610),
            violated: Some(|| takes_over(started(params(100)), 1000, &heard(0, 1), 1609)),
        },
        Row {
            section: "6.4.2",
            rule: "the master's interval is adopted",
            satisfied: || {
                let slow = Advert { interval_ns: 2_000_000_000, ..heard(200, 1) };
                takes_over(started(params(100)), 0, &slow, 7219)
            },
            violated: Some(|| {
                let slow = Advert { interval_ns: 2_000_000_000, ..heard(200, 1) };
                takes_over(started(params(100)), 0, &slow, 7218)
            }),
        },
        Row {
            section: "6.4.3",
            rule: "a higher priority is yielded to, a lower one is not",
            satisfied: || yields_to(&heard(101, 1)),
            violated: Some(|| yields_to(&heard(99, 9))),
        },
        Row {
            section: "6.4.3",
            rule: "of equal priorities the greater address stays",
            satisfied: || yields_to(&heard(100, 6)),
            violated: Some(|| yields_to(&heard(100, 4))),
        },
        Row {
            section: "6.4.3",
            rule: "a lower advert is answered at once",
            satisfied: || advertises_at_once(&heard(99, 9)),
            violated: Some(|| advertises_at_once(&heard(101, 9))),
        },
        Row {
            section: "6.4.3",
            rule: "priority 0 is answered at once",
            satisfied: || advertises_at_once(&heard(0, 9)),
            violated: Some(|| yields_to(&heard(0, 9))),
        },
        Row {
            section: "6.4.3",
            rule: "a master that stops says priority 0, a backup nothing",
            satisfied: || {
                let mut instance = master();
                instance.stop(at(4500));
                drain(&mut instance)[0] == Output::Advertise { priority: 0 }
            },
            violated: Some(|| {
                let mut instance = started(params(100));
                instance.stop(at(500));
                drain(&mut instance).iter().any(|output| matches!(output, Output::Advertise { .. }))
            }),
        },
        Row {
            section: "keepalived, fault",
            rule: "an instance in fault is no candidate",
            satisfied: || {
                let mut instance = started(params(100));
                instance.set_fault(at(100), Fault::Present);
                instance.handle_timeout(at(10_000));
                instance.state() == State::Fault
            },
            violated: Some(|| {
                let mut instance = master();
                instance.set_fault(at(4100), Fault::Present);
                instance.state() == State::Master
            }),
        },
        Row {
            section: "keepalived, weights",
            rule: "an owner's priority does not move, another's stays within 1 and 254",
            satisfied: || {
                let mut instance = started(params(100));
                instance.set_contributions(at(1), -300);
                let lowest = instance.priority() == 1;
                instance.set_contributions(at(1), 300);
                lowest && instance.priority() == 254
            },
            violated: Some(|| {
                let mut instance = started(params(255));
                instance.set_contributions(at(1), -300);
                instance.priority() != 255
            }),
        },
    ]);
}
