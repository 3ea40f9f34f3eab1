//! The inputs of the protocol thread: events of the data plane, and deadlines that have passed.

use std::net::IpAddr;
use std::time::Duration;

use vrrp_ebpf::advert::{Address, Advert, List, PRIORITY_OWNER, Reject};

use super::{Effect, Engine};
use crate::daemon::messages::{Late, Notice};
use crate::dataplane::{PlaneEvent, Slot};
use crate::vrrp::{State, Time, Watch};
use crate::wire::advert::ip;

/// The most notices about the other routers of an instance. After that no more are logged, because any host can invent
/// addresses.
const NOTICES_MAX: usize = 64;

impl Engine {
    pub(super) fn take_event(&mut self, plane_event: PlaneEvent, now: Time) {
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
    pub(super) fn catch_up(&mut self, slot: Slot) {
        if let Some(heard) = self.plane.last_heard(slot) {
            self.routers[slot].machine.catch_up(heard);
        }
    }

    /// Starts the state machine's own master-down timer with the kernel's deadline. The timer runs until the next advert hands
    /// the watch to the kernel again, under another key or in another program.
    pub(super) fn watch_here(&mut self, slot: Slot, now: Time) {
        if let Some(watch) = self.plane.kernel_watch(slot) {
            self.routers[slot].machine.watch_here(now, watch.deadline);
        }
    }

    /// Reports a refused advert of our own virtual router, unless a report of the last hour had the same sender and reason. Of many
    /// senders the last ones are remembered.
    fn refuse(&mut self, slot: Slot, source: IpAddr, reject: Reject, now: Time) {
        if self.routers[slot].refusals.is_new(now, (source, reject)) {
            self.tell(Effect::Refused { slot, source, reject });
        }
    }

    /// Reports an advert that shows a disagreement between the routers of an instance: once for each router and disagreement.
    fn notice(&mut self, slot: Slot, advert: &Advert) {
        let router = &self.routers[slot];
        let notice = match (advert.priority, advert.list) {
            _ if advert.source == router.machine.candidate().address => Some(Notice::OwnAddress),
            (PRIORITY_OWNER, _) if router.machine.priority() == PRIORITY_OWNER => Some(Notice::TwoOwners),
            (_, List::Other) => Some(Notice::OtherAddresses),
            (_, List::Same) => None,
        };
        // RFC 9568 section 7.1. In version 2 an advert with another interval is refused.
        let ours_ns = router.rules.interval_ns;
        let interval = (advert.interval_ns != ours_ns).then(|| Notice::OtherInterval {
            theirs: Duration::from_nanos(advert.interval_ns),
            ours: Duration::from_nanos(ours_ns),
        });
        for notice in [notice, interval].into_iter().flatten() {
            self.say(slot, notice, advert.source);
        }
    }

    pub(super) fn say(&mut self, slot: Slot, notice: Notice, of: Address) {
        let router = &mut self.routers[slot];
        // A router that changes its interval again and again is reported once too.
        let kind = (std::mem::discriminant(&notice), of);
        if router.noticed.len() < NOTICES_MAX && !router.noticed.contains(&kind) {
            router.noticed.push(kind);
            let address = ip(router.key.family, &of);
            self.tell(Effect::Notice { slot, notice, address });
        }
    }

    /// Hands a master the advert of another router that the kernel has heard and whose event it may not have read: of a better
    /// master, or of a lower router that has taken over while this thread stood still.
    pub(super) fn hear_as_master(&mut self, slot: Slot, now: Time) {
        let machine = &mut self.routers[slot].machine;
        if let Some(advert) = self.plane.fence(slot) {
            machine.handle_advert(now, &advert, Watch::Fenced);
        } else if machine.has_stalled(now)
            && let Some(heard) =
                self.plane.lower_router(slot).filter(|heard| machine.is_overtaken_by(now, heard))
        {
            machine.handle_advert(now, &heard.advert, Watch::Here);
        }
    }

    pub(super) fn take_deadline(&mut self, slot: Slot, now: Time) {
        let machine = &mut self.routers[slot].machine;
        let late = machine.next_deadline().map(|at| Late { noticed: None, acted: now - at });
        // Ask the kernel first. A backup: the master may live, and the event have been lost. A master: the kernel may have
        // heard a better master while this thread did not run, before we advertise as master.
        let unheard = match machine.state() {
            State::Backup => {
                let alive = self.plane.kernel_watch(slot).filter(|watch| watch.deadline > now);
                alive.map(|watch| (watch.advert, Watch::Kernel))
            }
            State::Master => {
                self.hear_as_master(slot, now);
                None
            }
            State::Initialize | State::Fault => None,
        };
        let machine = &mut self.routers[slot].machine;
        if let Some((advert, watch)) = unheard {
            machine.handle_advert(now, &advert, watch);
        }
        // Still due: the kernel does not watch, or the master that it watches ranks below us by now.
        if machine.next_deadline().is_some_and(|at| at <= now) {
            machine.handle_timeout(now);
        }
        self.react(slot, now, late);
    }
}
