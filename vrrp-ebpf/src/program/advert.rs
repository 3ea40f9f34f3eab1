//! The handling of an advert: it is judged by the one rule, and handed to the watch of a backup or to the fence of a master.

use vrrp_ebpf::abi::{Event, EventKind, Instance, InstanceKey, Role, Watchdog};
use vrrp_ebpf::advert::{self, Address, Advert, Family, List, Reject, VerifiedBy};
use vrrp_ebpf::election::{AtBackup, AtMaster};
use vrrp_ebpf::frame::{self, Kind};

use super::Action;
use super::lease::due;
use crate::ctx;
use crate::ctx::packet::{Context, Packet};
use crate::maps::{self, Reader};
use crate::watchdog;

/// The least time between two events about rivals, in nanoseconds. It limits what a flood of adverts costs the agent.
const RIVAL_INTERVAL_NS: u64 = 10_000_000;

#[inline(never)]
pub(super) fn on_vrrp<C: Context>(ctx: &C, kind: Kind) -> Action {
    let family = if matches!(kind, Kind::VrrpV6) { Family::V6 } else { Family::V4 };
    let Some(carrier) = frame::carrier(&Packet(ctx), family) else { return Action::Pass };
    let whole = carrier.length >= 2 && carrier.offset + carrier.length <= ctx.length();
    let Some([_, vrid]) = Packet(ctx).pair(carrier.offset).filter(|_| whole) else { return Action::Pass };
    let key = InstanceKey { ifindex: ctx.interface(), family: carrier.family, vrid: vrid.into() };
    let Some(instance) = maps::instance(&key, Reader::Packet) else {
        maps::count(|c| &mut c.advert_not_ours);
        return Action::Pass;
    };
    match instance.rules.verified_by {
        VerifiedBy::Kernel => {}
        VerifiedBy::Agent => {
            maps::count(|c| &mut c.advert_to_agent);
            return Action::Pass;
        }
    }
    let Some(payload) = Packet(ctx).message(carrier.offset, carrier.length) else { return Action::Pass };
    let Some(watchdog) = maps::watchdog(instance.slot) else { return Action::Pass };
    match advert::accept_summed(&carrier.datagram(payload), &instance.rules, ctx::sum) {
        Err(reject) => {
            maps::count(|c| c.rejected(reject));
            // The packet may be on its way through this host to another one.
            if matches!(reject, Reject::Destination) {
                return Action::Pass;
            }
            report_refusal(instance, watchdog, carrier.source, reject);
        }
        Ok(advert) => match instance.role {
            Role::Idle => maps::count(|c| &mut c.advert_idle),
            Role::Backup => {
                count_believed(instance, &advert);
                at_backup(&key, instance, watchdog, &advert);
            }
            Role::Master => {
                count_believed(instance, &advert);
                at_master(instance, watchdog, &advert);
            }
        },
    }
    if maps::show_adverts() { Action::Pass } else { Action::Drop }
}

#[inline(always)]
fn count_believed(instance: &Instance, advert: &Advert) {
    maps::count(|c| &mut c.advert_accepted);
    if advert.source.same(&instance.candidate.address) {
        maps::count(|c| &mut c.own_address);
    }
    match advert.list {
        List::Same => {}
        List::Other => maps::count(|c| &mut c.other_addresses),
    }
}

#[inline(always)]
fn at_backup(key: &InstanceKey, instance: &Instance, watchdog: *mut Watchdog, advert: &Advert) {
    let now_ns = ctx::now_ns();
    let (watching, watched) = ctx::with(watchdog, |w| (w.epoch == instance.epoch, w.watched));
    let (kind, deadline_ns) = match instance.candidate.at_backup(advert, watching.then_some(&watched)) {
        AtBackup::Alive { master_down_ns } => (EventKind::MasterSeen, now_ns + master_down_ns),
        AtBackup::Resigned { skew_ns } if watching => (EventKind::Resigned, now_ns + skew_ns),
        AtBackup::Resigned { .. } => {
            // No master is watched in this epoch yet. The agent knows which router it heard before this epoch, and its own
            // timer runs.
            report_rival(EventKind::Unwatched, instance, watchdog, advert, now_ns);
            return;
        }
        AtBackup::Unrelated => return,
        AtBackup::Outranked => {
            note_lower_router(instance, watchdog, advert, now_ns);
            watchdog::yield_to_advert(watchdog);
            report_rival(EventKind::Outranked, instance, watchdog, advert, now_ns);
            return;
        }
    };
    let watched = watchdog::expect_by(watchdog, now_ns, deadline_ns);
    watchdog::yield_to_advert(watchdog);
    let news = ctx::with(watchdog, |w| {
        let first = w.epoch != instance.epoch;
        let changed = !w.master.same(&advert.source)
            || w.master_priority != u32::from(advert.priority)
            || w.master_interval_ns != advert.interval_ns;
        w.last_advert_ns = now_ns;
        w.watched = advert.source;
        w.adverts += 1;
        // The first advert of an epoch is always reported, because it hands the watch over to the kernel half. A change that
        // follows another one too soon is not stored either, so that the next advert is still news.
        let news =
            first || w.event_pending != 0 || (changed && now_ns - w.last_rival_ns >= RIVAL_INTERVAL_NS);
        if news {
            w.key = *key;
            w.master = advert.source;
            w.master_priority = advert.priority.into();
            w.master_interval_ns = advert.interval_ns;
            w.master_list = advert.list as u32;
            w.last_rival_ns = now_ns;
            w.epoch = instance.epoch;
        }
        news
    });
    if !watched {
        // Then each advert is reported to the agent, whose own timer watches: slower, but the loss of a master is always
        // noticed.
        maps::send(event(EventKind::Unwatched, instance, advert, now_ns, deadline_ns));
    } else if news {
        let told = maps::send(event(kind, instance, advert, now_ns, deadline_ns));
        ctx::with(watchdog, |w| w.event_pending = u32::from(!told));
    }
}

#[inline(always)]
fn at_master(instance: &Instance, watchdog: *mut Watchdog, advert: &Advert) {
    let now_ns = ctx::now_ns();
    match instance.candidate.at_master(advert) {
        // Another router with our address, or a loop: no election, but the operator is told.
        AtMaster::Echo => report_rival(EventKind::Rival, instance, watchdog, advert, now_ns),
        AtMaster::Superior { .. } => {
            // The fence stops all answers in this epoch, before the agent has woken. The first such advert is reported whatever
            // the limit, because it ends a mastership.
            let first = ctx::with(watchdog, |w| {
                let first = w.fenced_epoch != instance.epoch;
                w.master = advert.source;
                w.master_priority = advert.priority.into();
                w.master_interval_ns = advert.interval_ns;
                w.last_advert_ns = now_ns;
                w.fenced_epoch = instance.epoch;
                first
            });
            if first {
                maps::send(event(EventKind::Superior, instance, advert, now_ns, 0));
            } else {
                report_rival(EventKind::Superior, instance, watchdog, advert, now_ns);
            }
        }
        AtMaster::Resigned => report_rival(EventKind::Rival, instance, watchdog, advert, now_ns),
        AtMaster::Inferior => {
            // An agent that stalls must know of it, even if the ring has no room for the event.
            note_lower_router(instance, watchdog, advert, now_ns);
            report_rival(EventKind::Rival, instance, watchdog, advert, now_ns);
        }
    }
}

#[inline(always)]
fn note_lower_router(instance: &Instance, watchdog: *mut Watchdog, advert: &Advert, now_ns: u64) {
    ctx::with(watchdog, |w| {
        w.lower_router = advert.source;
        w.lower_router_ns = now_ns;
        w.lower_router_interval_ns = advert.interval_ns;
        w.lower_router_priority = advert.priority.into();
        w.lower_router_epoch = instance.epoch;
    });
}

#[inline(always)]
fn report_rival(kind: EventKind, instance: &Instance, watchdog: *mut Watchdog, advert: &Advert, now_ns: u64) {
    if ctx::with(watchdog, |w| due(&mut w.last_rival_ns, now_ns, RIVAL_INTERVAL_NS)) {
        maps::send(event(kind, instance, advert, now_ns, 0));
    }
}

/// Reports a rejected advert of this virtual router, so that the agent can log its sender and the reason: two routers that
/// reject each other's adverts are both master.
#[inline(always)]
fn report_refusal(instance: &Instance, watchdog: *mut Watchdog, source: Address, reject: Reject) {
    /// The least time between two such events. It limits what a flood of them costs the agent.
    const INTERVAL_NS: u64 = 1_000_000_000;
    let now_ns = ctx::now_ns();
    if ctx::with(watchdog, |w| due(&mut w.last_refusal_ns, now_ns, INTERVAL_NS)) {
        maps::send(Event {
            kind: EventKind::Refused,
            slot: instance.slot,
            epoch: instance.epoch,
            time_ns: now_ns,
            deadline_ns: 0,
            interval_ns: 0,
            address: source,
            priority: 0,
            list: List::Same,
            mac: [0; 6],
            refusal: reject.code(),
        });
    }
}

#[inline(always)]
fn event(kind: EventKind, instance: &Instance, advert: &Advert, time_ns: u64, deadline_ns: u64) -> Event {
    Event {
        kind,
        slot: instance.slot,
        epoch: instance.epoch,
        time_ns,
        deadline_ns,
        interval_ns: advert.interval_ns,
        address: advert.source,
        priority: advert.priority.into(),
        list: advert.list,
        mac: [0; 6],
        refusal: 0,
    }
}
