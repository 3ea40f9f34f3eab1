//! The adverts from which the wait for the master is counted.

use super::resume::resumed;
use super::*;

/// A backup of priority 100 whose kernel half watches a master of priority 110.
fn watched_by_the_kernel() -> Instance {
    let mut instance = started(params(100));
    instance.handle_advert(at(1.0), &advert(110, 9), Watch::Kernel);
    assert_eq!(instance.next_deadline(), None);
    outputs(&mut instance);
    instance
}

/// This router ranks higher for two seconds: the master's adverts do not count meanwhile, but the master is alive.
#[test]
fn c3_a_weight_that_is_up_for_two_seconds_costs_no_mastership() {
    let mut instance = started(params(100));
    instance.handle_advert(at(1.0), &advert(110, 9), Watch::Here);
    instance.set_contributions(at(1.5), 20);
    instance.handle_advert(at(2.0), &advert(110, 9), Watch::Here);
    instance.handle_advert(at(3.0), &advert(110, 9), Watch::Here);
    instance.set_contributions(at(3.5), 0);
    assert_eq!(instance.next_deadline(), Some(at(3.0 + 3.609_375)));
    instance.handle_timeout(at(4.7));
    assert_eq!(instance.state(), State::Backup);
    // A master that is silent from then on still counts as lost in time.
    instance.handle_timeout(at(6.61));
    assert_eq!(outputs(&mut instance)[0], transition(State::Backup, State::Master, Cause::MasterSilent));
}

#[test]
fn c3_the_same_where_the_kernel_watches() {
    let mut instance = watched_by_the_kernel();
    let epoch = instance.epoch();
    instance.set_contributions(at(1.5), 20);
    instance.handle_advert(at(3.0), &advert(110, 9), Watch::Here);
    instance.set_contributions(at(3.5), 0);
    assert!(instance.epoch() > epoch, "the kernel's deadline is not moved, so its watch ends");
    assert_eq!(instance.next_deadline(), Some(at(3.0 + 3.609_375)));
}

/// The kernel half reports only some of the adverts that do not count.
#[test]
fn c3_what_the_kernel_has_heard_and_not_told_counts() {
    let mut instance = watched_by_the_kernel();
    instance.set_contributions(at(1.5), 20);
    instance.catch_up(Heard { advert: advert(110, 9), at: at(3.0) });
    instance.set_contributions(at(3.5), 0);
    assert_eq!(instance.next_deadline(), Some(at(3.0 + 3.609_375)));
}

/// No deadline moves if the adverts have counted all the time.
#[test]
fn c3_a_fall_that_changes_no_rank_leaves_the_watch_to_the_kernel() {
    let mut instance = watched_by_the_kernel();
    let epoch = instance.epoch();
    instance.set_contributions(at(2.0), -20);
    assert_eq!((instance.epoch(), instance.next_deadline()), (epoch, None));
}

/// The same after a reload, which may forbid a preemption that was allowed.
#[test]
fn c3_a_reload_that_forbids_preemption_counts_from_the_last_advert() {
    let mut instance = started(params(100));
    instance.handle_advert(at(3.0), &advert(90, 9), Watch::Here);
    instance.reconfigure(at(3.5), Params { preempt: Preempt::No, ..params(100) });
    instance.handle_timeout(at(3.7));
    assert_eq!((instance.state(), instance.next_deadline()), (State::Backup, Some(at(3.0 + 3.609_375))));
}

/// The agent was killed with a weight and comes back without it: the kernel half's deadline is from before the weight.
#[test]
fn c3_an_agent_that_comes_back_without_its_weight_counts_from_the_last_advert() {
    let heard = Heard { advert: advert(110, 9), at: at(97.0) };
    let outranked = Some(Heard { advert: advert(110, 9), at: at(99.5) });
    let (mut instance, _) = resumed(Resume::Watching { heard, deadline: at(100.6), outranked });
    assert!(instance.epoch() > 7);
    assert_eq!(instance.next_deadline(), Some(at(99.5 + 3.609_375)));
    instance.handle_timeout(at(101.0));
    assert_eq!(instance.state(), State::Backup);
    // A router that we still outrank does not prevent our takeover.
    let outranked = Some(Heard { advert: advert(90, 8), at: at(99.5) });
    let (mut instance, _) = resumed(Resume::Watching { heard, deadline: at(100.6), outranked });
    assert_eq!((instance.epoch(), instance.next_deadline()), (7, None));
    instance.handle_master_down(at(100.6));
    assert_eq!(outputs(&mut instance)[0], transition(State::Backup, State::Master, Cause::Preempts));
}

/// The old master's resignation was overtaken by the new master's first advert.
#[test]
fn c3_the_resignation_of_another_than_the_master_changes_nothing() {
    for watch in [Watch::Here, Watch::Kernel] {
        let mut instance = started(params(100));
        instance.handle_advert(at(1.0), &advert(200, 9), watch);
        instance.handle_advert(at(1.5), &advert(150, 8), watch);
        let deadline = instance.next_deadline();
        instance.handle_advert(at(1.6), &advert(0, 9), watch);
        assert_eq!(instance.next_deadline(), deadline);
        assert_eq!(instance.heard().map(|heard| heard.advert), Some(advert(150, 8)));
        instance.handle_advert(at(1.7), &advert(0, 8), Watch::Here);
        assert_eq!(instance.next_deadline(), Some(at(1.7 + 0.609_375)));
    }
}

/// A router that was not heard before may resign too: RFC 9568 section 6.4.2 requires nothing else.
#[test]
fn c3_the_first_that_is_heard_may_be_a_resignation() {
    let mut instance = started(params(100));
    instance.handle_advert(at(1.0), &advert(0, 9), Watch::Here);
    assert_eq!(instance.next_deadline(), Some(at(1.609_375)));
    // The same after a mastership: the master before it is forgotten.
    let mut instance = started(params(100));
    instance.handle_advert(at(1.0), &advert(200, 9), Watch::Here);
    instance.handle_timeout(at(5.0));
    instance.handle_installed(at(5.0));
    instance.handle_addresses_lost(at(5.5));
    instance.handle_advert(at(5.6), &advert(0, 8), Watch::Here);
    assert_eq!(instance.next_deadline(), Some(at(5.6 + 0.609_375)));
}

/// The agent hears an advert that the kernel half did not hear: what the kernel half knows of the master is out of date.
#[test]
fn an_advert_that_the_kernel_has_not_heard_ends_its_watch() {
    let mut instance = watched_by_the_kernel();
    let epoch = instance.epoch();
    instance.handle_advert(at(2.0), &advert(110, 9), Watch::Here);
    assert!(instance.epoch() > epoch);
    assert_eq!(instance.next_deadline(), Some(at(2.0 + 3.609_375)));
}

/// A reload replaces the maps that held the watch. The master that was watched may rank below us by now: its adverts set no
/// timer.
#[test]
fn a_watch_that_the_kernel_gives_back_goes_on_here() {
    let mut instance = watched_by_the_kernel();
    instance.set_contributions(at(1.5), 20);
    instance.watch_here(at(2.0), at(4.6));
    instance.handle_advert(at(2.0), &advert(110, 9), Watch::Here);
    assert_eq!(instance.next_deadline(), Some(at(4.6)));
}
