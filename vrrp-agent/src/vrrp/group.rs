//! Sync groups: instances that are master together or not at all, as a router between two networks must be
//! (keepalived's `vrrp_sync_group`).
//!
//! Each member watches its own master. A member that would become master claims the mastership and waits; when all members of
//! the group claim it, all become master. When a member stops being master, for any reason, the others resign. When a member
//! lacks something, all members are in fault. Backup is preferred: a group that hears a better master anywhere stays backup
//! everywhere. A member that is new in a group of masters ([`Instance::join_masters`]) does not end their mastership while it
//! listens.

use super::terms::{Fault, State};
use super::{Instance, Time};

/// Makes the members of a group agree again, after any of them was handed an input and before their outputs are carried out: to
/// the outside the members never differ.
pub fn settle<'m>(now: Time, members: impl Iterator<Item = &'m mut Instance>) {
    let mut members: Vec<&mut Instance> = members.collect();
    let fault = members.iter().map(|member| member.fault()).max().unwrap_or(Fault::None);
    for member in &mut members {
        member.set_group_fault(now, fault);
    }
    if members.iter().any(|member| member.holds_back()) {
        for member in &mut members {
            member.end_joining();
            member.yield_with_group(now);
        }
    }
    // keepalived's rule: if one member has heard a lower router, all members announce their addresses.
    let group_garp_pending: Vec<bool> = members.iter_mut().map(|member| member.take_group_garp()).collect();
    if group_garp_pending.contains(&true) {
        for (member, _) in members.iter_mut().zip(&group_garp_pending).filter(|(_, own)| !**own) {
            member.announce_after_lower(now);
        }
    }
    if members.iter().all(|member| member.claims() || member.state() == State::Master) {
        for member in &mut members {
            member.confirm(now);
        }
    }
}

/// Returns true if [`settle`] would end the mastership of members because another member is not master. Before that, each member has
/// to hear what the kernel half knows: a member that has a better master of its own waits for it as long as any backup, and a
/// member that has none may be master again after a skew time.
#[must_use]
pub fn is_about_to_resign<'m>(members: impl Iterator<Item = &'m Instance> + Clone) -> bool {
    let mut masters = members.clone().filter(|member| member.state() == State::Master);
    masters.next().is_some() && { members }.any(Instance::holds_back)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use vrrp_ebpf::advert::{Address, Advert, List};

    use super::*;
    use crate::vrrp::tests::params;
    use crate::vrrp::{Cause, Output, Params, SyncMembership, Watch};

    fn member(priority: u8) -> Instance {
        let params = Params { sync_membership: SyncMembership::Group, ..params(priority) };
        let mut instance = Instance::new(params, at(0));
        instance.start(at(0));
        instance
    }

    fn at(millis: u64) -> Time {
        Time::since_start(Duration::from_millis(millis))
    }

    fn advert(priority: u8) -> Advert {
        let source = Address::v4([10, 0, 0, 9]);
        Advert { source, priority, interval_ns: 1_000_000_000, list: List::Same }
    }

    /// Three members; each input goes to one of them, and then the group is settled.
    struct Group([Instance; 3]);

    impl Group {
        fn new(priority: u8) -> Self {
            let mut group = Self([member(priority), member(priority), member(priority)]);
            group.settle(0);
            group.drain();
            group
        }

        fn settle(&mut self, millis: u64) -> State {
            settle(at(millis), self.0.iter_mut());
            let states = self.0.each_ref().map(Instance::state);
            assert!(states.iter().all(|state| *state == states[0]), "apart: {states:?}");
            states[0]
        }

        fn tell(&mut self, millis: u64, of: usize, what: impl FnOnce(&mut Instance)) -> State {
            what(&mut self.0[of]);
            self.settle(millis)
        }

        fn hear(&mut self, millis: u64, of: usize, priority: u8) -> State {
            self.tell(millis, of, |member| member.handle_advert(at(millis), &advert(priority), Watch::Here))
        }

        fn drain(&mut self) -> [Vec<Output>; 3] {
            self.0.each_mut().map(|member| std::iter::from_fn(|| member.poll_output()).collect())
        }

        fn timeout(&mut self, millis: u64) -> State {
            let mut state = self.0[0].state();
            for of in 0..3 {
                state = self.tell(millis, of, |member| member.handle_timeout(at(millis)));
            }
            state
        }

        fn master() -> Self {
            let mut group = Self::new(100);
            assert_eq!(group.timeout(3610), State::Master);
            for of in 0..3 {
                group.tell(3620, of, |member| member.handle_installed(at(3620)));
            }
            group.drain();
            group
        }
    }

    #[test]
    fn all_members_lose_their_master_before_any_takes_over() {
        let mut group = Group::new(100);
        group.hear(1000, 2, 200);
        assert_eq!(group.timeout(3610), State::Backup);
        assert!(group.0[0].claims() && group.0[1].claims() && !group.0[2].claims());
        // The first member hears its master again, and the last one has lost its own: still not all members have.
        group.hear(4000, 0, 200);
        assert_eq!(group.timeout(4610), State::Backup);
        assert_eq!(group.timeout(8300), State::Master);
    }

    #[test]
    fn a_claim_has_an_epoch_so_that_the_kernel_tells_of_the_next_advert() {
        let mut group = Group::new(100);
        let before = group.0[0].epoch();
        group.hear(0, 2, 200);
        group.timeout(3609);
        assert_eq!(group.0[0].epoch(), before);
        group.tell(3610, 0, |member| member.handle_master_down(at(3610)));
        assert!(group.0[0].epoch() > before);
        assert!(group.0[0].next_deadline().is_some());
    }

    #[test]
    fn when_one_steps_down_the_others_resign() {
        let mut group = Group::master();
        assert_eq!(group.hear(5000, 1, 200), State::Backup);
        let [first, second, _] = group.drain();
        assert_eq!(first[0], Output::Advertise { priority: 0 });
        let with_group =
            Output::Transition { from: State::Master, to: State::Backup, cause: Cause::WithGroup };
        assert!(first.contains(&with_group) && first.contains(&Output::Withdraw));
        assert!(!second.contains(&Output::Advertise { priority: 0 }));
        // The others may become master again, but not before the member that heard a better master.
        assert_eq!(group.timeout(6000), State::Backup);
        assert_eq!(group.timeout(5000 + 3610), State::Master);
    }

    #[test]
    fn one_fault_is_everybody_s() {
        let mut group = Group::master();
        assert_eq!(group.tell(5000, 0, |member| member.set_fault(at(5000), Fault::Present)), State::Fault);
        let [first, second, _] = group.drain();
        assert_eq!(first[..2], second[..2], "each resigns twice");
        group.tell(5000, 2, |member| member.set_fault(at(5000), Fault::Present));
        assert_eq!(group.tell(6000, 0, |member| member.set_fault(at(6000), Fault::None)), State::Fault);
        assert_eq!(group.tell(7000, 2, |member| member.set_fault(at(7000), Fault::None)), State::Backup);
        assert_eq!(group.timeout(7000 + 3610), State::Master);
    }

    #[test]
    fn owners_are_master_when_all_have_started() {
        let mut group = Group([member(255), member(255), member(255)]);
        assert_eq!(group.settle(0), State::Master);
    }

    #[test]
    fn who_hears_a_lower_router_announces_for_all() {
        let mut group = Group::master();
        assert_eq!(group.hear(5000, 1, 50), State::Master);
        let announces = |outputs: &Vec<Output>| outputs.contains(&Output::Announce { repeat: 5 });
        assert!(group.drain().iter().all(announces));
    }
}
