//! A master that cannot do a master's work gives it up, and does not take it back at once.

use super::resume::resumed;
use super::*;

fn sent(instance: &mut Instance, seconds: f64) {
    instance.handle_timeout(at(seconds));
    instance.handle_sent(at(seconds));
}

fn fails(instance: &mut Instance, seconds: f64) {
    instance.handle_timeout(at(seconds));
    instance.handle_send_failed(at(seconds));
}

#[test]
fn a8_a_master_whose_adverts_do_not_leave_gives_up_when_its_lease_is_over() {
    let mut instance = master();
    sent(&mut instance, 11.0);
    for second in [12.0, 13.0] {
        fails(&mut instance, second);
        assert_eq!(instance.state(), State::Master);
    }
    outputs(&mut instance);
    instance.handle_timeout(at(13.9));
    assert_eq!(instance.state(), State::Master, "the lease lasts for three intervals");
    fails(&mut instance, 14.0);
    let outputs = outputs(&mut instance);
    let silent = 3 * SECOND;
    assert!(outputs.contains(&Output::Withdraw));
    let gave_up = transition(State::Master, State::Fault, Cause::CannotSend { silent });
    assert_eq!(outputs.last(), Some(&gave_up));
}

#[test]
fn a8_failures_within_the_lease_do_not_matter() {
    let mut instance = master();
    for round in 0..20 {
        let start = 11.0 + 3.0 * f64::from(round);
        sent(&mut instance, start);
        fails(&mut instance, start + 1.0);
        fails(&mut instance, start + 2.0);
    }
    assert_eq!(instance.state(), State::Master);
}

/// After a stall the lease is over anyway; a single failure proves nothing.
#[test]
fn a8_one_failure_after_a_stall_does_not_matter() {
    let mut instance = master();
    sent(&mut instance, 11.0);
    fails(&mut instance, 30.0);
    assert_eq!(instance.state(), State::Master);
    sent(&mut instance, 31.0);
    instance.handle_timeout(at(31.9));
    assert_eq!(instance.state(), State::Master);
}

/// Peers are right to take over from a master that they cannot hear. From Backup the old master would be master again after
/// each master-down interval, since it ranks higher, and overtaken again by the first advert that it hears.
#[test]
fn a8_a_master_that_cannot_send_yields_to_the_router_that_takes_over_and_holds_still() {
    let mut instance = master();
    sent(&mut instance, 11.0);
    fails(&mut instance, 12.0);
    fails(&mut instance, 13.0);
    instance.handle_advert(at(14.0) + Duration::from_millis(1), &advert(90, 9), Watch::Here);
    assert_eq!(instance.state(), State::Fault);
}

#[test]
fn a8_it_holds_still_for_a_while_and_then_waits_like_anybody() {
    let mut instance = master();
    for second in 11..=14 {
        fails(&mut instance, f64::from(second));
    }
    assert_eq!(instance.state(), State::Fault);
    // A fault that comes and goes does not shorten the pause.
    instance.set_fault(at(15.0), Fault::Present);
    instance.set_fault(at(16.0), Fault::None);
    let over = instance.next_deadline().expect("the pause is over some time");
    assert!(over >= at(23.0), "{over:?}");
    instance.handle_timeout(over);
    assert_eq!(
        (instance.state(), instance.next_deadline()),
        (State::Backup, Some(over + 3609375 * Duration::from_micros(1)))
    );
    instance.stop(over);
    assert_eq!(instance.next_deadline(), None);
}

#[test]
fn a4_a_master_whose_addresses_do_not_come_gives_up() {
    let mut instance = started(params(100));
    instance.handle_timeout(at(4.0));
    for quarter in 0..30 {
        let now = at(4.0 + 0.25 * f64::from(quarter));
        instance.handle_timeout(now);
        instance.handle_sent(now);
        if instance.state() != State::Master {
            break;
        }
    }
    let outputs = outputs(&mut instance);
    assert!(
        matches!(
            outputs[..],
            [
                ..,
                Output::Advertise { priority: 0 },
                Output::Advertise { priority: 0 },
                Output::Withdraw,
                Output::Transition { to: State::Fault, cause: Cause::NotInstalled { waited }, .. }
            ] if waited >= Duration::from_micros(3_609_375) && waited < 4 * SECOND
        ),
        "{outputs:?}"
    );
    // A confirmation that comes too late changes nothing.
    instance.handle_installed(at(8.1));
    assert_eq!(instance.state(), State::Fault);
    assert!(instance.next_deadline().is_some_and(|at| at >= self::at(17.0)), "no fight");
}

#[test]
fn a4_a_master_that_went_on_after_a_crash_gives_up_too() {
    let (mut instance, _) = resumed(Resume::Holding { until: at(100.1) });
    let mut now = at(100.0);
    while instance.state() == State::Master && now < at(110.0) {
        now = now + Duration::from_millis(100);
        instance.handle_timeout(now);
    }
    assert_eq!(instance.state(), State::Fault);
    assert!(now < at(104.0));
}

/// A host may have thousands of addresses to set.
#[test]
fn a4_the_host_gets_the_time_that_it_needs() {
    let mut instance = started(Params { install_time: 60 * SECOND, ..params(100) });
    for second in 4..60 {
        instance.handle_timeout(at(f64::from(second)));
    }
    assert_eq!(instance.state(), State::Master);
    instance.handle_installed(at(60.0));
    for second in 60..120 {
        instance.handle_timeout(at(f64::from(second)));
    }
    assert_eq!(instance.state(), State::Master);
}

/// The part that installs addresses stood still as long as the timer did.
#[test]
fn a4_a_stall_is_not_taken_for_addresses_that_do_not_come() {
    let mut instance = started(params(100));
    instance.handle_timeout(at(4.0));
    instance.handle_timeout(at(30.0));
    assert_eq!(instance.state(), State::Master);
    instance.handle_installed(at(30.1));
    instance.handle_timeout(at(40.0));
    assert_eq!(instance.state(), State::Master);
}

/// A reload that changes the addresses of a master is watched in the same way.
#[test]
fn a4_other_addresses_of_a_master_must_come_as_well() {
    let mut instance = master();
    instance.install_again(at(20.0));
    for tenth in 0..50 {
        instance.handle_timeout(at(20.0 + 0.1 * f64::from(tenth)));
    }
    assert_eq!(instance.state(), State::Fault);
}
