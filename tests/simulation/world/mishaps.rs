//! Mishaps of the nodes and the networks of a run.

use super::*;

impl World {
    pub(super) fn strike(&mut self, mishap: Mishap) -> Result<(), String> {
        self.note(format_args!("mishap: {mishap:?}"));
        match mishap {
            Mishap::Crash(node) => self.nodes[node].crash(self.now),
            Mishap::Blink(node, tenths) => {
                self.nodes[node].crash(self.now);
                self.schedule(self.now + self.interval * tenths / 10, Event::Restart(node));
            }
            Mishap::Restart(node) => self.restart(node)?,
            Mishap::Stop(node) => {
                if self.nodes[node].runs() {
                    let did = self.nodes[node].stop(self.now);
                    self.record(node, did)?;
                }
            }
            Mishap::Stall(node, intervals) => {
                if self.nodes[node].runs() {
                    let until = self.now + self.interval * intervals;
                    self.nodes[node].stall(self.now, until);
                    self.schedule(until, Event::WakeUp(node));
                }
            }
            Mishap::Split(part_of) => self.any_network().split(&part_of),
            Mishap::BreakOneWay(from, to) => self.any_network().break_one_way(from, to),
            Mishap::Heal => self.heal(),
            Mishap::Weather { loss, duplicates, delay } => {
                let interval = self.interval;
                let network = self.any_network();
                network.loss_percent = loss;
                network.duplicate_percent = duplicates;
                network.delay_max = interval * delay / 1000;
                network.calm_since = None;
            }
            Mishap::Contributions(node, slot, contributions) => {
                // The priority of a member of a group does not move.
                if self.nodes[node].slots[slot].shared.sync_membership == SyncMembership::Alone {
                    self.tell(node, slot, |machine, now| machine.set_contributions(now, contributions))?;
                }
            }
            Mishap::Stolen(node, slot) => self.tell(node, slot, Instance::handle_addresses_lost)?,
            Mishap::Faulted(node, slot, fault) => {
                self.nodes[node].slots[slot].tracked = fault;
                let fault = self.nodes[node].slots[slot].fault();
                self.tell(node, slot, |machine, now| machine.set_fault(now, fault))?;
            }
            Mishap::Reload(node, slot) => {
                if self.nodes[node].runs() {
                    let did = self.nodes[node].reload(self.now, slot, &mut self.random);
                    self.record(node, did)?;
                }
            }
            Mishap::Leap(node, hundredths) => {
                self.nodes[node].leap(self.now, self.interval * hundredths / 100);
                // A network is calm only if the clocks agree too, so the calm begins anew.
                for network in &mut self.networks {
                    network.calm_since = network.calm_since.map(|_| self.now);
                }
                let did = self.nodes[node].handle_deadlines(self.now);
                self.record(node, did)?;
            }
            Mishap::Mute(..)
            | Mishap::Blind(..)
            | Mishap::Host(..)
            | Mishap::Edit(..)
            | Mishap::LeaveOrJoin(..)
            | Mishap::Stranger(_) => self.strike_host(&mishap)?,
        }
        Ok(())
    }
}
