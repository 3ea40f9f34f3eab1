//! The only place where pointers are followed: packet memory ([`packet`]), map values, timers.

pub(crate) mod packet;

use core::arch::asm;
use core::ffi::c_void;

use aya_ebpf::bindings::bpf_timer;
use aya_ebpf::helpers::{
    bpf_csum_diff, bpf_ktime_get_boot_ns, bpf_ktime_get_ns, bpf_timer_init, bpf_timer_set_callback,
    bpf_timer_start,
};
use vrrp_ebpf::abi::{Counters, Plain, Watchdog};
use vrrp_ebpf::advert::MESSAGE_MAX;

/// The sum of a message by the kernel's own checksum, folded; as [`vrrp_ebpf::checksum::sum`] counts. Of a message whose
/// length is no multiple of four, which none is that is valid, it is zero, which is no valid message's.
///
/// In parts, since kernels before 6.12 take 512 bytes at most.
#[inline(always)]
pub(crate) fn sum(message: &[u8]) -> u32 {
    const PART: usize = 512;
    let mut sum = 0;
    let mut done = 0;
    while done < MESSAGE_MAX {
        if message.len() > done {
            let left = opaque(message.len() - done);
            let size = if left > PART { PART } else { ((left - 1) & (PART - 1)) + 1 };
            // SAFETY: the message goes on for so many bytes; its buffer has room for more than any.
            sum = unsafe {
                let from = message.as_ptr().add(done).cast_mut().cast();
                bpf_csum_diff(core::ptr::null_mut(), 0, from, size as u32, sum as u32)
            };
            if sum < 0 {
                return 0;
            }
        }
        done += PART;
    }
    // Words were added as this machine reads them; a one's complement sum only needs its bytes put in order at the end.
    let sum = sum as u64 & 0xffff_ffff;
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    u32::from(u16::from_be(sum as u16))
}

/// The same number, but the compiler no longer knows its range: a mask that it would find superfluous stays, for the
/// verifier, which does not.
#[inline(always)]
fn opaque(mut number: usize) -> usize {
    // SAFETY: a register moved to itself.
    unsafe { asm!("{0} = {0}", inout(reg) number) };
    number
}

/// Copies a map value into one that is this CPU's alone, where it stays until the program ends. Word by word, and volatile so
/// that it stays so: left to the compiler it is a call of `memcpy`, which is a loop over bytes here and took 70 ns.
#[inline(always)]
pub(crate) fn copy_to<T: Plain>(from: *const T, to: *mut T) -> &'static T {
    const { assert!(align_of::<T>() == align_of::<u64>() && size_of::<T>().is_multiple_of(size_of::<u64>())) };
    let mut word = 0;
    while word < size_of::<T>() / size_of::<u64>() {
        // SAFETY: pointers to whole values that map lookups returned, made of words without padding; programs of one CPU do not
        // interrupt each other, since they all run in its network softirq.
        unsafe { to.cast::<u64>().add(word).write_volatile(from.cast::<u64>().add(word).read_volatile()) };
        word += 1;
    }
    // SAFETY: as above.
    unsafe { &*to }
}

/// Reads a constant that the loader may have set to something else than the compiler knows.
#[inline(always)]
pub(crate) fn constant(value: &u32) -> u32 {
    // SAFETY: a reference.
    unsafe { core::ptr::read_volatile(value) }
}

/// Copies a map value.
#[inline(always)]
pub(crate) fn copy<T: Copy>(value: *const T) -> T {
    // SAFETY: a pointer that a map lookup returned, read before the program ends.
    unsafe { *value }
}

#[inline(always)]
pub(crate) fn increment(counters: *mut Counters, counter: impl FnOnce(&mut Counters) -> &mut u64) {
    // SAFETY: this CPU's element, which no other program writes.
    unsafe { *counter(&mut *counters) += 1 };
}

/// Nanoseconds of `CLOCK_MONOTONIC`.
#[inline(always)]
pub(crate) fn now_ns() -> u64 {
    // SAFETY: no arguments.
    unsafe { bpf_ktime_get_ns() }
}

/// Nanoseconds of `CLOCK_BOOTTIME`, which goes on while the host is suspended.
#[inline(always)]
pub(crate) fn boot_ns() -> u64 {
    // SAFETY: no arguments.
    unsafe { bpf_ktime_get_boot_ns() }
}

/// Changes a watchdog through a pointer that a map lookup returned. Writers race; every field is a word of its own, and
/// the two that decide a race are exchanged atomically below.
#[inline(always)]
pub(crate) fn with<R>(watchdog: *mut Watchdog, change: impl FnOnce(&mut Watchdog) -> R) -> R {
    // SAFETY: a pointer that a map lookup returned, used before the program ends.
    unsafe { change(&mut *watchdog) }
}

/// `BPF_XCHG`: sequentially consistent. By hand, because `core` gives this target's atomics only load and store.
///
/// # Safety
/// `word` is an aligned word of a map value.
#[inline(always)]
unsafe fn exchange(word: *mut u64, mut value: u64) -> u64 {
    // SAFETY: the caller's promise.
    unsafe { asm!("{value} = xchg_64({word} + 0, {value})", word = in(reg) word, value = inout(reg) value) };
    value
}

/// Exchanges the deadline; a full barrier.
#[inline(always)]
pub(crate) fn swap_deadline(watchdog: *mut Watchdog, deadline_ns: u64) -> u64 {
    // SAFETY: an aligned word of a map value.
    unsafe { exchange(&raw mut (*watchdog).deadline_ns, deadline_ns) }
}

/// Reads the deadline, once.
#[inline(always)]
pub(crate) fn deadline(watchdog: *mut Watchdog) -> u64 {
    // SAFETY: an aligned word of a map value.
    unsafe { (&raw const (*watchdog).deadline_ns).read_volatile() }
}

/// Exchanges until when the kernel answers by itself; a full barrier.
#[inline(always)]
pub(crate) fn swap_taken(watchdog: *mut Watchdog, until_ns: u64) -> u64 {
    // SAFETY: an aligned word of a map value.
    unsafe { exchange(&raw mut (*watchdog).taken_until_ns, until_ns) }
}

/// Exchanges the mark that the timer runs; a full barrier.
#[inline(always)]
pub(crate) fn swap_armed(watchdog: *mut Watchdog, armed: u64) -> u64 {
    // SAFETY: an aligned word of a map value.
    unsafe { exchange(&raw mut (*watchdog).armed, armed) }
}

/// What the kernel calls when a timer fires: the map, the key, the value.
pub(crate) type Callback = extern "C" fn(*mut c_void, *mut u32, *mut Watchdog) -> i64;

/// Makes the timer and gives it its callback. False if there was no memory for it: the kernel does not wait for any here, so
/// that this may fail on a machine with plenty. Doing it again changes nothing.
#[inline(always)]
pub(crate) fn prepare_timer(watchdog: *mut Watchdog, callback: Callback) -> bool {
    const CLOCK_MONOTONIC: u64 = 1;
    const ALREADY_MADE: i64 = -16; // EBUSY
    // SAFETY: the timer of a map value, and the map that it lives in.
    unsafe {
        let timer = (&raw mut (*watchdog).timer).cast::<bpf_timer>();
        let made =
            bpf_timer_init(timer, (&raw const crate::maps::WATCHDOGS).cast_mut().cast(), CLOCK_MONOTONIC);
        matches!(made, 0 | ALREADY_MADE) && bpf_timer_set_callback(timer, callback as *mut c_void) == 0
    }
}

/// Starts the timer, or moves it.
#[inline(always)]
pub(crate) fn start_timer(watchdog: *mut Watchdog, after_ns: u64) -> bool {
    // SAFETY: the timer of a map value; an uninitialised one is refused.
    unsafe { bpf_timer_start((&raw mut (*watchdog).timer).cast::<bpf_timer>(), after_ns, 0) == 0 }
}
