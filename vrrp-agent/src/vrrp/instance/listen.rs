//! A backup that hears adverts: RFC 9568 section 6.4.2, with keepalived's delay before a preemption.

use std::time::Duration;

use vrrp_ebpf::advert::{Advert, PRIORITY_RESIGN};
use vrrp_ebpf::election::{AtBackup, Candidate};

use super::super::terms::{Heard, State, Watch};
use super::super::timers::Timer;
use super::{Instance, PreemptDelay, Time};

impl Instance {
    pub(super) fn handle_advert_as_backup(&mut self, now: Time, advert: &Advert, watch: Watch) {
        let heard = Heard { advert: *advert, at: now };
        let watched = self.heard.map(|heard| heard.advert.source);
        let after = match self.candidate().at_backup(advert, watched.as_ref()) {
            AtBackup::Alive { master_down_ns } => {
                self.end_joining();
                Duration::from_nanos(master_down_ns)
            }
            AtBackup::Resigned { skew_ns } => Duration::from_nanos(skew_ns),
            AtBackup::Unrelated => return self.forget(advert),
            AtBackup::Outranked => {
                self.outranked = Some(now);
                self.last = Some(heard);
                return;
            }
        };
        self.claim = None;
        self.follow(heard);
        self.follow_preempt_delay(now);
        match watch {
            Watch::Here | Watch::Fenced => {
                if self.timers.get(Timer::MasterDown).is_none() {
                    // The kernel half watched, and has not heard this advert, or has no timer for it: the new epoch ends its
                    // watch.
                    self.epoch += 1;
                }
                self.timers.set(Timer::MasterDown, now + after);
            }
            Watch::Kernel => self.timers.stop(Timer::MasterDown),
        }
    }

    /// From now on, takes the sender of this advert, which counts, as the master.
    pub(super) fn follow(&mut self, heard: Heard) {
        self.heard = Some(heard);
        self.master_interval = Duration::from_nanos(heard.advert.interval_ns);
        match heard.advert.priority {
            PRIORITY_RESIGN => self.forget(&heard.advert),
            _ => self.last = Some(heard),
        }
    }

    /// Forgets the last advert of a sender that has resigned.
    fn forget(&mut self, advert: &Advert) {
        self.last = self.last.filter(|last| last.advert.source != advert.source);
    }

    /// Takes over an advert that the kernel half has heard since its last report: it reports changes only, and its ring may be
    /// full.
    pub fn catch_up(&mut self, heard: Heard) {
        let newer = self.last.is_none_or(|last| last.at < heard.at);
        match self.state {
            State::Backup if newer && heard.advert.priority != PRIORITY_RESIGN => self.last = Some(heard),
            State::Initialize | State::Backup | State::Master | State::Fault => {}
        }
    }

    /// Starts the delay before a preemption, if the kernel half has heard a lower master of which it has not reported. It reports
    /// changes of the master that it watches; another router that it heard in between, and that ranked lower then, ended the delay
    /// here and is no such change. To be called once a second while [`Self::waits_to_preempt`].
    pub fn check_preempt_delay(&mut self, now: Time, heard: Heard) {
        match self.state {
            State::Backup if self.waits_to_preempt() => {
                self.catch_up(heard);
                self.follow_preempt_delay(now);
            }
            State::Initialize | State::Backup | State::Master | State::Fault => {}
        }
    }

    /// Continues the wait for the master here, until `deadline`, because the kernel half does not watch any more.
    pub fn watch_here(&mut self, now: Time, deadline: Time) {
        match self.state {
            State::Backup => self.timers.set(Timer::MasterDown, deadline.max(now)),
            State::Initialize | State::Master | State::Fault => {}
        }
    }

    /// Starts or cancels the delay before a preemption. It starts when the master is found to rank lower, by its advert or by
    /// our own priority. It is cancelled when the master does not rank lower any more, and starts anew with the next lower
    /// advert (keepalived's rule).
    pub(super) fn follow_preempt_delay(&mut self, now: Time) {
        let Some(last) = self.last else { return };
        if last.advert.priority >= self.priority() {
            self.preempt_delay = PreemptDelay::Waiting;
            self.timers.stop(Timer::PreemptDelay);
        } else if self.waits_to_preempt() && self.timers.get(Timer::PreemptDelay).is_none() {
            self.timers.set(Timer::PreemptDelay, now + self.params.preempt_delay);
        }
    }

    /// Judges the last advert again, because our rank has changed since `before`. If the advert did not count then and counts
    /// now, the wait for its sender begins with this advert, not with an older one. Otherwise we would take over from a master
    /// that was heard just now.
    pub(super) fn heed_last_advert(&mut self, now: Time, before: &Candidate) {
        let Some(last) = self.last.filter(|_| self.state == State::Backup) else { return };
        let (before, after) =
            (before.at_backup(&last.advert, None), self.candidate().at_backup(&last.advert, None));
        let deadline = match (before, after) {
            (AtBackup::Outranked, AtBackup::Alive { master_down_ns }) => {
                last.at + Duration::from_nanos(master_down_ns)
            }
            (
                AtBackup::Alive { .. }
                | AtBackup::Resigned { .. }
                | AtBackup::Outranked
                | AtBackup::Unrelated,
                AtBackup::Alive { .. }
                | AtBackup::Resigned { .. }
                | AtBackup::Outranked
                | AtBackup::Unrelated,
            ) => return,
        };
        if deadline <= now {
            return;
        }
        let deadline = match self.timers.get(Timer::MasterDown) {
            Some(at) if self.claim.is_none() => at.max(deadline),
            Some(_asked_again) => deadline,
            None => {
                // The kernel half watches, with a deadline that is too early: the new epoch ends its watch.
                self.epoch += 1;
                deadline
            }
        };
        self.claim = None;
        self.end_joining();
        self.follow(last);
        self.timers.set(Timer::MasterDown, deadline);
    }
}
