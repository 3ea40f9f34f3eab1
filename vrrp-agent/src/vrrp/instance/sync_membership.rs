//! An instance's side of its sync group, which [`super::super::group::settle`] brings together.

use super::super::terms::{Cause, Fault, GarpSchedule, State, SyncMembership};
use super::super::timers::Timer;
use super::{Instance, Time};

/// Says if an instance is new in a sync group whose other members are master.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Joining {
    /// The instance is not new, or not any more.
    No,
    /// The instance is new: the others stay master while it waits for its own turn.
    Yes,
}

impl Instance {
    /// Marks the instance as new in a sync group whose other members are all master, as after a reload. They stay master while
    /// this instance listens for a master of its own, for a master-down interval like any instance that starts. If it hears
    /// none, it becomes master too. If it hears one that it must obey, the whole group resigns. No address gets a second holder
    /// by this: the others won their elections before, and this instance goes through its own.
    pub fn join_masters(&mut self) {
        match self.state {
            State::Initialize => self.joining = Joining::Yes,
            State::Backup | State::Master | State::Fault => {}
        }
    }

    /// Returns true if the sync group cannot be master because of this instance.
    #[must_use]
    pub fn holds_back(&self) -> bool {
        match (self.state, self.joining) {
            (State::Master, Joining::No | Joining::Yes)
            | (State::Initialize | State::Backup | State::Fault, Joining::Yes) => false,
            (State::Initialize | State::Backup | State::Fault, Joining::No) => true,
        }
    }

    /// Makes the instance a member like any other from now on.
    pub(in crate::vrrp) fn end_joining(&mut self) {
        self.joining = Joining::No;
    }

    /// Returns true if the instance would be master without its sync group.
    #[must_use]
    pub fn claims(&self) -> bool {
        self.claim.is_some()
    }

    /// Returns the instance's own fault, whatever its group says.
    #[must_use]
    pub fn fault(&self) -> Fault {
        self.own_fault()
    }

    /// Claims the mastership: becomes master at once, or, in a sync group, when all members claim it.
    pub(in crate::vrrp) fn claim(&mut self, now: Time, cause: Cause) {
        match self.params.sync_membership {
            SyncMembership::Alone => self.become_master(now, cause),
            SyncMembership::Group => {
                self.claim = Some(cause);
                // The new epoch makes the kernel half report the next advert of any router. If that report is missed, the timer
                // repeats the claim.
                self.epoch += 1;
                self.timers.set(Timer::MasterDown, now + self.master_down_interval());
            }
        }
    }

    /// Becomes master, because all members of the sync group claim the mastership.
    pub(in crate::vrrp) fn confirm(&mut self, now: Time) {
        if let Some(cause) = self.claim {
            self.become_master(now, cause);
        }
    }

    /// Resigns if it is master, because another member of the sync group is not master any more. It may soon be master again,
    /// if all members of the group can be.
    pub(in crate::vrrp) fn yield_with_group(&mut self, now: Time) {
        match self.state {
            State::Master => self.resign(now, Cause::WithGroup),
            State::Initialize | State::Backup | State::Fault => {}
        }
    }

    /// Returns true if neighbours may have believed a lower router since the last call.
    pub(in crate::vrrp) fn take_group_garp(&mut self) -> bool {
        std::mem::take(&mut self.group_garp_pending)
    }

    /// Announces a master's addresses, because a lower router has advertised here or to another member of the sync group, and
    /// may have announced the addresses as its own.
    pub(in crate::vrrp) fn announce_after_lower(&mut self, now: Time) {
        match self.state {
            State::Master => {
                let GarpSchedule { lower_repeat, lower_delay, .. } = self.params.garp;
                self.announce(lower_repeat);
                if let Some(delay) = lower_delay {
                    self.timers.set(Timer::SecondAfterLower, now + delay);
                }
            }
            State::Initialize | State::Backup | State::Fault => {}
        }
    }

    /// Sets the fault of the sync group: something that a member needs is gone, or no member lacks anything.
    pub(in crate::vrrp) fn set_group_fault(&mut self, now: Time, fault: Fault) {
        let before = self.lacking();
        self.group_fault = fault;
        self.follow_fault(now, before);
    }
}
