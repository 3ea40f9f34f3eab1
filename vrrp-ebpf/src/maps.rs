//! The maps, by the names that `bpftool` shows, and typed access to them.

use aya_ebpf::bindings::BPF_F_NO_PREALLOC;
use aya_ebpf::btf_maps::{Array, HashMap, PerCpuArray, ProgramArray, RingBuf};
use aya_ebpf::macros::btf_map;
use vrrp_ebpf::abi::{
    Agent, Counters, EVENTS_BYTES, Event, INSTANCES_MAX, Instance, InstanceKey, Lease, Settings, VIPS_MAX,
    Vip, VipKey, Vmac, VmacKey, Watchdog,
};

// Not preallocated: an update then replaces the old element by a new one and hardly ever reuses its memory at once. With
// preallocated elements it always does.
const ON_DEMAND: usize = BPF_F_NO_PREALLOC as usize;

/// 1 if an instance has `no_accept`. If none has, no time is spent on looking up the destinations of other packets. The agent
/// sets it before it loads the program, so that the kernel treats it as a constant.
#[unsafe(no_mangle)]
static NO_ACCEPT_USED: u32 = 0;

#[inline(always)]
pub(crate) fn no_accept_used() -> bool {
    crate::ctx::constant(&NO_ACCEPT_USED) != 0
}

/// Bytes of the scratch buffer: room for the longest advert, and a power of two so that a length can be masked to it.
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
#[btf_map(name = "agent")]
static AGENT: Array<Agent, 1> = Array::new();
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

/// The program that reads an instance. Each has its own copy: where a packet program runs outside a softirq, as in a test run
/// before Linux 6.2, a timer may fire while it runs.
#[derive(Clone, Copy)]
#[repr(u32)]
pub(crate) enum Reader {
    Packet = 0,
    Timer = 1,
}

#[inline(always)]
pub(crate) fn instance(key: &InstanceKey, reader: Reader) -> Option<&'static Instance> {
    // A copy, not on the BPF stack: the memory of a replaced element may be reused for another key a moment later. The copy is
    // valid only if the key in it is the one asked for.
    let instance = crate::ctx::copy_to(INSTANCES.get_ptr(key)?, CURRENT.get_ptr_mut(reader as u32)?);
    instance.key.same(key).then_some(instance)
}

// An element may have been replaced, and its memory used for another key, while it was copied. Then the folded key in the copy is
// another one, and the present element is looked up again. A second lookup each time would be paid for by every frame to a virtual
// hardware address, and by every packet that leaves from a virtual address.
#[inline(always)]
pub(crate) fn vip(key: &VipKey) -> Option<Vip> {
    let vip = crate::ctx::copy(VIPS.get_ptr(key)?);
    if vip.key_fold == key.fold() { Some(vip) } else { VIPS.get_ptr(key).map(crate::ctx::copy) }
}

#[inline(always)]
pub(crate) fn vmac(key: &VmacKey) -> Option<Vmac> {
    let vmac = crate::ctx::copy(VMACS.get_ptr(key)?);
    if vmac.key_fold == key.fold() { Some(vmac) } else { VMACS.get_ptr(key).map(crate::ctx::copy) }
}

#[inline(always)]
pub(crate) fn lease(slot: u32) -> Option<Lease> {
    LEASES.get_ptr(slot).map(crate::ctx::copy)
}

/// Returns true if the agent has reported lately that it runs.
#[inline(always)]
pub(crate) fn agent_runs(now_ns: u64) -> bool {
    AGENT.get_ptr(0).is_some_and(|agent| now_ns < crate::ctx::copy(agent).alive_until_ns)
}

/// Returns true if the operator wants to see the adverts that the kernel half judges.
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

/// Sends an event, and wakes the agent if it has read everything before this event. The agent is not woken for each of 255
/// events at once, since a wake-up takes longer than all the rest (measured: the median loss of a master was noticed 485 µs
/// late with a wake-up for each event, 17 µs without).
///
/// No event is lost by this. After the event is in the ring, the kernel checks how far the agent has read. An agent that is
/// further behind has yet to look at the ring. An agent that finds an event only half written does not sleep, because `epoll`
/// is level triggered and returns at once while anything in the ring is unread.
///
/// An event that does not fit is counted, and the agent's sweep finds the same information in the watchdog. Returns false if
/// the event did not fit.
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
