//! A master that cannot do a master's work: no advert of its own leaves, or its addresses do not get on the interface. To the
//! other routers it is lost, or it holds an address that no host can reach. So it resigns, and leaves the work to another
//! router.
//!
//! It goes to Fault rather than to Backup: it lacks something that a master needs, the operator must learn of that, and its
//! sync group goes along. From Backup it would be master again as soon as it hears no other router, which is likely where
//! nothing can be sent. In Fault it holds still for [`PAUSE`], and then waits for a whole master-down interval like any
//! instance that recovers.

use std::time::Duration;

use super::super::terms::{Cause, Fault, Output, State};
use super::super::timers::Timer;
use super::{Instance, Time};

/// The time for which the instance is no candidate afterwards; as long as the daemon waits before it retries addresses that
/// were refused.
const PAUSE: Duration = Duration::from_secs(10);

/// If a timer is served later than this, the whole process stood still, and with it the part that puts addresses on interfaces.
const STALL: Duration = Duration::from_millis(250);

/// A record of a master's adverts: when the last one left, and since when none has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) struct Sending {
    /// The time when the last advert left, as far as the caller has said.
    left: Option<Time>,
    /// While adverts fail: the time since which none has left.
    failing: Option<Time>,
}

impl Sending {
    /// The time when the last advert left.
    pub(super) fn left(&self) -> Option<Time> {
        self.left
    }

    pub(super) fn failing_since(&self) -> Option<Time> {
        self.failing
    }
}

impl Instance {
    /// Handles that an advert of ours has left: the lease starts anew.
    pub fn handle_sent(&mut self, at: Time) {
        match self.state {
            State::Master => self.sending = Sending { left: Some(at), failing: None },
            State::Initialize | State::Backup | State::Fault => {}
        }
    }

    /// Handles that an advert of ours could not be sent. A single failure does not matter, not even after a stall that has used
    /// up the lease; nor do several within the lease, since peers wait for as long.
    pub fn handle_send_failed(&mut self, now: Time) {
        match (self.state, self.sending) {
            (State::Master, Sending { left, failing: None }) => {
                self.sending.failing = Some(left.unwrap_or(self.since));
            }
            (State::Master, Sending { failing: Some(since), .. }) if now - since >= self.lease() => {
                self.surrender(now, Cause::CannotSend { silent: now - since });
            }
            (State::Initialize | State::Backup | State::Master | State::Fault, _) => {}
        }
    }

    /// Asks the caller to put the addresses on the interface, and waits for the confirmation.
    pub(super) fn ask_to_install(&mut self, now: Time) {
        self.outputs.push_back(Output::Install);
        self.install_asked = Some(now);
        self.timers.set(Timer::Install, now + self.install_time());
    }

    fn install_time(&self) -> Duration {
        self.master_down_interval().max(self.params.install_time)
    }

    pub(super) fn handle_install_late(&mut self, now: Time, due: Time) {
        let Some(asked) = self.install_asked else { return };
        if now - due > STALL {
            self.timers.set(Timer::Install, now + self.install_time());
        } else {
            self.surrender(now, Cause::NotInstalled { waited: now - asked });
        }
    }

    pub(super) fn surrender(&mut self, now: Time, cause: Cause) {
        match self.state {
            State::Master => {
                // The resignation is sent twice, as in any fault of a master.
                self.advertise_resignation();
                self.advertise_resignation();
                self.leave_master();
                self.paused = true;
                self.transition(now, State::Fault, cause);
                self.timers.set(Timer::Pause, now + PAUSE);
            }
            State::Initialize | State::Backup | State::Fault => {}
        }
    }

    /// Keeps a pause that runs when Fault is entered for another reason.
    pub(super) fn keep_pause(&mut self, until: Option<Time>) {
        if let Some(until) = until {
            self.timers.set(Timer::Pause, until);
        }
    }

    pub(super) fn end_pause(&mut self, now: Time) {
        let before = self.lacking();
        self.paused = false;
        self.follow_fault(now, before);
    }

    /// Returns the instance's own fault, without that of its sync group. A pause counts as a fault.
    pub(super) fn own_fault(&self) -> Fault {
        if self.paused { Fault::Present } else { self.fault }
    }
}
