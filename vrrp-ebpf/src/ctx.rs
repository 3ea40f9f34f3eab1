//! The only module that dereferences pointers: packet memory ([`packet`]), map values, timers.

pub(crate) mod packet;

use core::arch::asm;
use core::ffi::c_void;

use aya_ebpf::bindings::bpf_timer;
use aya_ebpf::helpers::{
    bpf_csum_diff, bpf_ktime_get_boot_ns, bpf_ktime_get_ns, bpf_timer_init, bpf_timer_set_callback,
    bpf_timer_start,
};
use vrrp_ebpf::abi::{AbiPod, Counters, Watchdog};
use vrrp_ebpf::advert::MESSAGE_MAX;

/// Returns the folded sum of a message, calculated by the kernel's own checksum helper. The result is the one of
/// [`vrrp_ebpf::checksum::sum`]. Returns zero if the length is not a multiple of four; no valid message has such a length, and
/// no valid message has the sum zero.
///
/// The message is summed in parts, since kernels before 6.12 take 512 bytes at most.
#[inline(always)]
pub(crate) fn sum(message: &[u8]) -> u32 {
    const PART: usize = 512;
    let mut sum = 0;
    let mut done = 0;
    while done < MESSAGE_MAX {
        if message.len() > done {
            let left = opaque(message.len() - done);
            let size = if left > PART { PART } else { ((left - 1) & (PART - 1)) + 1 };
            // SAFETY: the message has at least `size` bytes from `done` on; its buffer is larger than any message.
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
    // The helper has added the words in this machine's byte order. For a one's complement sum it is enough to put the bytes of
    // the result in order.
    let sum = sum as u64 & 0xffff_ffff;
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    u32::from(u16::from_be(sum as u16))
}

/// Returns the same number, but hides its range from the compiler. The compiler then keeps a mask that it would otherwise
/// remove as superfluous, and that the verifier needs.
#[inline(always)]
fn opaque(mut number: usize) -> usize {
    // SAFETY: a register moved to itself.
    unsafe { asm!("{0} = {0}", inout(reg) number) };
    number
}

/// Copies a map value into a value that only this CPU uses, where it stays until the program ends. The copy is made word by
/// word, with volatile accesses, because the compiler would otherwise call `memcpy`, which is a loop over bytes in BPF and took
/// 70 ns.
#[inline(always)]
pub(crate) fn copy_to<T: AbiPod>(from: *const T, to: *mut T) -> &'static T {
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

/// Reads a constant for which the loader may have set another value than the compiler knows.
#[inline(always)]
pub(crate) fn constant(value: &u32) -> u32 {
    // SAFETY: a reference may always be read.
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

/// Changes a watchdog through a pointer that a map lookup returned. Writers race; every field is a separate word, and the
/// fields that decide a race are exchanged atomically below.
#[inline(always)]
pub(crate) fn with<R>(watchdog: *mut Watchdog, change: impl FnOnce(&mut Watchdog) -> R) -> R {
    // SAFETY: a pointer that a map lookup returned, used before the program ends.
    unsafe { change(&mut *watchdog) }
}

/// Executes `BPF_XCHG`, which is sequentially consistent. In assembly, because `core` has only load and store for atomics on
/// this target.
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

/// Exchanges the time until which the kernel half answers on its own; a full barrier.
#[inline(always)]
pub(crate) fn swap_takeover(watchdog: *mut Watchdog, until_ns: u64) -> u64 {
    // SAFETY: an aligned word of a map value.
    unsafe { exchange(&raw mut (*watchdog).takeover_until_ns, until_ns) }
}

/// Exchanges the mark that the timer runs; a full barrier.
#[inline(always)]
pub(crate) fn swap_armed(watchdog: *mut Watchdog, armed: u64) -> u64 {
    // SAFETY: an aligned word of a map value.
    unsafe { exchange(&raw mut (*watchdog).armed, armed) }
}

/// The function that the kernel calls when a timer fires, with the map, the key and the value.
pub(crate) type Callback = extern "C" fn(*mut c_void, *mut u32, *mut Watchdog) -> i64;

/// Initialises the timer and sets its callback. Returns false if there was no memory for the timer: the kernel does not wait
/// for memory here, so this may fail even on a machine with plenty. A repeated call changes nothing.
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
