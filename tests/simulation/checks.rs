//! The invariants: they must hold after each event, and in the end.

use std::time::Duration;

use vrrp_agent::vrrp::{Fault, State, Time};
use vrrp_ebpf::election::Preempt;

use super::slot::Slot;
use super::world::World;

impl World {
    pub(super) fn check_node(&self, number: usize) -> Result<(), String> {
        let node = &self.nodes[number];
        for (index, slot) in node.slots.iter().enumerate() {
            let state = slot.machine.state();
            if node.alive && slot.installed != (state == State::Master) {
                return Err(format!("node {number} slot {index}: {state:?}, installed: {}", slot.installed));
            }
            if node.runs() && state == State::Master && node.is_mute(self.now) {
                self.check_silence(number, index)?;
            }
            if node.alive && state == State::Master && slot.machine.next_deadline().is_none() {
                return Err(format!("node {number} slot {index}: a master that will not advertise again"));
            }
            let answers = || node.answers(index, self.now) && !node.has_taken(index, self.now);
            if state != State::Master && node.kernel.is_some() && node.alive && answers() {
                return Err(format!("node {number} slot {index}: {state:?}, and its kernel answers"));
            }
        }
        // A slot that joins a group of masters listens first.
        let joins = |slot: &Slot| slot.machine.state() != State::Master && !slot.machine.holds_back();
        let grouped = || node.slots.iter().filter(|slot| slot.is_grouped() && !joins(slot));
        // The wait for a first result holds back an instance that starts, and none that runs.
        let undecided = grouped().any(|slot| slot.machine.fault() == Fault::Undecided);
        let apart = |a: &Slot, b: &Slot| match (a.machine.state(), b.machine.state()) {
            (State::Backup, State::Fault) | (State::Fault, State::Backup) => !undecided,
            (a, b) => a != b,
        };
        if node.alive && grouped().zip(grouped().skip(1)).any(|(a, b)| apart(a, b)) {
            let states: Vec<State> = grouped().map(|slot| slot.machine.state()).collect();
            return Err(format!("node {number}: a sync group apart: {states:?}"));
        }
        Ok(())
    }

    /// A master whose adverts do not leave its node gives up.
    fn check_silence(&self, number: usize, slot: usize) -> Result<(), String> {
        let (node, of) = (&self.nodes[number], &self.nodes[number].slots[slot]);
        // Two attempts after the lease: an earlier silence could not be known.
        let silence_max = of.machine.lease() + self.interval * 2 + self.interval / 10;
        let silent = node.clock(self.now) - of.silent_since;
        if silent > silence_max {
            return Err(format!("node {number} slot {slot}: master, and silent for {silent:?}"));
        }
        Ok(())
    }

    /// Checks a takeover from a silent master, on a network that has lost and held up nothing for long: the lease of the old
    /// master must be over before, so that its kernel half answers no question any more.
    pub(super) fn check_takeover(&self, number: usize, slot: usize) -> Result<(), String> {
        let calm_since = self.network(slot).calm_since;
        if calm_since.is_none_or(|since| self.now - since <= self.interval * 12) {
            return Ok(());
        }
        // The node itself must have lost nothing either: a frame that arrives where the agent is dead and the kernel half sees
        // nothing is lost, and no new agent can know of it. The lost frame may end the wait for a master, 4 intervals at most,
        // so much too early.
        if self.nodes[number].has_missed(slot, self.now, self.interval * 4) {
            return Ok(());
        }
        for (other, node) in self.nodes.iter().enumerate().filter(|&(other, _)| other != number) {
            let silent = node.kernel.is_some() && (!node.runs() || node.is_mute(self.now));
            if self.is_excused(other) {
                continue;
            }
            let master_since = node.slots[slot].machine.since();
            let settled = node.clock(self.now) - master_since > self.interval * 6;
            // A node that outranks the silent master need not wait for its silence: the first advert fences the old kernel
            // half.
            let (new, old) = (&self.nodes[number].slots[slot].machine, &node.slots[slot].machine);
            let outranked = new.priority() > old.priority();
            // Nor need a node wait for another one whose kernel half took over just before, and which has yet to be heard.
            let holds = node.answers(slot, self.now) && !node.has_taken(slot, self.now);
            if silent && settled && !outranked && holds {
                return Err(format!(
                    "slot {slot}: node {number} takes over while silent node {other} answers"
                ));
            }
        }
        Ok(())
    }

    /// True if the kernel half of a node may have seen nothing of what happened, and its agent may not have run to say so.
    fn is_excused(&self, node: usize) -> bool {
        self.nodes[node].is_blind(self.now, self.interval * 8)
    }

    /// Checks that a node that goes on as master where an earlier run was cut off finds that no other node has taken over.
    pub(super) fn check_resumed(&self, number: usize, slot: usize) -> Result<(), String> {
        let heard = self.network(slot).delay_max * 2;
        if self.is_excused(number) {
            return Ok(());
        }
        if self.network(slot).calm_since.is_none_or(|since| self.now - since <= self.interval * 5) {
            return Ok(());
        }
        let took_over = |&other: &usize| {
            if self.knows_better(number, other, slot) {
                return false;
            }
            let (node, machine) = (&self.nodes[other], &self.nodes[other].slots[slot].machine);
            // Nor does another node count that took over after it had missed an advert of the living master, as in
            // `check_takeover`.
            let since = machine.since();
            if node.slots[slot].missed.is_some_and(|at| since - at <= self.interval * 4) {
                return false;
            }
            // Nor does a master that could not be heard when it became master, and was heard later: it took over from nobody, and
            // yields to the node that goes on if that one ranks higher.
            if node.slots[slot].told.is_some_and(|told| told - since > self.interval) {
                return false;
            }
            // Nor does a master count whose adverts do not leave its node: no other node can know of it.
            let all_know = |told| node.clock(self.now) - told > heard;
            node.runs() && machine.state() == State::Master && node.slots[slot].told.is_some_and(all_know)
        };
        let others = (0..self.nodes.len()).filter(|&other| other != number);
        match others.filter(|&other| self.network(slot).are_together(other, number)).find(took_over) {
            Some(other) => Err(format!("slot {slot}: node {number} goes on as master, but node {other} is")),
            None => Ok(()),
        }
    }

    /// True if a node that was killed as master had a rank that the other node could not know of when it took over.
    fn knows_better(&self, number: usize, other: usize, slot: usize) -> bool {
        let source = self.nodes[number].source;
        let (said, ranked) = self.nodes[number].slots[slot].former;
        let rank = |node: usize| (self.nodes[node].slots[slot].machine.priority(), self.nodes[node].source);
        match said {
            // Until the node has advertised, another node that lost the same master may have become master as well. A node that
            // ranks lower yields to the advert that this node sends now, as it would have done without the kill; a node that
            // ranks higher has fenced this node.
            None => rank(number) > rank(other),
            // A weight had been added that no advert told of: the other node outranked the priority in this node's last advert,
            // and this node's kernel half was right not to be fenced. An event in the ring, or the other node's answer, ends
            // this at once.
            Some(said) => rank(other) > (said, source) && (ranked, source) > rank(other),
        }
    }

    /// Checks that no node that runs sleeps past a deadline; the clocks' rounding is less than the tolerance here. It is enough
    /// to check the node to which something is about to happen, and all nodes now and then: a deadline stays in the past until
    /// something happens to its node.
    pub(super) fn check_deadlines(&self, touched: Option<usize>) -> Result<(), String> {
        let asked = touched.map_or(0..self.nodes.len(), |number| number..number + 1);
        for number in asked.filter(|&number| self.nodes[number].runs()) {
            let node = &self.nodes[number];
            let late = |at: Time| at + Duration::from_micros(10) < node.clock(self.now);
            if node.slots.iter().any(|slot| slot.machine.next_deadline().is_some_and(late)) {
                return Err(format!("node {number} has a deadline in the past"));
            }
        }
        Ok(())
    }

    /// Each part has exactly one master for each virtual router, if any node in it can be master; and it is the right one.
    pub(super) fn check_one_master(&mut self) -> Result<(), String> {
        for slot in 0..self.nodes[0].slots.len() {
            for part in 0..self.network(slot).parts() {
                self.check_part(part, slot)?;
            }
        }
        Ok(())
    }

    fn check_part(&self, part: usize, slot: usize) -> Result<(), String> {
        let members = (0..self.nodes.len()).filter(|&node| self.network(slot).part_of(node) == part);
        let able: Vec<usize> = members.filter(|&node| self.nodes[node].is_able(slot)).collect();
        let state = |node: usize| self.nodes[node].slots[slot].machine.state();
        let masters: Vec<usize> = able.iter().copied().filter(|&node| state(node) == State::Master).collect();
        let answering: Vec<usize> = (0..self.nodes.len())
            .filter(|&node| self.network(slot).part_of(node) == part && self.nodes[node].alive)
            .filter(|&node| self.nodes[node].answers(slot, self.now))
            .collect();
        match (&able[..], &masters[..]) {
            ([], []) if !answering.is_empty() => {
                Err(format!("slot {slot}: nobody can be master, and {answering:?} answer"))
            }
            ([], []) => Ok(()),
            (_, [master]) => {
                if answering != [*master] {
                    return Err(format!("slot {slot}: node {master} is master, and {answering:?} answer"));
                }
                let priority = |node: usize| self.nodes[node].slots[slot].machine.priority();
                let better = able.iter().copied().find(|&node| {
                    self.nodes[node].slots[slot].params.preempt == Preempt::Yes
                        && priority(node) > priority(*master)
                });
                better.map_or(Ok(()), |better| {
                    Err(format!("slot {slot}: node {master} is master although node {better} outranks it"))
                })
            }
            _ => Err(format!("part {part} {able:?} slot {slot}: masters {masters:?}")),
        }
    }

    /// A silent master whose kernel half has heard a better master answers no more, whatever its lease says.
    pub(super) fn check_heard(&self, number: usize, slot: usize) -> Result<(), String> {
        let calm_since = self.network(slot).calm_since;
        let calm = calm_since.is_some_and(|since| self.now - since > self.interval * 2);
        let master = &self.nodes[number].slots[slot].machine;
        if !calm || master.state() != State::Master || !self.nodes[number].runs() {
            return Ok(());
        }
        // The first advert of the new master may not have left its node yet, or may not have arrived.
        let ago = |told| self.nodes[number].clock(self.now) - told;
        let told = self.nodes[number].slots[slot].told;
        if told.is_none_or(|told| ago(told) < self.network(slot).delay_max) {
            return Ok(());
        }
        for (other, node) in self.nodes.iter().enumerate().filter(|&(other, _)| other != number) {
            let outranked = master.priority() > node.slots[slot].machine.priority();
            let silent = node.kernel.is_some() && !node.runs() && !self.is_excused(other);
            // A kernel half that has taken over by itself gives way to any router that advertises, whatever the rank.
            if silent && (outranked || node.has_taken(slot, self.now)) && node.answers(slot, self.now) {
                return Err(format!("slot {slot}: silent node {other} answers against node {number}"));
            }
        }
        Ok(())
    }
}
