//! A router: its clock, its state machines, and a data plane: sockets, or a model of the kernel half. The node uses them as
//! `daemon/engine.rs` does.

mod hearing;

use std::net::IpAddr;
use std::time::Duration;
use vrrp_tests::random::Random;

use vrrp_agent::net::receive::{self, advert_in};
use vrrp_agent::vrrp::{Cause, Instance, Output, Resume, State, SyncMembership, Time, Watch, group};
use vrrp_agent::wire::advert::address;
use vrrp_ebpf::advert::{Address, Datagram, Family, GROUP_V4, accept};
use vrrp_ebpf::frame::{Class, classify};

use super::chaos::HostDoes;
use super::kernel::{Kernel, PlaneEvent};
use super::slot::{Shared, Slot};

/// How often the agent looks over the kernel's watches.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) source: IpAddr,
    pub(crate) slots: Vec<Slot>,
    /// The kernel half; a node without one hears by sockets.
    pub(crate) kernel: Option<Kernel>,
    pub(crate) alive: bool,
    pub(crate) stalled_until: Option<Time>,
    /// Frames that arrived during a stall, for a node that hears by sockets, or whose kernel half is blind.
    waiting: Vec<(IpAddr, Vec<u8>)>,
    /// The times until which nothing leaves the node, and until which its kernel half sees nothing.
    muted: Time,
    blind: Time,
    next_sweep: Time,
    /// The node's clock: ahead by this, and too fast by so many millionths.
    offset: Duration,
    drift_ppm: u32,
}

/// An action of a node.
#[derive(Clone, Debug)]
pub(crate) enum Did {
    Sent { slot: usize, priority: u8, message: Vec<u8>, mastering: bool },
    Installed { slot: usize, mastership: u64, host: HostDoes },
    Withdrawn { slot: usize },
    Moved { slot: usize, from: State, to: State, cause: Cause },
}

impl Node {
    pub(crate) fn new(number: usize, shared: &[Shared], random: &mut Random) -> Self {
        let last = u8::try_from(number + 1).expect("at most 20 nodes");
        let source = IpAddr::from([10, 0, 0, last]);
        let first = Slot::new(&shared[0], source, random);
        let slot = |shared: &Shared| match shared.sync_membership {
            SyncMembership::Alone => Slot::new(shared, source, random),
            // Members of a sync group rank alike, as the documentation asks.
            SyncMembership::Group => first.clone().with(shared),
        };
        let slots: Vec<Slot> = shared.iter().map(slot).collect();
        // Some rings are so small that events are lost.
        let room = *random.pick(&[1, 2, 1000]);
        Self {
            source,
            kernel: random.chance(60).then(|| Kernel::new(slots.len(), room)),
            slots,
            alive: true,
            stalled_until: None,
            waiting: Vec::new(),
            muted: Time::default(),
            blind: Time::default(),
            next_sweep: Time::default(),
            offset: random.duration(Duration::from_secs(1_000_000)),
            drift_ppm: u32::try_from(random.below(200)).expect("small"),
        }
    }

    /// The node's own clock at a time of the world.
    pub(crate) fn clock(&self, world: Time) -> Time {
        let elapsed = world.as_nanos();
        let drift = elapsed * u64::from(self.drift_ppm) / 1_000_000;
        Time::since_start(self.offset + Duration::from_nanos(elapsed + drift))
    }

    /// The clock leaps ahead, as that of a machine that was suspended may. This clock never goes back.
    pub(crate) fn leap(&mut self, now: Time, ahead: Duration) {
        self.offset += ahead;
        self.excuse_silence(now);
    }

    /// The silence before this time does not count: the node could not have sent anything.
    fn excuse_silence(&mut self, now: Time) {
        let clock = self.clock(now);
        for slot in &mut self.slots {
            slot.silent_since = slot.silent_since.max(clock);
        }
    }

    pub(crate) fn mute(&mut self, now: Time, until: Time) {
        self.excuse_silence(now);
        self.muted = self.clock(until);
    }

    pub(crate) fn is_mute(&self, now: Time) -> bool {
        self.clock(now) < self.muted
    }

    pub(crate) fn blindfold(&mut self, until: Time) {
        self.blind = self.clock(until);
    }

    /// True if the knowledge of the kernel half may be wrong, or may have been wrong `within` ago.
    pub(crate) fn is_blind(&self, now: Time, within: Duration) -> bool {
        self.kernel.is_some() && self.clock(now) < self.blind + within
    }

    /// True if the node has missed an advert in this time, as if the network had lost it.
    pub(crate) fn has_missed(&self, slot: usize, now: Time, within: Duration) -> bool {
        self.slots[slot].missed.is_some_and(|at| self.clock(now) - at <= within)
    }

    /// The time of the world at which the node's clock shows this, or a little later.
    fn world(&self, clock: Time) -> Time {
        let elapsed = clock.elapsed().saturating_sub(self.offset);
        let nanos = Time::since_start(elapsed).as_nanos();
        let slower =
            nanos.checked_mul(1_000_000).expect("a run is short") / u64::from(1_000_000 + self.drift_ppm);
        Time::from_nanos(slower + 2)
    }

    pub(crate) fn runs(&self) -> bool {
        self.alive && self.stalled_until.is_none()
    }

    /// The time at which the node next wants to run, by the clock of the world. The kernel's timers run whatever the agent
    /// does.
    pub(crate) fn next_deadline(&self) -> Option<Time> {
        let timer = self.kernel.as_ref().and_then(Kernel::next_timer);
        let sweep = self.kernel.as_ref().map(|_| self.next_sweep);
        let own = self.slots.iter().filter_map(|slot| slot.machine.next_deadline());
        let own = own.chain(sweep).filter(|_| self.runs());
        own.chain(timer).min().map(|at| self.world(at))
    }

    /// True if this node answers questions for the addresses.
    pub(crate) fn answers(&self, slot: usize, now: Time) -> bool {
        match &self.kernel {
            Some(kernel) => kernel.holds(slot, self.clock(now)),
            None => self.slots[slot].installed,
        }
    }

    /// True if this node answers only because the kernel half has seen the master lost, and the agent has not said anything
    /// yet.
    pub(crate) fn has_taken(&self, slot: usize, now: Time) -> bool {
        self.kernel.as_ref().is_some_and(|kernel| kernel.has_taken(slot, self.clock(now)))
    }

    /// Ends everything that is wrong with the host.
    pub(crate) fn recover(&mut self, now: Time) {
        let clock = self.clock(now);
        (self.muted, self.blind) = (self.muted.min(clock), self.blind.min(clock));
        for slot in &mut self.slots {
            slot.host = (HostDoes::Install, clock);
        }
    }

    /// True if a virtual router may become master: if a member of its sync group is in fault, no member may.
    pub(crate) fn is_able(&self, slot: usize) -> bool {
        let together = |other: &usize| {
            *other == slot || self.slots[slot].is_grouped() && self.slots[*other].is_grouped()
        };
        let mut states =
            (0..self.slots.len()).filter(together).map(|other| self.slots[other].machine.state());
        self.alive && states.all(|state| state != State::Fault)
    }

    /// The time at which the last of the virtual routers in fault that will recover is a candidate again: those that wait for a
    /// deadline, and those whose addresses were refused.
    pub(crate) fn last_recovery(&self, now: Time, refused: Duration) -> Option<Time> {
        let recovery = |slot: &Slot| match slot.machine.state() {
            State::Fault if slot.refused => Some(now + refused),
            State::Fault => slot.machine.next_deadline().map(|at| self.world(at)),
            State::Initialize | State::Backup | State::Master => None,
        };
        self.slots.iter().filter(|_| self.alive).filter_map(recovery).max()
    }

    pub(crate) fn start(&mut self, now: Time) -> Vec<Did> {
        let clock = self.clock(now);
        self.next_sweep = clock + SWEEP_INTERVAL;
        for slot in self.slots.iter_mut().filter(|slot| slot.there) {
            slot.machine.start(clock);
        }
        self.react(clock)
    }

    /// Starts a new process. It goes on where the old process left off. If the file has changed too much for that, it removes
    /// what the old process left behind: the addresses, then the fence.
    pub(crate) fn restart(&mut self, now: Time, random: &mut Random) -> Vec<Did> {
        self.alive = true;
        self.waiting.clear();
        self.stalled_until = None;
        let clock = self.clock(now);
        for slot in &mut self.slots {
            slot.begin_anew(clock);
        }
        if let Some(kernel) = &mut self.kernel {
            if random.chance(70) {
                kernel.begin_again();
                for (number, slot) in self.slots.iter_mut().enumerate().filter(|(_, slot)| slot.there) {
                    let saved = kernel.saved(number);
                    slot.installed = matches!(saved.resume, Resume::Holding { .. });
                    slot.machine.resume(clock, saved);
                }
            } else {
                *kernel = Kernel::new(self.slots.len(), *random.pick(&[1, 2, 1000]));
            }
        }
        self.start(now)
    }

    pub(crate) fn crash(&mut self, now: Time) {
        self.report_alive(now);
        // The frames that its sockets hold are lost with it.
        let clock = self.clock(now);
        for (_, message) in std::mem::take(&mut self.waiting) {
            if let Some(slot) = self.slot_of(&message).filter(|_| self.kernel.is_some()) {
                self.slots[slot].missed = Some(clock);
            }
        }
        self.alive = false;
        self.stalled_until = None;
    }

    pub(crate) fn stall(&mut self, now: Time, until: Time) {
        self.report_alive(now);
        self.stalled_until = Some(until);
    }

    /// The agent reports to its kernel half that it runs. A node does so all the time; what matters is the last report before
    /// it stops.
    fn report_alive(&mut self, now: Time) {
        let clock = self.clock(now);
        if let Some(kernel) = self.kernel.as_mut().filter(|_| self.alive && self.stalled_until.is_none()) {
            kernel.report_alive(clock);
        }
    }

    pub(crate) fn stop(&mut self, now: Time) -> Vec<Did> {
        let clock = self.clock(now);
        for slot in &mut self.slots {
            slot.machine.stop(clock);
        }
        let did = self.react(clock);
        self.alive = false;
        self.kernel = self.kernel.as_ref().map(|_| Kernel::new(self.slots.len(), 1000));
        did
    }

    /// Tells the state machine of a slot something, and does what follows.
    pub(crate) fn tell(
        &mut self,
        now: Time,
        slot: usize,
        what: impl FnOnce(&mut Instance, Time),
    ) -> Vec<Did> {
        let clock = self.clock(now);
        self.catch_up(slot);
        what(&mut self.slots[slot].machine, clock);
        self.react(clock)
    }

    /// Hands the state machine the last advert that the kernel half heard without an event.
    fn catch_up(&mut self, slot: usize) {
        if let Some(heard) = self.kernel.as_ref().and_then(|kernel| kernel.last_heard(slot)) {
            self.slots[slot].machine.catch_up(heard);
        }
    }

    /// Reads the file again, with other parameters for a slot; the parameters of a group change together.
    pub(crate) fn reload(&mut self, now: Time, slot: usize, random: &mut Random) -> Vec<Did> {
        let clock = self.clock(now);
        let fresh = Slot::new(&self.slots[slot].shared, self.source, random).params;
        let together = self.slots[slot].params.sync_membership == SyncMembership::Group;
        for (number, slot_of) in self.slots.iter_mut().enumerate() {
            if together || number == slot {
                if let Some(heard) = self.kernel.as_ref().and_then(|kernel| kernel.last_heard(number)) {
                    slot_of.machine.catch_up(heard);
                }
                slot_of.params = fresh.clone();
                slot_of.machine.reconfigure(clock, fresh.clone());
            }
        }
        self.react(clock)
    }

    /// Changes the file of a node that is dead.
    pub(crate) fn edit(&mut self, slot: usize, random: &mut Random) {
        let fresh = Slot::new(&self.slots[slot].shared, self.source, random).params;
        let together = self.slots[slot].params.sync_membership == SyncMembership::Group;
        for (number, slot_of) in self.slots.iter_mut().enumerate() {
            if together || number == slot {
                slot_of.params = fresh.clone();
            }
        }
    }

    /// Reads the file again: a virtual router is not in it any more, or is in it again.
    pub(crate) fn leave_or_join(&mut self, now: Time, number: usize) -> Vec<Did> {
        let clock = self.clock(now);
        let slot = &mut self.slots[number];
        slot.there = !slot.there;
        if !slot.there {
            slot.machine.remove(clock);
            let did = self.react(clock);
            if let Some(kernel) = &mut self.kernel {
                kernel.forget(number);
            }
            return did;
        }
        slot.begin_anew(clock);
        let others = || {
            let others =
                self.slots.iter().enumerate().filter(|(other, slot)| *other != number && slot.is_grouped());
            others.map(|(_, slot)| &slot.machine)
        };
        let joins =
            others().any(|other| other.state() == State::Master) && others().all(|other| !other.holds_back());
        let machine = &mut self.slots[number].machine;
        if joins {
            machine.join_masters();
        }
        machine.start(clock);
        self.react(clock)
    }

    pub(crate) fn handle_deadlines(&mut self, now: Time) -> Vec<Did> {
        self.report_alive(now);
        let clock = self.clock(now);
        if let Some(kernel) = &mut self.kernel {
            kernel.fire(clock);
        }
        if !self.runs() {
            return Vec::new();
        }
        let mut did = self.drain_ring(clock);
        for slot in 0..self.slots.len() {
            if self.due(slot, clock) {
                // If an event was lost, the kernel half's knowledge counts: that the master lives, or that there is a better
                // one.
                let unheard =
                    self.kernel.as_ref().and_then(|kernel| match self.slots[slot].machine.state() {
                        State::Backup => {
                            let alive = kernel.watch(slot).filter(|(deadline, _)| *deadline > clock);
                            alive.map(|(_, advert)| (advert, Watch::Kernel))
                        }
                        State::Master => match kernel.fence(slot) {
                            Some(advert) => Some((advert, Watch::Fenced)),
                            None => {
                                let machine = &self.slots[slot].machine;
                                let lower = kernel.lower_router(slot);
                                let lower = lower.filter(|heard| machine.is_overtaken_by(clock, heard));
                                lower.map(|heard| (heard.advert, Watch::Here))
                            }
                        },
                        State::Initialize | State::Fault => None,
                    });
                if let Some((advert, watch)) = unheard {
                    self.slots[slot].machine.handle_advert(clock, &advert, watch);
                }
                if self.due(slot, clock) {
                    self.slots[slot].machine.handle_timeout(clock);
                }
                did.extend(self.react(clock));
            }
        }
        if self.kernel.is_some() && self.next_sweep <= clock {
            self.next_sweep = clock + SWEEP_INTERVAL;
            for slot in 0..self.slots.len() {
                let Some(kernel) = &self.kernel else { break };
                let heard = kernel.last_heard(slot);
                if let Some(signal) = kernel.sweep(slot, clock) {
                    did.extend(self.take(slot, signal, clock));
                }
                if let Some(heard) = heard {
                    self.slots[slot].machine.check_preempt_delay(clock, heard);
                }
            }
        }
        did
    }

    fn due(&self, slot: usize, clock: Time) -> bool {
        self.slots[slot].machine.next_deadline().is_some_and(|at| at <= clock)
    }

    fn drain_ring(&mut self, clock: Time) -> Vec<Did> {
        let mut did = self.read_ring(clock);
        while let Some(slot) = self.kernel.as_mut().and_then(Kernel::next_lost) {
            did.extend(self.take(slot, PlaneEvent::MasterDown, clock));
        }
        did
    }

    fn read_ring(&mut self, clock: Time) -> Vec<Did> {
        let mut did = Vec::new();
        while let Some((slot, signal)) = self.kernel.as_mut().and_then(Kernel::next_event) {
            did.extend(self.take(slot, signal, clock));
        }
        did
    }

    fn take(&mut self, slot: usize, signal: PlaneEvent, clock: Time) -> Vec<Did> {
        let machine = &mut self.slots[slot].machine;
        match signal {
            PlaneEvent::Advert(advert, watch) => machine.handle_advert(clock, &advert, watch),
            PlaneEvent::MasterDown => machine.handle_master_down(clock),
        }
        self.react(clock)
    }

    /// Lets the group agree, tells the kernel half, and does what the state machines have put out.
    fn react(&mut self, clock: Time) -> Vec<Did> {
        let members = self.slots.iter().filter(|slot| slot.is_grouped());
        if group::is_about_to_resign(members.map(|slot| &slot.machine)) {
            self.hear_fences(clock);
        }
        let grouped = self.slots.iter_mut().filter(|slot| slot.is_grouped());
        let mut members: Vec<&mut Instance> = grouped.map(|slot| &mut slot.machine).collect();
        if !members.is_empty() {
            group::settle(clock, members.drain(..));
        }
        let mut did = Vec::new();
        let mut failed = false;
        for (number, slot) in self.slots.iter_mut().enumerate() {
            if let Some(kernel) = &mut self.kernel {
                kernel.apply(number, slot.desired());
            }
            while let Some(output) = slot.machine.poll_output() {
                match output {
                    Output::Advertise { priority } => {
                        let message = slot.repr(priority).encode(self.source, GROUP_V4.into());
                        slot.resignations = if priority == 0 { slot.resignations + 1 } else { 0 };
                        let mastering = slot.mastering;
                        let is_master = priority != 0 && slot.machine.state() == State::Master;
                        if clock < self.muted {
                            failed |= is_master;
                            slot.machine.handle_send_failed(clock);
                            continue;
                        }
                        if is_master {
                            slot.machine.handle_sent(clock);
                            slot.silent_since = clock;
                            slot.told.get_or_insert(clock);
                            slot.said = Some(priority);
                            if let Some(kernel) = &mut self.kernel {
                                kernel.renew(number, clock + slot.machine.lease());
                            }
                        }
                        did.push(Did::Sent { slot: number, priority, message, mastering });
                    }
                    Output::Install => {
                        slot.installed = true;
                        let mastership = slot.machine.statistics().became_master;
                        did.push(Did::Installed { slot: number, mastership, host: slot.host_does(clock) });
                    }
                    Output::Withdraw => {
                        slot.installed = false;
                        did.push(Did::Withdrawn { slot: number });
                    }
                    Output::Transition { from, to, cause } => {
                        slot.mastering = to == State::Master;
                        slot.silent_since = slot.silent_since.max(clock);
                        (slot.told, slot.said) = (None, None);
                        did.push(Did::Moved { slot: number, from, to, cause });
                    }
                    Output::Announce { .. } | Output::LowerHeard => {}
                }
            }
        }
        if failed {
            // An instance that has given up because of the failure takes its group along.
            did.extend(self.react(clock));
        }
        did
    }
}

fn datagram(source: IpAddr, message: &[u8]) -> Datagram<'_> {
    Datagram {
        family: Family::V4,
        source: address(source),
        destination: Address::v4(GROUP_V4),
        ttl: 255,
        payload: message,
        trailer: &[],
    }
}
