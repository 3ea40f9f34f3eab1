//! A router: its clock, its state machines, and a data plane: sockets, or a model of the kernel half.

use std::net::IpAddr;
use std::time::Duration;
use vrrp_tests::random::Random;

use vrrp_agent::vrrp::{
    Fault, GarpSchedule, Instance, OnHigher, OnLower, Output, Params, State, Time, Watch,
};
use vrrp_agent::wire::advert::{Body, Repr, V2Auth, V3Checksum, address};
use vrrp_ebpf::advert::{
    Address, Auth, Cast, Datagram, Family, GROUP_V4, Judge, Rules, Version, accept, list_sum,
};
use vrrp_ebpf::election::{AtBackup, DOWN_ADVERTS, Preempt};

/// Which data plane a node has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plane {
    Socket,
    /// Hears adverts itself, reports a master when it changes, and its loss.
    Kernel,
}

/// The virtual router of one VRID, as all its routers have it.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    pub(crate) vrid: u8,
    pub(crate) version: Version,
    pub(crate) interval: Duration,
    pub(crate) password: Option<[u8; 8]>,
}

/// One virtual router on one node.
#[derive(Clone, Debug)]
pub(crate) struct Slot {
    pub(crate) shared: Shared,
    pub(crate) params: Params,
    pub(crate) machine: Instance,
    pub(crate) installed: bool,
    /// The kernel's watch: its deadline, by the node's clock, and the epoch that it belongs to.
    watch: Option<(Time, u64)>,
    reported: Option<(Address, u8, u64, u64)>,
    /// As its transitions say, in the order in which it puts things out.
    mastering: bool,
    /// Resignations sent since it was last master; a fault sends two.
    pub(crate) resignations: u32,
}

#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) source: IpAddr,
    pub(crate) slots: Vec<Slot>,
    pub(crate) plane: Plane,
    pub(crate) alive: bool,
    pub(crate) stalled_until: Option<Time>,
    /// Frames that arrived during a stall.
    pub(crate) waiting: Vec<(IpAddr, Vec<u8>)>,
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
    Told { slot: usize, what: String },
}

impl Node {
    pub(crate) fn new(number: usize, shared: &[Shared], random: &mut Random) -> Self {
        let last = u8::try_from(number + 1).expect("at most 20 nodes");
        let source = IpAddr::from([10, 0, 0, last]);
        let slots = shared.iter().map(|shared| Slot::new(shared, source, random)).collect();
        Self {
            source,
            slots,
            plane: *random.pick(&[Plane::Socket, Plane::Kernel]),
            alive: true,
            stalled_until: None,
            waiting: Vec::new(),
            offset: random.duration(Duration::from_secs(1_000_000)),
            drift_ppm: u32::try_from(random.below(200)).expect("small"),
        }
    }

    /// The node's own clock at a time of the world.
    pub(crate) fn clock(&self, world: Time) -> Time {
        let elapsed = world.elapsed();
        Time::since_start(self.offset + elapsed + elapsed * self.drift_ppm / 1_000_000)
    }

    /// The time of the world at which the node's clock shows this, or a little later.
    pub(crate) fn world(&self, clock: Time) -> Time {
        let elapsed = clock.elapsed().saturating_sub(self.offset);
        let slower = elapsed.as_nanos() * 1_000_000 / u128::from(1_000_000 + self.drift_ppm);
        let nanos = u64::try_from(slower).expect("short");
        Time::from_nanos(nanos + 2)
    }

    /// When it next wants to run, by the clock of the world.
    pub(crate) fn next_deadline(&self) -> Option<Time> {
        let own = self.slots.iter().filter_map(|slot| slot.machine.next_deadline());
        let kernel = self.slots.iter().filter_map(Slot::live_watch);
        own.chain(kernel).min().map(|at| self.world(at))
    }

    pub(crate) fn start(&mut self, now: Time) -> Vec<Did> {
        let clock = self.clock(now);
        for slot in &mut self.slots {
            slot.machine.start(clock);
        }
        self.drain()
    }

    /// A new process, with nothing of the old one but what it left on the interface, which it removes.
    pub(crate) fn restart(&mut self, now: Time) -> Vec<Did> {
        self.alive = true;
        self.waiting.clear();
        self.stalled_until = None;
        let clock = self.clock(now);
        for slot in &mut self.slots {
            slot.machine = Instance::new(slot.params.clone(), clock);
            slot.installed = false;
            slot.mastering = false;
            slot.watch = None;
            slot.reported = None;
            slot.resignations = 0;
        }
        self.start(now)
    }

    pub(crate) fn stop(&mut self, now: Time) -> Vec<Did> {
        let clock = self.clock(now);
        for slot in &mut self.slots {
            slot.machine.stop(clock);
        }
        let did = self.drain();
        self.alive = false;
        did
    }

    pub(crate) fn set_contributions(&mut self, now: Time, slot: usize, contributions: i32) -> Vec<Did> {
        let clock = self.clock(now);
        self.slots[slot].machine.set_contributions(clock, contributions);
        self.drain()
    }

    pub(crate) fn set_fault(&mut self, now: Time, slot: usize, fault: Fault) -> Vec<Did> {
        let clock = self.clock(now);
        self.slots[slot].machine.set_fault(clock, fault);
        self.drain()
    }

    pub(crate) fn receive(&mut self, now: Time, source: IpAddr, message: &[u8]) -> Vec<Did> {
        let (clock, plane) = (self.clock(now), self.plane);
        let datagram = Datagram {
            family: Family::V4,
            source: address(source),
            destination: Address::v4(GROUP_V4),
            ttl: 255,
            payload: message,
            trailer: &[],
        };
        for slot in &mut self.slots {
            if vrrp_ebpf::advert::vrid(message) == Some(slot.shared.vrid) {
                slot.receive(clock, &datagram, plane);
            }
        }
        self.drain()
    }

    pub(crate) fn handle_deadlines(&mut self, now: Time) -> Vec<Did> {
        let clock = self.clock(now);
        for slot in &mut self.slots {
            if slot.live_watch().is_some_and(|at| at <= clock) {
                slot.watch = None;
                slot.machine.handle_master_down(clock);
            }
            if slot.machine.next_deadline().is_some_and(|at| at <= clock) {
                slot.machine.handle_timeout(clock);
            }
        }
        self.drain()
    }

    pub(crate) fn lose_addresses(&mut self, now: Time, slot: usize) -> Vec<Did> {
        let clock = self.clock(now);
        self.slots[slot].machine.handle_addresses_lost(clock);
        self.drain()
    }

    pub(crate) fn installed(&mut self, now: Time, slot: usize) -> Vec<Did> {
        let clock = self.clock(now);
        self.slots[slot].machine.handle_installed(clock);
        self.drain()
    }

    /// Does what the state machines have put out.
    fn drain(&mut self) -> Vec<Did> {
        let mut did = Vec::new();
        for (number, slot) in self.slots.iter_mut().enumerate() {
            while let Some(output) = slot.machine.poll_output() {
                match output {
                    Output::Advertise { priority } => {
                        let message = slot.repr(priority).encode(self.source, GROUP_V4.into());
                        if priority == 0 {
                            slot.resignations += 1;
                        } else {
                            slot.resignations = 0;
                        }
                        let mastering = slot.mastering;
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
                        let what = format!("{from:?} -> {to:?}: {cause:?}");
                        did.push(Did::Told { slot: number, what });
                    }
                    Output::Announce { .. } => {}
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
            },
        };
        let machine = Instance::new(params.clone(), Time::default());
        let shared = shared.clone();
        Self {
            shared,
            params,
            machine,
            installed: false,
            mastering: false,
            watch: None,
            reported: None,
            resignations: 0,
        }
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
            address: self.params.address,
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

    /// The deadline of the kernel's watch, if it is of this epoch.
    fn live_watch(&self) -> Option<Time> {
        let (at, epoch) = self.watch?;
        (epoch == self.machine.epoch() && self.machine.state() == State::Backup).then_some(at)
    }

    fn receive(&mut self, clock: Time, datagram: &Datagram<'_>, plane: Plane) {
        let Ok(advert) = accept(datagram, &self.rules()) else { return };
        match (plane, self.machine.state()) {
            (Plane::Kernel, State::Backup) => {
                let after = match self.machine.candidate().at_backup(&advert) {
                    AtBackup::Alive { down_ns } => down_ns,
                    AtBackup::Resigned { skew_ns } => skew_ns,
                    AtBackup::Outranked => return self.machine.handle_advert(clock, &advert, Watch::Here),
                };
                let epoch = self.machine.epoch();
                self.watch = Some((clock + Duration::from_nanos(after), epoch));
                let seen = Some((advert.source, advert.priority, advert.interval_ns, epoch));
                if std::mem::replace(&mut self.reported, seen) != seen {
                    self.machine.handle_advert(clock, &advert, Watch::Kernel);
                }
            }
            (Plane::Socket, _) | (Plane::Kernel, State::Initialize | State::Master | State::Fault) => {
                self.machine.handle_advert(clock, &advert, Watch::Here);
            }
        }
    }
}
