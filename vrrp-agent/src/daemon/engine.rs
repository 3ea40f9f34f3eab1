//! The thread that runs the protocol and sends adverts; it waits for nothing else. It decides nothing itself: it hands inputs
//! to the state machines, carries out their outputs, and sleeps until the next deadline.
//!
//! Inputs that have arrived are handed in before a deadline that has passed. Nothing in here logs, forks or speaks netlink:
//! work that might block is an [`Effect`], carried out elsewhere.

mod commands;
mod hear;
pub(super) mod reload;
mod router;
mod send;

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::EventFd;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use tokio::sync::mpsc::UnboundedSender;
use vrrp_ebpf::abi::ALIVE_INTERVAL_NS;
use vrrp_ebpf::election::Takeover;

use super::announcements::Announcements;
use super::messages::{Command, Effect, EngineState, InstanceState, Late};
use crate::config::{Config, StartDelay};
use crate::dataplane::{DataPlane, PlaneEvent, Slot};
use crate::host;
use crate::net::NetError;
use crate::net::transmit::Transmitter;
use crate::vrrp::{Output, State, Time, Watch, group};
pub(super) use router::Router;
use send::Queued;

/// A shorter difference than this between two looks at the clocks is no suspension of the host.
const SUSPENSION_MIN: Duration = Duration::from_millis(500);
/// The interval at which the kernel's watches are checked, in case an event has been lost.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);
/// The interval at which this thread reports to the kernel that it runs, while the kernel may take over for an instance.
const ALIVE_INTERVAL: Duration = Duration::from_nanos(ALIVE_INTERVAL_NS);
/// The most signals that are heard in one round, and the most announcements that are sent: a flood, or a thousand addresses,
/// must not hold up an advert.
const ROUND_MAX: usize = 256;

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
    config: Arc<Config>,
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
        config: Arc<Config>,
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
            config,
            generation: 0,
        })
    }

    /// Runs until told to stop, and returns the data plane, because its fence stays up until the addresses are gone.
    pub(super) fn run(mut self) -> io::Result<DataPlane> {
        let now = host::now();
        let StartDelay { from_start, from_boot } = self.config.start_delay;
        let delay = from_start.max(from_boot.saturating_sub(host::uptime()));
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
        if let Next::Stop = next {
            // Nothing is started or decided any more.
            self.flush();
            return next;
        }
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
            for slot in 0..self.routers.len() {
                let machine = &mut self.routers[slot].machine;
                if machine.waits_to_preempt()
                    && let Some(heard) = self.plane.last_heard(slot)
                {
                    machine.check_preempt_delay(now, heard);
                }
            }
        }
        self.flush();
        if self.next_alive <= now && self.may_take_over() {
            self.next_alive = now + ALIVE_INTERVAL;
            // Without the report the kernel leaves the takeover to this thread.
            let _not_reported = self.plane.report_alive(now);
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

    /// Returns the state of all instances, as plain data: the text for people is composed elsewhere.
    fn state(&self, now: Time) -> EngineState {
        let instance = |(slot, router): (Slot, &Router)| InstanceState {
            state: router.machine.state(),
            since: router.machine.since(),
            cause: router.cause,
            priority: router.machine.priority(),
            source: router.source,
            heard: router.machine.heard().map(|heard| heard.advert),
            waits_for_group: router.machine.claims(),
            lease_until: router.lease_until,
            kernel_deadline: self.plane.kernel_watch(slot).map(|watch| watch.deadline),
            next_deadline: router.machine.next_deadline(),
            statistics: *router.machine.statistics(),
        };
        EngineState {
            at: now,
            config: Arc::clone(&self.config),
            dataplane: self.plane.describe(),
            counters: self.plane.counters(),
            instances: self.routers.iter().enumerate().map(instance).collect(),
        }
    }

    /// Called after an input: the sync group agrees again, and then all outputs of its members are carried out.
    fn react(&mut self, slot: Slot, now: Time, late: Option<Late>) {
        let Some(group) = self.routers[slot].group else { return self.drain(slot, late) };
        let members = self.routers.iter().filter(|router| router.group == Some(group));
        if group::is_about_to_resign(members.map(|router| &router.machine)) {
            self.hear_fences(group, now);
        }
        let members = self.routers.iter_mut().filter(|router| router.group == Some(group));
        group::settle(now, members.map(|router| &mut router.machine));
        for slot in 0..self.routers.len() {
            if self.routers[slot].group == Some(group) {
                self.drain(slot, late);
            }
        }
    }

    /// Hands each master of a sync group the advert of the better master that the kernel has heard, if any: its event may have yet to
    /// be read, and would be of a past epoch once the group has resigned.
    fn hear_fences(&mut self, group: usize, now: Time) {
        for slot in 0..self.routers.len() {
            let router = &mut self.routers[slot];
            if router.group == Some(group)
                && router.machine.state() == State::Master
                && let Some(advert) = self.plane.fence(slot)
            {
                router.machine.handle_advert(now, &advert, Watch::Fenced);
            }
        }
    }

    /// Carries out the outputs of an instance. The data plane comes first: a master that steps down stops answering before
    /// anything else, and a new one is known to the kernel before its first advert renews the lease.
    fn drain(&mut self, slot: Slot, late: Option<Late>) {
        let router = &mut self.routers[slot];
        if let Err(error) = self.plane.apply(&router.desired(slot)) {
            let error = error.to_string();
            self.tell(Effect::Failed { slot: Some(slot), doing: "change the kernel's maps", error });
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

    fn tell(&self, effect: Effect) {
        // The receiver only goes away when the daemon ends.
        let _gone = self.effects.send(effect);
    }
}
