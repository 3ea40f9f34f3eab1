//! Continuing where an earlier run of the agent was killed: the kernel half has watched, answered and fenced meanwhile. The
//! peers have noticed nothing, so there is no reason for an election.

use std::time::Duration;

use vrrp_ebpf::advert::PRIORITY_OWNER;
use vrrp_ebpf::election::AtBackup;

use super::super::terms::{Cause, Fault, Heard, Output, Resume, SavedState, State};
use super::super::timers::Timer;
use super::{Instance, Time};

impl Instance {
    /// Takes over what an earlier run left in the kernel; called before [`Self::start`]. A master whose lease lasts continues:
    /// no peer has had reason to take over. A backup whose master is watched continues to wait. Both keep the epoch that the
    /// kernel half knows, so that the lease, the fence, the watch and the events in the ring stay valid. Any other instance has
    /// yet to start, in a new epoch: no epoch is used twice, whenever the instance starts.
    pub fn resume(&mut self, now: Time, saved: SavedState) {
        match self.state {
            State::Initialize => self.epoch = saved.epoch,
            State::Backup | State::Master | State::Fault => return,
        }
        match (self.lacking(), saved.resume) {
            (Fault::None | Fault::Undecided, Resume::Holding { until }) if now < until => {
                self.statistics.became_master += 1;
                self.go_on_as(State::Master, now);
                self.advertise(now);
                // The addresses are on the interface, or should be. Once that is confirmed they are announced, in case the
                // neighbours have learned otherwise.
                self.ask_to_install(now);
            }
            (Fault::None | Fault::Undecided, Resume::Watching { heard, deadline, outranked })
                if now < deadline && self.priority() != PRIORITY_OWNER =>
            {
                self.go_on_as(State::Backup, now);
                self.follow(heard);
                self.go_on_below(deadline, outranked);
                self.follow_preempt_delay(now);
            }
            (Fault::None | Fault::Undecided | Fault::Present, Resume::Holding { .. }) => {
                self.epoch += 1;
                self.outputs.push_back(Output::Withdraw);
            }
            (Fault::None | Fault::Undecided | Fault::Present, Resume::Nothing | Resume::Watching { .. }) => {
                self.epoch += 1;
            }
        }
    }

    /// Judges the last advert of a router that the kernel half has heard and that ranked lower before the agent was killed. It
    /// may not rank lower any more, as the trackers have yet to report what they reported then. In that case the wait for it
    /// begins with its last advert.
    fn go_on_below(&mut self, deadline: Time, outranked: Option<Heard>) {
        let Some(lower) = outranked else { return };
        match self.candidate().at_backup(&lower.advert, None) {
            AtBackup::Alive { master_down_ns } => {
                // The kernel half's deadline is too early; the new epoch ends its watch.
                self.epoch += 1;
                self.follow(lower);
                self.timers
                    .set(Timer::MasterDown, deadline.max(lower.at + Duration::from_nanos(master_down_ns)));
            }
            AtBackup::Outranked => {
                self.outranked = Some(lower.at);
                self.last = Some(lower);
            }
            AtBackup::Resigned { .. } | AtBackup::Unrelated => {}
        }
    }

    /// Changes the state like a transition, but keeps the epoch.
    fn go_on_as(&mut self, state: State, now: Time) {
        let from = std::mem::replace(&mut self.state, state);
        self.since = now;
        self.outputs.push_back(Output::Transition { from, to: state, cause: Cause::Resumed });
    }
}
