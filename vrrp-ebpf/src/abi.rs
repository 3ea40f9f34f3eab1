//! The maps' keys, values and events: what the agent writes for the kernel, what the kernel writes for the agent, and
//! what `bpftool map dump` shows an operator. No padding, sizes asserted. Times are nanoseconds of `CLOCK_MONOTONIC`, but for the
//! end of a lease.
//!
//! What changes rarely (`instances`, `vips`, written by the agent) is kept apart from what the kernel writes
//! (`watchdogs`, `counters`), because updating a hash element from userspace replaces it and would free a timer in it.

use crate::advert::{Address, Family, List, Reject, Rules};
use crate::election::{Candidate, Takeover};

/// The version of the layout of all below. An agent goes on with the maps of an earlier run only if they say the same; a test
/// knows when it must change.
pub const LAYOUT: u32 = 5;

/// How many instances one agent may run: 255 VRIDs on two interfaces in both families, rounded up.
pub const INSTANCES_MAX: usize = 1024;
/// How many virtual addresses they may have together.
pub const VIPS_MAX: usize = 16384;
/// Bytes of the event ring.
pub const EVENTS_BYTES: usize = 256 * 1024;

/// Plain data: `repr(C)`, `Copy`, without padding, so that its bytes may cross the border to the kernel.
///
/// # Safety
/// The implementor has no padding and no pointers.
pub unsafe trait Plain: Copy + 'static {}

macro_rules! plain {
    ($($name:ident: $size:literal),+ $(,)?) => {$(
        // SAFETY: repr(C), and the size asserted is the sum of the fields' sizes, worked by hand.
        unsafe impl Plain for $name {}
        const _: () = assert!(size_of::<$name>() == $size);
    )+};
}
plain! { InstanceKey: 12, Instance: 120, VipKey: 24, Vip: 12, VmacKey: 12, Vmac: 12, Lease: 24, Watchdog: 208, Counters: 304, Settings: 8, Event: 72 }

/// Key of `instances`: a virtual router as the wire names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(C)]
pub struct InstanceKey {
    /// Interface that its adverts arrive on.
    pub ifindex: u32,
    /// Address family.
    pub family: Family,
    /// Virtual router identifier.
    pub vrid: u32,
}

impl InstanceKey {
    /// Equality without `memcmp`: BPF has none.
    #[inline(always)]
    #[must_use]
    pub const fn same(&self, other: &Self) -> bool {
        self.ifindex == other.ifindex && self.family as u32 == other.family as u32 && self.vrid == other.vrid
    }
}

/// What an instance is, as far as the kernel must know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Role {
    /// Neither: starting, or in fault. Its adverts are dropped unheard.
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
    /// Grows with each change of role; a watch or an event of another epoch is stale.
    pub epoch: u64,
    /// What is believed.
    pub rules: Rules,
    /// How it ranks.
    pub candidate: Candidate,
    /// Its index in `leases` and `watchdogs`.
    pub slot: u32,
    /// Its role.
    pub role: Role,
    /// Its own key.
    pub key: InstanceKey,
    /// Who answers first when its master is lost.
    pub takeover: Takeover,
}

/// Key of `vips`: an address on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(C)]
pub struct VipKey {
    /// Interface that requests for it arrive on.
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
    /// What it is on this interface.
    pub usage: VipUse,
}

/// What a virtual address is on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum VipUse {
    /// Held here, and the stack may have nothing that is sent to it (RFC 9568's `Accept_Mode` is false).
    NoAccept = 0,
    /// Held here, and the stack may have what is sent to it.
    Accept = 1,
    /// Held on another interface of this host. Linux answers ARP for it here too, which it may do under the lease only.
    Elsewhere = 2,
}

/// Key of `vmacs`: the hardware address of a virtual router on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(C)]
pub struct VmacKey {
    /// Interface that frames to it arrive on.
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
    /// The interface's own hardware address, which frames are given while we are master.
    pub mac: [u8; 6],
    /// Zero.
    pub reserved: u16,
}

/// Value of `leases`, indexed by slot, written by the thread that sends adverts, after each of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Lease {
    /// When the last advert left (the clock was read just before).
    pub heartbeat_ns: u64,
    /// Until when the addresses may be answered for, in nanoseconds of `CLOCK_BOOTTIME`: the peers of a suspended host wait no
    /// longer than those of any other. Zero when not master.
    pub until_boot_ns: u64,
    /// The epoch that it is for; a fence of this epoch ends it.
    pub epoch: u64,
}

/// The kernel's timer. The name and size are what the kernel looks for in the map's BTF.
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
    /// The epoch of the instance that armed it.
    pub epoch: u64,
    /// 1 while the timer runs.
    pub armed: u64,
    /// When the master counts as lost.
    pub deadline_ns: u64,
    /// When the last believed advert arrived.
    pub last_advert_ns: u64,
    /// Believed adverts since the program was loaded.
    pub adverts: u64,
    /// The epoch in which a better claim was heard: in it no address is answered for any more.
    pub fenced_epoch: u64,
    /// Until when the kernel itself answers for the addresses of a master that it has seen lost, for the agent to confirm; zero
    /// when it does not.
    pub taken_until_ns: u64,
    /// The epoch in which a lower router has advertised, as backup: somebody else is master, or about to be.
    pub outranked_epoch: u64,
    /// When the last event about a rival went out; they are limited.
    pub last_rival_ns: u64,
    /// When a claim to an address of ours was last answered; the answers are limited (RFC 5227 section 2.4).
    pub last_defence_ns: u64,
    /// The interval of the master heard.
    pub master_interval_ns: u64,
    /// The master heard.
    pub master: Address,
    /// Its priority.
    pub master_priority: u32,
    /// The instance watched.
    pub key: InstanceKey,
    /// Its list of addresses: [`List`], or zero before the first advert.
    pub master_list: u32,
    /// 1 if the ring had no room for the event that told of this master: the next advert tells again.
    pub untold: u32,
    /// The sender of the advert that has set the deadline: only its resignation shortens it. `master` may be older, since a
    /// change that comes too soon after another is not told.
    pub watched: Address,
    /// The lower router that advertised last in `outranked_epoch`. Its adverts do not move the deadline; should our priority
    /// fall below its own, they would have.
    pub outranked_by: Address,
    /// When it did.
    pub outranked_ns: u64,
    /// Its interval.
    pub outranked_interval_ns: u64,
    /// Its priority.
    pub outranked_priority: u64,
    /// When the last event about an advert that was refused went out; they are limited.
    pub last_refusal_ns: u64,
}

impl Watchdog {
    /// One that has watched nothing yet.
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
            taken_until_ns: 0,
            outranked_epoch: 0,
            last_rival_ns: 0,
            last_defence_ns: 0,
            master_interval_ns: 0,
            master: Address::NONE,
            master_priority: 0,
            key,
            master_list: 0,
            untold: 0,
            watched: Address::NONE,
            outranked_by: Address::NONE,
            outranked_ns: 0,
            outranked_interval_ns: 0,
            outranked_priority: 0,
            last_refusal_ns: 0,
        }
    }
}

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {
        /// Value of `counters`, one per CPU: VRRP and ARP frames by what became of them.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[repr(C)]
        pub struct Counters {
            $($(#[$doc])* pub $name: u64,)+
        }

        impl Counters {
            /// Adds another CPU's.
            pub const fn add(&mut self, other: &Self) {
                $(self.$name += other.$name;)+
            }

            /// Names and values, in order.
            pub fn entries(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name)),+].into_iter()
            }
        }
    };
}

counters! {
    /// Adverts believed.
    advert_accepted,
    /// Adverts of virtual routers that are not ours: passed on.
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
    /// Rejected by the agent: a sequence number that was there before.
    replayed,
    /// Rejected by the agent: not a peer.
    bad_source,
    /// Adverts that the agent must judge: passed to it.
    advert_to_agent,
    /// Of the adverts believed: those whose list of addresses is not ours.
    other_addresses,
    /// Of the adverts believed: those that were sent from our own address, by another router or by a loop in the network.
    own_address,
    /// ARP requests for a VIP, answered.
    arp_answered,
    /// ARP requests for a VIP that we do not hold, swallowed.
    arp_swallowed,
    /// Claims to a VIP that we hold, answered with our own.
    arp_defended,
    /// Claims to a VIP that we hold, not answered because one just was.
    arp_defence_limited,
    /// Neighbour solicitations for a VIP, answered.
    nd_answered,
    /// Neighbour solicitations for a VIP that we do not hold, swallowed.
    nd_swallowed,
    /// Neighbour advertisements that claim a VIP that we hold, answered with our own.
    nd_defended,
    /// Such claims, not answered because one just was.
    nd_defence_limited,
    /// Frames to a virtual router's hardware address, handed to the stack because we are master.
    vmac_admitted,
    /// Such frames, dropped because we are not.
    vmac_dropped,
    /// Packets to an address that accepts none (`no_accept`), dropped.
    unaccepted,
    /// Frames that this host was about to send from a VIP, or as a claim to one, without a lease: dropped.
    left_dropped,
    /// Events that did not fit in the ring; the agent's sweep finds what they said.
    event_lost,
    /// Timers that could not be set; the agent's sweep finds the deadline.
    timer_failed,
    /// Times that a timer was set or moved: not once for each advert.
    timer_set,
    /// Masters lost whose addresses the kernel answered for at once.
    taken_over,
}

impl Counters {
    /// The counter of a reason.
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

/// Value of `settings`, of which there is one; `show_adverts` is written by whoever wants to: `vrrp-agent adverts show`, or
/// `bpftool`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Settings {
    /// Not zero: adverts for our virtual routers, once judged, go on to the stack, where tcpdump sees them.
    pub show_adverts: u32,
    /// [`LAYOUT`] of the agent that made the maps.
    pub layout: u32,
}

/// What an event says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum EventKind {
    /// As backup: a master is heard for the first time in this epoch, or another one than before. From here on the
    /// kernel watches it.
    MasterSeen = 1,
    /// As backup: the master resigned; `deadline_ns` is when the skew time ends.
    Resigned = 2,
    /// As backup: the master was silent until the deadline.
    MasterLost = 3,
    /// As backup: a lower priority is advertised, which does not hold us back.
    Outranked = 4,
    /// As master: another router advertises that does not rank higher.
    Rival = 5,
    /// As master: another host claims an address of ours.
    Conflict = 6,
    /// As master: a router that ranks higher advertises; the epoch is fenced.
    Superior = 7,
    /// As backup: an advert for which no timer could be set, or a resignation before anybody is watched in this epoch; the
    /// agent watches.
    Unwatched = 8,
    /// An advert of this virtual router was refused: `refusal` says why, `address` who sent it.
    Refused = 9,
}

/// What goes through the ring `events`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Event {
    /// What it says.
    pub kind: EventKind,
    /// The instance's slot.
    pub slot: u32,
    /// The instance's epoch when it was said.
    pub epoch: u64,
    /// When it was said.
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
    /// The hardware address that claims ours.
    pub mac: [u8; 6],
    /// Why an advert was refused, as [`Reject::code`] writes it; zero in all other events.
    pub refusal: u16,
}

#[cfg(test)]
mod tests {
    use super::LAYOUT;

    /// FNV-1a over the text of everything that has a layout of its own, without comments.
    fn fingerprint() -> u64 {
        let mut hash = 0xcbf2_9ce4_8422_2325;
        for source in [include_str!("abi.rs"), include_str!("advert.rs"), include_str!("election.rs")] {
            let mut inside = false;
            for line in source.lines().map(str::trim).filter(|line| !line.starts_with("//")) {
                inside |= line.starts_with("#[repr(") || line == "counters! {";
                if inside {
                    hash = line.bytes().fold(hash, |hash: u64, byte| {
                        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
                    });
                    inside = line != "}";
                }
            }
        }
        hash
    }

    /// If this fails, the layout has changed: increase `LAYOUT`, and write down the new pair.
    #[test]
    fn another_layout_has_another_number() {
        assert_eq!((LAYOUT, fingerprint()), (5, 0xcdcf_c29a_9410_b3a3));
    }
}
