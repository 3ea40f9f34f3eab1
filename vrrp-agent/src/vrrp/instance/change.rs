//! Changes to a running instance: of its configuration, of its trackers, and of the things that it needs.

use std::time::Duration;

use vrrp_ebpf::advert::{PRIORITY_OWNER, Version};
use vrrp_ebpf::election::Candidate;

use super::super::terms::{Cause, Fault, Params, State};
use super::super::timers::Timer;
use super::{Instance, Time, nanos};

impl Instance {
    /// Applies a configuration that was read again: the same virtual router with other parameters. The state stays, and a
    /// master misses no advert; deadlines that depend on a changed parameter move with it.
    pub fn reconfigure(&mut self, now: Time, params: Params) {
        let (skew, candidate) = (self.skew(), self.candidate());
        let interval = std::mem::replace(&mut self.params, params).interval;
        // Version 3 has learned the master's interval; in version 2 all routers must share one interval.
        if self.params.version == Version::V2 || self.heard.is_none() {
            self.master_interval = self.params.interval;
        }
        self.shift_master_down(now, skew);
        match self.state {
            State::Master if self.params.interval < interval => {
                let next = now + self.params.interval;
                let due = self.timers.get(Timer::Advert).map_or(next, |due| due.min(next));
                self.timers.set(Timer::Advert, due);
            }
            // The owner of the addresses does not wait for any router.
            State::Backup if self.priority() == PRIORITY_OWNER => self.claim(now, Cause::Preempts),
            State::Backup => self.rank_anew(now, &candidate),
            State::Initialize | State::Master | State::Fault => {}
        }
    }

    /// Sets the sum that all trackers add to the priority. A running master-down timer of ours shifts with the skew; the kernel
    /// half's deadlines follow with the next advert.
    pub fn set_contributions(&mut self, now: Time, contributions: i32) {
        let (skew, candidate) = (self.skew(), self.candidate());
        self.contributions = contributions;
        self.shift_master_down(now, skew);
        match self.state {
            // The kernel half does not report an advert that is the same as the last one, so the last one is judged again here.
            State::Backup => self.rank_anew(now, &candidate),
            State::Initialize | State::Master | State::Fault => {}
        }
    }

    fn rank_anew(&mut self, now: Time, before: &Candidate) {
        self.follow_preempt_delay(now);
        self.heed_last_advert(now, before);
    }

    fn skew(&self) -> Duration {
        Duration::from_nanos(self.candidate().skew_ns(nanos(self.master_interval)))
    }

    /// Moves a running master-down timer from the skew that it was set with to the present one.
    fn shift_master_down(&mut self, now: Time, before: Duration) {
        if let Some(at) = self.timers.get(Timer::MasterDown) {
            let shifted = (at.elapsed() + self.skew()).saturating_sub(before);
            self.timers.set(Timer::MasterDown, Time::since_start(shifted).max(now));
        }
    }

    /// Handles that something the instance needs is gone, or that all of it is back.
    pub fn set_fault(&mut self, now: Time, fault: Fault) {
        let before = self.lacking();
        self.fault = fault;
        self.follow_fault(now, before);
    }

    /// Returns the instance's own fault or its group's, whichever is worse.
    pub(super) fn lacking(&self) -> Fault {
        self.own_fault().max(self.group_fault)
    }

    pub(super) fn follow_fault(&mut self, now: Time, before: Fault) {
        let faulted = match self.own_fault() {
            Fault::Present => Cause::Faulted,
            Fault::None | Fault::Undecided => Cause::WithGroup,
        };
        match (self.state, before, self.lacking()) {
            (State::Initialize, _, _)
            | (_, Fault::Present, Fault::Present)
            // An instance that runs continues; an instance that waits for a first result waits on.
            | (State::Backup | State::Master, _, Fault::None | Fault::Undecided)
            | (State::Fault, _, Fault::Undecided) => {}
            (State::Backup, _, Fault::Present) => self.transition(now, State::Fault, faulted),
            (State::Master, _, Fault::Present) => {
                // The resignation is sent twice, as keepalived does: the fault may be a link that loses packets.
                self.advertise_resignation();
                self.advertise_resignation();
                self.leave_master();
                self.transition(now, State::Fault, faulted);
            }
            // The fault is certain only now, and was not reported before.
            (State::Fault, Fault::None | Fault::Undecided, Fault::Present) => {
                self.transition(now, State::Fault, faulted);
            }
            (State::Fault, _, Fault::None) => self.enter(now, Cause::Recovered),
        }
    }
}
