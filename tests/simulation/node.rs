//! A router: its clock, its state machines, and a data plane: sockets, or a model of the kernel half. What it does with them
//! is what `daemon/engine.rs` does.

use std::net::IpAddr;
use std::time::Duration;
use vrrp_tests::random::Random;

use vrrp_agent::vrrp::{
    Cause, Company, GarpSchedule, Instance, OnHigher, OnLower, Output, Params, Spell, State, Time, Watch,
    group,
};
use vrrp_agent::wire::advert::{Body, Repr, V2Auth, V3Checksum, address};
use vrrp_ebpf::abi::Role;
use vrrp_ebpf::advert::{
    Address, Auth, Cast, Datagram, Family, GROUP_V4, Judge, Rules, Version, accept, list_sum,
};
use vrrp_ebpf::election::{DOWN_ADVERTS, Preempt, Takeover};

use super::kernel::{Desired, Kernel, Signal};

/// How often the agent looks over the kernel's watches.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// The virtual router of one VRID, as all its routers have it.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    pub(crate) vrid: u8,
    pub(crate) version: Version,
    pub(crate) interval: Duration,
    pub(crate) password: Option<[u8; 8]>,
    pub(crate) company: Company,
}

/// One virtual router on one node.
#[derive(Clone, Debug)]
pub(crate) struct Slot {
    pub(crate) shared: Shared,
    pub(crate) params: Params,
    pub(crate) machine: Instance,
    /// Whether the addresses are on the interface: they stay there when the process dies.
    pub(crate) installed: bool,
    /// As its transitions say, in the order in which it puts things out.
    mastering: bool,
    /// Resignations sent since it was last master; a fault sends two.
    pub(crate) resignations: u32,
}

#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) source: IpAddr,
    pub(crate) slots: Vec<Slot>,
    /// None hears by sockets.
    pub(crate) kernel: Option<Kernel>,
    pub(crate) alive: bool,
    pub(crate) stalled_until: Option<Time>,
    /// Frames that arrived during a stall, for who hears by sockets.
    waiting: Vec<(IpAddr, Vec<u8>)>,
    next_sweep: Time,
    /// The node's clock: ahead by this, and too fast by so many millionths.
    offset: Duration,
    drift_ppm: u32,
}

/// What a node did.
#[derive(Clone, Debug)]
pub(crate) enum Did {
    Sent { slot: usize, priority: u8, message: Vec<u8>, mastering: bool },
    Installed { slot: usize },
    Withdrawn { slot: usize },
    Moved { slot: usize, from: State, to: State, cause: Cause },
}

impl Node {
    pub(crate) fn new(number: usize, shared: &[Shared], random: &mut Random) -> Self {
        let last = u8::try_from(number + 1).expect("at most 20 nodes");
        let source = IpAddr::from([10, 0, 0, last]);
        let first = Slot::new(&shared[0], source, random);
        let slot = |shared: &Shared| match shared.company {
            Company::Alone => Slot::new(shared, source, random),
            // Members of a sync group rank alike, as the documentation asks.
            Company::Group => first.clone().with(shared),
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
            next_sweep: Time::default(),
            offset: random.duration(Duration::from_secs(1_000_000)),
            drift_ppm: u32::try_from(random.below(200)).expect("small"),
        }
    }

    /// The node's own clock at a time of the world.
    pub(crate) fn clock(&self, world: Time) -> Time {
        let elapsed = world.elapsed();
        Time::since_start(self.offset + elapsed + elapsed * self.drift_ppm / 1_000_000)
    }

    /// The clock leaps ahead, as that of a machine that was suspended may. This clock never goes back.
    pub(crate) fn leap(&mut self, ahead: Duration) {
        self.offset += ahead;
    }

    /// The time of the world at which the node's clock shows this, or a little later.
    fn world(&self, clock: Time) -> Time {
        let elapsed = clock.elapsed().saturating_sub(self.offset);
        let slower = elapsed.as_nanos() * 1_000_000 / u128::from(1_000_000 + self.drift_ppm);
        let nanos = u64::try_from(slower).expect("short");
        Time::from_nanos(nanos + 2)
    }

    pub(crate) fn runs(&self) -> bool {
        self.alive && self.stalled_until.is_none()
    }

    /// When it next wants to run, by the clock of the world. The kernel's timers run whatever the agent does.
    pub(crate) fn next_deadline(&self) -> Option<Time> {
        let timer = self.kernel.as_ref().and_then(Kernel::next_timer);
        let sweep = self.kernel.as_ref().map(|_| self.next_sweep);
        let own = self.slots.iter().filter_map(|slot| slot.machine.next_deadline());
        let own = own.chain(sweep).filter(|_| self.runs());
        own.chain(timer).min().map(|at| self.world(at))
    }

    /// Whether somebody who asks for the addresses is answered by this node.
    pub(crate) fn answers(&self, slot: usize, now: Time) -> bool {
        match &self.kernel {
            Some(kernel) => kernel.holds(slot, self.clock(now)),
            None => self.slots[slot].installed,
        }
    }

    /// Whether it is answered only because the kernel has seen the master lost, and the agent has not said anything yet.
    pub(crate) fn has_taken(&self, slot: usize, now: Time) -> bool {
        self.kernel.as_ref().is_some_and(|kernel| kernel.has_taken(slot, self.clock(now)))
    }

    pub(crate) fn start(&mut self, now: Time) -> Vec<Did> {
        let clock = self.clock(now);
        self.next_sweep = clock + SWEEP_INTERVAL;
        for slot in &mut self.slots {
            slot.machine.start(clock);
        }
        self.react(clock)
    }

    /// A new process. It goes on where the old one left off, or, where the file has changed too much for that, removes what that
    /// left behind: the addresses, then the fence.
    pub(crate) fn restart(&mut self, now: Time, random: &mut Random) -> Vec<Did> {
        self.alive = true;
        self.waiting.clear();
        self.stalled_until = None;
        let clock = self.clock(now);
        for slot in &mut self.slots {
            slot.machine = Instance::new(slot.params.clone(), clock);
            slot.installed = false;
            slot.mastering = false;
            slot.resignations = 0;
        }
        if let Some(kernel) = &mut self.kernel {
            if random.chance(70) {
                for (number, slot) in self.slots.iter_mut().enumerate() {
                    let past = kernel.past(number);
                    slot.installed = matches!(past.spell, Spell::Lease { .. });
                    slot.machine.resume(clock, past);
                }
            } else {
                *kernel = Kernel::new(self.slots.len(), *random.pick(&[1, 2, 1000]));
            }
        }
        self.start(now)
    }

    pub(crate) fn crash(&mut self) {
        self.alive = false;
        self.stalled_until = None;
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

    /// The machine of a slot is told something, and the rest follows.
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

    /// The file was read again, with other parameters; those of a group change together.
    pub(crate) fn reload(&mut self, now: Time, slot: usize, random: &mut Random) -> Vec<Did> {
        let clock = self.clock(now);
        let fresh = Slot::new(&self.slots[slot].shared, self.source, random).params;
        let together = self.slots[slot].params.company == Company::Group;
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

    pub(crate) fn receive(&mut self, now: Time, source: IpAddr, message: &[u8]) -> Vec<Did> {
        let clock = self.clock(now);
        if self.kernel.is_none() && !self.runs() {
            if self.alive {
                self.waiting.push((source, message.to_vec()));
            }
            return Vec::new();
        }
        let datagram = Datagram {
            family: Family::V4,
            source: address(source),
            destination: Address::v4(GROUP_V4),
            ttl: 255,
            payload: message,
            trailer: &[],
        };
        let vrid = vrrp_ebpf::advert::vrid(message);
        let Some(slot) = self.slots.iter().position(|slot| vrid == Some(slot.shared.vrid)) else {
            return Vec::new();
        };
        match &mut self.kernel {
            Some(kernel) => {
                kernel.receive(slot, clock, &datagram);
                if self.runs() { self.drain_ring(clock) } else { Vec::new() }
            }
            None => {
                let Ok(advert) = accept(&datagram, &self.slots[slot].rules()) else { return Vec::new() };
                self.slots[slot].machine.handle_advert(clock, &advert, Watch::Here);
                self.react(clock)
            }
        }
    }

    /// After a stall, what has arrived is heard before a deadline that has passed.
    pub(crate) fn wake_up(&mut self, now: Time) -> Vec<Did> {
        self.stalled_until = None;
        let waiting = std::mem::take(&mut self.waiting);
        let mut did = Vec::new();
        for (source, message) in waiting {
            did.extend(self.receive(now, source, &message));
        }
        did.extend(self.handle_deadlines(now));
        did
    }

    pub(crate) fn handle_deadlines(&mut self, now: Time) -> Vec<Did> {
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
                // The kernel's word on the master's life counts, should its event have been lost.
                let watch = self.kernel.as_ref().and_then(|kernel| kernel.watch(slot));
                let machine = &mut self.slots[slot].machine;
                if let Some((deadline, advert)) = watch
                    && deadline > clock
                    && machine.state() == State::Backup
                {
                    machine.handle_advert(clock, &advert, Watch::Kernel);
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
                if let Some(signal) = self.kernel.as_ref().and_then(|kernel| kernel.sweep(slot, clock)) {
                    did.extend(self.take(slot, signal, clock));
                }
            }
        }
        did
    }

    fn due(&self, slot: usize, clock: Time) -> bool {
        self.slots[slot].machine.next_deadline().is_some_and(|at| at <= clock)
    }

    fn drain_ring(&mut self, clock: Time) -> Vec<Did> {
        let mut did = Vec::new();
        while let Some((slot, signal)) = self.kernel.as_mut().and_then(Kernel::next_signal) {
            did.extend(self.take(slot, signal, clock));
        }
        did
    }

    fn take(&mut self, slot: usize, signal: Signal, clock: Time) -> Vec<Did> {
        let machine = &mut self.slots[slot].machine;
        match signal {
            Signal::Advert(advert, watch) => machine.handle_advert(clock, &advert, watch),
            Signal::MasterDown => machine.handle_master_down(clock),
        }
        self.react(clock)
    }

    /// The group agrees, the kernel is told, and what the state machines have put out is done.
    fn react(&mut self, clock: Time) -> Vec<Did> {
        let grouped = self.slots.iter_mut().filter(|slot| slot.params.company == Company::Group);
        let mut members: Vec<&mut Instance> = grouped.map(|slot| &mut slot.machine).collect();
        if !members.is_empty() {
            group::settle(clock, members.drain(..));
        }
        let mut did = Vec::new();
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
                        if let Some(kernel) = &mut self.kernel
                            && priority != 0
                            && slot.machine.state() == State::Master
                        {
                            kernel.renew(number, clock + slot.machine.lease());
                        }
                        did.push(Did::Sent { slot: number, priority, message, mastering });
                    }
                    Output::Install => {
                        slot.installed = true;
                        did.push(Did::Installed { slot: number });
                    }
                    Output::Withdraw => {
                        slot.installed = false;
                        did.push(Did::Withdrawn { slot: number });
                    }
                    Output::Transition { from, to, cause } => {
                        slot.mastering = to == State::Master;
                        did.push(Did::Moved { slot: number, from, to, cause });
                    }
                    Output::Announce { .. } | Output::LowerHeard => {}
                }
            }
        }
        did
    }
}

impl Slot {
    fn new(shared: &Shared, source: IpAddr, random: &mut Random) -> Self {
        let params = Params {
            version: shared.version,
            // Few, so that ties happen.
            priority: *random.pick(&[1, 90, 100, 100, 101, 150, 254]),
            interval: shared.interval,
            preempt: if random.chance(20) { Preempt::No } else { Preempt::Yes },
            preempt_delay: if random.chance(20) { shared.interval * 4 } else { Duration::ZERO },
            on_lower: *random.pick(&[OnLower::Advertise, OnLower::Advertise, OnLower::Ignore]),
            on_higher: *random.pick(&[OnHigher::Yield, OnHigher::AdvertiseAndYield]),
            down_adverts: DOWN_ADVERTS,
            address: address(source),
            garp: GarpSchedule {
                repeat: 5,
                delay: Some(5 * shared.interval),
                refresh: None,
                refresh_repeat: 1,
                lower_repeat: 5,
                lower_delay: None,
            },
            company: shared.company,
            takeover: if random.chance(70) { Takeover::Kernel } else { Takeover::Agent },
            install_time: Duration::ZERO,
        };
        let machine = Instance::new(params.clone(), Time::default());
        let shared = shared.clone();
        Self { shared, params, machine, installed: false, mastering: false, resignations: 0 }
    }

    fn with(self, shared: &Shared) -> Self {
        Self { shared: shared.clone(), ..self }
    }

    fn desired(&self) -> Desired {
        let role = match self.machine.state() {
            State::Initialize | State::Fault => Role::Idle,
            State::Backup => Role::Backup,
            State::Master => Role::Master,
        };
        let Self { machine, .. } = self;
        let (epoch, candidate, takeover) = (machine.epoch(), machine.candidate(), machine.takeover());
        Desired { epoch, role, candidate, rules: self.rules(), takeover }
    }

    fn repr(&self, priority: u8) -> Repr {
        let body = match self.shared.version {
            Version::V2 => Body::V2 {
                seconds: u8::try_from(self.shared.interval.as_secs()).expect("small"),
                auth: self.shared.password.map_or(V2Auth::None, V2Auth::Pass),
            },
            Version::V3 => Body::V3 {
                centiseconds: u16::try_from(self.shared.interval.as_millis() / 10).expect("small"),
                checksum: V3Checksum::PseudoHeader,
            },
        };
        Repr { vrid: self.shared.vrid, priority, addresses: vec![IpAddr::from([10, 0, 0, 100])], body }
    }

    fn rules(&self) -> Rules {
        Rules {
            destination: Family::V4.group(),
            cast: Cast::Multicast,
            ttl_min: 255,
            judge: Judge::Kernel,
            list_sum: list_sum([Address::v4([10, 0, 0, 100])].into_iter()),
            version: self.shared.version,
            auth: if self.shared.password.is_some() { Auth::Pass } else { Auth::None },
            password: self.shared.password.unwrap_or_default(),
            interval_ns: u64::try_from(self.shared.interval.as_nanos()).expect("short"),
        }
    }
}
