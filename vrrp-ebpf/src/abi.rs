//! Keys and values of the maps, and the events: data that the agent writes for the kernel half, that the kernel half writes for
//! the agent, and that `bpftool map dump` shows to an operator. The types have no padding; their sizes are asserted. Times are
//! nanoseconds of `CLOCK_MONOTONIC`, except the end of a lease, which is in nanoseconds of `CLOCK_BOOTTIME`.
//!
//! The maps that change rarely (`instances`, `vips`, written by the agent) are separate from those that the kernel half writes
//! (`watchdogs`, `counters`), because an update of a hash element from userspace replaces the element and would free a timer in
//! it.

use crate::advert::{Address, Family, List, Reject, Rules};
use crate::election::{Candidate, Takeover};

/// The version of the layout of the data below, without the counters. An agent continues with the maps of an earlier run only if
/// they have the same version. A test fails if the layout changes and this number does not.
pub const LAYOUT: u32 = 6;

/// The greatest number of instances of one agent: 255 VRIDs on two interfaces in both families, rounded up.
pub const INSTANCES_MAX: usize = 1024;
/// The greatest number of virtual addresses that all instances may have together.
pub const VIPS_MAX: usize = 16384;
/// Bytes of the event ring.
pub const EVENTS_BYTES: usize = 256 * 1024;

/// AbiPod data: `repr(C)`, `Copy`, without padding, so that its bytes may be exchanged with the kernel.
///
/// # Safety
/// The implementor has no padding and no pointers.
pub unsafe trait AbiPod: Copy + 'static {}

macro_rules! plain {
    ($($name:ident: $size:literal),+ $(,)?) => {$(
        // SAFETY: repr(C), and the size asserted is the sum of the fields' sizes, calculated by hand.
        unsafe impl AbiPod for $name {}
        const _: () = assert!(size_of::<$name>() == $size);
    )+};
}
plain! { InstanceKey: 12, Instance: 120, VipKey: 24, Vip: 16, VmacKey: 12, Vmac: 16, Lease: 24, Watchdog: 208, Counters: 304, Settings: 8, Agent: 8, Event: 72 }

/// Key of `instances`: identifies a virtual router as the adverts on the wire do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(C)]
pub struct InstanceKey {
    /// Index of the interface on which the adverts arrive.
    pub ifindex: u32,
    /// Address family.
    pub family: Family,
    /// Virtual router identifier.
    pub vrid: u32,
}

impl InstanceKey {
    /// Returns true if both keys are equal. Does not use `memcmp`, which BPF does not have.
    #[inline(always)]
    #[must_use]
    pub const fn same(&self, other: &Self) -> bool {
        self.ifindex == other.ifindex && self.family as u32 == other.family as u32 && self.vrid == other.vrid
    }
}

/// The role of an instance, as far as the kernel half needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Role {
    /// Neither backup nor master: starting, or in fault. Adverts are dropped; an accepted one is only counted.
    Idle = 1,
    /// Watching a master.
    Backup = 2,
    /// Holding the addresses, as long as the lease lasts.
    Master = 3,
}

/// Value of `instances`, written by the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Instance {
    /// Increases with each change of role; a watch or an event of another epoch is stale.
    pub epoch: u64,
    /// The rules by which an advert is accepted.
    pub rules: Rules,
    /// The instance's own values in the election.
    pub candidate: Candidate,
    /// The instance's index in `leases` and `watchdogs`.
    pub slot: u32,
    /// Its role.
    pub role: Role,
    /// The key of this element. A reader compares it, because the memory may have been reused for another key.
    pub key: InstanceKey,
    /// The half (kernel or agent) that answers first for the addresses when the master is lost.
    pub takeover: Takeover,
}

/// Key of `vips`: an address on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(C)]
pub struct VipKey {
    /// Index of the interface on which requests for the address arrive.
    pub ifindex: u32,
    /// Address family.
    pub family: Family,
    /// The address.
    pub address: Address,
}

/// Value of `vips`, written by the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Vip {
    /// The instance's index in `leases` and `watchdogs`.
    pub slot: u32,
    /// The hardware address to answer with.
    pub mac: [u8; 6],
    /// The use of the address on this interface.
    pub usage: VipUse,
    /// The key of this element, folded. A reader compares it, because the memory may have been reused for another key.
    pub key_fold: u32,
}

impl VipKey {
    /// The key as 32 bits, in which the whole key would take more of the program's stack than there is.
    #[inline(always)]
    #[must_use]
    pub const fn fold(&self) -> u32 {
        let (first, second) = self.address.halves();
        let both = first ^ second;
        self.ifindex ^ both as u32 ^ (both >> 32) as u32
    }
}

/// The use of a virtual address on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum VipUse {
    /// Belongs to this interface, and packets to it do not reach the stack (RFC 9568: `Accept_Mode` is false).
    NoAccept = 0,
    /// Belongs to this interface, and packets to it reach the stack.
    Accept = 1,
    /// Belongs to another interface of this host. Linux answers ARP for it here too, which it may do only while the lease
    /// lasts.
    Elsewhere = 2,
}

/// Key of `vmacs`: the hardware address of a virtual router on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(C)]
pub struct VmacKey {
    /// Index of the interface on which frames to this hardware address arrive.
    pub ifindex: u32,
    /// 00:00:5e:00:01:VRID, or 02 for IPv6 (RFC 9568 section 7.3).
    pub mac: [u8; 6],
    /// Zero.
    pub reserved: u16,
}

/// Value of `vmacs`, written by the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Vmac {
    /// The instance's index in `leases` and `watchdogs`.
    pub slot: u32,
    /// The interface's own hardware address. Frames get it as their destination while this router is master.
    pub mac: [u8; 6],
    /// Zero.
    pub reserved: u16,
    /// The key of this element, folded. A reader compares it, because the memory may have been reused for another key.
    pub key_fold: u32,
}

impl VmacKey {
    /// The interface and the end of the hardware address, which has the number of the virtual router, as 32 bits.
    #[inline(always)]
    #[must_use]
    pub const fn fold(&self) -> u32 {
        let [_, _, a, b, c, d] = self.mac;
        self.ifindex ^ u32::from_ne_bytes([a, b, c, d])
    }
}

/// Value of `leases`, indexed by slot, written after each advert by the thread that sends adverts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Lease {
    /// The time when the last advert left (the clock was read just before).
    pub heartbeat_ns: u64,
    /// The end of the lease: until then the addresses may be answered for. In nanoseconds of `CLOCK_BOOTTIME`, because the
    /// peers of a suspended host wait no longer than those of any other. Zero when this router is not master.
    pub until_boot_ns: u64,
    /// The epoch to which the lease belongs; a fence of this epoch ends the lease.
    pub epoch: u64,
}

/// The kernel's timer. The kernel looks for this name and this size in the map's BTF.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(8))]
pub struct bpf_timer {
    opaque: [u64; 2],
}

/// Value of `watchdogs`, indexed by slot, written by the kernel only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Watchdog {
    /// Fires no later than the deadline; reads as zero.
    pub timer: bpf_timer,
    /// The epoch of the instance when it armed the timer.
    pub epoch: u64,
    /// 1 while the timer runs.
    pub armed: u64,
    /// The time at which the master counts as lost.
    pub deadline_ns: u64,
    /// The time of the last advert that moved the deadline, or, as master, of the last one that ranked higher.
    pub last_advert_ns: u64,
    /// Number of adverts that set or confirmed the deadline, since the program was loaded.
    pub adverts: u64,
    /// The fence: the epoch in which an advert that ranks higher was heard. No address is answered for in this epoch any more.
    pub fenced_epoch: u64,
    /// The time until which the kernel half on its own answers for the addresses of a master that it has seen lost, unless the
    /// agent confirms the takeover before. Zero when it does not answer on its own.
    pub takeover_until_ns: u64,
    /// The epoch in which a lower router has advertised last. As backup: so another router is master or is about to be. As
    /// master: so it has become master while the agent stood still, or it has yet to hear us.
    pub lower_router_epoch: u64,
    /// The time when the last event about a rival was sent; the rate of these events is limited.
    pub last_rival_ns: u64,
    /// The time when a claim to an address of ours was last answered; the rate of these answers is limited (RFC 5227 section
    /// 2.4).
    pub last_defence_ns: u64,
    /// The advertisement interval of `master`.
    pub master_interval_ns: u64,
    /// The address of the master, as last reported to the agent.
    pub master: Address,
    /// The priority of `master`.
    pub master_priority: u32,
    /// The instance watched.
    pub key: InstanceKey,
    /// The list of addresses of `master`, compared with ours: [`List`], or zero before the first advert.
    pub master_list: u32,
    /// 1 if the ring had no room for the event about this master: the next advert is reported again.
    pub event_pending: u32,
    /// The sender of the advert that has set the deadline: only its resignation shortens the deadline. `master` may be older,
    /// because a change that follows another one too soon is not reported.
    pub watched: Address,
    /// The lower router that advertised last in `lower_router_epoch`. Its adverts do not move the deadline. If our priority falls
    /// below its priority, they should have moved it.
    pub lower_router: Address,
    /// The time of that advert.
    pub lower_router_ns: u64,
    /// The advertisement interval in that advert.
    pub lower_router_interval_ns: u64,
    /// The priority in that advert.
    pub lower_router_priority: u64,
    /// The time when the last event about a refused advert was sent; the rate of these events is limited.
    pub last_refusal_ns: u64,
}

impl Watchdog {
    /// Returns a watchdog that has not watched anything yet.
    #[must_use]
    pub const fn of(key: InstanceKey) -> Self {
        Self {
            timer: bpf_timer { opaque: [0; 2] },
            epoch: 0,
            armed: 0,
            deadline_ns: 0,
            last_advert_ns: 0,
            adverts: 0,
            fenced_epoch: 0,
            takeover_until_ns: 0,
            lower_router_epoch: 0,
            last_rival_ns: 0,
            last_defence_ns: 0,
            master_interval_ns: 0,
            master: Address::NONE,
            master_priority: 0,
            key,
            master_list: 0,
            event_pending: 0,
            watched: Address::NONE,
            lower_router: Address::NONE,
            lower_router_ns: 0,
            lower_router_interval_ns: 0,
            lower_router_priority: 0,
            last_refusal_ns: 0,
        }
    }
}

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {
        /// Value of `counters`, one per CPU: VRRP, ARP and other frames, counted by what was done with them.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[repr(C)]
        pub struct Counters {
            $($(#[$doc])* pub $name: u64,)+
        }

        impl Counters {
            /// Adds the counters of another CPU.
            pub const fn add(&mut self, other: &Self) {
                $(self.$name += other.$name;)+
            }

            /// Returns the names and the values, in the order of the fields.
            pub fn entries(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name)),+].into_iter()
            }
        }
    };
}

// A new counter is appended. An agent that finds a map of another size begins a new one, and goes on with all others.
counters! {
    /// Accepted adverts.
    advert_accepted,
    /// Adverts of virtual routers that are not configured here: passed to the stack.
    advert_not_ours,
    /// Adverts for an instance that is in fault or starting: dropped.
    advert_idle,
    /// Rejected: length.
    bad_length,
    /// Rejected: TTL or hop limit.
    bad_ttl,
    /// Rejected: destination.
    bad_destination,
    /// Rejected: version.
    bad_version,
    /// Rejected: type.
    bad_type,
    /// Rejected: checksum.
    bad_checksum,
    /// Rejected: authentication type.
    bad_auth_type,
    /// Rejected: password.
    bad_password,
    /// Rejected: interval.
    bad_interval,
    /// Rejected: no address.
    no_address,
    /// Rejected by the agent: no seal.
    unsealed,
    /// Rejected by the agent: seal.
    bad_seal,
    /// Rejected by the agent: key of the seal.
    bad_seal_key,
    /// Rejected by the agent: time of the seal.
    stale,
    /// Rejected by the agent: a sequence number that was already used.
    replayed,
    /// Rejected by the agent: the sender is not a peer.
    bad_source,
    /// Adverts that the agent must judge: passed to the agent.
    advert_to_agent,
    /// Accepted adverts whose list of addresses is not ours.
    other_addresses,
    /// Accepted adverts that were sent from our own address, by another router or by a loop in the network.
    own_address,
    /// ARP requests for a VIP, answered.
    arp_answered,
    /// ARP requests for a VIP that this router does not hold: dropped without an answer.
    arp_swallowed,
    /// ARP claims of other hosts to a VIP that this router holds: answered with our own claim.
    arp_defended,
    /// Such ARP claims that were not answered, because another answer was sent just before.
    arp_defence_limited,
    /// Neighbour solicitations for a VIP, answered.
    nd_answered,
    /// Neighbour solicitations for a VIP that this router does not hold: dropped without an answer.
    nd_swallowed,
    /// Neighbour advertisements of other hosts for a VIP that this router holds: answered with our own advertisement.
    nd_defended,
    /// Such advertisements that were not answered, because another answer was sent just before.
    nd_defence_limited,
    /// Frames to a virtual router's hardware address: passed to the stack because this router is master.
    vmac_admitted,
    /// Such frames: dropped because this router is not master.
    vmac_dropped,
    /// Packets to an address with `no_accept`: dropped.
    unaccepted,
    /// Frames that this host was about to send from a VIP, or as a claim to a VIP, without a lease: dropped.
    left_dropped,
    /// Events that did not fit in the ring; the agent's sweep finds the same information in the watchdogs.
    event_lost,
    /// Timers that could not be set; the agent's sweep finds the deadline.
    timer_failed,
    /// Number of times that a timer was set or moved; less often than once per advert.
    timer_set,
    /// Lost masters for whose addresses the kernel half answered at once, before the agent.
    taken_over,
}

impl Counters {
    /// Returns the counter for a reason of rejection.
    #[inline(always)]
    pub const fn rejected(&mut self, reject: Reject) -> &mut u64 {
        match reject {
            Reject::Length => &mut self.bad_length,
            Reject::Ttl => &mut self.bad_ttl,
            Reject::Destination => &mut self.bad_destination,
            Reject::Version => &mut self.bad_version,
            Reject::Type => &mut self.bad_type,
            Reject::Checksum => &mut self.bad_checksum,
            Reject::AuthType => &mut self.bad_auth_type,
            Reject::Password => &mut self.bad_password,
            Reject::Interval => &mut self.bad_interval,
            Reject::NoAddress => &mut self.no_address,
            Reject::Unsealed => &mut self.unsealed,
            Reject::Seal => &mut self.bad_seal,
            Reject::SealKey => &mut self.bad_seal_key,
            Reject::Stale => &mut self.stale,
            Reject::Replay => &mut self.replayed,
            Reject::Source => &mut self.bad_source,
        }
    }
}

/// Value of `settings`, a map with one element. `show_adverts` may be changed with `vrrp-agent adverts show` or `bpftool`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Settings {
    /// Not zero: adverts for our virtual routers are passed to the stack after they were judged, so that tcpdump sees them.
    pub show_adverts: u32,
    /// [`LAYOUT`] of the agent that made the maps.
    pub layout: u32,
}

/// Value of `agent`, a map with one element, written by the agent while it runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Agent {
    /// The time until which the agent counts as running. It writes a later time every [`ALIVE_INTERVAL_NS`] while an instance
    /// is backup. The kernel half does not take over by itself without a running agent: only an agent can become master.
    pub alive_until_ns: u64,
}

/// The interval at which the agent of a backup reports that it runs.
pub const ALIVE_INTERVAL_NS: u64 = 100_000_000;

/// The time for which a report of the agent counts: three reports, so that a busy host may delay one or two.
pub const ALIVE_TIME_NS: u64 = 3 * ALIVE_INTERVAL_NS;

/// The kind of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum EventKind {
    /// As backup: a master is heard for the first time in this epoch, or the master, its priority or its interval has changed.
    /// From here on the kernel half watches it.
    MasterSeen = 1,
    /// As backup: the master resigned; `deadline_ns` is when the skew time ends.
    Resigned = 2,
    /// As backup: the master was silent until the deadline.
    MasterLost = 3,
    /// As backup: a router of lower priority advertises, which does not prevent our takeover.
    Outranked = 4,
    /// As master: another router advertises that does not rank higher.
    Rival = 5,
    /// As master: another host claims an address of ours.
    Conflict = 6,
    /// As master: a router that ranks higher advertises; the epoch is fenced.
    Superior = 7,
    /// As backup: an advert for which no timer could be set, or a resignation before any master is watched in this epoch. The
    /// agent watches instead.
    Unwatched = 8,
    /// An advert of this virtual router was refused: `refusal` is the reason, `address` the sender.
    Refused = 9,
}

/// An entry of the ring buffer `events`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Event {
    /// The kind of the event.
    pub kind: EventKind,
    /// The instance's slot.
    pub slot: u32,
    /// The instance's epoch when the event was sent.
    pub epoch: u64,
    /// The time when the event was sent.
    pub time_ns: u64,
    /// The deadline of the watch.
    pub deadline_ns: u64,
    /// The advert's interval.
    pub interval_ns: u64,
    /// The advert's sender, or the address in conflict.
    pub address: Address,
    /// The advert's priority.
    pub priority: u32,
    /// The advert's list of addresses.
    pub list: List,
    /// The hardware address of the host that claims an address of ours.
    pub mac: [u8; 6],
    /// The reason why an advert was refused, as [`Reject::code`] writes it; zero in all other events.
    pub refusal: u16,
}

#[cfg(test)]
mod tests;
