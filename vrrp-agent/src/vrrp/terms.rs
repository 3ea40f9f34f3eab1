//! The terms in which an instance is spoken to, and speaks: what configures it, its states and why they change, and what it asks
//! its caller to do.

use std::time::Duration;

use vrrp_ebpf::advert::{Address, Advert, Version};
use vrrp_ebpf::election::{Preempt, Takeover};

use super::Time;

/// What the file fixes about an instance, as far as the protocol is concerned.
#[derive(Clone, Debug)]
pub struct Params {
    /// Protocol version.
    pub version: Version,
    /// Base priority, 1 to 255; 255 owns the addresses.
    pub priority: u8,
    /// Advertisement interval.
    pub interval: Duration,
    /// Whether a lower priority may stay master.
    pub preempt: Preempt,
    /// How long a lower master is let be, from its first advert on (`preempt_delay`); zero is not at all.
    pub preempt_delay: Duration,
    /// What a master does about a lower advert.
    pub on_lower: OnLower,
    /// What a master does about a higher advert.
    pub on_higher: OnHigher,
    /// Adverts that may be missed (`vrrp_down_timer_adverts`).
    pub down_adverts: u32,
    /// The address that adverts are sent from; breaks ties.
    pub address: Address,
    /// When the addresses are announced.
    pub garp: GarpSchedule,
    /// Whether it moves alone.
    pub company: Company,
    /// Who may answer first for the addresses of a master that is lost, as far as its trackers are concerned.
    pub takeover: Takeover,
    /// How long the host may take to put a new master's addresses on the interface, at least; a master-down interval that is
    /// longer counts instead.
    pub install_time: Duration,
}

/// Whether an instance moves alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Company {
    /// It does.
    Alone,
    /// It is a member of a sync group: see [`super::group::settle`].
    Group,
}

/// What a master does about a lower advert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnLower {
    /// It advertises at once (RFC 9568 section 6.4.3).
    Advertise,
    /// It does not (`lower_prio_no_advert`; RFC 3768 section 6.4.3).
    Ignore,
}

/// What a master does about a higher advert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnHigher {
    /// It yields.
    Yield,
    /// It advertises a last time, then yields (`higher_prio_send_advert`).
    AdvertiseAndYield,
}

/// When a master announces its addresses by gratuitous ARP (keepalived's `garp_master_*` and
/// `garp_lower_prio_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GarpSchedule {
    /// Packets for each address in each burst.
    pub repeat: u32,
    /// From the first burst to the second; `None` is no second burst.
    pub delay: Option<Duration>,
    /// From one refresh to the next; `None` is no refresh.
    pub refresh: Option<Duration>,
    /// Packets for each address in each refresh.
    pub refresh_repeat: u32,
    /// Packets for each address when a lower router has advertised, in each burst.
    pub lower_repeat: u32,
    /// From the first of those bursts to the second; `None` is no second.
    pub lower_delay: Option<Duration>,
}

/// The states of RFC 9568 section 6.4, and keepalived's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Not started, or stopped.
    Initialize,
    /// Watching a master.
    Backup,
    /// Owning the addresses.
    Master,
    /// Something that the instance needs is gone.
    Fault,
}

/// Why a state changed: what the log, the status and the notification say. A failover that nobody can explain afterwards
/// is a defect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The daemon started.
    Started,
    /// The daemon started, and went on where an earlier run of it had left off.
    Resumed,
    /// The daemon stops.
    Stopped,
    /// The master was silent for the master-down interval.
    MasterSilent,
    /// The master resigned with priority 0.
    MasterResigned,
    /// The master ranks lower than we do.
    Preempts,
    /// A router of higher priority, or of equal priority and higher address, advertises.
    HigherPriority,
    /// We stalled for longer than our lease, and another router has taken over meanwhile.
    Overtaken {
        /// How long no advert of ours had left.
        stalled: Duration,
    },
    /// Somebody else took the addresses off the interface.
    AddressesLost,
    /// The addresses were not on the interface in time.
    NotInstalled {
        /// How long ago they were asked for.
        waited: Duration,
    },
    /// Adverts could not be sent until the lease was over: the other routers have taken this one for lost.
    CannotSend {
        /// How long no advert of ours has left.
        silent: Duration,
    },
    /// Another member of its sync group has moved.
    WithGroup,
    /// Something that the instance needs is gone.
    Faulted,
    /// Something that it tracks has not been seen once.
    Undecided,
    /// It is back.
    Recovered,
    /// The configuration has it no more.
    Removed,
}

/// What an earlier run of the agent, one that was killed, has left of an instance in the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Past {
    /// The last epoch that the kernel knows of.
    pub epoch: u64,
    /// What goes on in it.
    pub spell: Spell,
}

/// What goes on in an epoch whose agent is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spell {
    /// Nothing that could be gone on with.
    Over,
    /// The kernel watches a master.
    Watch {
        /// What it heard last.
        heard: Heard,
        /// When the master counts as lost.
        deadline: Time,
        /// The lower router that it heard last. Its adverts have not moved the deadline.
        outranked: Option<Heard>,
    },
    /// The addresses are held.
    Lease {
        /// So long.
        until: Time,
    },
}

/// Whether an instance can work; the greater, the worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// Nothing is missing.
    None,
    /// It is not known yet, since something tracked has not been seen once: who runs goes on, who does not waits.
    Undecided,
    /// The interface is down, a tracker without a weight has failed, and the like.
    Present,
}

/// Who waits for the master's next advert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watch {
    /// This state machine, by its own timer.
    Here,
    /// The kernel; it reports by [`super::Instance::handle_master_down`].
    Kernel,
    /// Nobody: we were master, and the kernel has stopped answering for the addresses because of this advert.
    Fenced,
}

/// What the caller is to do, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send an advert.
    Advertise {
        /// With this priority; 0 resigns.
        priority: u8,
    },
    /// Put the virtual addresses on the interface, then call [`super::Instance::handle_installed`].
    Install,
    /// Take the virtual addresses away.
    Withdraw,
    /// Send gratuitous ARP.
    Announce {
        /// This many times for each address.
        repeat: u32,
    },
    /// Tell the world that a lower router was heard while master.
    LowerHeard,
    /// Tell the world.
    Transition {
        /// The state left.
        from: State,
        /// The state entered.
        to: State,
        /// Why.
        cause: Cause,
    },
}

/// The last router heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// What it said.
    pub advert: Advert,
    /// When.
    pub at: Time,
}

/// Counts since the start, for the status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Adverts sent.
    pub adverts_sent: u64,
    /// Resignations sent.
    pub resignations_sent: u64,
    /// Adverts handed in.
    pub adverts_received: u64,
    /// Times that it became master.
    pub became_master: u64,
    /// Times that it stopped being master.
    pub released_master: u64,
}
