//! A member that a reload adds to a sync group that is master.

use super::*;

fn grouped(priority: u8) -> Params {
    Params { sync_membership: SyncMembership::Group, ..params(priority) }
}

/// A group with one member, master since second 4, and the new member, which has not started yet.
fn group() -> [Instance; 2] {
    let mut old = started(grouped(100));
    old.handle_timeout(at(4.0));
    group::settle(at(4.0), [&mut old].into_iter());
    old.handle_installed(at(4.0));
    assert_eq!(old.state(), State::Master);
    outputs(&mut old);
    [old, Instance::new(grouped(100), at(10.0))]
}

fn settle(members: &mut [Instance; 2], seconds: f64) -> [State; 2] {
    group::settle(at(seconds), members.iter_mut());
    members.each_ref().map(Instance::state)
}

fn tell(
    members: &mut [Instance; 2],
    seconds: f64,
    of: usize,
    what: impl FnOnce(&mut Instance, Time),
) -> [State; 2] {
    what(&mut members[of], at(seconds));
    settle(members, seconds)
}

fn timeouts(members: &mut [Instance; 2], seconds: f64) -> [State; 2] {
    tell(members, seconds, 0, Instance::handle_timeout);
    tell(members, seconds, 1, Instance::handle_timeout)
}

fn joined() -> [Instance; 2] {
    let mut members = group();
    members[1].join_masters();
    assert_eq!(
        settle(&mut members, 10.0),
        [State::Master, State::Initialize],
        "it may have to wait to start"
    );
    assert_eq!(tell(&mut members, 10.0, 1, Instance::start), [State::Master, State::Backup]);
    members
}

#[test]
fn c8_the_others_stay_master_while_a_new_member_listens() {
    let mut members = joined();
    assert_eq!(timeouts(&mut members, 13.6), [State::Master, State::Backup]);
    assert!(!outputs(&mut members[0]).contains(&Output::Withdraw));
    assert_eq!(timeouts(&mut members, 13.61), [State::Master, State::Master], "nobody else was heard");
    // From here on the new member is a member like any other.
    let hears = |member: &mut Instance, now| member.handle_advert(now, &advert(200, 9), Watch::Here);
    assert_eq!(tell(&mut members, 14.0, 1, hears), [State::Backup, State::Backup]);
}

/// The new virtual router already has a master elsewhere, and there must not be two.
#[test]
fn c8_a_new_member_that_has_a_master_elsewhere_ends_the_groups_mastership() {
    let mut members = joined();
    let hears = |member: &mut Instance, now| member.handle_advert(now, &advert(200, 9), Watch::Here);
    assert_eq!(tell(&mut members, 11.0, 1, hears), [State::Backup, State::Backup]);
    let with_group = transition(State::Master, State::Backup, Cause::WithGroup);
    assert!(outputs(&mut members[0]).contains(&with_group));
}

/// The new member preempts a master that it need not obey, like any instance.
#[test]
fn c8_a_new_member_preempts_a_lower_master() {
    let mut members = joined();
    for second in [11.0, 12.0, 13.0] {
        let hears = |member: &mut Instance, now| member.handle_advert(now, &advert(50, 9), Watch::Here);
        assert_eq!(tell(&mut members, second, 1, hears), [State::Master, State::Backup]);
    }
    assert_eq!(timeouts(&mut members, 13.61), [State::Master, State::Master]);
}

#[test]
fn c8_a_fault_of_the_new_member_is_everybody_s() {
    let mut members = joined();
    let faults = |member: &mut Instance, now| member.set_fault(now, Fault::Present);
    assert_eq!(tell(&mut members, 11.0, 1, faults), [State::Fault, State::Fault]);
    let recovers = |member: &mut Instance, now| member.set_fault(now, Fault::None);
    assert_eq!(tell(&mut members, 12.0, 1, recovers), [State::Backup, State::Backup]);
}

/// A new member whose trackers have no result yet does not end the mastership of the others.
#[test]
fn c8_a_new_member_whose_tracker_is_not_known_yet_is_waited_for() {
    let mut members = group();
    members[1].set_fault(at(10.0), Fault::Undecided);
    members[1].join_masters();
    assert_eq!(tell(&mut members, 10.0, 1, Instance::start), [State::Master, State::Fault]);
    let decided = |member: &mut Instance, now| member.set_fault(now, Fault::None);
    assert_eq!(tell(&mut members, 11.0, 1, decided), [State::Master, State::Backup]);
    assert_eq!(timeouts(&mut members, 14.7), [State::Master, State::Master]);
}

/// The old member loses its mastership for a reason of its own: from then on the group moves together again.
#[test]
fn c8_when_the_masters_step_down_nobody_joins_masters_any_more() {
    let mut members = joined();
    let hears = |member: &mut Instance, now| member.handle_advert(now, &advert(200, 9), Watch::Here);
    assert_eq!(tell(&mut members, 11.0, 0, hears), [State::Backup, State::Backup]);
    assert_eq!(
        timeouts(&mut members, 13.7),
        [State::Backup, State::Backup],
        "it claims, and waits for the other"
    );
    assert!(members[1].claims());
    assert_eq!(timeouts(&mut members, 14.61), [State::Master, State::Master]);
}
