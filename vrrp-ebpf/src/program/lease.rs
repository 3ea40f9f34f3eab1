//! The right to answer for an address: by a lease, or for a moment after the master was lost.

use vrrp_ebpf::abi::{Event, EventKind, Lease, Vip, VipKey, Watchdog};
use vrrp_ebpf::advert::{Address, Family, List};
use vrrp_ebpf::arp;

use crate::ctx;
use crate::ctx::packet::Context;
use crate::maps;

/// Returns true if the addresses of an instance may be answered for now: its lease lasts, and no better claim was heard in its
/// epoch; or the kernel half has seen its master lost, and the agent runs and has not yet decided about the
/// takeover.
#[inline(always)]
pub(crate) fn held(slot: u32) -> bool {
    let Some(lease) = maps::lease(slot) else { return false };
    let Some(watchdog) = maps::watchdog(slot) else { return false };
    lasts(&lease, watchdog) || is_taken_over(&lease, watchdog)
}

#[inline(always)]
fn is_taken_over(lease: &Lease, watchdog: *mut Watchdog) -> bool {
    let (until_ns, epoch) = ctx::with(watchdog, |w| (w.takeover_until_ns, w.epoch));
    if until_ns == 0 || epoch != lease.epoch {
        return false;
    }
    let now_ns = ctx::now_ns();
    now_ns < until_ns && maps::agent_runs(now_ns)
}

/// Returns true if this router defends the addresses of an instance against any claim, as a master with a lease does.
#[inline(always)]
pub(super) fn leased(slot: u32) -> bool {
    let Some(lease) = maps::lease(slot) else { return false };
    let Some(watchdog) = maps::watchdog(slot) else { return false };
    lasts(&lease, watchdog)
}

#[inline(always)]
fn lasts(lease: &Lease, watchdog: *mut Watchdog) -> bool {
    ctx::boot_ns() < lease.until_boot_ns && ctx::with(watchdog, |w| w.fenced_epoch) != lease.epoch
}

/// Returns true if a dropped outgoing frame may be reported now. Claims are not answered without a lease, so the time of the
/// last defence is free to limit these reports.
#[inline(always)]
pub(crate) fn report_due(slot: u32) -> bool {
    const INTERVAL_NS: u64 = 10_000_000_000;
    let Some(watchdog) = maps::watchdog(slot) else { return false };
    let now_ns = ctx::now_ns();
    ctx::with(watchdog, |w| due(&mut w.last_defence_ns, now_ns, INTERVAL_NS))
}

/// Returns true if another host's claim to an address that this router holds must be answered now; it is then also reported.
#[inline(always)]
pub(super) fn defence_due(vip: &Vip, address: Address, mac: [u8; 6]) -> bool {
    let Some(watchdog) = maps::watchdog(vip.slot) else { return false };
    let Some(lease) = maps::lease(vip.slot) else { return false };
    let now_ns = ctx::now_ns();
    let due = ctx::with(watchdog, |w| due(&mut w.last_defence_ns, now_ns, arp::DEFENCE_INTERVAL_NS));
    if due {
        maps::send(Event {
            kind: EventKind::Conflict,
            slot: vip.slot,
            epoch: lease.epoch,
            time_ns: now_ns,
            deadline_ns: 0,
            interval_ns: 0,
            address,
            priority: 0,
            list: List::Same,
            mac,
            refusal: 0,
        });
    }
    due
}

/// Returns true if a rate-limited action may be done again; it then counts as done now.
#[inline(always)]
pub(super) fn due(last_ns: &mut u64, now_ns: u64, interval_ns: u64) -> bool {
    let due = now_ns - *last_ns >= interval_ns;
    if due {
        *last_ns = now_ns;
    }
    due
}

#[inline(always)]
pub(crate) fn vip<C: Context>(ctx: &C, family: Family, address: Address) -> Option<Vip> {
    maps::vip(&VipKey { ifindex: ctx.interface(), family, address })
}
