//! `preempt_delay`, as in keepalived: an advert that ranks as high as we do cancels the delay, and the next lower one starts it
//! anew.

use super::*;

fn delayed(seconds: u32) -> Instance {
    started(Params { preempt_delay: seconds * SECOND, ..params(100) })
}

fn hears(instance: &mut Instance, seconds: f64, priority: u8) {
    instance.handle_timeout(at(seconds));
    instance.handle_advert(at(seconds), &advert(priority, 9), Watch::Here);
}

/// The master ranks lower for one advert, does not for 14 seconds, and ranks lower again: ten seconds begin then.
#[test]
fn c1_an_advert_that_ranks_as_high_calls_the_delay_off() {
    let mut instance = delayed(10);
    hears(&mut instance, 1.0, 90);
    for second in 2..16 {
        hears(&mut instance, f64::from(second), 100);
        assert_eq!(instance.candidate().preempt, Preempt::No, "second {second}");
    }
    for second in 16..26 {
        hears(&mut instance, f64::from(second), 90);
        assert_eq!(instance.candidate().preempt, Preempt::No, "second {second}");
    }
    hears(&mut instance, 26.5, 90);
    assert_eq!(instance.candidate().preempt, Preempt::Yes);
}

/// A delay that is over counts only for the dip of the master's priority that started it.
#[test]
fn c1_the_delay_is_served_again_after_the_master_ranked_as_high() {
    let mut instance = delayed(2);
    hears(&mut instance, 1.0, 90);
    hears(&mut instance, 3.1, 90);
    assert_eq!(instance.candidate().preempt, Preempt::Yes);
    hears(&mut instance, 3.2, 200);
    assert_eq!((instance.state(), instance.candidate().preempt), (State::Backup, Preempt::No));
    hears(&mut instance, 4.0, 90);
    hears(&mut instance, 5.0, 90);
    assert_eq!(instance.candidate().preempt, Preempt::No);
    instance.handle_timeout(at(6.0));
    assert_eq!(instance.candidate().preempt, Preempt::Yes);
}

#[test]
fn c1_our_own_priority_falling_calls_the_delay_off() {
    let mut instance = delayed(2);
    hears(&mut instance, 1.0, 90);
    instance.set_contributions(at(2.0), -20);
    instance.handle_timeout(at(3.1));
    assert_eq!(instance.candidate().preempt, Preempt::No);
    // The delay begins when the priority is back.
    hears(&mut instance, 3.5, 90);
    instance.set_contributions(at(4.0), 0);
    hears(&mut instance, 5.9, 90);
    assert_eq!(instance.candidate().preempt, Preempt::No);
    instance.handle_timeout(at(6.0));
    assert_eq!(instance.candidate().preempt, Preempt::Yes);
}

/// keepalived handles a resignation separately, and it says nothing about ranks.
#[test]
fn c1_a_resignation_leaves_the_delay_alone() {
    let mut instance = delayed(2);
    hears(&mut instance, 1.0, 90);
    instance.handle_advert(at(2.9), &advert(0, 9), Watch::Here);
    assert_eq!(instance.candidate().preempt, Preempt::No);
    instance.handle_timeout(at(3.0));
    assert_eq!(instance.candidate().preempt, Preempt::Yes);
}

/// The kernel half reports changes of the master only, so a lower master that it has heard all along is not told again after
/// another router has called the delay off.
#[test]
fn the_delay_begins_with_a_lower_master_of_which_the_kernel_half_does_not_report() {
    let mut instance = delayed(1);
    hears(&mut instance, 1.0, 90);
    hears(&mut instance, 1.5, 200);
    let heard = Heard { advert: advert(90, 9), at: at(3.0) };
    instance.check_preempt_delay(at(3.5), heard);
    instance.handle_timeout(at(4.4));
    assert_eq!(instance.candidate().preempt, Preempt::No);
    instance.handle_timeout(at(4.5));
    assert_eq!(instance.candidate().preempt, Preempt::Yes);
}
