//! A master that cannot do a master's work: no advert of its own leaves, or its addresses do not get on the interface. To the
//! others it is lost, or it holds an address that nobody can reach; so it says so, and leaves the work to somebody else.
//!
//! It goes to Fault rather than to Backup: what it lacks is something that a master needs, an operator is to hear of it, and its
//! sync group goes along. From Backup it would be master again as soon as it hears nobody, which is likely where nothing can be
//! sent; in Fault it holds still for [`PAUSE`], and then waits for a whole master-down interval like anybody who comes back.

use std::time::Duration;

use super::super::terms::{Cause, Fault, Output, State};
use super::super::timers::Timer;
use super::{Instance, Time};

/// How long it is no candidate afterwards; as long as the daemon waits before it tries addresses again that were refused.
const PAUSE: Duration = Duration::from_secs(10);

/// A timer that is served so much too late says that the whole process stood still, and those who put addresses on interfaces
/// with it.
const STALL: Duration = Duration::from_millis(250);

/// A record of a master's adverts: when the last one left, and since when none has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) struct Sending {
    /// When the last one left, as far as the caller has said.
    left: Option<Time>,
    /// While they fail: since when none has left.
    failing: Option<Time>,
}

impl Sending {
    pub(super) fn failing_since(&self) -> Option<Time> {
        self.failing
    }
}

impl Instance {
    /// An advert of ours has left: the lease runs anew.
    pub fn handle_sent(&mut self, at: Time) {
        match self.state {
            State::Master => self.sending = Sending { left: Some(at), failing: None },
            State::Initialize | State::Backup | State::Fault => {}
        }
    }

    /// An advert of ours could not be sent. One does not matter, not even after a stall that has used up the lease; nor do any
    /// within the lease, for peers wait for as long.
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

    /// Has the addresses put on the interface, and waits for word that they are.
    pub(super) fn ask_to_install(&mut self, now: Time) {
        self.outputs.push_back(Output::Install);
        self.install_asked = Some(now);
        self.timers.set(Timer::Install, now + self.install_time());
    }

    fn install_time(&self) -> Duration {
        self.own_down().max(self.params.install_time)
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
                // Twice, as in any fault of a master.
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

    /// Fault may be entered for another reason meanwhile; the pause goes on.
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

    /// Its own fault, without its sync group's. A pause counts as a fault.
    pub(super) fn own_fault(&self) -> Fault {
        if self.paused { Fault::Present } else { self.fault }
    }
}
