//! The virtual addresses of a master: whether they are on the interface, and when they are announced.

use super::super::terms::{Cause, GarpSchedule, State};
use super::super::timers::Timer;
use super::{Instance, Time};

impl Instance {
    /// The virtual addresses are on the interface: announce them, never before (RFC 9568 section 8.1.2).
    pub fn handle_installed(&mut self, now: Time) {
        match self.state {
            State::Master => {
                self.installed = true;
                self.install_asked = None;
                self.timers.stop(Timer::Install);
                self.announce(self.params.garp.repeat);
                let GarpSchedule { delay, refresh, .. } = self.params.garp;
                if let Some(delay) = delay {
                    self.timers.set(Timer::SecondBurst, now + delay);
                }
                if let Some(refresh) = refresh {
                    self.timers.set(Timer::Refresh, now + delay.unwrap_or_default() + refresh);
                }
            }
            State::Initialize | State::Backup | State::Fault => {}
        }
    }

    /// Whether the addresses are where they belong: on the interface of a master, and on nobody else's.
    #[must_use]
    pub fn is_installed(&self) -> bool {
        match self.state {
            State::Master => self.installed,
            State::Initialize | State::Backup | State::Fault => true,
        }
    }

    /// The addresses are others than before, or it is not known whether they are there: a master's are put on the interface.
    pub fn install_again(&mut self, now: Time) {
        match self.state {
            State::Master => self.ask_to_install(now),
            State::Initialize | State::Backup | State::Fault => {}
        }
    }

    /// What neighbours know of the addresses is not right any more: the interface has another hardware address.
    pub fn announce_again(&mut self) {
        if self.installed {
            self.announce(self.params.garp.repeat);
        }
    }

    /// Somebody wants the addresses announced once more. False if they are not ours.
    pub fn announce_once(&mut self) -> bool {
        if self.installed {
            self.announce(1);
        }
        self.installed
    }

    /// Somebody else took an address off the interface: the next one may have it, and we after a skew time (keepalived's
    /// rule). Before the addresses are all there, it is our own doing.
    pub fn handle_addresses_lost(&mut self, now: Time) {
        match self.state {
            State::Master if self.installed => self.resign(now, Cause::AddressesLost),
            State::Initialize | State::Backup | State::Master | State::Fault => {}
        }
    }
}
