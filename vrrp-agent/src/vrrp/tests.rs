//! Expectations written by hand from RFC 9568 section 6.4 and docs/vrrp.md, mostly "States" and "Timers".

use std::time::Duration;

use proptest::prelude::*;
use vrrp_ebpf::advert::{Address, Advert, List, Version};
use vrrp_ebpf::election::{DOWN_ADVERTS, Preempt, Takeover};

use super::*;

mod epochs;
mod joining;
mod listening;
mod preempt_delay;
mod resume;
mod surrender;

const SECOND: Duration = Duration::from_secs(1);

/// The parameters that most tests begin with.
pub(super) fn params(priority: u8) -> Params {
    Params {
        version: Version::V3,
        priority,
        interval: SECOND,
        preempt: Preempt::Yes,
        preempt_delay: Duration::ZERO,
        on_lower: OnLower::Advertise,
        on_higher: OnHigher::Yield,
        down_adverts: DOWN_ADVERTS,
        address: Address::v4([10, 0, 0, 2]),
        garp: GarpSchedule {
            repeat: 5,
            delay: Some(5 * SECOND),
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

fn at(seconds: f64) -> Time {
    Time::since_start(Duration::from_secs_f64(seconds))
}

fn advert(priority: u8, last: u8) -> Advert {
    Advert { source: Address::v4([10, 0, 0, last]), priority, interval_ns: 1_000_000_000, list: List::Same }
}

fn outputs(instance: &mut Instance) -> Vec<Output> {
    std::iter::from_fn(|| instance.poll_output()).collect()
}

fn started(params: Params) -> Instance {
    let mut instance = Instance::new(params, at(0.0));
    instance.start(at(0.0));
    outputs(&mut instance);
    instance
}

#[test]
fn the_kernel_answers_first_unless_somebody_must_be_asked() {
    for (sync_membership, trackers, expected) in [
        (SyncMembership::Alone, Takeover::Kernel, Takeover::Kernel),
        (SyncMembership::Alone, Takeover::Agent, Takeover::Agent),
        (SyncMembership::Group, Takeover::Kernel, Takeover::Agent),
        (SyncMembership::Group, Takeover::Agent, Takeover::Agent),
    ] {
        let instance = Instance::new(Params { sync_membership, takeover: trackers, ..params(100) }, at(0.0));
        assert_eq!(instance.takeover(), expected, "{sync_membership:?} {trackers:?}");
    }
}

#[test]
fn what_the_kernel_has_taken_over_is_confirmed_by_a_mastership_and_revoked_by_any_other_epoch() {
    let watched = || {
        let mut instance = started(params(100));
        instance.handle_advert(at(1.0), &advert(200, 9), Watch::Kernel);
        instance
    };
    let mut confirmed = watched();
    let epoch = confirmed.epoch();
    confirmed.handle_master_down(at(4.6));
    assert_eq!((confirmed.state(), confirmed.epoch()), (State::Master, epoch + 1));
    assert!(outputs(&mut confirmed).contains(&Output::Advertise { priority: 100 }), "peers hear at once");
    let mut revoked = watched();
    revoked.set_fault(at(4.6), Fault::Present);
    revoked.handle_master_down(at(4.6));
    assert_eq!((revoked.state(), revoked.epoch()), (State::Fault, epoch + 1));
}

/// A master since second 10, its addresses installed.
fn master() -> Instance {
    let mut instance = started(params(100));
    instance.handle_timeout(at(10.0));
    outputs(&mut instance);
    instance.handle_installed(at(10.0));
    outputs(&mut instance);
    assert_eq!(instance.state(), State::Master);
    instance
}

fn transition(from: State, to: State, cause: Cause) -> Output {
    Output::Transition { from, to, cause }
}

/// 6.4.1: a router that is not the owner becomes Backup, with the timer at the master-down interval.
#[test]
fn a_router_starts_as_backup_and_waits_the_whole_interval() {
    let instance = started(params(100));
    assert_eq!(instance.state(), State::Backup);
    assert_eq!(instance.next_deadline(), Some(at(3.609_375)));
}

/// 6.4.1: the owner advertises and is master at once.
#[test]
fn the_owner_is_master_at_once() {
    let mut instance = Instance::new(params(255), at(0.0));
    instance.start(at(0.0));
    assert_eq!(
        outputs(&mut instance),
        [
            transition(State::Initialize, State::Master, Cause::Started),
            Output::Advertise { priority: 255 },
            Output::Install,
        ]
    );
}

/// 6.4.2: when the timer fires, the advert comes first, then the addresses, which are announced only once they are there
/// (8.1.2).
#[test]
fn a_backup_whose_master_is_silent_takes_over_in_order() {
    let mut instance = started(params(100));
    instance.handle_timeout(at(3.6));
    assert_eq!(outputs(&mut instance), []);
    instance.handle_timeout(at(3.61));
    assert_eq!(
        outputs(&mut instance),
        [
            transition(State::Backup, State::Master, Cause::MasterSilent),
            Output::Advertise { priority: 100 },
            Output::Install,
        ]
    );
    instance.handle_installed(at(3.62));
    assert_eq!(outputs(&mut instance), [Output::Announce { repeat: 5 }]);
    assert_eq!(instance.next_deadline(), Some(at(4.61)));
    instance.handle_timeout(at(8.7));
    assert!(outputs(&mut instance).contains(&Output::Announce { repeat: 5 }), "the second burst");
}

/// 6.4.2: priority 0 sets the timer to the skew time.
#[test]
fn a_resignation_shortens_the_wait_to_the_skew_time() {
    let mut instance = started(params(100));
    instance.handle_advert(at(1.0), &advert(200, 9), Watch::Here);
    assert_eq!(instance.next_deadline(), Some(at(4.609_375)));
    instance.handle_advert(at(2.0), &advert(0, 9), Watch::Here);
    assert_eq!(instance.next_deadline(), Some(at(2.609_375)));
    instance.handle_timeout(at(2.61));
    assert_eq!(outputs(&mut instance)[0], transition(State::Backup, State::Master, Cause::MasterResigned));
}

/// 6.4.2: a lower priority does not reset the timer, unless this router may not preempt.
#[test]
fn a_lower_advert_holds_back_only_without_preemption() {
    let mut instance = started(params(100));
    instance.handle_advert(at(1.0), &advert(99, 9), Watch::Here);
    assert_eq!(instance.next_deadline(), Some(at(3.609_375)));
    instance.handle_timeout(at(3.61));
    assert_eq!(outputs(&mut instance)[0], transition(State::Backup, State::Master, Cause::Preempts));
    let mut instance = started(Params { preempt: Preempt::No, ..params(100) });
    instance.handle_advert(at(1.0), &advert(99, 9), Watch::Here);
    assert_eq!(instance.next_deadline(), Some(at(4.609_375)));
}

/// keepalived: the delay starts with the first lower advert; until it is over the lower master is followed.
#[test]
fn a_preemption_may_wait() {
    let mut instance = started(Params { preempt_delay: 10 * SECOND, ..params(100) });
    for second in 1..=10 {
        instance.handle_timeout(at(f64::from(second)));
        instance.handle_advert(at(f64::from(second)), &advert(90, 9), Watch::Here);
    }
    assert_eq!((instance.state(), instance.candidate().preempt), (State::Backup, Preempt::No));
    instance.handle_timeout(at(11.0));
    assert_eq!(instance.candidate().preempt, Preempt::Yes);
    instance.handle_advert(at(11.1), &advert(90, 9), Watch::Here);
    instance.handle_timeout(at(13.61));
    let outputs = outputs(&mut instance);
    assert_eq!(outputs[0], transition(State::Backup, State::Master, Cause::Preempts));
    // A silent master is replaced whether the delay is over or not.
    let mut instance = started(Params { preempt_delay: 100 * SECOND, ..params(100) });
    instance.handle_advert(at(1.0), &advert(90, 9), Watch::Here);
    instance.handle_timeout(at(4.61));
    assert_eq!(instance.state(), State::Master);
}

/// Found by the simulator: the kernel half reports the master only once, and it is our own priority that rises.
#[test]
fn the_delay_also_begins_when_our_priority_rises() {
    let mut instance = started(Params { preempt_delay: 10 * SECOND, ..params(100) });
    instance.handle_advert(at(1.0), &advert(150, 9), Watch::Kernel);
    assert_eq!(instance.next_deadline(), None);
    instance.set_contributions(at(2.0), 100);
    assert_eq!(instance.next_deadline(), Some(at(12.0)));
}

#[test]
fn what_a_master_says_to_lower_and_higher_is_configured() {
    let mastered = |params| {
        let mut instance = started(params);
        instance.handle_timeout(at(10.0));
        outputs(&mut instance);
        instance
    };
    let mut instance = mastered(Params { on_lower: OnLower::Ignore, ..params(100) });
    instance.handle_advert(at(10.5), &advert(90, 9), Watch::Here);
    assert_eq!(outputs(&mut instance), [Output::Announce { repeat: 5 }, Output::LowerHeard]);
    let mut instance = mastered(Params { on_higher: OnHigher::AdvertiseAndYield, ..params(100) });
    instance.handle_advert(at(10.5), &advert(200, 9), Watch::Here);
    assert_eq!(outputs(&mut instance)[..2], [Output::Advertise { priority: 100 }, Output::Withdraw]);
}

/// keepalived: the router resigns with priority 0, is backup, and is master again after the skew time.
#[test]
fn addresses_that_somebody_took_away_are_given_up_and_taken_back() {
    let mut instance = master();
    instance.handle_addresses_lost(at(12.0));
    assert_eq!(
        outputs(&mut instance),
        [
            Output::Advertise { priority: 0 },
            Output::Withdraw,
            transition(State::Master, State::Backup, Cause::AddressesLost)
        ]
    );
    assert_eq!(instance.next_deadline(), Some(at(12.0 + 156.0 / 256.0)));
    // Before the addresses are on the interface, their absence is no loss.
    let mut instance = started(params(255));
    instance.handle_addresses_lost(at(1.0));
    assert_eq!(instance.state(), State::Master);
}

/// 6.4.2: version 3 learns the master's interval.
#[test]
fn the_masters_interval_is_learned() {
    let mut instance = started(params(100));
    let slow = Advert { interval_ns: 2_000_000_000, ..advert(200, 9) };
    instance.handle_advert(at(1.0), &slow, Watch::Here);
    assert_eq!(instance.next_deadline(), Some(at(1.0 + 2.0 * 3.609_375)));
}

#[test]
fn what_the_kernel_watches_is_not_watched_here() {
    let mut instance = started(params(100));
    instance.handle_advert(at(1.0), &advert(200, 9), Watch::Kernel);
    assert_eq!(instance.next_deadline(), None);
    instance.handle_master_down(at(5.0));
    assert_eq!(outputs(&mut instance)[0], transition(State::Backup, State::Master, Cause::MasterSilent));
}

/// 6.4.3: a master yields to a higher priority, or to an equal priority and a higher address.
#[test]
fn a_master_yields_without_a_resignation() {
    for (rival, yields) in [(advert(101, 1), true), (advert(100, 3), true), (advert(100, 1), false)] {
        let mut instance = master();
        instance.handle_advert(at(10.5), &rival, Watch::Here);
        let outputs = outputs(&mut instance);
        if yields {
            let yielded = transition(State::Master, State::Backup, Cause::HigherPriority);
            assert_eq!(outputs, [Output::Withdraw, yielded], "{rival:?}");
            assert_eq!(instance.next_deadline(), Some(at(10.5 + 3.609_375)));
        } else {
            // "discard and send an ADVERTISEMENT immediately", and keepalived's burst of gratuitous ARP.
            let said =
                [Output::Advertise { priority: 100 }, Output::Announce { repeat: 5 }, Output::LowerHeard];
            assert_eq!(outputs, said);
        }
    }
}

#[test]
fn our_own_advert_come_back_is_not_an_election() {
    let mut instance = master();
    instance.handle_advert(at(10.5), &advert(255, 2), Watch::Here);
    assert_eq!(outputs(&mut instance), []);
}

/// Adverts keep their rate, however late each of them is.
#[test]
fn lateness_does_not_add_up() {
    let mut instance = master();
    instance.handle_timeout(at(11.002));
    assert_eq!(instance.next_deadline(), Some(at(12.0)));
    instance.handle_timeout(at(13.2));
    assert_eq!(instance.next_deadline(), Some(at(14.2)), "missed ones are not made up for");
}

/// 6.4.3: a master answers a resignation with an advert.
#[test]
fn a_master_answers_a_resignation() {
    let mut instance = master();
    instance.handle_advert(at(10.5), &advert(0, 9), Watch::Here);
    assert_eq!(outputs(&mut instance), [Output::Advertise { priority: 100 }]);
    assert_eq!(instance.next_deadline(), Some(at(11.5)));
}

/// The kernel half judged by an older priority: this router stays master, under an epoch that is not fenced.
#[test]
fn a_fence_that_we_outrank_is_left_behind() {
    let mut instance = master();
    let fenced = instance.epoch();
    instance.handle_advert(at(10.5), &advert(90, 9), Watch::Fenced);
    assert_eq!(instance.state(), State::Master);
    assert!(instance.epoch() > fenced);
}

/// The master was silent for longer than its lease, and a lower router has taken over: the old master gives way.
#[test]
fn a_master_that_stalled_gives_way_even_to_a_lower_one() {
    let mut instance = master();
    instance.handle_advert(at(13.1), &advert(90, 9), Watch::Here);
    let [Output::Withdraw, Output::Transition { to: State::Backup, cause: Cause::Overtaken { stalled }, .. }] =
        outputs(&mut instance)[..]
    else {
        panic!("it went on")
    };
    assert_eq!(stalled, Duration::from_millis(3100));
    // Within the lease it insists on being master.
    let mut instance = master();
    instance.handle_advert(at(12.9), &advert(90, 9), Watch::Here);
    assert_eq!(instance.state(), State::Master);
}

/// The clock of the state machine stands still during the suspension, and peers do not wait for it.
#[test]
fn b4_a_master_whose_host_was_suspended_first_listens_whether_another_is_there() {
    for (suspended, listens) in [(Duration::from_millis(1500), false), (Duration::from_secs(60), true)] {
        let mut instance = master();
        instance.handle_suspended(at(10.9), suspended);
        assert_eq!(instance.next_deadline(), Some(at(if listens { 12.4 } else { 11.0 })));
        instance.handle_advert(at(10.95), &advert(90, 9), Watch::Here);
        assert_eq!(instance.state(), if listens { State::Backup } else { State::Master });
    }
    // If it hears no other router, it continues as master.
    let mut instance = master();
    instance.handle_suspended(at(10.9), Duration::from_secs(60));
    instance.handle_timeout(at(12.4));
    assert!(outputs(&mut instance).starts_with(&[Output::Advertise { priority: 100 }]));
    assert_eq!(instance.state(), State::Master);
}

#[test]
fn a_master_that_stalled_alone_goes_on_and_says_where_it_is() {
    let mut instance = master();
    instance.handle_timeout(at(20.0));
    let outputs = outputs(&mut instance);
    assert!(
        outputs.starts_with(&[Output::Advertise { priority: 100 }, Output::Announce { repeat: 5 }]),
        "{outputs:?}"
    );
}

#[test]
fn a_master_resigns_once_on_stop_and_twice_on_fault() {
    let mut instance = master();
    instance.stop(at(11.0));
    assert_eq!(
        outputs(&mut instance),
        [
            Output::Advertise { priority: 0 },
            Output::Withdraw,
            transition(State::Master, State::Initialize, Cause::Stopped)
        ]
    );
    assert_eq!(instance.next_deadline(), None);
    let mut instance = master();
    instance.set_fault(at(11.0), Fault::Present);
    let resignation = Output::Advertise { priority: 0 };
    let faulted = transition(State::Master, State::Fault, Cause::Faulted);
    assert_eq!(outputs(&mut instance), [resignation, resignation, Output::Withdraw, faulted]);
    instance.set_fault(at(12.0), Fault::None);
    assert_eq!(instance.next_deadline(), Some(at(12.0 + 3.609_375)), "the whole interval, from anew");
}

/// A running master-down timer shifts with the skew.
#[test]
fn a_change_of_priority_shifts_the_timer() {
    let mut instance = started(params(100));
    instance.handle_advert(at(1.0), &advert(200, 9), Watch::Here);
    instance.set_contributions(at(1.5), 50);
    assert_eq!((instance.priority(), instance.next_deadline()), (150, Some(at(1.0 + 3.0 + 106.0 / 256.0))));
    instance.set_contributions(at(1.5), 0);
    assert_eq!(instance.next_deadline(), Some(at(4.609_375)));
}

#[derive(Clone, Debug)]
enum Operation {
    Advert(u8, u8),
    KernelAdvert(u8, u8),
    MasterDown,
    Deadline,
    Installed,
    AddressesLost,
    SendFailed,
    Sent,
    Contributions(i32),
    Fault(Fault),
    Stop,
    Start,
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        (any::<u8>(), 1..5u8).prop_map(|(priority, last)| Operation::Advert(priority, last)),
        (any::<u8>(), 1..5u8).prop_map(|(priority, last)| Operation::KernelAdvert(priority, last)),
        Just(Operation::MasterDown),
        Just(Operation::Deadline),
        Just(Operation::Installed),
        Just(Operation::AddressesLost),
        (-300..300i32).prop_map(Operation::Contributions),
        Just(Operation::SendFailed),
        Just(Operation::Sent),
        prop::sample::select(vec![Fault::None, Fault::Undecided, Fault::Present]).prop_map(Operation::Fault),
        Just(Operation::Stop),
        Just(Operation::Start),
    ]
}

proptest! {
    /// In any order of inputs, adverts are sent only as master, the addresses are installed exactly as master, and each state
    /// has its own epoch.
    #[test]
    fn any_order_of_inputs(operations in prop::collection::vec((operation(), 0..2000u64), 0..60)) {
        let mut instance = Instance::new(params(100), at(0.0));
        let (mut now, mut installed, mut epoch) = (at(0.0), false, instance.epoch());
        for (operation, millis) in operations {
            now = now + Duration::from_millis(millis);
            match operation {
                Operation::Advert(priority, last) => instance.handle_advert(now, &advert(priority, last), Watch::Here),
                Operation::KernelAdvert(priority, last) => {
                    instance.handle_advert(now, &advert(priority, last), Watch::Kernel);
                }
                Operation::MasterDown => instance.handle_master_down(now),
                Operation::Deadline => instance.handle_timeout(now),
                Operation::Installed => instance.handle_installed(now),
                Operation::SendFailed => instance.handle_send_failed(now),
                Operation::Sent => instance.handle_sent(now),
                Operation::AddressesLost => instance.handle_addresses_lost(now),
                Operation::Contributions(sum) => instance.set_contributions(now, sum),
                Operation::Fault(fault) => instance.set_fault(now, fault),
                Operation::Stop => instance.stop(now),
                Operation::Start => instance.start(now),
            }
            for output in outputs(&mut instance) {
                match output {
                    Output::Install => installed = true,
                    Output::Withdraw => installed = false,
                    Output::Advertise { priority } if priority > 0 => prop_assert_eq!(instance.state(), State::Master),
                    Output::Transition { from, to, .. } => {
                        // From "not known yet" to "gone" the instance stays in fault, and the fault is reported only then.
                        prop_assert!(from != to || to == State::Fault);
                        prop_assert!(instance.epoch() > epoch);
                    }
                    Output::LowerHeard => prop_assert_eq!(instance.state(), State::Master),
                    Output::Advertise { .. } | Output::Announce { .. } => {}
                }
            }
            epoch = instance.epoch();
            prop_assert_eq!(installed, instance.state() == State::Master);
            prop_assert!((1..=254).contains(&instance.priority()));
            match instance.state() {
                State::Master => prop_assert!(instance.next_deadline().is_some()),
                State::Initialize => prop_assert_eq!(instance.next_deadline(), None),
                // At most the timer of a pause is set.
                State::Fault => prop_assert!(instance.next_deadline().is_none_or(|due| due <= now + 10 * SECOND)),
                State::Backup => {}
            }
        }
    }
}
