//! The types for talking to an instance: its configuration, its states and the causes of their changes, and the actions that it
//! asks its caller to carry out.

use std::time::Duration;

use vrrp_ebpf::advert::{Address, Advert, Version};
use vrrp_ebpf::election::{Preempt, Takeover};

use super::Time;

/// The configuration of an instance, as far as the protocol is concerned.
#[derive(Clone, Debug)]
pub struct Params {
    /// Protocol version.
    pub version: Version,
    /// Base priority, 1 to 255; 255 owns the addresses.
    pub priority: u8,
    /// Advertisement interval.
    pub interval: Duration,
    /// Says if a master of lower priority is preempted.
    pub preempt: Preempt,
    /// The time for which a lower master is tolerated, from its first advert on (`preempt_delay`); zero means not at all.
    pub preempt_delay: Duration,
    /// The reaction of a master to an advert that ranks lower.
    pub on_lower: OnLower,
    /// The reaction of a master to an advert that ranks higher.
    pub on_higher: OnHigher,
    /// Adverts that may be missed (`vrrp_down_timer_adverts`).
    pub down_adverts: u32,
    /// The address that adverts are sent from; breaks ties.
    pub address: Address,
    /// The schedule by which the addresses are announced.
    pub garp: GarpSchedule,
    /// Says if the instance is a member of a sync group.
    pub sync_membership: SyncMembership,
    /// The half that may answer first for the addresses of a master that is lost, as far as the trackers are concerned.
    pub takeover: Takeover,
    /// The least time that the host gets to put a new master's addresses on the interface; if the master-down interval is
    /// longer, it counts instead.
    pub install_time: Duration,
}

/// Says if an instance changes its state alone or with a sync group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncMembership {
    /// It changes its state alone.
    Alone,
    /// It is a member of a sync group: see [`super::group::settle`].
    Group,
}

/// The reaction of a master to an advert that ranks lower.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnLower {
    /// It advertises at once (RFC 9568 section 6.4.3).
    Advertise,
    /// It sends no advert (`lower_prio_no_advert`; RFC 3768 section 6.4.3).
    Ignore,
}

/// The reaction of a master to an advert that ranks higher.
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
    /// Time from the first burst to the second; `None` means no second burst.
    pub delay: Option<Duration>,
    /// Time from one refresh to the next; `None` means no refresh.
    pub refresh: Option<Duration>,
    /// Packets for each address in each refresh.
    pub refresh_repeat: u32,
    /// Packets for each address when a lower router has advertised, in each burst.
    pub lower_repeat: u32,
    /// Time from the first of those bursts to the second; `None` means no second burst.
    pub lower_delay: Option<Duration>,
}

/// The states of RFC 9568 section 6.4, and keepalived's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Not started, or stopped.
    Initialize,
    /// Watching a master.
    Backup,
    /// Holding the addresses.
    Master,
    /// Something that the instance needs is gone.
    Fault,
}

/// The cause of a state change, as the log, the status and the notification show it. A failover that the operator cannot
/// explain afterwards is a defect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The daemon started.
    Started,
    /// The daemon started, and continued where its earlier run had stopped.
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
    /// This router stalled for longer than its lease, and another router has taken over meanwhile.
    Overtaken {
        /// The time for which no advert of ours had left.
        stalled: Duration,
    },
    /// Another program or the operator removed the addresses from the interface.
    AddressesLost,
    /// The addresses were not on the interface in time.
    NotInstalled {
        /// The time since they were requested.
        waited: Duration,
    },
    /// No advert could be sent until the lease was over: the other routers consider this router lost.
    CannotSend {
        /// The time for which no advert of ours has left.
        silent: Duration,
    },
    /// Another member of the sync group has changed its state.
    WithGroup,
    /// Something that the instance needs is gone.
    Faulted,
    /// Something that the instance tracks has no result yet.
    Undecided,
    /// All that the instance needs is back.
    Recovered,
    /// The instance was removed from the configuration.
    Removed,
}

/// The state of an instance that an earlier run of the agent, which was killed, has left in the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SavedState {
    /// The last epoch that the kernel knows of.
    pub epoch: u64,
    /// The state of the kernel half in that epoch.
    pub resume: Resume,
}

/// The state of the kernel half in an epoch whose agent is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resume {
    /// There is nothing to continue.
    Nothing,
    /// The kernel watches a master.
    Watching {
        /// The last advert of the master.
        heard: Heard,
        /// When the master counts as lost.
        deadline: Time,
        /// The last advert of a lower router. Such adverts have not moved the deadline.
        outranked: Option<Heard>,
    },
    /// The addresses are held.
    Holding {
        /// The end of the lease.
        until: Time,
    },
}

/// Says if an instance can work; a greater value is worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// Nothing is missing.
    None,
    /// It is not known yet, since something tracked has no result yet: a backup or master continues, any other instance waits.
    Undecided,
    /// The interface is down, a tracker without a weight has failed, and the like.
    Present,
}

/// The half that waits for the master's next advert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watch {
    /// The agent: this state machine, by its own timer.
    Here,
    /// The kernel half; it reports by [`super::Instance::handle_master_down`].
    Kernel,
    /// None: this router was master, and the kernel half has stopped answering for the addresses because of this advert.
    Fenced,
}

/// An action for the caller. The caller carries out the actions in the order in which they come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send an advert.
    Advertise {
        /// The priority in it; 0 resigns.
        priority: u8,
    },
    /// Put the virtual addresses on the interface, then call [`super::Instance::handle_installed`].
    Install,
    /// Take the virtual addresses away.
    Withdraw,
    /// Send gratuitous ARP.
    Announce {
        /// Packets for each address.
        repeat: u32,
    },
    /// Report that a lower router was heard while this router is master.
    LowerHeard,
    /// Report a change of state.
    Transition {
        /// The state left.
        from: State,
        /// The state entered.
        to: State,
        /// The cause.
        cause: Cause,
    },
}

/// An advert that was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// The advert.
    pub advert: Advert,
    /// The time when it arrived.
    pub at: Time,
}

/// Counts since the start, for the status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Adverts sent.
    pub adverts_sent: u64,
    /// Resignations sent.
    pub resignations_sent: u64,
    /// Adverts that the caller handed in.
    pub adverts_received: u64,
    /// Number of times that it became master.
    pub became_master: u64,
    /// Number of times that it stopped being master.
    pub released_master: u64,
}
