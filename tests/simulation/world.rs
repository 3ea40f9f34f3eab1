//! The world: events in order of time, and what must hold after each.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;
use vrrp_tests::random::Random;

use vrrp_agent::vrrp::{Cause, Company, Instance, State, Time};
use vrrp_ebpf::advert::Version;
use vrrp_ebpf::election::Preempt;

use super::chaos::Mishap;
use super::network::Network;
use super::node::{Did, Node, Shared};

/// How many intervals of mishaps.
const CHAOS_INTERVALS: u32 = 60;
/// After the last mishap: a master-down interval (less than 4 intervals) for a part without a master to get one, another
/// and the preempt delay (4 intervals) for the higher ranks to preempt, one for the masters to settle it among themselves,
/// one for good measure.
const BOUND_INTERVALS: u32 = 14;
/// And, for an event that did not fit in the ring, the agent's next look at what the kernel knows.
const SWEEP: Duration = Duration::from_millis(1100);
/// And so long it must last.
const PEACE_INTERVALS: u32 = 6;

/// A run that went well.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) steps: u64,
    pub(crate) became_master: u64,
    pub(crate) transcript: Vec<String>,
}

/// An invariant that did not hold.
#[derive(Debug)]
pub(crate) struct Violation {
    pub(crate) what: String,
    pub(crate) transcript: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Deadline(usize),
    Frame {
        from: usize,
        to: usize,
        message: Vec<u8>,
    },
    Installed {
        node: usize,
        slot: usize,
    },
    WakeUp(usize),
    Restart(usize),
    /// A node took over a while ago, and everybody must have heard.
    Heard {
        node: usize,
        slot: usize,
    },
    Mishap,
}

pub(crate) struct World {
    random: Random,
    now: Time,
    sequence: u64,
    events: BinaryHeap<Reverse<(Time, u64, Event)>>,
    nodes: Vec<Node>,
    part_of: Vec<usize>,
    network: Network,
    /// Nothing happens to the network, so that what hosts do is seen by itself.
    fair: bool,
    interval: Duration,
    steps: u64,
    transcript: Vec<String>,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let version = *random.pick(&[Version::V2, Version::V3, Version::V3]);
        let interval = match version {
            Version::V2 => Duration::from_secs(1 + random.below(2)),
            Version::V3 => Duration::from_millis(*random.pick(&[10, 100, 250, 1000])),
        };
        let password = (version == Version::V2 && random.chance(50)).then_some(*b"1111\0\0\0\0");
        let vrids = 1..=1 + u8::try_from(random.below(3)).expect("small");
        let company = if random.chance(30) { Company::Group } else { Company::Alone };
        let shared = |vrid| Shared { vrid, version, interval, password, company };
        let shared: Vec<Shared> = vrids.map(shared).collect();
        let count = if random.chance(20) { 6 + random.index(15) } else { 2 + random.index(4) };
        let nodes: Vec<Node> = (0..count).map(|number| Node::new(number, &shared, &mut random)).collect();
        Self {
            network: Network::new(count, Time::default()),
            fair: random.chance(30),
            part_of: vec![0; count],
            now: Time::default(),
            sequence: 0,
            events: BinaryHeap::new(),
            nodes,
            interval,
            steps: 0,
            transcript: vec![format!("{count} nodes, {version:?}, interval {interval:?}, {company:?}")],
            random,
        }
    }

    pub(crate) fn run(mut self) -> Result<Run, Violation> {
        let result = self.play();
        let became_master = self.nodes.iter().flat_map(|node| &node.slots);
        let became_master = became_master.map(|slot| slot.machine.statistics().became_master).sum();
        match result {
            Ok(()) => Ok(Run { steps: self.steps, became_master, transcript: self.transcript }),
            Err(what) => {
                self.note_nodes();
                Err(Violation { what, transcript: self.transcript })
            }
        }
    }

    fn play(&mut self) -> Result<(), String> {
        for node in 0..self.nodes.len() {
            let did = self.nodes[node].start(self.now);
            self.record(node, did)?;
        }
        self.schedule_mishap();
        self.run_until(Time::default() + self.interval * CHAOS_INTERVALS)?;
        self.make_peace()?;
        let bound = self.now + self.interval * BOUND_INTERVALS + SWEEP;
        self.run_until(bound)?;
        self.check_one_master()?;
        let end = self.now + self.interval * PEACE_INTERVALS;
        while self.now < end {
            self.run_until(self.now + self.interval / 2)?;
            self.check_one_master()?;
        }
        Ok(())
    }

    fn run_until(&mut self, end: Time) -> Result<(), String> {
        while let Some(Reverse((at, _, _))) = self.events.peek()
            && *at <= end
        {
            let Some(Reverse((at, _, event))) = self.events.pop() else { break };
            self.now = at;
            self.steps += 1;
            self.handle(event)?;
            self.check_deadlines()?;
        }
        self.now = end;
        Ok(())
    }

    fn handle(&mut self, event: Event) -> Result<(), String> {
        match event {
            Event::Mishap => {
                let mut any = || Mishap::any(self.nodes.len(), self.nodes[0].slots.len(), &mut self.random);
                let mut mishap = any();
                while self.fair && mishap.of_network() {
                    mishap = any();
                }
                self.schedule_mishap();
                self.strike(mishap)
            }
            Event::WakeUp(node) => self.wake_up(node),
            Event::Restart(node) => self.restart(node),
            Event::Deadline(node) => {
                if self.nodes[node].next_deadline().is_some_and(|at| at <= self.now) {
                    let did = self.nodes[node].handle_deadlines(self.now);
                    self.record(node, did)?;
                }
                Ok(())
            }
            Event::Frame { from, to, message } => {
                let source = self.nodes[from].source;
                let did = self.nodes[to].receive(self.now, source, &message);
                self.record(to, did)
            }
            Event::Heard { node, slot } => self.check_heard(node, slot),
            Event::Installed { node, slot } => self.tell(node, slot, Instance::handle_installed),
        }
    }

    /// Tells a node's instance something, if the node can hear it.
    fn tell(
        &mut self,
        node: usize,
        slot: usize,
        what: impl FnOnce(&mut Instance, Time),
    ) -> Result<(), String> {
        if !self.nodes[node].runs() {
            return Ok(());
        }
        let did = self.nodes[node].tell(self.now, slot, what);
        self.record(node, did)
    }

    fn restart(&mut self, node: usize) -> Result<(), String> {
        if self.nodes[node].alive {
            return Ok(());
        }
        let did = self.nodes[node].restart(self.now, &mut self.random);
        self.record(node, did)
    }

    fn wake_up(&mut self, node: usize) -> Result<(), String> {
        if !self.nodes[node].alive || self.nodes[node].stalled_until.is_none_or(|until| until > self.now) {
            return Ok(());
        }
        let did = self.nodes[node].wake_up(self.now);
        self.record(node, did)
    }

    fn schedule_mishap(&mut self) {
        let after = self.random.duration(self.interval * 4);
        self.schedule(self.now + after, Event::Mishap);
    }

    fn schedule(&mut self, at: Time, event: Event) {
        self.sequence += 1;
        self.events.push(Reverse((at, self.sequence, event)));
    }

    fn strike(&mut self, mishap: Mishap) -> Result<(), String> {
        self.note(format!("mishap: {mishap:?}"));
        match mishap {
            Mishap::Crash(node) => self.nodes[node].crash(),
            Mishap::Blink(node, tenths) => {
                self.nodes[node].crash();
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
                    self.nodes[node].stalled_until = Some(until);
                    self.schedule(until, Event::WakeUp(node));
                }
            }
            Mishap::Split(part_of) => {
                self.network.split(&part_of);
                self.part_of = part_of;
            }
            Mishap::BreakOneWay(from, to) => self.network.break_one_way(from, to),
            Mishap::Heal => self.heal(),
            Mishap::Weather { loss, duplicates, delay } => {
                self.network.loss_percent = loss;
                self.network.duplicate_percent = duplicates;
                self.network.delay_max = self.interval * delay / 1000;
                self.network.calm_since = None;
            }
            Mishap::Contributions(node, slot, contributions) => {
                // As a member of a group its priority does not move.
                if self.nodes[node].slots[slot].shared.company == Company::Alone {
                    self.tell(node, slot, |machine, now| machine.set_contributions(now, contributions))?;
                }
            }
            Mishap::Stolen(node, slot) => self.tell(node, slot, Instance::handle_addresses_lost)?,
            Mishap::Faulted(node, slot, fault) => {
                self.tell(node, slot, |machine, now| machine.set_fault(now, fault))?;
            }
            Mishap::Reload(node, slot) => {
                if self.nodes[node].runs() {
                    let did = self.nodes[node].reload(self.now, slot, &mut self.random);
                    self.record(node, did)?;
                }
            }
            Mishap::Leap(node, hundredths) => {
                self.nodes[node].leap(self.interval * hundredths / 100);
                // What is calm is also that clocks agree.
                self.network.calm_since = self.network.calm_since.map(|_| self.now);
                let did = self.nodes[node].handle_deadlines(self.now);
                self.record(node, did)?;
            }
        }
        Ok(())
    }

    fn heal(&mut self) {
        self.part_of = vec![0; self.nodes.len()];
        self.network = Network::new(self.nodes.len(), self.now);
    }

    /// The last mishaps: everybody runs, in parts that are whole in themselves.
    fn make_peace(&mut self) -> Result<(), String> {
        self.note("peace");
        self.events.retain(|Reverse((_, _, event))| *event != Event::Mishap);
        self.heal();
        let parts = 1 + self.random.index(3);
        self.part_of = (0..self.nodes.len()).map(|_| self.random.index(parts)).collect();
        self.network.split(&self.part_of);
        for node in 0..self.nodes.len() {
            if self.nodes[node].stalled_until.is_some() {
                self.nodes[node].stalled_until = Some(self.now);
                self.wake_up(node)?;
            }
            if self.random.chance(70) {
                self.restart(node)?;
            }
        }
        Ok(())
    }

    /// Carries out what a node did, and checks what must hold after it.
    fn record(&mut self, node: usize, did: Vec<Did>) -> Result<(), String> {
        for did in did {
            match did {
                Did::Sent { slot, priority, message, mastering } => {
                    if !mastering {
                        return Err(format!("node {node} slot {slot} sends {priority} without being master"));
                    }
                    self.check_and_send(node, slot, priority, &message)?;
                }
                Did::Installed { slot } => {
                    let after = self.random.duration(self.interval / 10);
                    self.schedule(self.now + after, Event::Installed { node, slot });
                }
                Did::Withdrawn { slot } => self.note(format!("node {node} slot {slot} withdraws")),
                Did::Moved { slot, from, to, cause } => {
                    self.note(format!("node {node} slot {slot}: {from:?} -> {to:?}: {cause:?}"));
                    if (to, cause) == (State::Master, Cause::MasterSilent) {
                        self.check_takeover(node, slot)?;
                    }
                    if (to, cause) == (State::Master, Cause::Resumed) {
                        self.check_resumed(node, slot)?;
                    }
                    if to == State::Master {
                        let heard = self.now + self.network.delay_max * 2;
                        self.schedule(heard, Event::Heard { node, slot });
                    }
                }
            }
        }
        self.check_node(node)?;
        if let Some(at) = self.nodes[node].next_deadline() {
            self.schedule(at.max(self.now), Event::Deadline(node));
        }
        Ok(())
    }

    fn check_and_send(
        &mut self,
        node: usize,
        slot: usize,
        priority: u8,
        message: &[u8],
    ) -> Result<(), String> {
        self.note(format!("node {node} slot {slot} sends {priority}"));
        let state = self.nodes[node].slots[slot].machine.state();
        let resignations = self.nodes[node].slots[slot].resignations;
        // keepalived resigns twice when it enters fault.
        let allowed = if state == State::Fault { 2 } else { 1 };
        if priority == 0 && (resignations > allowed || state == State::Master) {
            return Err(format!("node {node} slot {slot} sent {resignations} resignations, now {state:?}"));
        }
        for to in (0..self.nodes.len()).filter(|&to| to != node) {
            for at in self.network.deliveries(node, to, self.now, &mut self.random) {
                let message = message.to_vec();
                self.schedule(at, Event::Frame { from: node, to, message });
            }
        }
        Ok(())
    }

    fn check_node(&self, number: usize) -> Result<(), String> {
        let node = &self.nodes[number];
        for (index, slot) in node.slots.iter().enumerate() {
            let state = slot.machine.state();
            if node.alive && slot.installed != (state == State::Master) {
                return Err(format!("node {number} slot {index}: {state:?}, installed: {}", slot.installed));
            }
            if node.alive && state == State::Master && slot.machine.next_deadline().is_none() {
                return Err(format!("node {number} slot {index}: a master that will not advertise again"));
            }
            let answers = node.answers(index, self.now) && !node.has_taken(index, self.now);
            if state != State::Master && node.kernel.is_some() && node.alive && answers {
                return Err(format!("node {number} slot {index}: {state:?}, and its kernel answers"));
            }
        }
        let grouped = || node.slots.iter().filter(|slot| slot.shared.company == Company::Group);
        if grouped().any(|slot| slot.machine.state() != node.slots[0].machine.state()) {
            let states: Vec<State> = grouped().map(|slot| slot.machine.state()).collect();
            return Err(format!("node {number}: a sync group apart: {states:?}"));
        }
        Ok(())
    }

    /// On a network that has lost and held up nothing for long, whoever takes over from a silent master finds
    /// that nobody is answered any more by its kernel half: the lease is over first.
    fn check_takeover(&self, number: usize, slot: usize) -> Result<(), String> {
        let calm = self.network.calm_since.is_some_and(|since| self.now - since > self.interval * 12);
        if !calm {
            return Ok(());
        }
        for (other, node) in self.nodes.iter().enumerate().filter(|&(other, _)| other != number) {
            let silent = node.kernel.is_some() && !node.runs();
            let master_since = node.slots[slot].machine.since();
            let settled = node.clock(self.now) - master_since > self.interval * 6;
            // Who outranks it need not wait for its silence: its kernel half is fenced by the first advert.
            let (new, old) = (&self.nodes[number].slots[slot].machine, &node.slots[slot].machine);
            let outranked = new.priority() > old.priority();
            // Nor need it wait for one that took over just before, and has yet to be heard.
            let holds = node.answers(slot, self.now) && !node.has_taken(slot, self.now);
            if silent && settled && !outranked && holds {
                return Err(format!(
                    "slot {slot}: node {number} takes over while silent node {other} answers"
                ));
            }
        }
        Ok(())
    }

    /// Who goes on as master where an earlier run was cut off finds that nobody has taken over.
    fn check_resumed(&self, number: usize, slot: usize) -> Result<(), String> {
        let heard = self.network.delay_max * 2;
        if self.network.calm_since.is_none_or(|since| self.now - since <= self.interval * 5) {
            return Ok(());
        }
        let took_over = |&other: &usize| {
            let (node, machine) = (&self.nodes[other], &self.nodes[other].slots[slot].machine);
            let since = node.clock(self.now) - machine.since();
            node.runs() && machine.state() == State::Master && since > heard
        };
        let others = (0..self.nodes.len()).filter(|&other| other != number);
        match others.filter(|&other| self.part_of[other] == self.part_of[number]).find(took_over) {
            Some(other) => Err(format!("slot {slot}: node {number} goes on as master, but node {other} is")),
            None => Ok(()),
        }
    }

    /// Nobody who runs sleeps past a deadline; the clocks' rounding is less than this.
    fn check_deadlines(&self) -> Result<(), String> {
        for number in (0..self.nodes.len()).filter(|&number| self.nodes[number].runs()) {
            let node = &self.nodes[number];
            let late = |at: Time| at + Duration::from_micros(10) < node.clock(self.now);
            if node.slots.iter().any(|slot| slot.machine.next_deadline().is_some_and(late)) {
                return Err(format!("node {number} has a deadline in the past"));
            }
        }
        Ok(())
    }

    /// Each part has exactly one master for each virtual router, if anybody in it can be; and the right one.
    fn check_one_master(&mut self) -> Result<(), String> {
        let parts = self.part_of.iter().max().map_or(0, |last| last + 1);
        for part in 0..parts {
            for slot in 0..self.nodes[0].slots.len() {
                self.check_part(part, slot)?;
            }
        }
        Ok(())
    }

    fn check_part(&self, part: usize, slot: usize) -> Result<(), String> {
        let members = (0..self.nodes.len()).filter(|&node| self.part_of[node] == part);
        let able: Vec<usize> = members
            .filter(|&node| {
                self.nodes[node].alive && self.nodes[node].slots[slot].machine.state() != State::Fault
            })
            .collect();
        let state = |node: usize| self.nodes[node].slots[slot].machine.state();
        let masters: Vec<usize> = able.iter().copied().filter(|&node| state(node) == State::Master).collect();
        match (&able[..], &masters[..]) {
            ([], []) => Ok(()),
            (_, [master]) => {
                let answers = |node: &usize| self.nodes[*node].answers(slot, self.now);
                let answering: Vec<usize> = (0..self.nodes.len())
                    .filter(|&node| self.part_of[node] == part && self.nodes[node].alive)
                    .filter(|node| answers(node))
                    .collect();
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

    /// Who everybody is at the end of a run that failed.
    fn note_nodes(&mut self) {
        for number in 0..self.nodes.len() {
            let node = self.nodes[number].clone();
            let plane = if node.kernel.is_some() { "kernel" } else { "sockets" };
            let runs = if node.runs() { "runs" } else { "silent" };
            for (index, slot) in node.slots.iter().enumerate() {
                let machine = &slot.machine;
                let heard =
                    machine.heard().map(|heard| (heard.advert.source.octets[3], heard.advert.priority));
                self.note(format!(
                    "node {number} ({runs}, {plane}) slot {index}: {:?} {} (base {}) {:?} after {:?}, heard {heard:?}, claims {}",
                    machine.state(),
                    machine.priority(),
                    slot.params.priority,
                    slot.params.preempt,
                    slot.params.preempt_delay,
                    machine.claims(),
                ));
            }
        }
    }

    /// A silent master whose kernel half has heard a better one answers no more, whatever its lease says.
    fn check_heard(&self, number: usize, slot: usize) -> Result<(), String> {
        let calm = self.network.calm_since.is_some_and(|since| self.now - since > self.interval * 2);
        let master = &self.nodes[number].slots[slot].machine;
        if !calm || master.state() != State::Master || !self.nodes[number].runs() {
            return Ok(());
        }
        for (other, node) in self.nodes.iter().enumerate().filter(|&(other, _)| other != number) {
            let outranked = master.priority() > node.slots[slot].machine.priority();
            let silent = node.kernel.is_some() && !node.runs();
            // What the kernel has taken over it gives to whoever advertises, whatever the rank.
            if silent && (outranked || node.has_taken(slot, self.now)) && node.answers(slot, self.now) {
                return Err(format!("slot {slot}: silent node {other} answers against node {number}"));
            }
        }
        Ok(())
    }

    fn note(&mut self, what: impl std::fmt::Display) {
        self.transcript.push(format!("{:>12.6} {what}", self.now.elapsed().as_secs_f64()));
    }
}
