//! The master-down timers.
//!
//! The timers are re-armed lazily: an advert stores the new deadline and does not touch the timer; a callback that fires early
//! restarts the timer for the rest of the time. The timer work therefore does not depend on the advert rate. Only a deadline
//! that moves earlier (a resignation, a shorter interval) moves the timer.
//!
//! The race between an advert and the callback is decided by two exchanges, each a full barrier. An advert stores the deadline,
//! then marks the timer as running; the callback clears the mark, then reads the deadline. In any interleaving, either the
//! callback sees the new deadline and restarts the timer, or the advert sees that the mark is cleared and starts the timer.
//! Both may happen, and the later start wins. Therefore both read the deadline once more after they have started the timer and,
//! if the deadline has moved earlier meanwhile, start the timer again. A watch without a timer, or with a timer that fires too
//! late, is not possible.

use core::ffi::c_void;

use vrrp_ebpf::abi::{Event, EventKind, Role, Watchdog};
use vrrp_ebpf::advert::List;
use vrrp_ebpf::election::Takeover;

use crate::ctx;
use crate::maps::{self, Reader};

/// Initialises the timer in advance. Returns false if the call must be repeated.
#[inline(always)]
pub(crate) fn prepare(watchdog: *mut Watchdog) -> bool {
    ctx::prepare_timer(watchdog, fired)
}

/// Sets `deadline_ns` as the deadline for the master's next advert. Returns false if the timer could not be set: then the
/// kernel half does not watch.
#[inline(always)]
pub(crate) fn expect_by(watchdog: *mut Watchdog, now_ns: u64, deadline_ns: u64) -> bool {
    let before_ns = ctx::swap_deadline(watchdog, deadline_ns);
    let running = ctx::swap_armed(watchdog, 1) == 1;
    if running && deadline_ns >= before_ns {
        return true;
    }
    if !running {
        // Normally the timer was initialised when the agent started.
        prepare(watchdog);
    }
    start(watchdog, now_ns, deadline_ns)
}

/// Stops the kernel half's own answers for the addresses, if it gives any, because another router advertises.
#[inline(always)]
pub(crate) fn yield_to_advert(watchdog: *mut Watchdog) {
    ctx::swap_takeover(watchdog, 0);
}

/// Starts the timer for a deadline, or for an earlier deadline that another CPU has stored meanwhile.
#[inline(always)]
fn start(watchdog: *mut Watchdog, now_ns: u64, deadline_ns: u64) -> bool {
    maps::count(|c| &mut c.timer_set);
    let mut started = ctx::start_timer(watchdog, deadline_ns.saturating_sub(now_ns));
    let latest_ns = ctx::deadline(watchdog);
    if latest_ns < deadline_ns {
        started = ctx::start_timer(watchdog, latest_ns.saturating_sub(now_ns));
    }
    if !started {
        ctx::swap_armed(watchdog, 0);
        maps::count(|c| &mut c.timer_failed);
    }
    started
}

/// Lets the kernel half answer for the addresses from now on, until the agent has confirmed the takeover; the agent must do so
/// before its first advert is due. Not if a lower router is heard: that router answers until it has heard our advert. Not
/// without a running agent: nobody would confirm the takeover, and the next backup in the same state would answer too.
///
/// An advert that arrives meanwhile on another CPU first stores its information and then ends the takeover; this function first
/// starts the takeover and then reads what is stored. In any interleaving, one of the two sees the other.
#[inline(always)]
fn take_over(watchdog: *mut Watchdog, now_ns: u64, epoch: u64, interval_ns: u64) {
    if !maps::agent_runs(now_ns) {
        return;
    }
    ctx::swap_takeover(watchdog, now_ns + interval_ns);
    let outranked = ctx::with(watchdog, |w| w.lower_router_epoch) == epoch;
    if outranked || ctx::deadline(watchdog) > now_ns {
        ctx::swap_takeover(watchdog, 0);
    } else {
        maps::count(|c| &mut c.taken_over);
    }
}

/// The callback of the timers. Not exported, because the kernel requires a static function.
#[inline(never)]
extern "C" fn fired(_map: *mut c_void, slot: *mut u32, watchdog: *mut Watchdog) -> i64 {
    let slot = ctx::copy(slot);
    ctx::swap_armed(watchdog, 0);
    let deadline_ns = ctx::deadline(watchdog);
    let now_ns = ctx::now_ns();
    if deadline_ns > now_ns {
        ctx::swap_armed(watchdog, 1);
        start(watchdog, now_ns, deadline_ns);
        return 0;
    }
    let (key, epoch, master, priority, interval_ns) =
        ctx::with(watchdog, |w| (w.key, w.epoch, w.master, w.master_priority, w.master_interval_ns));
    // The instance may have changed its role, or may be gone, since the timer was set: then the expiry is ignored.
    match maps::instance(&key, Reader::Timer) {
        Some(instance) if instance.epoch == epoch && matches!(instance.role, Role::Backup) => {
            match instance.takeover {
                Takeover::Kernel => take_over(watchdog, now_ns, epoch, instance.rules.interval_ns),
                Takeover::Agent => {}
            }
            maps::send(Event {
                kind: EventKind::MasterLost,
                slot,
                epoch,
                time_ns: now_ns,
                deadline_ns,
                interval_ns,
                address: master,
                priority,
                list: List::Same,
                mac: [0; 6],
                refusal: 0,
            });
        }
        Some(_) | None => {}
    }
    0
}
