//! An instance as the protocol thread holds it: the state machine, and the parts that depend on this host.

use std::net::IpAddr;

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
    pub(super) noticed: Vec<(Notice, Address)>,
    /// The refused advert that was reported last: time, sender, reason.
    pub(super) refused: Option<(Time, IpAddr, Reject)>,
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
            refused: None,
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
