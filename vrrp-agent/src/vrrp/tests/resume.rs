//! Going on where an earlier run of the agent was cut off, and instances of which not everything is known yet.

use super::*;

/// An instance that starts at second 100 with what a killed agent has left in epoch 7.
pub(super) fn resumed(resume: Resume) -> (Instance, Vec<Output>) {
    let mut instance = Instance::new(params(100), at(100.0));
    instance.resume(at(100.0), SavedState { epoch: 7, resume });
    instance.start(at(100.0));
    let outputs = outputs(&mut instance);
    (instance, outputs)
}

#[test]
fn a_master_whose_lease_lasts_goes_on() {
    let (mut instance, outputs) = resumed(Resume::Holding { until: at(100.1) });
    let resumed = Output::Transition { from: State::Initialize, to: State::Master, cause: Cause::Resumed };
    assert_eq!(outputs, [resumed, Output::Advertise { priority: 100 }, Output::Install]);
    assert_eq!((instance.epoch(), instance.next_deadline()), (7, Some(at(101.0))));
    // It is a master like any other: the mastership is counted, and a higher router ends it.
    assert_eq!(instance.statistics().became_master, 1);
    instance.handle_advert(at(100.5), &advert(200, 9), Watch::Fenced);
    assert_eq!((instance.state(), instance.statistics().released_master), (State::Backup, 1));
}

#[test]
fn a_master_whose_lease_is_over_starts_anew_and_without_its_addresses() {
    let (instance, outputs) = resumed(Resume::Holding { until: at(100.0) });
    assert_eq!(outputs[0], Output::Withdraw);
    assert_eq!(instance.state(), State::Backup);
    assert!(instance.epoch() > 7, "no epoch is used twice");
    assert!(instance.next_deadline().is_some_and(|at| at > self::at(103.0)));
}

#[test]
fn a_backup_whose_master_is_watched_goes_on_waiting() {
    let heard = Heard { advert: advert(200, 9), at: at(99.0) };
    let (mut instance, outputs) = resumed(Resume::Watching { heard, deadline: at(102.6), outranked: None });
    assert_eq!(
        outputs,
        [Output::Transition { from: State::Initialize, to: State::Backup, cause: Cause::Resumed }]
    );
    assert_eq!((instance.epoch(), instance.next_deadline(), instance.heard()), (7, None, Some(&heard)));
    instance.handle_master_down(at(102.6));
    assert_eq!(instance.state(), State::Master);
}

#[test]
fn a_watch_that_has_ended_is_none() {
    let heard = Heard { advert: advert(200, 9), at: at(90.0) };
    let (instance, _) = resumed(Resume::Watching { heard, deadline: at(93.6), outranked: None });
    assert_eq!((instance.state(), instance.heard()), (State::Backup, None));
    assert!(instance.epoch() > 7);
    assert!(instance.next_deadline().is_some());
}

#[test]
fn who_lacks_something_does_not_go_on() {
    let mut instance = Instance::new(params(100), at(100.0));
    instance.set_fault(at(100.0), Fault::Present);
    instance.resume(at(100.0), SavedState { epoch: 7, resume: Resume::Holding { until: at(102.0) } });
    instance.start(at(100.0));
    assert_eq!((instance.state(), outputs(&mut instance)[0]), (State::Fault, Output::Withdraw));
}

#[test]
fn an_owner_is_master_at_once_though_the_kernel_half_watched_another_master() {
    let mut owner = Instance::new(params(255), at(100.0));
    let heard = Heard { advert: advert(200, 9), at: at(99.0) };
    owner.resume(
        at(100.0),
        SavedState { epoch: 7, resume: Resume::Watching { heard, deadline: at(102.6), outranked: None } },
    );
    owner.start(at(100.0));
    assert_eq!(owner.state(), State::Master);
    assert!(owner.epoch() > 7);
}

/// An instance waits in fault for a first result, without a notification; an instance that already runs continues until there
/// is one.
#[test]
fn a_first_result_that_is_awaited_holds_back_a_start_and_stops_no_running_instance() {
    let mut instance = Instance::new(params(100), at(0.0));
    instance.set_fault(at(0.0), Fault::Undecided);
    instance.start(at(0.0));
    let waits = transition(State::Initialize, State::Fault, Cause::Undecided);
    assert_eq!(outputs(&mut instance), [waits]);
    let mut failed = instance.clone();
    failed.set_fault(at(1.0), Fault::Present);
    assert_eq!(outputs(&mut failed), [transition(State::Fault, State::Fault, Cause::Faulted)]);
    instance.set_fault(at(1.0), Fault::None);
    assert_eq!(outputs(&mut instance), [transition(State::Fault, State::Backup, Cause::Recovered)]);

    let mut master = master();
    master.set_fault(at(11.0), Fault::Undecided);
    assert_eq!((master.state(), outputs(&mut master)), (State::Master, vec![]));
    master.set_fault(at(12.0), Fault::Present);
    assert_eq!(master.state(), State::Fault);
}

#[test]
fn a_master_that_tracks_what_is_not_known_yet_goes_on_after_a_crash() {
    let mut instance = Instance::new(params(100), at(0.0));
    instance.set_fault(at(5.0), Fault::Undecided);
    instance.resume(at(5.0), SavedState { epoch: 7, resume: Resume::Holding { until: at(6.0) } });
    assert_eq!((instance.state(), instance.epoch()), (State::Master, 7));
}
