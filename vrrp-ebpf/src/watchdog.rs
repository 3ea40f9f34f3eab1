//! The master-down timers.
//!
//! Re-armed lazily: an advert stores the new deadline and leaves the timer alone; the callback, when it fires early,
//! sleeps for the rest. Timer work is then independent of the advert rate. Only a deadline that moves earlier (a
//! resignation, a shorter interval) moves the timer.
//!
//! The race between an advert and the callback is decided by two exchanges, each a full barrier. An advert stores the
//! deadline, then marks the timer as running; the callback takes the mark away, then reads the deadline. Whatever the
//! interleaving, either the callback sees the new deadline and sleeps on, or the advert sees the mark gone and starts
//! the timer. Both may happen, and the later start wins; whoever starts a timer therefore reads the deadline once more and,
//! if it has moved earlier meanwhile, starts the timer again. A watch without a timer, or with one too late, cannot be.

use core::ffi::c_void;

use vrrp_ebpf::abi::{Event, EventKind, Role, Watchdog};
use vrrp_ebpf::advert::List;
use vrrp_ebpf::election::Takeover;

use crate::ctx;
use crate::maps::{self, Reader};

/// Makes the timer, ahead of time. False if it must be tried again.
#[inline(always)]
pub(crate) fn prepare(watchdog: *mut Watchdog) -> bool {
    ctx::prepare_timer(watchdog, fired)
}

/// Expects the master again by `deadline_ns`. False if the timer could not be set: then nobody watches here.
#[inline(always)]
pub(crate) fn expect_by(watchdog: *mut Watchdog, now_ns: u64, deadline_ns: u64) -> bool {
    let before_ns = ctx::swap_deadline(watchdog, deadline_ns);
    let running = ctx::swap_armed(watchdog, 1) == 1;
    if running && deadline_ns >= before_ns {
        return true;
    }
    if !running {
        // Made when the agent started, as a rule.
        prepare(watchdog);
    }
    start(watchdog, now_ns, deadline_ns)
}

/// A router advertises: if the kernel answers for the addresses by itself, it ends.
#[inline(always)]
pub(crate) fn yield_to_advert(watchdog: *mut Watchdog) {
    ctx::swap_taken(watchdog, 0);
}

/// Starts the timer for a deadline, or for an earlier one that another CPU has stored meanwhile.
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

/// Answers for the addresses from now on, until the agent has confirmed it, which it must before its first advert is due. Not
/// where a lower router is heard: that one answers until it has heard us.
///
/// An advert meanwhile, on another CPU, stores what it has to say and then takes this back; we say it and then look what is
/// stored. Whatever the interleaving, one of the two sees the other.
#[inline(always)]
fn take_over(watchdog: *mut Watchdog, now_ns: u64, epoch: u64, interval_ns: u64) {
    ctx::swap_taken(watchdog, now_ns + interval_ns);
    let outranked = ctx::with(watchdog, |w| w.outranked_epoch) == epoch;
    if outranked || ctx::deadline(watchdog) > now_ns {
        ctx::swap_taken(watchdog, 0);
    } else {
        maps::count(|c| &mut c.taken_over);
    }
}

/// The callback. Not exported, because the kernel wants it static.
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
    // The instance may have changed its role, or be gone, since the timer was set: then nobody waits for this.
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
