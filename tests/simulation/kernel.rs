//! A model of the kernel half of one node: of `program.rs` and `watchdog.rs`, with the shared rule and the shared election. The
//! kernel half hears and answers while its agent stalls, and after the agent has crashed.

use std::collections::VecDeque;
use std::time::Duration;

use vrrp_agent::vrrp::{Heard, Resume, SavedState, Time, Watch};
use vrrp_ebpf::abi::{ALIVE_TIME_NS, EventKind, Role};
use vrrp_ebpf::advert::{Address, Advert, Datagram, Rules, accept};
use vrrp_ebpf::election::{AtBackup, AtMaster, Candidate, Takeover};

/// As in the program: the shortest time between two events about a rival or a changed master.
const RIVAL_INTERVAL: Duration = Duration::from_millis(10);
/// As in the agent: how late the report of a lost master may be.
const SWEEP_GRACE: Duration = Duration::from_millis(20);

/// The agent's instructions for an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Desired {
    pub(crate) epoch: u64,
    pub(crate) role: Role,
    pub(crate) candidate: Candidate,
    pub(crate) rules: Rules,
    pub(crate) takeover: Takeover,
}

/// The kernel half's knowledge of an instance.
#[derive(Clone, Copy, Debug, Default)]
struct Watchdog {
    epoch: u64,
    /// The time at which the timer fires, if it runs.
    armed: Option<Time>,
    deadline: Time,
    last: Option<Advert>,
    fenced_epoch: u64,
    /// The time until which the kernel half answers without the agent.
    takeover_until: Time,
    /// The sender of the advert that set the deadline.
    watched: Option<Address>,
    /// The time of the last advert that counted, told to the agent or not.
    last_at: Time,
    lower_router_epoch: u64,
    outranked: Option<Heard>,
    last_rival: Time,
    event_pending: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Lease {
    until: Time,
    epoch: u64,
}

#[derive(Clone, Copy, Debug)]
struct Event {
    kind: EventKind,
    slot: usize,
    epoch: u64,
    at: Time,
    advert: Advert,
}

/// The meaning of an event for the agent.
#[derive(Clone, Copy, Debug)]
pub(crate) enum PlaneEvent {
    Advert(Advert, Watch),
    MasterDown,
}

#[derive(Clone, Debug)]
pub(crate) struct Kernel {
    desired: Vec<Option<Desired>>,
    watchdogs: Vec<Watchdog>,
    leases: Vec<Lease>,
    /// For each instance: the time in its epoch at which a socket last heard an advert that counts and that the kernel half
    /// should have heard.
    heard_elsewhere: Vec<Option<Time>>,
    ring: VecDeque<Event>,
    /// The events of masters that were lost, kept until all else that has arrived is heard.
    lost: VecDeque<Event>,
    room: usize,
    /// The time until which the agent counts as running.
    alive_until: Time,
}

impl Kernel {
    pub(crate) fn new(slots: usize, room: usize) -> Self {
        Self {
            desired: vec![None; slots],
            watchdogs: vec![Watchdog::default(); slots],
            leases: vec![Lease::default(); slots],
            heard_elsewhere: vec![None; slots],
            ring: VecDeque::new(),
            lost: VecDeque::new(),
            room,
            alive_until: Time::default(),
        }
    }

    /// The agent reports that it runs.
    pub(crate) fn report_alive(&mut self, now: Time) {
        self.alive_until = now + Duration::from_nanos(ALIVE_TIME_NS);
    }

    pub(crate) fn apply(&mut self, slot: usize, desired: Desired) {
        if self.desired[slot].is_none_or(|before| before.epoch != desired.epoch) {
            // A takeover by the kernel half goes on while the agent confirms it.
            let taken = self.watch(slot).map(|_| self.watchdogs[slot].takeover_until);
            let until = taken.filter(|_| desired.role == Role::Master).unwrap_or_default();
            self.leases[slot] = Lease { until, epoch: desired.epoch };
            self.heard_elsewhere[slot] = None;
        }
        self.desired[slot] = Some(desired);
    }

    /// A socket hears an advert that the kernel half should have heard: its knowledge of the master is out of date.
    pub(crate) fn is_passed_by(&mut self, slot: usize, now: Time, advert: &Advert) {
        if self.desired[slot].is_some_and(|desired| desired.candidate.waits_for(advert)) {
            self.heard_elsewhere[slot] = Some(now);
        }
    }

    /// A new agent goes on with the maps: it knows nothing of what the sockets of the one before have heard.
    pub(crate) fn begin_again(&mut self) {
        self.heard_elsewhere.fill(None);
    }

    /// A reload replaces the maps by new ones that know nothing of an instance.
    pub(crate) fn forget(&mut self, slot: usize) {
        self.desired[slot] = None;
        (self.watchdogs[slot], self.leases[slot]) = (Watchdog::default(), Lease::default());
        self.ring.retain(|event| event.slot != slot);
        self.lost.retain(|event| event.slot != slot);
    }

    pub(crate) fn renew(&mut self, slot: usize, until: Time) {
        if let Some(Desired { role: Role::Master, epoch, .. }) = self.desired[slot] {
            self.leases[slot] = Lease { until, epoch };
        }
    }

    /// True if the kernel half answers ARP for the addresses.
    pub(crate) fn holds(&self, slot: usize, now: Time) -> bool {
        self.has_lease(slot, now) || self.has_taken(slot, now)
    }

    pub(crate) fn has_lease(&self, slot: usize, now: Time) -> bool {
        let Lease { until, epoch } = self.leases[slot];
        now < until && self.watchdogs[slot].fenced_epoch != epoch
    }

    /// True if the kernel half answers because it has seen the master lost, and for no other reason.
    pub(crate) fn has_taken(&self, slot: usize, now: Time) -> bool {
        let watchdog = &self.watchdogs[slot];
        let taken = now < watchdog.takeover_until && now < self.alive_until;
        !self.has_lease(slot, now) && taken && watchdog.epoch == self.leases[slot].epoch
    }

    pub(crate) fn next_timer(&self) -> Option<Time> {
        self.watchdogs.iter().filter_map(|watchdog| watchdog.armed).min()
    }

    pub(crate) fn receive(&mut self, slot: usize, now: Time, datagram: &Datagram<'_>) {
        let Some(desired) = self.desired[slot] else { return };
        let Ok(advert) = accept(datagram, &desired.rules) else { return };
        match desired.role {
            Role::Idle => {}
            Role::Backup => self.at_backup(slot, now, &desired, advert),
            Role::Master => self.at_master(slot, now, &desired, advert),
        }
    }

    fn at_backup(&mut self, slot: usize, now: Time, desired: &Desired, advert: Advert) {
        let watching = self.watchdogs[slot].epoch == desired.epoch;
        let watched = self.watchdogs[slot].watched.filter(|_| watching);
        let (kind, after) = match desired.candidate.at_backup(&advert, watched.as_ref()) {
            AtBackup::Alive { master_down_ns } => (EventKind::MasterSeen, master_down_ns),
            AtBackup::Resigned { skew_ns } if watching => (EventKind::Resigned, skew_ns),
            AtBackup::Resigned { .. } => {
                return self.report_rival(EventKind::Unwatched, slot, now, desired, advert);
            }
            AtBackup::Unrelated => return,
            AtBackup::Outranked => {
                let watchdog = &mut self.watchdogs[slot];
                (watchdog.lower_router_epoch, watchdog.takeover_until) = (desired.epoch, Time::default());
                watchdog.outranked = Some(Heard { advert, at: now });
                return self.report_rival(EventKind::Outranked, slot, now, desired, advert);
            }
        };
        let watchdog = &mut self.watchdogs[slot];
        (watchdog.watched, watchdog.last_at) = (Some(advert.source), now);
        watchdog.takeover_until = Time::default();
        watchdog.deadline = now + Duration::from_nanos(after);
        // The timer is set lazily: a timer that runs is only moved to an earlier time.
        watchdog.armed = Some(watchdog.armed.map_or(watchdog.deadline, |armed| armed.min(watchdog.deadline)));
        let first = watchdog.epoch != desired.epoch;
        let same = |last: Advert| {
            (last.source, last.priority, last.interval_ns)
                == (advert.source, advert.priority, advert.interval_ns)
        };
        let changed = !watchdog.last.is_some_and(same);
        if first || watchdog.event_pending || (changed && now - watchdog.last_rival >= RIVAL_INTERVAL) {
            (watchdog.last, watchdog.last_rival, watchdog.epoch) = (Some(advert), now, desired.epoch);
            let told = self.send(Event { kind, slot, epoch: desired.epoch, at: now, advert });
            self.watchdogs[slot].event_pending = !told;
        }
    }

    fn at_master(&mut self, slot: usize, now: Time, desired: &Desired, advert: Advert) {
        match desired.candidate.at_master(&advert) {
            AtMaster::Echo | AtMaster::Resigned => {
                self.report_rival(EventKind::Rival, slot, now, desired, advert);
            }
            AtMaster::Superior { .. } => {
                let watchdog = &mut self.watchdogs[slot];
                let first = watchdog.fenced_epoch != desired.epoch;
                (watchdog.last, watchdog.fenced_epoch) = (Some(advert), desired.epoch);
                if first {
                    self.send(Event {
                        kind: EventKind::Superior,
                        slot,
                        epoch: desired.epoch,
                        at: now,
                        advert,
                    });
                } else {
                    self.report_rival(EventKind::Superior, slot, now, desired, advert);
                }
            }
            AtMaster::Inferior => {
                let watchdog = &mut self.watchdogs[slot];
                watchdog.lower_router_epoch = desired.epoch;
                watchdog.outranked = Some(Heard { advert, at: now });
                self.report_rival(EventKind::Rival, slot, now, desired, advert);
            }
        }
    }

    fn report_rival(&mut self, kind: EventKind, slot: usize, now: Time, desired: &Desired, advert: Advert) {
        if now - self.watchdogs[slot].last_rival >= RIVAL_INTERVAL {
            self.watchdogs[slot].last_rival = now;
            self.send(Event { kind, slot, epoch: desired.epoch, at: now, advert });
        }
    }

    /// Fires the timers that are due. The kernel half takes over by itself only while the agent has reported lately that it
    /// runs.
    pub(crate) fn fire(&mut self, now: Time) {
        for slot in 0..self.watchdogs.len() {
            let watchdog = &mut self.watchdogs[slot];
            if watchdog.armed.is_none_or(|at| at > now) {
                continue;
            }
            if watchdog.deadline > now {
                watchdog.armed = Some(watchdog.deadline);
                continue;
            }
            watchdog.armed = None;
            let (epoch, last) = (watchdog.epoch, watchdog.last);
            let waits = self.desired[slot]
                .is_some_and(|desired| desired.epoch == epoch && desired.role == Role::Backup);
            if let (true, Some(advert), Some(desired)) = (waits, last, self.desired[slot]) {
                let may_take_over = desired.takeover == Takeover::Kernel && now < self.alive_until;
                if may_take_over && self.watchdogs[slot].lower_router_epoch != epoch {
                    let interval = Duration::from_nanos(desired.rules.interval_ns);
                    self.watchdogs[slot].takeover_until = now + interval;
                }
                self.send(Event { kind: EventKind::MasterLost, slot, epoch, at: now, advert });
            }
        }
    }

    /// Puts an event into the ring. False if the ring is full.
    fn send(&mut self, event: Event) -> bool {
        let fits = self.ring.len() < self.room;
        if fits {
            self.ring.push_back(event);
        }
        fits
    }

    /// The next event that the agent reads, as its data plane understands it. The loss of a master is put by for
    /// [`Self::next_lost`].
    pub(crate) fn next_event(&mut self) -> Option<(usize, PlaneEvent)> {
        while let Some(event) = self.ring.pop_front() {
            if !self.is_of_this_epoch(&event) {
                continue;
            }
            let signal = match event.kind {
                EventKind::MasterSeen | EventKind::Resigned => {
                    PlaneEvent::Advert(event.advert, Watch::Kernel)
                }
                EventKind::Outranked | EventKind::Rival | EventKind::Unwatched => {
                    PlaneEvent::Advert(event.advert, Watch::Here)
                }
                EventKind::Superior => PlaneEvent::Advert(event.advert, Watch::Fenced),
                EventKind::MasterLost => {
                    self.lost.push_back(event);
                    continue;
                }
                EventKind::Conflict | EventKind::Refused => continue,
            };
            return Some((event.slot, signal));
        }
        None
    }

    fn is_of_this_epoch(&self, event: &Event) -> bool {
        self.desired[event.slot].is_some_and(|desired| desired.epoch == event.epoch)
    }

    /// The next instance whose master is lost. The ring and the sockets must be empty: the adverts in them count first.
    pub(crate) fn next_lost(&mut self) -> Option<usize> {
        while let Some(event) = self.lost.pop_front() {
            // If a socket has heard the master since, the state machine's own timer watches it.
            let is_over = self.watch(event.slot).is_some_and(|(deadline, _)| deadline <= event.at);
            if is_over && self.is_of_this_epoch(&event) {
                return Some(event.slot);
            }
        }
        None
    }

    /// The time until which the master of an instance counts as alive, and its last advert, if the watch is of this epoch and
    /// not out of date.
    pub(crate) fn watch(&self, slot: usize) -> Option<(Time, Advert)> {
        let (watchdog, desired) = (&self.watchdogs[slot], self.desired[slot]?);
        let knows = self.heard_elsewhere[slot].is_none_or(|heard| watchdog.last_at > heard);
        let live = watchdog.epoch == desired.epoch && desired.role == Role::Backup && knows;
        live.then_some((watchdog.deadline, watchdog.last?))
    }

    /// The last advert of any router in this epoch.
    pub(crate) fn last_heard(&self, slot: usize) -> Option<Heard> {
        let (watchdog, desired) = (&self.watchdogs[slot], self.desired[slot]?);
        if desired.role == Role::Master {
            return None;
        }
        let counted = watchdog.last.filter(|_| watchdog.epoch == desired.epoch);
        let counted = counted.map(|advert| Heard { advert, at: watchdog.last_at });
        let outranked = watchdog.outranked.filter(|_| watchdog.lower_router_epoch == desired.epoch);
        [counted, outranked].into_iter().flatten().max_by_key(|heard| heard.at)
    }

    /// The past of an instance, as a new agent finds it.
    pub(crate) fn saved(&self, slot: usize) -> SavedState {
        let Some(Desired { epoch, role, .. }) = self.desired[slot] else {
            return SavedState { epoch: 0, resume: Resume::Nothing };
        };
        let (watchdog, lease) = (&self.watchdogs[slot], self.leases[slot]);
        let resume = match role {
            Role::Master if lease.epoch == epoch && watchdog.fenced_epoch != epoch => {
                Resume::Holding { until: lease.until }
            }
            Role::Backup if watchdog.epoch == epoch => match watchdog.last {
                Some(advert) => {
                    let heard = Heard { advert, at: watchdog.last_at };
                    let outranked = watchdog.outranked.filter(|_| watchdog.lower_router_epoch == epoch);
                    Resume::Watching { heard, deadline: watchdog.deadline, outranked }
                }
                None => Resume::Nothing,
            },
            Role::Idle | Role::Backup | Role::Master => Resume::Nothing,
        };
        SavedState { epoch, resume }
    }

    /// The signal that the agent should have got by now, if there is one.
    pub(crate) fn sweep(&self, slot: usize, now: Time) -> Option<PlaneEvent> {
        if self.watch(slot).is_some_and(|(deadline, _)| deadline + SWEEP_GRACE < now) {
            return Some(PlaneEvent::MasterDown);
        }
        Some(PlaneEvent::Advert(self.fence(slot)?, Watch::Fenced))
    }

    /// The last advert of a lower router while the instance is master, in this epoch.
    pub(crate) fn lower_router(&self, slot: usize) -> Option<Heard> {
        let (watchdog, desired) = (&self.watchdogs[slot], self.desired[slot]?);
        let here = desired.role == Role::Master && watchdog.lower_router_epoch == desired.epoch;
        watchdog.outranked.filter(|_| here)
    }

    /// The advert of a better master for which the kernel half has stopped to answer in this epoch.
    pub(crate) fn fence(&self, slot: usize) -> Option<Advert> {
        let (watchdog, desired) = (&self.watchdogs[slot], self.desired[slot]?);
        let fenced = desired.role == Role::Master && watchdog.fenced_epoch == desired.epoch;
        watchdog.last.filter(|_| fenced)
    }
}
