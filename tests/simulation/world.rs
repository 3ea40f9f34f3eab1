//! The world: events in order of time. The invariants after each event are in [`super::checks`].

mod mishaps;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::rc::Rc;
use std::time::Duration;
use vrrp_tests::random::Random;

use vrrp_agent::vrrp::{Cause, Instance, State, SyncMembership, Time};
use vrrp_ebpf::advert::Version;

use super::chaos::{HostDoes, Mishap};
use super::network::Network;
use super::node::{Did, Node};
use super::slot::Shared;

/// The number of intervals with mishaps.
const CHAOS_INTERVALS: u32 = 60;
/// The time after the last mishap, in intervals: a master-down interval (less than 4 intervals) for a part without a master to
/// get one, another and the preempt delay (4 intervals) for the higher ranks to preempt, one for the masters to settle it among
/// themselves, one for good measure.
const BOUND_INTERVALS: u32 = 14;
/// An additional time, for an event that did not fit in the ring, until the agent's next look at what the kernel knows.
const SWEEP: Duration = Duration::from_millis(1100);
/// The number of intervals for which the right state must then last.
const PEACE_INTERVALS: u32 = 6;

/// An instance whose addresses were refused is in fault for so many intervals.
const REFUSED_INTERVALS: u32 = 10;

/// The kinds of mishaps that may happen in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// The mishaps of the first simulator: a seed gives the same run as ever.
    Protocol,
    /// Also the mishaps of hosts, which refuse, hang, send nothing, see nothing; and a segment for each virtual router.
    Hosts,
}

/// The choice to keep the transcript of a run, which takes about as long to write as the run itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Notes {
    Kept,
    Dropped,
}

/// A run that went well.
#[derive(Debug, PartialEq, Eq)]
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
pub(super) enum Event {
    Deadline(usize),
    Frame {
        from: usize,
        to: usize,
        message: Rc<[u8]>,
    },
    Installed {
        node: usize,
        slot: usize,
        mastership: u64,
    },
    /// The addresses were refused, or may be tried again.
    Refused {
        node: usize,
        slot: usize,
        refused: bool,
    },
    /// A frame of another VLAN, whose tag may stand beside it.
    Tagged {
        to: usize,
        frame: Vec<u8>,
        beside: bool,
    },
    WakeUp(usize),
    Restart(usize),
    /// A node took over a while ago, and all others must have heard it.
    Heard {
        node: usize,
        slot: usize,
    },
    Mishap,
}

impl Event {
    /// The node to which the event happens; none if there may be several.
    fn touches(&self) -> Option<usize> {
        match *self {
            Self::Deadline(node)
            | Self::WakeUp(node)
            | Self::Restart(node)
            | Self::Frame { to: node, .. }
            | Self::Tagged { to: node, .. }
            | Self::Installed { node, .. }
            | Self::Refused { node, .. }
            | Self::Heard { node, .. } => Some(node),
            Self::Mishap => None,
        }
    }
}

pub(crate) struct World {
    scope: Scope,
    pub(super) random: Random,
    pub(super) now: Time,
    sequence: u64,
    events: BinaryHeap<Reverse<(Time, u64, Event)>>,
    /// The last [`Event::Deadline`] that was scheduled for each node, until it happens: one at a time is enough.
    due: Vec<Option<Time>>,
    pub(super) nodes: Vec<Node>,
    /// The segments: one for all virtual routers, or one for each.
    networks: Vec<Network>,
    /// True if nothing happens to the network, so that the mishaps of hosts are seen by themselves.
    fair: bool,
    pub(super) interval: Duration,
    steps: u64,
    notes: Notes,
    transcript: Vec<String>,
}

impl World {
    pub(crate) fn new(seed: u64, scope: Scope, notes: Notes) -> Self {
        let mut random = Random::new(seed);
        let version = *random.pick(&[Version::V2, Version::V3, Version::V3]);
        let interval = match version {
            Version::V2 => Duration::from_secs(1 + random.below(2)),
            Version::V3 => Duration::from_millis(*random.pick(&[10, 100, 250, 1000])),
        };
        let password = (version == Version::V2 && random.chance(50)).then_some(*b"1111\0\0\0\0");
        let vrids = 1..=1 + u8::try_from(random.below(3)).expect("small");
        let sync_membership = if random.chance(30) { SyncMembership::Group } else { SyncMembership::Alone };
        let shared = |vrid| Shared { vrid, version, interval, password, sync_membership };
        let shared: Vec<Shared> = vrids.map(shared).collect();
        let count = if random.chance(20) { 6 + random.index(15) } else { 2 + random.index(4) };
        let nodes: Vec<Node> = (0..count).map(|number| Node::new(number, &shared, &mut random)).collect();
        let fair = random.chance(30);
        let segments = match scope {
            Scope::Hosts if random.chance(40) => shared.len(),
            Scope::Hosts | Scope::Protocol => 1,
        };
        Self {
            scope,
            networks: vec![Network::new(count, Time::default()); segments],
            fair,
            now: Time::default(),
            sequence: 0,
            events: BinaryHeap::new(),
            due: vec![None; count],
            nodes,
            interval,
            steps: 0,
            notes,
            transcript: vec![format!(
                "{count} nodes, {segments} segments, {version:?}, interval {interval:?}, {sync_membership:?}"
            )],
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
        let before = self.last_recovery();
        // Runs until every instance that has asked the host for something in vain has noticed. An instance that was in fault
        // before and is not any more has recovered meanwhile.
        self.run_until(self.now + self.interval * 6)?;
        let before = before.map(|at| at.min(self.now));
        let recovered = self.last_recovery().max(before);
        // An instance that is a candidate again has as much time to become master.
        let recovered = recovered.map(|at| at + self.interval * BOUND_INTERVALS + SWEEP);
        self.run_until(recovered.map_or(bound, |at| at.max(bound)))?;
        self.check_one_master()?;
        let end = self.now + self.interval * PEACE_INTERVALS;
        while self.now < end {
            self.run_until(self.now + self.interval / 2)?;
            self.check_one_master()?;
        }
        Ok(())
    }

    /// The time at which the last of the instances in fault that will recover is a candidate again.
    fn last_recovery(&self) -> Option<Time> {
        let refused = self.interval * (REFUSED_INTERVALS + 1);
        self.nodes.iter().filter_map(|node| node.last_recovery(self.now, refused)).max()
    }

    fn run_until(&mut self, end: Time) -> Result<(), String> {
        while let Some(Reverse((at, _, _))) = self.events.peek()
            && *at <= end
        {
            let Some(Reverse((at, _, event))) = self.events.pop() else { break };
            self.now = at;
            self.steps += 1;
            self.check_deadlines(event.touches())?;
            self.handle(event)?;
        }
        self.now = end;
        self.check_deadlines(None)
    }

    fn handle(&mut self, event: Event) -> Result<(), String> {
        match event {
            Event::Mishap => {
                let (nodes, slots) = (self.nodes.len(), self.nodes[0].slots.len());
                let mut any = || match self.scope {
                    Scope::Protocol => Mishap::any(nodes, slots, &mut self.random),
                    Scope::Hosts => Mishap::wide(nodes, slots, &mut self.random),
                };
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
                self.due[node] = self.due[node].filter(|&at| at != self.now);
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
            Event::Installed { node, slot, mastership } => {
                if let Some(until) = self.nodes[node].stalled_until {
                    // The thread that sets addresses stalls with all else.
                    self.schedule(until + self.interval / 20, Event::Installed { node, slot, mastership });
                } else if self.nodes[node].slots[slot].machine.statistics().became_master == mastership {
                    self.tell(node, slot, Instance::handle_installed)?;
                }
                Ok(())
            }
            Event::Refused { node, slot, refused } => {
                self.nodes[node].slots[slot].refused = refused;
                let fault = self.nodes[node].slots[slot].fault();
                if let Some(until) = self.nodes[node].stalled_until {
                    self.schedule(until + self.interval / 20, Event::Refused { node, slot, refused });
                }
                self.tell(node, slot, |machine, now| machine.set_fault(now, fault))
            }
            Event::Tagged { to, frame, beside } => {
                let did = self.nodes[to].receive_tagged(self.now, &frame, beside);
                self.record(to, did)
            }
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

    pub(super) fn schedule(&mut self, at: Time, event: Event) {
        self.sequence += 1;
        self.events.push(Reverse((at, self.sequence, event)));
    }

    /// The segment of a virtual router.
    pub(super) fn network(&self, slot: usize) -> &Network {
        &self.networks[slot % self.networks.len()]
    }

    /// Chooses one of the segments, for something to happen to it.
    fn any_network(&mut self) -> &mut Network {
        let number = if self.networks.len() > 1 { self.random.index(self.networks.len()) } else { 0 };
        &mut self.networks[number]
    }

    fn heal(&mut self) {
        self.networks.fill(Network::new(self.nodes.len(), self.now));
    }

    /// The last mishaps: the hosts recover, most nodes that are dead start again, and the network has parts that are whole in
    /// themselves.
    fn make_peace(&mut self) -> Result<(), String> {
        self.note("peace");
        self.events.retain(|Reverse((_, _, event))| *event != Event::Mishap);
        self.heal();
        let parts = 1 + self.random.index(3);
        let part_of: Vec<usize> = (0..self.nodes.len()).map(|_| self.random.index(parts)).collect();
        for network in &mut self.networks {
            network.split(&part_of);
        }
        for node in 0..self.nodes.len() {
            self.nodes[node].recover(self.now);
            if self.nodes[node].stalled_until.is_some() {
                self.nodes[node].stalled_until = Some(self.now);
                self.wake_up(node)?;
            }
            if self.random.chance(70) {
                self.restart(node)?;
            }
            for slot in 0..self.nodes[node].slots.len() {
                if self.nodes[node].alive && !self.nodes[node].slots[slot].there {
                    let did = self.nodes[node].leave_or_join(self.now, slot);
                    self.record(node, did)?;
                }
                // A node that is started again later finds the virtual router in its file.
                self.nodes[node].slots[slot].there = true;
            }
        }
        Ok(())
    }

    /// Carries out what a node did, and checks what must hold after it.
    pub(super) fn record(&mut self, node: usize, did: Vec<Did>) -> Result<(), String> {
        for did in did {
            match did {
                Did::Sent { slot, priority, message, mastering } => {
                    if !mastering {
                        return Err(format!("node {node} slot {slot} sends {priority} without being master"));
                    }
                    self.check_and_send(node, slot, priority, &message)?;
                }
                Did::Installed { slot, mastership, host } => {
                    let at = self.now + self.random.duration(self.interval / 10);
                    match host {
                        HostDoes::Install => self.schedule(at, Event::Installed { node, slot, mastership }),
                        HostDoes::Hang => {}
                        HostDoes::Refuse => {
                            self.schedule(at, Event::Refused { node, slot, refused: true });
                            let again = at + self.interval * REFUSED_INTERVALS;
                            self.schedule(again, Event::Refused { node, slot, refused: false });
                        }
                    }
                }
                Did::Withdrawn { slot } => self.note(format_args!("node {node} slot {slot} withdraws")),
                Did::Moved { slot, from, to, cause } => {
                    self.note(format_args!("node {node} slot {slot}: {from:?} -> {to:?}: {cause:?}"));
                    if (to, cause) == (State::Master, Cause::MasterSilent) {
                        self.check_takeover(node, slot)?;
                    }
                    if (to, cause) == (State::Master, Cause::Resumed) {
                        self.check_resumed(node, slot)?;
                    }
                    if to == State::Master {
                        let heard = self.now + self.network(slot).delay_max * 2;
                        self.schedule(heard, Event::Heard { node, slot });
                    }
                }
            }
        }
        self.check_node(node)?;
        if let Some(at) = self.nodes[node].next_deadline() {
            let at = at.max(self.now);
            if self.due[node].replace(at) != Some(at) {
                self.schedule(at, Event::Deadline(node));
            }
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
        self.note(format_args!("node {node} slot {slot} sends {priority}"));
        let state = self.nodes[node].slots[slot].machine.state();
        let resignations = self.nodes[node].slots[slot].resignations;
        // keepalived resigns twice when it enters fault.
        let allowed = if state == State::Fault { 2 } else { 1 };
        if priority == 0 && (resignations > allowed || state == State::Master) {
            return Err(format!("node {node} slot {slot} sent {resignations} resignations, now {state:?}"));
        }
        let (message, segment) = (Rc::from(message), slot % self.networks.len());
        for to in (0..self.nodes.len()).filter(|&to| to != node) {
            let arrivals = self.networks[segment].deliveries(node, to, self.now, &mut self.random);
            for at in arrivals.into_iter().flatten() {
                let message = Rc::clone(&message);
                self.schedule(at, Event::Frame { from: node, to, message });
            }
        }
        Ok(())
    }

    /// Notes the state of each node at the end of a run that failed.
    fn note_nodes(&mut self) {
        for number in 0..self.nodes.len() {
            let node = self.nodes[number].clone();
            let plane = if node.kernel.is_some() { "kernel" } else { "sockets" };
            let runs = if node.runs() { "runs" } else { "silent" };
            for (index, slot) in node.slots.iter().enumerate() {
                let machine = &slot.machine;
                let heard =
                    machine.heard().map(|heard| (heard.advert.source.octets[3], heard.advert.priority));
                self.note(format_args!(
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

    /// Adds a line to the transcript. It is not formatted if the transcript is dropped.
    fn note(&mut self, what: impl std::fmt::Display) {
        if self.notes == Notes::Dropped {
            return;
        }
        self.transcript.push(format!("{:>12.6} {what}", self.now.elapsed().as_secs_f64()));
    }
}
