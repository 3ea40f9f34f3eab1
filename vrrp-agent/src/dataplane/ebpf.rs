//! The data plane in the kernel, while it works: keeps the maps as wanted, renews leases, reads events.

use std::collections::VecDeque;
use std::fmt;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd};
use std::time::Duration;

use aya::maps::{Array, HashMap, Map, MapData, MapError, PerCpuArray, RingBuf};
use vrrp_ebpf::abi::{
    ALIVE_TIME_NS, Agent, Counters, Event, EventKind, Instance, InstanceKey, Lease, Role, Settings, Watchdog,
};
use vrrp_ebpf::advert::{Advert, List, Reject, VerifiedBy};

use super::bpffs::PinDirectory;
use super::canary::{Canaries, Hearing, Unseen};
use super::error::{EbpfError, map_error};
use super::kernel::KernelHalf;
use super::maps::{PodValue, slot_u32, take};
use super::{Desired, KernelWatch, PlaneEvent, Slot, SocketPlane};
use crate::host;
use crate::vrrp::{Heard, Time, Watch};
use crate::wire::advert::ip;

/// How late the kernel's report of a lost master may be before the sweep reports the master as lost too.
const SWEEP_GRACE: Duration = Duration::from_millis(20);

/// The maps that change while the daemon runs: the state of the instances, and the reports of the kernel.
pub struct EbpfPlane {
    instances: HashMap<MapData, PodValue<InstanceKey>, PodValue<Instance>>,
    leases: Array<MapData, PodValue<Lease>>,
    watchdogs: Array<MapData, PodValue<Watchdog>>,
    counters: PerCpuArray<MapData, PodValue<Counters>>,
    events: RingBuf<MapData>,
    settings: Array<MapData, PodValue<Settings>>,
    agent: Array<MapData, PodValue<Agent>>,
    /// Hears what the kernel passes because only the agent can judge it, and interfaces that have no program.
    listener: SocketPlane,
    /// Hear adverts that the program should have dropped.
    canaries: Canaries,
    /// For each slot, the time at which a socket last heard an advert that counts and that the kernel's watch does not know of.
    heard_here: Vec<Option<Time>>,
    waiting: VecDeque<PlaneEvent>,
    attached: String,
    desired: Vec<Option<Desired>>,
}

impl fmt::Debug for EbpfPlane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EbpfPlane").field("attached", &self.attached).finish_non_exhaustive()
    }
}

impl EbpfPlane {
    /// Takes the maps that change out of the kernel half. `listener` hears what only the agent can judge; `hearings` say how
    /// each interface is heard.
    ///
    /// # Errors
    /// If the kernel half has other maps than this agent's.
    pub fn new(
        half: &mut KernelHalf,
        slots: usize,
        listener: SocketPlane,
        hearings: Vec<Hearing>,
    ) -> Result<Self, EbpfError> {
        let attached = half.describe();
        let ebpf = &mut half.ebpf;
        let mut plane = Self {
            instances: HashMap::try_from(take(ebpf, "instances")?).map_err(map_error("instances"))?,
            leases: Array::try_from(take(ebpf, "leases")?).map_err(map_error("leases"))?,
            watchdogs: Array::try_from(take(ebpf, "watchdogs")?).map_err(map_error("watchdogs"))?,
            counters: PerCpuArray::try_from(take(ebpf, "counters")?).map_err(map_error("counters"))?,
            events: RingBuf::try_from(take(ebpf, "events")?).map_err(map_error("events"))?,
            settings: Array::try_from(take(ebpf, "settings")?).map_err(map_error("settings"))?,
            agent: Array::try_from(take(ebpf, "agent")?).map_err(map_error("agent"))?,
            listener,
            canaries: Canaries::default(),
            heard_here: vec![None; slots],
            waiting: VecDeque::new(),
            attached,
            desired: vec![None; slots],
        };
        for hearing in hearings {
            plane.hear(hearing.ifindex, hearing);
        }
        Ok(plane)
    }

    pub(super) fn apply(&mut self, desired: &Desired) -> Result<(), EbpfError> {
        let before = self.desired[desired.slot];
        if before.as_ref() == Some(desired) {
            return Ok(());
        }
        // Any other epoch starts without a lease: the addresses are answered for after an advert, not before. But a takeover by
        // the kernel goes on while the agent confirms it.
        if before.map(|before| before.epoch).or_else(|| self.lease_epoch(desired.slot)) != Some(desired.epoch)
        {
            let until_boot_ns = match desired.role {
                Role::Master => self.takeover_until(desired.slot).map_or(0, boot_ns),
                Role::Idle | Role::Backup => 0,
            };
            self.write_lease(desired.slot, Lease { heartbeat_ns: 0, until_boot_ns, epoch: desired.epoch })?;
        }
        let instance = Instance {
            epoch: desired.epoch,
            rules: desired.rules,
            candidate: desired.candidate,
            slot: slot_u32(desired.slot),
            role: desired.role,
            key: desired.key,
            takeover: desired.takeover,
        };
        self.instances
            .insert(PodValue(desired.key), PodValue(instance), 0)
            .map_err(map_error("instances"))?;
        if self.is_heard_here(desired) {
            self.listener.apply(desired);
        }
        if before.is_none_or(|before| before.epoch != desired.epoch) {
            self.heard_here[desired.slot] = None;
        }
        self.desired[desired.slot] = Some(*desired);
        Ok(())
    }

    /// True if sockets, not the program, hear the adverts of an instance.
    fn is_heard_here(&self, desired: &Desired) -> bool {
        match desired.rules.verified_by {
            VerifiedBy::Agent => true,
            VerifiedBy::Kernel => self.canaries.is_by_sockets(desired.key.ifindex),
        }
    }

    pub(super) fn hear(&mut self, gone: u32, hearing: Hearing) {
        let Hearing { ifindex, by, receiver } = hearing;
        self.canaries.set(gone, ifindex, by);
        match receiver {
            Some(receiver) => self.listener.listen(gone, receiver),
            None => self.listener.stop_listening(ifindex),
        }
        let on_it = self.desired.iter().flatten().filter(|desired| desired.key.ifindex == ifindex);
        for desired in on_it.copied().collect::<Vec<_>>() {
            if self.is_heard_here(&desired) {
                self.listener.apply(&desired);
            } else {
                self.listener.forget(desired.slot, &desired.key);
            }
        }
    }

    pub(super) fn forget(&mut self, slot: Slot, key: &InstanceKey) -> Result<(), EbpfError> {
        self.listener.forget(slot, key);
        self.desired[slot] = None;
        match self.instances.remove(&PodValue(*key)) {
            Ok(()) | Err(MapError::KeyNotFound) => Ok(()),
            Err(error) => Err(map_error("instances")(error)),
        }
    }

    pub(super) fn set_description(&mut self, attached: String) {
        self.attached = attached;
    }

    pub(super) fn renew(&mut self, slot: Slot, heartbeat: Time, until: Duration) -> Result<(), EbpfError> {
        match self.desired[slot] {
            Some(Desired { role: Role::Master, epoch, .. }) => {
                let lease =
                    Lease { heartbeat_ns: heartbeat.as_nanos(), until_boot_ns: boot_ns(until), epoch };
                self.write_lease(slot, lease)
            }
            Some(_) | None => Ok(()),
        }
    }

    pub(super) fn report_alive(&mut self, now: Time) -> Result<(), EbpfError> {
        let agent = Agent { alive_until_ns: now.as_nanos() + ALIVE_TIME_NS };
        self.agent.set(0, PodValue(agent), 0).map_err(map_error("agent"))
    }

    /// Returns the end of the time for which the kernel answers by itself, after it has seen a master lost in the epoch that
    /// ends now.
    fn takeover_until(&self, slot: Slot) -> Option<Duration> {
        let until = Time::from_nanos(self.watchdog(slot)?.takeover_until_ns);
        // The clock of leases is read first: the time that passes between the two readings makes the lease shorter.
        let uptime = host::uptime();
        let left = until - host::now();
        (!left.is_zero()).then_some(uptime + left)
    }

    /// Returns the epoch in which an earlier run may have held the addresses.
    fn lease_epoch(&self, slot: Slot) -> Option<u64> {
        self.leases.get(&slot_u32(slot), 0).ok().map(|PodValue(lease)| lease.epoch)
    }

    fn write_lease(&mut self, slot: Slot, lease: Lease) -> Result<(), EbpfError> {
        self.leases.set(slot_u32(slot), PodValue(lease), 0).map_err(map_error("leases"))
    }

    pub(super) fn next_event(&mut self) -> Option<PlaneEvent> {
        while let Some(event) = self.events.next().and_then(|entry| read_event(&entry)) {
            if let Some(plane_event) = self.plane_event(&event) {
                return Some(plane_event);
            }
        }
        if let Some(waiting) = self.waiting.pop_front() {
            return Some(waiting);
        }
        if let Some(plane_event) = self.unseen() {
            return Some(plane_event);
        }
        let plane_event = self.listener.next_event();
        if let Some(PlaneEvent::Advert { slot, advert, .. }) = plane_event {
            self.note_heard_here(slot, &advert, host::now());
        }
        plane_event
    }

    /// Notes that a socket has heard a master, which the state machine watches from here on. An advert that does not count is
    /// not noted: the state machine watches no master then, and the kernel's watch must end as if there had been no advert, or
    /// no router would ever take over.
    fn note_heard_here(&mut self, slot: Slot, advert: &Advert, now: Time) {
        if self.desired[slot].is_some_and(|desired| desired.candidate.waits_for(advert)) {
            self.heard_here[slot] = Some(now);
        }
    }

    /// Returns the next advert that the program should have dropped: the state machine hears of it, and then the daemon.
    fn unseen(&mut self) -> Option<PlaneEvent> {
        while let Some(Unseen { ifindex, slot, advert }) = self.canaries.next(&self.desired) {
            // With this setting the program itself lets adverts through once it has judged them.
            if self.shows_adverts() {
                continue;
            }
            let now = host::now();
            let told = self.canaries.is_to_be_told(now).then_some(PlaneEvent::Unseen { ifindex });
            let is_idle = self.desired[slot].is_some_and(|desired| desired.role == Role::Idle);
            match advert.filter(|_| !is_idle) {
                Some(advert) => {
                    self.note_heard_here(slot, &advert, now);
                    self.waiting.extend(told);
                    return Some(PlaneEvent::Advert { slot, advert, watch: Watch::Here });
                }
                None if told.is_some() => return told,
                None => {}
            }
        }
        None
    }

    /// True if adverts go on to the stack once the program has judged them.
    fn shows_adverts(&self) -> bool {
        self.settings.get(&0, 0).is_ok_and(|PodValue(settings)| settings.show_adverts != 0)
    }

    /// Translates an event into a signal; `None` if the instance has moved on since.
    fn plane_event(&self, event: &Event) -> Option<PlaneEvent> {
        let time = Time::from_nanos(event.time_ns);
        let slot = event.slot as usize;
        let desired = self.desired.get(slot).copied().flatten()?;
        if desired.epoch != event.epoch {
            return None;
        }
        let advert = Advert {
            source: event.address,
            priority: event.priority.try_into().ok()?,
            interval_ns: event.interval_ns,
            list: event.list,
        };
        match event.kind {
            EventKind::MasterSeen | EventKind::Resigned => {
                Some(PlaneEvent::Advert { slot, advert, watch: Watch::Kernel })
            }
            EventKind::Outranked | EventKind::Rival | EventKind::Unwatched => {
                Some(PlaneEvent::Advert { slot, advert, watch: Watch::Here })
            }
            EventKind::Superior => Some(PlaneEvent::Advert { slot, advert, watch: Watch::Fenced }),
            // If an advert has arrived since, the deadline has moved past the time of the event, and the watch goes on. The
            // deadline is not compared with *our* clock, whose reading may be older than the event.
            EventKind::MasterLost if self.kernel_watch(slot).is_some_and(|watch| watch.deadline > time) => {
                None
            }
            // A socket has heard the master since; the state machine's own timer watches it.
            EventKind::MasterLost if self.watchdog(slot).is_none() => None,
            EventKind::MasterLost => Some(PlaneEvent::MasterDown {
                slot,
                deadline: Time::from_nanos(event.deadline_ns),
                noticed: Some(time),
            }),
            EventKind::Refused => Some(PlaneEvent::Refused {
                slot,
                source: ip(desired.key.family, &event.address),
                reject: Reject::from_code(event.refusal)?,
            }),
            EventKind::Conflict => Some(PlaneEvent::Conflict {
                slot,
                address: ip(desired.key.family, &event.address),
                mac: event.mac,
            }),
        }
    }

    pub(super) fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        // SAFETY: the ring owns the descriptor and is borrowed for as long as it is used.
        let events = unsafe { BorrowedFd::borrow_raw(self.events.as_raw_fd()) };
        let canaries = self.canaries.receivers().iter().map(|receiver| receiver.as_fd());
        [events].into_iter().chain(canaries).chain(self.listener.descriptors()).collect()
    }

    fn watchdog(&self, slot: Slot) -> Option<Watchdog> {
        let PodValue(watchdog) = self.watchdogs.get(&slot_u32(slot), 0).ok()?;
        let desired = self.desired.get(slot).copied().flatten()?;
        let last_advert = Time::from_nanos(watchdog.last_advert_ns);
        let knows = self.heard_here[slot].is_none_or(|heard| last_advert > heard);
        (watchdog.epoch == desired.epoch && desired.role == Role::Backup && knows).then_some(watchdog)
    }

    pub(super) fn kernel_watch(&self, slot: Slot) -> Option<KernelWatch> {
        let watchdog = self.watchdog(slot)?;
        Some(KernelWatch {
            deadline: Time::from_nanos(watchdog.deadline_ns),
            advert: heard_by(&watchdog)?,
            heard: Time::from_nanos(watchdog.last_advert_ns),
            adverts: watchdog.adverts,
        })
    }

    pub(super) fn last_heard(&self, slot: Slot) -> Option<Heard> {
        let PodValue(watchdog) = self.watchdogs.get(&slot_u32(slot), 0).ok()?;
        let desired = self.desired.get(slot).copied().flatten()?;
        if desired.role == Role::Master {
            return None;
        }
        let counted = (watchdog.epoch == desired.epoch).then(|| heard_by(&watchdog)).flatten();
        let at = Time::from_nanos(watchdog.last_advert_ns);
        let counted = counted.map(|advert| Heard { advert, at });
        [counted, lower_router(&watchdog, desired.epoch)].into_iter().flatten().max_by_key(|heard| heard.at)
    }

    pub(super) fn fence(&self, slot: Slot) -> Option<Advert> {
        let desired = self.desired[slot].filter(|desired| desired.role == Role::Master)?;
        let PodValue(watchdog) = self.watchdogs.get(&slot_u32(slot), 0).ok()?;
        heard_by(&watchdog).filter(|_| watchdog.fenced_epoch == desired.epoch)
    }

    pub(super) fn lower_router(&self, slot: Slot) -> Option<Heard> {
        let desired = self.desired[slot].filter(|desired| desired.role == Role::Master)?;
        let PodValue(watchdog) = self.watchdogs.get(&slot_u32(slot), 0).ok()?;
        lower_router(&watchdog, desired.epoch)
    }

    pub(super) fn sweep(&self, now: Time) -> Vec<PlaneEvent> {
        let overdue = |slot: Slot| {
            let deadline = Time::from_nanos(self.watchdog(slot)?.deadline_ns);
            (deadline + SWEEP_GRACE < now).then_some(PlaneEvent::MasterDown { slot, deadline, noticed: None })
        };
        let fenced = |slot: Slot| {
            let advert = self.fence(slot)?;
            Some(PlaneEvent::Advert { slot, advert, watch: Watch::Fenced })
        };
        (0..self.desired.len()).filter_map(|slot| overdue(slot).or_else(|| fenced(slot))).collect()
    }

    pub(super) fn counters(&self) -> Counters {
        let mut total = Counters::default();
        let Ok(values) = self.counters.get(&0, 0) else { return total };
        for PodValue(cpu) in values.iter() {
            total.add(cpu);
        }
        // The kernel has already counted the adverts that are of no instance here.
        total.add(&Counters { advert_not_ours: 0, ..*self.listener.counters() });
        total
    }

    pub(super) fn describe(&self) -> String {
        self.attached.clone()
    }
}

/// Sets, for the agent that has these pins, running or not, if adverts that the program has judged go on to the stack, where
/// tcpdump sees them.
///
/// # Errors
/// If there is no such map.
pub fn show_adverts(pins: &PinDirectory, show: bool) -> Result<(), EbpfError> {
    let set = || -> Result<(), MapError> {
        let map = Map::from_map_data(MapData::from_pin(pins.path.join("settings"))?)?;
        let mut settings: Array<MapData, PodValue<Settings>> = Array::try_from(map)?;
        let PodValue(before) = settings.get(&0, 0)?;
        settings.set(0, PodValue(Settings { show_adverts: show.into(), ..before }), 0)
    };
    set().map_err(map_error("settings"))
}

pub(super) fn heard_by(watchdog: &Watchdog) -> Option<Advert> {
    Some(Advert {
        source: watchdog.master,
        priority: watchdog.master_priority.try_into().ok()?,
        interval_ns: watchdog.master_interval_ns,
        list: if watchdog.master_list == List::Other as u32 { List::Other } else { List::Same },
    })
}

/// Returns the lower router that was heard last in an epoch.
pub(super) fn lower_router(watchdog: &Watchdog, epoch: u64) -> Option<Heard> {
    let advert = Advert {
        source: watchdog.lower_router,
        priority: watchdog.lower_router_priority.try_into().ok()?,
        interval_ns: watchdog.lower_router_interval_ns,
        list: List::Same,
    };
    let heard = Heard { advert, at: Time::from_nanos(watchdog.lower_router_ns) };
    (watchdog.lower_router_epoch == epoch).then_some(heard)
}

/// A time since the host was started, as leases have it.
fn boot_ns(uptime: Duration) -> u64 {
    u64::try_from(uptime.as_nanos()).unwrap_or(u64::MAX)
}

/// Reads an event from the ring. Bytes that are too few for an [`Event`] cannot come from our program.
fn read_event(bytes: &[u8]) -> Option<Event> {
    if bytes.len() < size_of::<Event>() {
        return None;
    }
    // SAFETY: written by our own program as this type, and long enough; the ring aligns to 8 bytes at most.
    Some(unsafe { bytes.as_ptr().cast::<Event>().read_unaligned() })
}
