//! The virtual addresses of a master: putting them on the interface, and announcing them.

use super::super::terms::{Cause, GarpSchedule, State};
use super::super::timers::Timer;
use super::{Instance, Time};

impl Instance {
    /// Handles that the virtual addresses are on the interface: announces them, never before (RFC 9568 section 8.1.2).
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

    /// Returns true if no address is missing: a master has its addresses on the interface, and in any other state none belong
    /// there.
    #[must_use]
    pub fn is_installed(&self) -> bool {
        match self.state {
            State::Master => self.installed,
            State::Initialize | State::Backup | State::Fault => true,
        }
    }

    /// Puts the addresses of a master on the interface again, because they have changed, or because it is not known if they are
    /// there.
    pub fn install_again(&mut self, now: Time) {
        match self.state {
            State::Master => self.ask_to_install(now),
            State::Initialize | State::Backup | State::Fault => {}
        }
    }

    /// Announces the addresses again: the interface has another hardware address, so the neighbours' entries are wrong.
    pub fn announce_again(&mut self) {
        if self.installed {
            self.announce(self.params.garp.repeat);
        }
    }

    /// Announces the addresses once more, on request. Returns false if they are not ours.
    pub fn announce_once(&mut self) -> bool {
        if self.installed {
            self.announce(1);
        }
        self.installed
    }

    /// Handles that another program or the operator removed an address from the interface: this router resigns, another router
    /// may take over, and this router again after a skew time (keepalived's rule). Before all addresses are on the interface, a
    /// missing one is our own doing and is ignored.
    pub fn handle_addresses_lost(&mut self, now: Time) {
        match self.state {
            State::Master if self.installed => self.resign(now, Cause::AddressesLost),
            State::Initialize | State::Backup | State::Master | State::Fault => {}
        }
    }
}
