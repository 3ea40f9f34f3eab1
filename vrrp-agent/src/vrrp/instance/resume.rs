//! Going on where an earlier run of the agent was cut off: the kernel half has watched, held and fenced meanwhile. Peers have
//! noticed nothing, so an election would be one for nothing.

use std::time::Duration;

use vrrp_ebpf::advert::PRIORITY_OWNER;
use vrrp_ebpf::election::AtBackup;

use super::super::terms::{Cause, Fault, Heard, Output, Past, Spell, State};
use super::super::timers::Timer;
use super::{Instance, Time};

impl Instance {
    /// Before [`Self::start`], with what an earlier run left in the kernel. A master whose lease lasts goes on: nobody has had
    /// reason to take over. A backup whose master is watched goes on waiting. Both in the epoch that the kernel knows, so that
    /// lease, fence, watch and the news in its ring go on too. Otherwise it is yet to start, in an epoch of its own: none is used
    /// twice, whenever that will be.
    pub fn resume(&mut self, now: Time, past: Past) {
        match self.state {
            State::Initialize => self.epoch = past.epoch,
            State::Backup | State::Master | State::Fault => return,
        }
        match (self.lacking(), past.spell) {
            (Fault::None | Fault::Undecided, Spell::Lease { until }) if now < until => {
                self.statistics.became_master += 1;
                self.go_on_as(State::Master, now);
                self.advertise(now);
                // They are there, or should be; and neighbours are told, in case they were told otherwise.
                self.ask_to_install(now);
            }
            (Fault::None | Fault::Undecided, Spell::Watch { heard, deadline, outranked })
                if now < deadline && self.priority() != PRIORITY_OWNER =>
            {
                self.go_on_as(State::Backup, now);
                self.follow(heard);
                self.go_on_below(deadline, outranked);
                self.follow_preempt_delay(now);
            }
            (Fault::None | Fault::Undecided | Fault::Present, Spell::Lease { .. }) => {
                self.epoch += 1;
                self.outputs.push_back(Output::Withdraw);
            }
            (Fault::None | Fault::Undecided | Fault::Present, Spell::Over | Spell::Watch { .. }) => {
                self.epoch += 1;
            }
        }
    }

    /// The kernel has also heard a router that ranked lower, before the agent was killed. It may not any more, as trackers are
    /// yet to say what they said then: the wait for it begins with its last advert.
    fn go_on_below(&mut self, deadline: Time, outranked: Option<Heard>) {
        let Some(lower) = outranked else { return };
        match self.candidate().at_backup(&lower.advert, None) {
            AtBackup::Alive { down_ns } => {
                // The kernel's deadline is too early, and ends with its epoch.
                self.epoch += 1;
                self.follow(lower);
                self.timers.set(Timer::MasterDown, deadline.max(lower.at + Duration::from_nanos(down_ns)));
            }
            AtBackup::Outranked => {
                self.outranked = Some(lower.at);
                self.last = Some(lower);
            }
            AtBackup::Resigned { .. } | AtBackup::Unrelated => {}
        }
    }

    /// Like a transition, but the epoch goes on.
    fn go_on_as(&mut self, state: State, now: Time) {
        let from = std::mem::replace(&mut self.state, state);
        self.since = now;
        self.outputs.push_back(Output::Transition { from, to: state, cause: Cause::Resumed });
    }
}
