//! The maps, by the names that `bpftool` shows, and typed access to them.

use aya_ebpf::bindings::BPF_F_NO_PREALLOC;
use aya_ebpf::btf_maps::{Array, HashMap, PerCpuArray, ProgramArray, RingBuf};
use aya_ebpf::macros::btf_map;
use vrrp_ebpf::abi::{
    Counters, EVENTS_BYTES, Event, INSTANCES_MAX, Instance, InstanceKey, Lease, Settings, VIPS_MAX, Vip,
    VipKey, Vmac, VmacKey, Watchdog,
};

// Not preallocated: an update then puts a new element in the old one's place, and hardly ever reuses its memory at once, as
// it always does with preallocated elements.
const ON_DEMAND: usize = BPF_F_NO_PREALLOC as usize;

/// 1 if an instance has `no_accept`: otherwise nobody pays for looking where packets go. Set by the agent before it loads the
/// program, so that the kernel knows it for a constant.
#[unsafe(no_mangle)]
static REFUSING: u32 = 0;

#[inline(always)]
pub(crate) fn refusing() -> bool {
    crate::ctx::constant(&REFUSING) != 0
}

/// Room for the longest advert, a power of two so that a length can be masked to it.
pub(crate) const SCRATCH_BYTES: usize = 2048;

#[btf_map(name = "instances")]
static INSTANCES: HashMap<InstanceKey, Instance, INSTANCES_MAX, ON_DEMAND> = HashMap::new();
#[btf_map(name = "vips")]
static VIPS: HashMap<VipKey, Vip, VIPS_MAX, ON_DEMAND> = HashMap::new();
#[btf_map(name = "vmacs")]
static VMACS: HashMap<VmacKey, Vmac, INSTANCES_MAX, ON_DEMAND> = HashMap::new();
#[btf_map(name = "leases")]
static LEASES: Array<Lease, INSTANCES_MAX> = Array::new();
#[btf_map(name = "watchdogs")]
pub(crate) static WATCHDOGS: Array<Watchdog, INSTANCES_MAX> = Array::new();
#[btf_map(name = "counters")]
static COUNTERS: PerCpuArray<Counters, 1> = PerCpuArray::new();
#[btf_map(name = "settings")]
static SETTINGS: Array<Settings, 1> = Array::new();
#[btf_map(name = "next")]
pub(crate) static NEXT: ProgramArray<1> = ProgramArray::new();
#[btf_map(name = "scratch")]
static SCRATCH: PerCpuArray<[u8; SCRATCH_BYTES], 1> = PerCpuArray::new();
#[btf_map(name = "current")]
static CURRENT: PerCpuArray<Instance, 2> = PerCpuArray::new();
#[btf_map(name = "events")]
static EVENTS: RingBuf<Event, EVENTS_BYTES> = RingBuf::new();

/// The reader of an instance. Each has a copy of its own: where a packet's program runs outside a softirq, as in a test run before Linux
/// 6.2, a timer may go off in the middle of it.
#[derive(Clone, Copy)]
#[repr(u32)]
pub(crate) enum Reader {
    Packet = 0,
    Timer = 1,
}

#[inline(always)]
pub(crate) fn instance(key: &InstanceKey, reader: Reader) -> Option<&'static Instance> {
    // A copy, off the stack: the memory of a replaced element may serve another key a moment later, and what was copied is
    // only ours if it says so.
    let instance = crate::ctx::copy_to(INSTANCES.get_ptr(key)?, CURRENT.get_ptr_mut(reader as u32)?);
    instance.key.same(key).then_some(instance)
}

// These have no key in them to compare. Whether the copy is of this key is asked by looking it up again: the element may have been
// replaced, and its memory used for another key, while it was copied. The agent writes them on reloads only, so a second copy is
// not made in vain.
#[inline(always)]
pub(crate) fn vip(key: &VipKey) -> Option<Vip> {
    let first = VIPS.get_ptr(key)?;
    let copy = crate::ctx::copy(first);
    let now = VIPS.get_ptr(key)?;
    Some(if now == first { copy } else { crate::ctx::copy(now) })
}

#[inline(always)]
pub(crate) fn vmac(key: &VmacKey) -> Option<Vmac> {
    let first = VMACS.get_ptr(key)?;
    let copy = crate::ctx::copy(first);
    let now = VMACS.get_ptr(key)?;
    Some(if now == first { copy } else { crate::ctx::copy(now) })
}

#[inline(always)]
pub(crate) fn lease(slot: u32) -> Option<Lease> {
    LEASES.get_ptr(slot).map(crate::ctx::copy)
}

/// Whether somebody wants to see the adverts that we judge.
#[inline(always)]
pub(crate) fn show_adverts() -> bool {
    SETTINGS.get_ptr(0).is_some_and(|settings| crate::ctx::copy(settings).show_adverts != 0)
}

#[inline(always)]
pub(crate) fn watchdog(slot: u32) -> Option<*mut Watchdog> {
    WATCHDOGS.get_ptr_mut(slot)
}

#[inline(always)]
pub(crate) fn scratch() -> Option<*mut [u8; SCRATCH_BYTES]> {
    SCRATCH.get_ptr_mut(0)
}

/// Adds one to a counter of this CPU.
#[inline(always)]
pub(crate) fn count(counter: impl FnOnce(&mut Counters) -> &mut u64) {
    if let Some(counters) = COUNTERS.get_ptr_mut(0) {
        crate::ctx::increment(counters, counter);
    }
}

/// Sends an event and wakes the agent, if it has read all that is before it: not for each of 255 events at once, since a wake-up
/// takes longer than all the rest (measured: the median master was noticed 485 µs late with a wake-up for each, 17 without).
///
/// None is lost by that. The kernel looks how far the agent has read after the event is in the ring; an agent that is further
/// behind has yet to look at the ring, and one that finds an event only half written does not sleep: `epoll` is level triggered
/// and returns at once while anything in the ring is unread.
///
/// An event that does not fit is counted, and what it said stands in the watchdog for the agent's sweep. False if it did not.
#[inline(always)]
pub(crate) fn send(event: Event) -> bool {
    const WAKE_WHO_WAITS: u64 = 0;
    match EVENTS.reserve(0) {
        Some(mut entry) => {
            entry.write(event);
            entry.submit(WAKE_WHO_WAITS);
            true
        }
        None => {
            count(|c| &mut c.event_lost);
            false
        }
    }
}
