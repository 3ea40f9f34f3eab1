//! A master that hears a router which ranks lower: it insists, unless it stood still and the other router has taken over meanwhile.

use std::time::Duration;

use vrrp_ebpf::advert::Advert;

use super::super::terms::{Cause, Heard, OnLower, Output};
use super::{Instance, Time};

impl Instance {
    /// Handles an advert of a lower router.
    pub(super) fn hear_lower(&mut self, now: Time, advert: &Advert) {
        self.lower_heard = Some(now);
        match self.stalled_for(now) {
            // Because of our silence the other router is master by the rules. It keeps the addresses until an orderly
            // election: the peers of a stalled router must not see two routers that both insist on being master. A router
            // that cannot send gives up, because it would be master again, and overtaken again.
            Some(stalled) if self.sending.failing_since().is_some() => {
                self.surrender(now, Cause::CannotSend { silent: stalled });
            }
            Some(stalled) => {
                let down = Duration::from_nanos(self.candidate().master_down_ns(advert.interval_ns));
                self.step_down(now, advert, down, Cause::Overtaken { stalled });
            }
            // Discard the advert and advertise at once. It may have poisoned caches of neighbours, so announce again.
            None => {
                match self.params.on_lower {
                    OnLower::Advertise => self.advertise(now),
                    OnLower::Ignore => {}
                }
                // Once per interval at most, not for each advert of a flood.
                if self.answered.is_none_or(|at| now - at >= self.params.interval) {
                    self.answered = Some(now);
                    self.group_garp_pending = true;
                    self.announce_after_lower(now);
                    self.outputs.push_back(Output::LowerHeard);
                }
            }
        }
    }

    /// Returns true if no advert of this master has left for longer than its lease: another router may have taken over.
    #[must_use]
    pub fn has_stalled(&self, now: Time) -> bool {
        self.stalled_for(now).is_some()
    }

    /// Returns true if a lower router has advertised after the last advert of this master, which has stalled since: the other
    /// router has taken over. An advert that was handled already does not count, nor does one of a router that is lost again.
    #[must_use]
    pub fn is_overtaken_by(&self, now: Time, heard: &Heard) -> bool {
        let last = self.advertised.max(self.lower_heard).max(self.sending.left());
        let until_lost = Duration::from_nanos(self.candidate().master_down_ns(heard.advert.interval_ns));
        self.has_stalled(now) && last.is_some_and(|at| heard.at > at) && now - heard.at < until_lost
    }
}
