//! An instance's side of its sync group, which [`super::super::group::settle`] brings together.

use super::super::terms::{Cause, Company, Fault, GarpSchedule, State};
use super::super::timers::Timer;
use super::{Instance, Time};

/// Says of an instance if it is new in a sync group whose other members are master.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Joining {
    /// It is not, or not any more.
    No,
    /// It is: the others stay master while it waits for its own turn.
    Yes,
}

impl Instance {
    /// It is new in a sync group whose other members are all master, as after a reload. They stay master while it listens for a
    /// master of its own, for a master-down interval like any instance that starts. If it hears none, it becomes master too. If it
    /// hears one that it must obey, the whole group resigns. No address gets a second holder by this: the others won their
    /// elections before, and this one goes through its own.
    pub fn join_masters(&mut self) {
        match self.state {
            State::Initialize => self.joining = Joining::Yes,
            State::Backup | State::Master | State::Fault => {}
        }
    }

    /// True if its sync group cannot be master because of it.
    #[must_use]
    pub fn holds_back(&self) -> bool {
        match (self.state, self.joining) {
            (State::Master, Joining::No | Joining::Yes)
            | (State::Initialize | State::Backup | State::Fault, Joining::Yes) => false,
            (State::Initialize | State::Backup | State::Fault, Joining::No) => true,
        }
    }

    /// It is a member like any other from now on.
    pub(in crate::vrrp) fn end_joining(&mut self) {
        self.joining = Joining::No;
    }

    /// Whether it would be master, but for its sync group.
    #[must_use]
    pub fn claims(&self) -> bool {
        self.claim.is_some()
    }

    /// Whether something that it needs is gone, whatever its group says.
    #[must_use]
    pub fn fault(&self) -> Fault {
        self.own_fault()
    }

    /// It is to be master: at once, or when its whole sync group is to be.
    pub(in crate::vrrp) fn claim(&mut self, now: Time, cause: Cause) {
        match self.params.company {
            Company::Alone => self.become_master(now, cause),
            Company::Group => {
                self.claim = Some(cause);
                // The kernel is to tell of the next advert, whoever sends it; and should that be missed, it is asked again.
                self.epoch += 1;
                self.timers.set(Timer::MasterDown, now + self.own_down());
            }
        }
    }

    /// All of the sync group are to be master.
    pub(in crate::vrrp) fn confirm(&mut self, now: Time) {
        if let Some(cause) = self.claim {
            self.become_master(now, cause);
        }
    }

    /// Another member of the sync group is not master any more: this one resigns too. Its turn may come again soon, if all of
    /// the group get theirs.
    pub(in crate::vrrp) fn yield_with_group(&mut self, now: Time) {
        match self.state {
            State::Master => self.resign(now, Cause::WithGroup),
            State::Initialize | State::Backup | State::Fault => {}
        }
    }

    /// Whether neighbours may have believed a lower router since this was last asked.
    pub(in crate::vrrp) fn take_poisoned(&mut self) -> bool {
        std::mem::take(&mut self.poisoned)
    }

    /// A lower router has advertised here or to another member of the sync group, and may have announced the addresses as its
    /// own.
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

    /// Something that a member of the sync group needs is gone, or none lacks anything.
    pub(in crate::vrrp) fn set_group_fault(&mut self, now: Time, fault: Fault) {
        let before = self.lacking();
        self.group_fault = fault;
        self.follow_fault(now, before);
    }
}
