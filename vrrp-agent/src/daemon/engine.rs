//! The thread that runs the protocol and sends adverts; it waits for nothing else. It decides nothing itself: it hands inputs
//! to the state machines, carries out their outputs, and sleeps until the next deadline.
//!
//! Inputs that have arrived are handed in before a deadline that has passed. Nothing in here logs, forks or speaks netlink:
//! work that might block is an [`Effect`], carried out elsewhere.

pub(super) mod reload;

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::Arc;
use std::sync::mpsc::{self, TryRecvError};
use std::time::Duration;

use nix::libc;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::EventFd;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;
use vrrp_ebpf::abi::{ALIVE_INTERVAL_NS, InstanceKey, Role};
use vrrp_ebpf::advert::{Address, Advert, List, PRIORITY_OWNER, Reject, Rules};
use vrrp_ebpf::election::Takeover;

use reload::{ActiveConfig, Reload};

use super::announcements::Announcements;
use super::frames::{Frames, Packet};
use super::network::NetworkRequest;
use super::status::StatusPage;
use crate::control::Snapshot;
use crate::dataplane::{DataPlane, Desired, HeardBy, Hearing, PlaneEvent, Slot};
use crate::host;
use crate::net::NetError;
use crate::net::transmit::{Outgoing, Transmitter};
use crate::track::Health;
use crate::vrrp::{Cause, Instance, Output, Params, SavedState, State, Time, Watch, group};
use crate::wire::advert::ip;
use crate::wire::ethernet::Mac;

/// A shorter difference than this between two looks at the clocks is no suspension of the host.
const SUSPENSION_MIN: Duration = Duration::from_millis(500);
/// The interval at which the kernel's watches are checked, in case an event has been lost.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);
/// The interval at which this thread reports to the kernel that it runs, while the kernel may take over for an instance.
const ALIVE_INTERVAL: Duration = Duration::from_nanos(ALIVE_INTERVAL_NS);
/// The most signals that are heard in one round, and the most announcements that are sent: a flood, or a thousand addresses,
/// must not hold up an advert.
const ROUND_MAX: usize = 256;
/// When there are many adverts, at least this many leave together.
const ADVERTS_AT_ONCE: usize = 16;
/// The most notices about the other routers of an instance. After that no more are logged, because any host can invent
/// addresses.
const NOTICES_MAX: usize = 64;
/// The shortest time between two reports of a failure to send, for each instance.
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(10);

/// A request of the rest of the daemon to the engine. Slots are those of a configuration; a request that another configuration
/// may overtake has its generation.
pub(super) enum Command {
    /// The addresses are on the interface, for the mastership of this number. The number is not the epoch, which may change
    /// while the mastership lasts.
    Installed { generation: u64, slot: Slot, mastership: u64 },
    /// An address of the instance is not on the interface.
    AddressesLost { generation: u64, slot: Slot },
    /// The result of tracking has changed.
    Health { slot: Slot, health: Health },
    /// An instance's interface has been replaced, or has another hardware address.
    Moved { slot: Slot, binding: Box<InstanceBinding> },
    /// An interface is heard like this from now on, instead of the interface with the number `gone`.
    Hear { gone: u32, hearing: Hearing },
    /// The interfaces on which the kernel half is attached have changed; this describes them.
    Attached(String),
    /// Announce the addresses of an instance once more; the answer is true if they are ours.
    Announce { slot: Slot, done: oneshot::Sender<bool> },
    /// Go on with another configuration.
    Reload(Box<Reload>),
    /// Report the state of all instances.
    Status(oneshot::Sender<Snapshot>),
    /// Resign, give up the addresses, and end.
    Stop,
}

/// A request of the engine to the rest of the daemon.
#[derive(Debug)]
pub(super) enum Effect {
    /// Put the addresses on the interface and answer [`Command::Installed`].
    Install { slot: Slot, mastership: u64 },
    /// Take the addresses away.
    Withdraw { slot: Slot },
    /// Tell of a change of state: log, scripts, SNMP, D-Bus.
    Transition { slot: Slot, from: State, to: State, cause: Cause, priority: u8, late: Option<Late> },
    /// A lower router was heard while this instance was master.
    LowerHeard { slot: Slot, priority: u8 },
    /// The host was suspended for this long.
    Suspended { duration: Duration },
    /// The priority has changed, and the state has not.
    Priority { slot: Slot, state: State, priority: u8 },
    /// Another host claims an address that we hold; it was answered.
    Conflict { slot: Slot, address: std::net::IpAddr, mac: Mac },
    /// The configurations of the routers do not agree.
    Notice { slot: Slot, notice: Notice, address: std::net::IpAddr },
    /// Adverts of another router for the same virtual router are refused.
    Refused { slot: Slot, source: std::net::IpAddr, reject: Reject },
    /// Check the program on an interface: it has not seen an advert there.
    Unseen { ifindex: u32 },
    /// Asked for by the tasks that watch the host, not by the engine.
    Network(NetworkRequest),
    /// Slots are those of this roster from here on.
    Reloaded(Box<ActiveConfig>),
    /// Something failed that the operator should know.
    Failed { slot: Slot, doing: &'static str, error: String },
}

/// The delays after a deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Late {
    /// The delay until the kernel's timer noticed, if the timer was the kernel's.
    pub(super) noticed: Option<Duration>,
    /// The delay until the engine acts on it.
    pub(super) acted: Duration,
}

/// The difference to another router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Notice {
    /// The other router advertises other addresses.
    OtherAddresses,
    /// Both routers own the addresses (erratum 8298, RFC 9568 section 8.3.2).
    TwoOwners,
    /// The other router advertises from the address that we advertise from: two routers have the same address, or our own
    /// frames come back.
    OwnAddress,
    /// The other router is the master of an instance whose sync group was master here: the instance has joined the group in a
    /// reload.
    JoinedAsBackup,
}

/// The parts of an instance that depend on this host, and change with its interface.
#[derive(Debug)]
pub(super) struct InstanceBinding {
    pub(super) params: Params,
    pub(super) key: InstanceKey,
    pub(super) rules: Rules,
    pub(super) frames: Frames,
    /// The address that its adverts are sent from.
    pub(super) source: std::net::IpAddr,
}

/// An instance, and what the engine needs for it besides the state machine.
pub(super) struct Router {
    pub(super) machine: Instance,
    pub(super) key: InstanceKey,
    pub(super) rules: Rules,
    pub(super) frames: Frames,
    pub(super) cause: Cause,
    /// The index of the sync group.
    pub(super) group: Option<usize>,
    /// The state that an earlier run left of the instance.
    pub(super) saved: Option<SavedState>,
    /// The time until which the addresses are ours if no further advert leaves.
    pub(super) lease_until: Option<Time>,
    complained: Option<Time>,
    /// The notices that were logged, each with the router that it is about.
    noticed: Vec<(Notice, Address)>,
    /// The refused advert that was reported last: time, sender, reason.
    refused: Option<(Time, std::net::IpAddr, Reject)>,
}

impl Router {
    pub(super) fn new(machine: Instance, binding: InstanceBinding, group: Option<usize>) -> Self {
        let InstanceBinding { key, rules, frames, .. } = binding;
        Self {
            machine,
            key,
            rules,
            frames,
            cause: Cause::Started,
            group,
            saved: None,
            lease_until: None,
            complained: None,
            noticed: Vec::new(),
            refused: None,
        }
    }

    fn desired(&self, slot: Slot) -> Desired {
        let role = match self.machine.state() {
            State::Initialize | State::Fault => Role::Idle,
            State::Backup => Role::Backup,
            State::Master => Role::Master,
        };
        let (key, rules) = (self.key, self.rules);
        let Self { machine, .. } = self;
        let (epoch, candidate, takeover) = (machine.epoch(), machine.candidate(), machine.takeover());
        Desired { slot, key, epoch, role, rules, candidate, takeover }
    }
}

/// An advert to send.
struct Queued {
    slot: Slot,
    packet: Packet,
    priority: u8,
}

/// The thread's state.
pub(super) struct Engine {
    routers: Vec<Router>,
    plane: DataPlane,
    /// Sends adverts.
    transmitter: Transmitter,
    /// Sends announcements, whose number must not fill the buffers that adverts need.
    announcer: Transmitter,
    commands: mpsc::Receiver<Command>,
    effects: UnboundedSender<Effect>,
    wake: Arc<EventFd>,
    timer: TimerFd,
    epoll: Epoll,
    adverts: Vec<Queued>,
    announcements: Announcements,
    next_sweep: Time,
    /// The time of the next report to the kernel that this thread runs.
    next_alive: Time,
    /// How long the host has been suspended since it was started.
    suspended: Duration,
    /// The time at which instances that have yet to start are started.
    start_at: Option<Time>,
    status: StatusPage,
    /// The generation of the configuration.
    generation: u64,
}

enum Next {
    Continue,
    Stop,
}

impl Engine {
    pub(super) fn new(
        routers: Vec<Router>,
        plane: DataPlane,
        commands: mpsc::Receiver<Command>,
        effects: UnboundedSender<Effect>,
        wake: Arc<EventFd>,
        status: StatusPage,
    ) -> Result<Self, NetError> {
        let system = |doing: &str| {
            let doing = doing.to_owned();
            move |error| NetError::system(doing, error)
        };
        let timer =
            TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK)
                .map_err(system("make a timer"))?;
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(system("make an epoll"))?;
        let watch = |fd: BorrowedFd<'_>| epoll.add(fd, EpollEvent::new(EpollFlags::EPOLLIN, 0));
        watch(timer.as_fd()).map_err(system("watch the timer"))?;
        watch(wake.as_fd()).map_err(system("watch for commands"))?;
        for fd in plane.descriptors() {
            watch(fd).map_err(system("watch the data plane"))?;
        }
        let (transmitter, announcer) = (Transmitter::open()?, Transmitter::open()?);
        let next_sweep = host::now() + SWEEP_INTERVAL;
        Ok(Self {
            routers,
            plane,
            transmitter,
            announcer,
            commands,
            effects,
            wake,
            timer,
            epoll,
            adverts: Vec::new(),
            announcements: Announcements::default(),
            next_sweep,
            next_alive: Time::default(),
            suspended: host::uptime().saturating_sub(host::now().elapsed()),
            start_at: None,
            status,
            generation: 0,
        })
    }

    /// Runs until told to stop, and returns the data plane, because its fence stays up until the addresses are gone.
    pub(super) fn run(mut self) -> io::Result<DataPlane> {
        let now = host::now();
        let delay = self.status.start_delay();
        if !delay.is_zero() {
            self.start_at = Some(now + delay);
        }
        for router in &mut self.routers {
            // An instance that resumes does not wait for the start delay. An instance that cannot resume still gets a new epoch
            // here, because the maps contain earlier epochs.
            if let Some(saved) = router.saved.take() {
                router.machine.resume(now, saved);
            }
            if delay.is_zero() {
                router.machine.start(now);
            }
        }
        for slot in 0..self.routers.len() {
            self.react(slot, now, None);
        }
        self.flush();
        loop {
            self.sleep()?;
            match self.step() {
                Next::Continue => {}
                Next::Stop => return Ok(self.plane),
            }
        }
    }

    /// Sleeps until something arrives or a deadline passes.
    fn sleep(&mut self) -> io::Result<()> {
        let deadline = self.routers.iter().filter_map(|router| router.machine.next_deadline()).min();
        let sweep = self.kernel_watches().then_some(self.next_sweep);
        let alive = self.may_take_over().then_some(self.next_alive);
        let more = self.announcements.next();
        match [deadline, sweep, alive, more, self.start_at].into_iter().flatten().min() {
            // A time of zero would disarm the timer instead.
            Some(at) => {
                let at = at.elapsed().max(Duration::from_nanos(1));
                self.timer.set(Expiration::OneShot(at.into()), TimerSetTimeFlags::TFD_TIMER_ABSTIME)?;
            }
            None => self.timer.unset()?,
        }
        let mut events = [EpollEvent::empty(); 8];
        match self.epoll.wait(&mut events, EpollTimeout::NONE) {
            Ok(_) | Err(nix::Error::EINTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns true if the kernel watches masters for us.
    fn kernel_watches(&self) -> bool {
        matches!(self.plane, DataPlane::Ebpf(_))
    }

    /// Returns true if the kernel takes over by itself when the master of some instance is lost.
    fn may_take_over(&self) -> bool {
        let waits = |router: &Router| {
            router.machine.state() == State::Backup && router.machine.takeover() == Takeover::Kernel
        };
        self.kernel_watches() && self.routers.iter().any(waits)
    }

    /// One round: handles all that has arrived, then all that is due, then sends.
    fn step(&mut self) -> Next {
        // In this order: a stall between the two looks at a clock is no suspension.
        let uptime = host::uptime();
        let now = host::now();
        self.note_suspension(uptime, now);
        let (mut heard, mut lost) = (0, Vec::new());
        while heard < ROUND_MAX
            && let Some(plane_event) = self.plane.next_event()
        {
            heard += 1;
            match plane_event {
                // Handled later, like a deadline: sockets may have heard this master, where the program could not, and they are
                // read after the ring.
                PlaneEvent::MasterDown { slot, deadline, .. } => lost.push((slot, deadline, plane_event)),
                PlaneEvent::Advert { .. }
                | PlaneEvent::Conflict { .. }
                | PlaneEvent::Refused { .. }
                | PlaneEvent::Unseen { .. } => {
                    self.take_event(plane_event, now);
                    self.flush_early();
                }
            }
        }
        for (slot, deadline, plane_event) in lost {
            // Ignored if the watch is over, or if its deadline is later by now.
            if self.plane.kernel_watch(slot).is_some_and(|watch| watch.deadline <= deadline) {
                self.take_event(plane_event, now);
                self.flush_early();
            }
        }
        // The eventfd only wakes this thread: its count does not matter, and reading it when it is empty is no error.
        let _count = self.wake.read();
        let next = self.take_commands();
        // Do not read the clock again: what has arrived since `now` is heard before a deadline that has passed since.
        for slot in 0..self.routers.len() {
            if self.routers[slot].machine.next_deadline().is_some_and(|at| at <= now) {
                self.take_deadline(slot, now);
                self.flush_early();
            }
        }
        if self.start_at.is_some_and(|at| at <= now) {
            self.start_at = None;
            self.start_all(now);
        }
        if self.next_sweep <= now {
            self.next_sweep = now + SWEEP_INTERVAL;
            for plane_event in self.plane.sweep(now) {
                self.take_event(plane_event, now);
            }
        }
        self.flush();
        if self.next_alive <= now && self.may_take_over() {
            self.next_alive = now + ALIVE_INTERVAL;
            // Without the report the kernel leaves the takeover to this thread.
            let _leaves = self.plane.report_alive(now);
        }
        next
    }

    /// Notes a suspension of the host: the clock of this thread stands still meanwhile, and the clock of leases goes on.
    /// `uptime` was read before `now`, so the difference is never more than the time for which the host was suspended.
    fn note_suspension(&mut self, uptime: Duration, now: Time) {
        let suspended = uptime.saturating_sub(now.elapsed());
        let since = suspended.saturating_sub(self.suspended);
        self.suspended = self.suspended.max(suspended);
        if since >= SUSPENSION_MIN {
            for slot in 0..self.routers.len() {
                self.routers[slot].machine.handle_suspended(now, since);
                if let Some(until) = &mut self.routers[slot].lease_until {
                    *until = now + (*until - now).saturating_sub(since);
                }
            }
            self.tell(Effect::Suspended { duration: since });
        }
    }

    /// Starts the instances that have yet to start.
    fn start_all(&mut self, now: Time) {
        for router in &mut self.routers {
            router.machine.start(now);
        }
        for slot in 0..self.routers.len() {
            self.react(slot, now, None);
        }
    }

    fn take_commands(&mut self) -> Next {
        loop {
            let now = host::now();
            match self.commands.try_recv() {
                Ok(Command::Installed { generation, slot, mastership }) => {
                    let router = self.routers.get_mut(slot).filter(|_| generation == self.generation);
                    if let Some(router) = router
                        && router.machine.statistics().became_master == mastership
                    {
                        router.machine.handle_installed(now);
                        self.react(slot, now, None);
                    }
                }
                Ok(Command::AddressesLost { generation, slot }) => {
                    let router = self.routers.get_mut(slot).filter(|_| generation == self.generation);
                    if let Some(router) = router {
                        router.machine.handle_addresses_lost(now);
                        self.react(slot, now, None);
                    }
                }
                Ok(Command::Health { slot, health }) => {
                    self.catch_up(slot);
                    let machine = &mut self.routers[slot].machine;
                    let before = (machine.state(), machine.priority());
                    machine.set_contributions(now, health.contributions);
                    machine.set_fault(now, health.fault);
                    let (state, priority) = (machine.state(), machine.priority());
                    self.react(slot, now, None);
                    if before.0 == state && before.1 != priority {
                        self.tell(Effect::Priority { slot, state, priority });
                    }
                }
                Ok(Command::Moved { slot, binding }) => self.move_to(slot, *binding, now),
                Ok(Command::Hear { gone, hearing }) => self.hear(gone, hearing),
                Ok(Command::Attached(attached)) => self.plane.set_description(attached),
                Ok(Command::Announce { slot, done }) => {
                    // The receiver may be gone already.
                    let _left = done.send(self.routers[slot].machine.announce_once());
                    self.react(slot, now, None);
                }
                Ok(Command::Reload(reload)) => self.reload(*reload, now),
                Ok(Command::Status(reply)) => {
                    // The receiver may be gone already.
                    let _left = reply.send(self.status.snapshot(&self.routers, &self.plane, now));
                }
                Err(TryRecvError::Empty) => return Next::Continue,
                Ok(Command::Stop) | Err(TryRecvError::Disconnected) => {
                    for router in &mut self.routers {
                        router.machine.stop(now);
                    }
                    for slot in 0..self.routers.len() {
                        self.react(slot, now, None);
                    }
                    return Next::Stop;
                }
            }
        }
    }

    /// Changes how an interface is heard. Descriptors that are closed leave the epoll by themselves.
    fn hear(&mut self, gone: u32, hearing: Hearing) {
        let canaries = match &hearing.by {
            HeardBy::Program { canaries } => canaries.as_slice(),
            HeardBy::Sockets => &[],
        };
        for receiver in canaries.iter().chain(&hearing.receiver) {
            if let Err(error) = self.epoll.add(receiver.as_fd(), EpollEvent::new(EpollFlags::EPOLLIN, 0)) {
                let error = error.to_string();
                self.tell(Effect::Failed { slot: 0, doing: "listen to an interface", error });
            }
        }
        self.plane.hear(gone, hearing);
    }

    /// Continues an instance with another interface, or with the same interface and another hardware address.
    fn move_to(&mut self, slot: Slot, binding: InstanceBinding, now: Time) {
        let InstanceBinding { params, key, rules, frames, source } = binding;
        self.catch_up(slot);
        if self.routers[slot].key != key {
            self.watch_here(slot, now);
        }
        let router = &mut self.routers[slot];
        let before = std::mem::replace(&mut router.key, key);
        (router.rules, router.frames) = (rules, frames);
        router.machine.reconfigure(now, params);
        self.status.sources[slot] = source;
        self.announcements.forget(slot);
        self.close_unused_sockets();
        if before != key
            && let Err(error) = self.plane.forget(slot, &before)
        {
            let error = error.to_string();
            self.tell(Effect::Failed { slot, doing: "change the kernel's maps", error });
        }
        // The neighbours of a master must learn the new hardware address.
        self.routers[slot].machine.announce_again();
        self.react(slot, now, None);
    }

    fn take_event(&mut self, plane_event: PlaneEvent, now: Time) {
        match plane_event {
            PlaneEvent::Advert { slot, advert, watch } => {
                self.notice(slot, &advert);
                self.routers[slot].machine.handle_advert(now, &advert, watch);
                self.react(slot, now, None);
            }
            PlaneEvent::MasterDown { slot, deadline, noticed } => {
                let late = Late { noticed: noticed.map(|at| at - deadline), acted: now - deadline };
                self.routers[slot].machine.handle_master_down(now);
                self.react(slot, now, Some(late));
            }
            PlaneEvent::Conflict { slot, address, mac } => self.tell(Effect::Conflict { slot, address, mac }),
            PlaneEvent::Refused { slot, source, reject } => self.refuse(slot, source, reject, now),
            PlaneEvent::Unseen { ifindex } => self.tell(Effect::Unseen { ifindex }),
        }
    }

    /// Hands the state machine the last advert that the kernel half heard without an event. Done before the priority may
    /// change, since an advert that did not count before may count after it.
    fn catch_up(&mut self, slot: Slot) {
        if let Some(heard) = self.plane.last_heard(slot) {
            self.routers[slot].machine.catch_up(heard);
        }
    }

    /// Starts the state machine's own master-down timer with the kernel's deadline. The timer runs until the next advert hands
    /// the watch to the kernel again, under another key or in another program.
    fn watch_here(&mut self, slot: Slot, now: Time) {
        if let Some(watch) = self.plane.kernel_watch(slot) {
            self.routers[slot].machine.watch_here(now, watch.deadline);
        }
    }

    /// Reports a refused advert of our own virtual router, unless the last report had the same sender and reason and is less
    /// than an hour old.
    fn refuse(&mut self, slot: Slot, source: std::net::IpAddr, reject: Reject, now: Time) {
        const AGAIN: Duration = Duration::from_secs(3600);
        let router = &mut self.routers[slot];
        let said = router.refused.filter(|(at, ..)| now - *at < AGAIN);
        if said.map(|(_, source, reject)| (source, reject)) != Some((source, reject)) {
            router.refused = Some((now, source, reject));
            self.tell(Effect::Refused { slot, source, reject });
        }
    }

    /// Reports an advert that shows a disagreement between the routers of an instance: once for each router and disagreement.
    fn notice(&mut self, slot: Slot, advert: &Advert) {
        let router = &self.routers[slot];
        let notice = match (advert.priority, advert.list) {
            _ if advert.source == router.machine.candidate().address => Notice::OwnAddress,
            (PRIORITY_OWNER, _) if router.machine.priority() == PRIORITY_OWNER => Notice::TwoOwners,
            (_, List::Other) => Notice::OtherAddresses,
            (_, List::Same) => return,
        };
        self.say(slot, notice, advert.source);
    }

    fn say(&mut self, slot: Slot, notice: Notice, of: Address) {
        let router = &mut self.routers[slot];
        if router.noticed.len() < NOTICES_MAX && !router.noticed.contains(&(notice, of)) {
            router.noticed.push((notice, of));
            let address = ip(router.key.family, &of);
            self.tell(Effect::Notice { slot, notice, address });
        }
    }

    fn take_deadline(&mut self, slot: Slot, now: Time) {
        let machine = &mut self.routers[slot].machine;
        let late = machine.next_deadline().map(|at| Late { noticed: None, acted: now - at });
        // Ask the kernel first. A backup: the master may live, and the event have been lost. A master: the kernel may have
        // heard a better master while this thread did not run, before we advertise as master.
        let unheard = match machine.state() {
            State::Backup => {
                let alive = self.plane.kernel_watch(slot).filter(|watch| watch.deadline > now);
                alive.map(|watch| (watch.advert, Watch::Kernel))
            }
            State::Master => self.plane.fence(slot).map(|advert| (advert, Watch::Fenced)),
            State::Initialize | State::Fault => None,
        };
        if let Some((advert, watch)) = unheard {
            machine.handle_advert(now, &advert, watch);
        }
        // Still due: the kernel does not watch, or the master that it watches ranks below us by now.
        if machine.next_deadline().is_some_and(|at| at <= now) {
            machine.handle_timeout(now);
        }
        self.react(slot, now, late);
    }

    /// Called after an input: the sync group agrees again, and then all outputs of its members are carried out.
    fn react(&mut self, slot: Slot, now: Time, late: Option<Late>) {
        let Some(group) = self.routers[slot].group else { return self.drain(slot, late) };
        let members = self.routers.iter_mut().filter(|router| router.group == Some(group));
        group::settle(now, members.map(|router| &mut router.machine));
        for slot in 0..self.routers.len() {
            if self.routers[slot].group == Some(group) {
                self.drain(slot, late);
            }
        }
    }

    /// Carries out the outputs of an instance. The data plane comes first: a master that steps down stops answering before
    /// anything else, and a new one is known to the kernel before its first advert renews the lease.
    fn drain(&mut self, slot: Slot, late: Option<Late>) {
        let router = &mut self.routers[slot];
        if let Err(error) = self.plane.apply(&router.desired(slot)) {
            let error = error.to_string();
            self.tell(Effect::Failed { slot, doing: "change the kernel's maps", error });
        }
        while let Some(output) = self.routers[slot].machine.poll_output() {
            let router = &mut self.routers[slot];
            match output {
                Output::Advertise { priority } => {
                    let packets = router.frames.adverts(priority, host::utc()).iter().cloned();
                    self.adverts.extend(packets.map(|packet| Queued { slot, packet, priority }));
                }
                Output::Announce { repeat } => {
                    self.announcements.add(slot, router.frames.announcements(), repeat);
                }
                Output::Install => {
                    let mastership = router.machine.statistics().became_master;
                    self.tell(Effect::Install { slot, mastership });
                }
                Output::Withdraw => {
                    router.lease_until = None;
                    // Adverts are still sent: the last one, or a resignation.
                    self.announcements.forget(slot);
                    self.tell(Effect::Withdraw { slot });
                }
                Output::LowerHeard => {
                    let priority = router.machine.priority();
                    self.tell(Effect::LowerHeard { slot, priority });
                }
                Output::Transition { from, to, cause } => {
                    router.cause = cause;
                    let priority = router.machine.priority();
                    self.tell(Effect::Transition { slot, from, to, cause, priority, late });
                }
            }
        }
    }

    /// Sends what is queued: adverts, then a few announcements.
    fn flush(&mut self) {
        self.send_adverts();
        self.send_announcements();
    }

    /// Sends adverts early when many routers are decided in one round, so that the first adverts do not wait for the last
    /// decision.
    fn flush_early(&mut self) {
        if self.adverts.len() >= ADVERTS_AT_ONCE {
            self.send_adverts();
        }
    }

    /// Sends the adverts, then renews the leases of those that left. The clocks are read before the send, that of leases first,
    /// so that a lease is never longer than the peers' patience.
    fn send_adverts(&mut self) {
        let adverts = std::mem::take(&mut self.adverts);
        let uptime = host::uptime();
        let heartbeat = host::now();
        let outgoing: Vec<Outgoing<'_>> = adverts.iter().map(|queued| queued.packet.outgoing()).collect();
        let mut failures = vec![None; adverts.len()];
        self.transmitter.send(&outgoing, |index, error| failures[index] = Some(error.to_string()));
        let mut failed = Vec::new();
        for (queued, failure) in adverts.iter().zip(&failures) {
            let slot = queued.slot;
            match failure {
                None if queued.priority != 0 && self.routers[slot].machine.state() == State::Master => {
                    self.routers[slot].machine.handle_sent(heartbeat);
                    let lease = self.routers[slot].machine.lease();
                    self.routers[slot].lease_until = Some(heartbeat + lease);
                    if let Err(error) = self.plane.renew(slot, heartbeat, uptime + lease) {
                        self.complain(slot, heartbeat, "renew the lease", error.to_string());
                    }
                }
                None => {}
                Some(error) => {
                    failed.push(slot);
                    self.complain(slot, heartbeat, "send an advert", error.clone());
                }
            }
        }
        // An advert may leave to some peers and not to others: the instance counts as failed only if none left.
        let left = |slot| adverts.iter().zip(&failures).any(|(queued, f)| queued.slot == slot && f.is_none());
        failed.retain(|&slot| !left(slot));
        failed.sort_unstable();
        failed.dedup();
        self.tell_of_failures(&failed, heartbeat);
    }

    /// Tells these instances that no advert of theirs could be sent. An instance that gives up its mastership because of that
    /// sends a resignation, in case it can leave.
    fn tell_of_failures(&mut self, failed: &[Slot], heartbeat: Time) {
        for &slot in failed {
            self.routers[slot].machine.handle_send_failed(heartbeat);
            self.react(slot, heartbeat, None);
        }
        if !self.adverts.is_empty() {
            self.send_adverts();
        }
    }

    /// Sends a few announcements. Announcements that a full buffer or queue refuses are offered again after a pause.
    fn send_announcements(&mut self) {
        let now = host::now();
        let announcements = self.announcements.take(now, ROUND_MAX);
        let outgoing = announcements.iter().map(|leaving| &leaving.announcement);
        let outgoing: Vec<Outgoing<'_>> =
            outgoing.map(|a| Outgoing::Frame { ifindex: a.ifindex, bytes: &a.bytes }).collect();
        let mut failed = Vec::new();
        self.announcer.send(&outgoing, |index, error| failed.push((index, error)));
        // The last announcement first, because each is put before the others of its lane.
        for (index, error) in failed.into_iter().rev() {
            let leaving = announcements[index].clone();
            if is_full(&error) {
                self.announcements.put_back(now, leaving);
            } else {
                self.complain(leaving.slot, now, "announce an address", error.to_string());
            }
        }
    }

    /// Closes the sockets of interfaces that nothing is sent by any more.
    fn close_unused_sockets(&mut self) {
        let used: BTreeSet<u32> = self.routers.iter().flat_map(|router| router.frames.interfaces()).collect();
        let mut unused = self.transmitter.keep(|ifindex| used.contains(&ifindex));
        unused.extend(self.announcer.keep(|ifindex| used.contains(&ifindex)));
        if !unused.is_empty() {
            // Before it closes a packet socket, the kernel waits for all processors. Adverts do not wait for that, unless no
            // thread can be made.
            let _closing = std::thread::Builder::new().name("closing".to_owned()).spawn(move || drop(unused));
        }
    }

    fn complain(&mut self, slot: Slot, now: Time, doing: &'static str, error: String) {
        let router = &mut self.routers[slot];
        if router.complained.is_none_or(|at| now - at >= COMPLAINT_INTERVAL) {
            router.complained = Some(now);
            self.tell(Effect::Failed { slot, doing, error });
        }
    }

    fn tell(&self, effect: Effect) {
        // The receiver only goes away when the daemon ends.
        let _gone = self.effects.send(effect);
    }
}

/// True if a refused packet may be accepted a moment later, because the socket's buffer or the interface's queue was full.
fn is_full(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::ENOBUFS))
}
