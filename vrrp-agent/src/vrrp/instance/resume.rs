//! Going on where an earlier run of the agent was cut off: the kernel half has watched, held and fenced meanwhile. Peers have
//! noticed nothing, so an election would be one for nothing.

use std::time::Duration;

use vrrp_ebpf::advert::PRIORITY_OWNER;

use super::super::terms::{Cause, Fault, Output, Past, Spell, State};
use super::{Instance, Time};

impl Instance {
    /// Instead of [`Self::start`], with what an earlier run left in the kernel. A master whose lease lasts goes on: nobody has had
    /// reason to take over. A backup whose master is watched goes on waiting. Both in the epoch that the kernel knows, so that
    /// lease, fence, watch and the news in its ring go on too. Otherwise it starts, in an epoch of its own.
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
                self.outputs.push_back(Output::Install);
            }
            (Fault::None | Fault::Undecided, Spell::Watch { heard, deadline })
                if now < deadline && self.priority() != PRIORITY_OWNER =>
            {
                self.go_on_as(State::Backup, now);
                self.master_interval = Duration::from_nanos(heard.advert.interval_ns);
                self.heard = Some(heard);
                self.start_patience(now);
            }
            (Fault::None | Fault::Undecided | Fault::Present, Spell::Lease { .. }) => {
                self.outputs.push_back(Output::Withdraw);
                self.start(now);
            }
            (Fault::None | Fault::Undecided | Fault::Present, Spell::Over | Spell::Watch { .. }) => {
                self.start(now);
            }
        }
    }

    /// Like a transition, but the epoch goes on.
    fn go_on_as(&mut self, state: State, now: Time) {
        let from = std::mem::replace(&mut self.state, state);
        self.since = now;
        self.outputs.push_back(Output::Transition { from, to: state, cause: Cause::Resumed });
    }
}
