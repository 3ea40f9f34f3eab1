//! An instance as the protocol thread holds it: the state machine, and the parts that depend on this host.

use std::collections::VecDeque;
use std::mem::Discriminant;
use std::net::IpAddr;
use std::time::Duration;

use vrrp_ebpf::abi::{InstanceKey, Role};
use vrrp_ebpf::advert::{Address, Reject, Rules};

use crate::daemon::frames::Frames;
use crate::daemon::messages::{InstanceBinding, Notice};
use crate::dataplane::{Desired, Slot};
use crate::vrrp::{Cause, Instance, SavedState, State, Time};

/// An instance, and what the engine needs for it besides the state machine.
pub(in crate::daemon) struct Router {
    pub(in crate::daemon) machine: Instance,
    pub(in crate::daemon) key: InstanceKey,
    pub(in crate::daemon) rules: Rules,
    pub(in crate::daemon) frames: Frames,
    /// The address that its adverts are sent from.
    pub(in crate::daemon) source: IpAddr,
    pub(in crate::daemon) cause: Cause,
    /// The index of the sync group.
    pub(in crate::daemon) group: Option<usize>,
    /// The state that an earlier run left of the instance.
    pub(in crate::daemon) saved: Option<SavedState>,
    /// The time until which the addresses are ours if no further advert leaves.
    pub(in crate::daemon) lease_until: Option<Time>,
    pub(super) complained: Option<Time>,
    /// The notices that were logged, each with the router that it is about.
    pub(super) noticed: Vec<(Discriminant<Notice>, Address)>,
    /// The refused adverts that were reported last, by sender and reason.
    pub(super) refusals: Recent<(IpAddr, Reject)>,
}

impl Router {
    pub(in crate::daemon) fn new(machine: Instance, binding: InstanceBinding, group: Option<usize>) -> Self {
        let InstanceBinding { key, rules, frames, source, params: _ } = binding;
        Self {
            machine,
            key,
            rules,
            frames,
            source,
            cause: Cause::Started,
            group,
            saved: None,
            lease_until: None,
            complained: None,
            noticed: Vec::new(),
            refusals: Recent::default(),
        }
    }

    pub(super) fn desired(&self, slot: Slot) -> Desired {
        let role = match self.machine.state() {
            State::Initialize | State::Fault => Role::Idle,
            State::Backup => Role::Backup,
            State::Master => Role::Master,
        };
        let (key, rules) = (self.key, self.rules);
        let Self { machine, .. } = self;
        let (epoch, candidate, takeover) = (machine.epoch(), machine.candidate(), machine.takeover());
        Desired { slot, key, epoch, role, rules, candidate, takeover }
    }
}

/// Recent reports, so that the same is not reported again.
#[derive(Debug)]
pub(in crate::daemon) struct Recent<T>(VecDeque<(Time, T)>);

impl<T> Default for Recent<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<T: PartialEq> Recent<T> {
    /// The most reports that are remembered: any host can invent senders.
    const MOST: usize = 16;
    /// The time after which the same is reported again.
    const AGAIN: Duration = Duration::from_secs(3600);

    /// Returns true if this was not reported lately; it counts as reported now.
    pub(super) fn is_new(&mut self, now: Time, what: T) -> bool {
        self.0.retain(|(at, _)| now - *at < Self::AGAIN);
        if self.0.iter().any(|(_, known)| *known == what) {
            return false;
        }
        if self.0.len() == Self::MOST {
            self.0.pop_front();
        }
        self.0.push_back((now, what));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Time {
        Time::since_start(Duration::from_secs(seconds))
    }

    #[test]
    fn of_two_that_take_turns_each_is_reported_once() {
        let mut recent = Recent::default();
        let reported = (0..100).filter(|second| recent.is_new(at(*second), second % 2)).count();
        assert_eq!(reported, 2);
        assert!(recent.is_new(at(3700), 0), "after an hour it is said again");
    }

    #[test]
    fn of_many_the_last_are_remembered() {
        let mut recent = Recent::default();
        assert_eq!((0..100).filter(|sender| recent.is_new(at(1), *sender)).count(), 100);
        assert!(!recent.is_new(at(2), 99) && recent.is_new(at(2), 0));
    }
}
