//! The messages between the protocol thread and the rest of the daemon. [`Command`]s go to the thread, [`Effect`]s leave it.
//!
//! Neither queue has a bound, because neither end may wait for the other: the protocol thread must never wait, and a task that
//! waited for it would hold up the adverts of all instances. Commands come from the host's changes, at most one per change and
//! instance. Effects come from transitions, which the advertisement interval paces, and from notices, which are limited for each
//! instance.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use nix::sys::eventfd::EventFd;
use tokio::sync::oneshot;
use vrrp_ebpf::abi::{Counters, InstanceKey};
use vrrp_ebpf::advert::{Advert, Reject, Rules};

use super::frames::Frames;
use super::master_resources::MasterResources;
use crate::config::Config;
use crate::dataplane::{DataPlane, EbpfError, Hearing, KernelHalf, Slot};
use crate::net::NetError;
use crate::track::Health;
use crate::vrrp::{Cause, Params, State, Statistics, Time};
use crate::wire::ethernet::Mac;

/// A way to reach the engine from anywhere.
#[derive(Clone, Debug)]
pub(super) struct EngineHandle {
    pub(super) commands: Sender<Command>,
    pub(super) wake: Arc<EventFd>,
}

impl EngineHandle {
    /// Sends a command. False if the engine has ended.
    pub(super) fn tell(&self, command: Command) -> bool {
        self.commands.send(command).is_ok() && self.wake.write(1).is_ok()
    }
}

/// A request of the rest of the daemon to the engine. Slots are those of a configuration; a request that another configuration
/// may overtake has its generation.
pub(super) enum Command {
    /// The addresses are on the interface, for the mastership of this number. The number is not the epoch, which may change
    /// while the mastership lasts.
    Installed { generation: u64, slot: Slot, mastership: u64 },
    /// An address of the instance is not on the interface.
    AddressesLost { generation: u64, slot: Slot },
    /// The result of tracking has changed.
    Health { slot: Slot, health: Health },
    /// An instance's interface has been replaced, or has another hardware address.
    Moved { slot: Slot, binding: Box<InstanceBinding> },
    /// An interface is heard like this from now on, instead of the interface with the number `gone`.
    Hear { gone: u32, hearing: Hearing },
    /// The interfaces on which the kernel half is attached have changed; this describes them.
    Attached(String),
    /// Announce the addresses of an instance once more; the answer is true if they are ours.
    Announce { slot: Slot, done: oneshot::Sender<bool> },
    /// Go on with another configuration.
    Reload(Box<Reload>),
    /// Report the state of all instances.
    Status(oneshot::Sender<EngineState>),
    /// Resign, give up the addresses, and end.
    Stop,
}

/// A request of the engine to the rest of the daemon.
#[derive(Debug)]
pub(super) enum Effect {
    /// Put the addresses on the interface and answer [`Command::Installed`].
    Install { slot: Slot, mastership: u64 },
    /// Take the addresses away.
    Withdraw { slot: Slot },
    /// Tell of a change of state: log, scripts, SNMP, D-Bus.
    Transition { slot: Slot, from: State, to: State, cause: Cause, priority: u8, late: Option<Late> },
    /// A lower router was heard while this instance was master.
    LowerHeard { slot: Slot, priority: u8 },
    /// The host was suspended for this long.
    Suspended { duration: Duration },
    /// The priority has changed, and the state has not.
    Priority { slot: Slot, state: State, priority: u8 },
    /// Another host claims an address that we hold; it was answered.
    Conflict { slot: Slot, address: IpAddr, mac: Mac },
    /// The configurations of the routers do not agree.
    Notice { slot: Slot, notice: Notice, address: IpAddr },
    /// Adverts of another router for the same virtual router are refused.
    Refused { slot: Slot, source: IpAddr, reject: Reject },
    /// Check the program on an interface: it has not seen an advert there.
    Unseen { ifindex: u32 },
    /// Asked for by the tasks that watch the host, not by the engine.
    Network(NetworkRequest),
    /// Slots are those of this configuration from here on.
    Reloaded(Box<ActiveConfig>),
    /// A step of the engine failed: of an instance, or of the whole.
    Failed { slot: Option<Slot>, doing: &'static str, error: String },
}

/// The delays after a deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Late {
    /// The delay until the kernel's timer noticed, if the timer was the kernel's.
    pub(super) noticed: Option<Duration>,
    /// The delay until the engine acts on it.
    pub(super) acted: Duration,
}

/// The difference to another router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Notice {
    /// The other router advertises other addresses.
    OtherAddresses,
    /// The other router advertises at another interval; a backup waits for as long as its master's interval says.
    OtherInterval { theirs: Duration, ours: Duration },
    /// Both routers own the addresses (erratum 8298, RFC 9568 section 8.3.2).
    TwoOwners,
    /// The other router advertises from the address that we advertise from: two routers have the same address, or our own
    /// frames come back.
    OwnAddress,
    /// The other router is the master of an instance whose sync group was master here: the instance has joined the group in a
    /// reload.
    JoinedAsBackup,
}

/// A request of the tasks that watch the host.
#[derive(Debug)]
pub(super) enum NetworkRequest {
    /// Put back the routes, rules and static addresses that were removed.
    Restore,
    /// The kernel has reported that an address is gone from an interface: look whether a master has lost it.
    Check { index: u32, address: IpAddr },
    /// News were missed: look whether any master has lost an address.
    CheckAll,
    /// An interface has been replaced: each instance holds this from now on.
    Place(Vec<MasterResources>),
    /// Set what is static. The answer is the track groups that lack something, because it cannot be set.
    SetStatics(oneshot::Sender<BTreeSet<String>>),
    /// Answer when everything before this is done.
    Settle(oneshot::Sender<()>),
    /// Remove what an earlier run left, except for these instances, which go on.
    RemoveLeftovers(Vec<Slot>, oneshot::Sender<Result<(), NetError>>),
}

/// A message to the effects task.
#[derive(Debug)]
pub(super) enum Told {
    /// An effect that changes nothing on the network.
    Effect(Effect),
    /// A new configuration: slots are its slots from here on. The network has followed: `masters` are masters, and
    /// `missing` are the track groups that lack something.
    Reloaded { active: Box<ActiveConfig>, masters: BTreeSet<Slot>, missing: BTreeSet<String> },
}

/// The parts of an instance that depend on this host, and change with its interface.
#[derive(Debug)]
pub(super) struct InstanceBinding {
    pub(super) params: Params,
    pub(super) key: InstanceKey,
    pub(super) rules: Rules,
    pub(super) frames: Frames,
    /// The address that its adverts are sent from.
    pub(super) source: IpAddr,
}

/// The parts that replace all parts of the engine.
pub(super) struct Reload {
    /// The instances, by their new slots.
    pub(super) members: Vec<Member>,
    /// The new data plane, which hears nothing yet.
    pub(super) plane: DataPlane,
    /// Makes the data plane hear: done in one go, when all is written that it decides by. None for sockets, which hear at once.
    pub(super) attach: Option<Attach>,
    /// The meaning of the new slots, for the network thread and the effects task.
    pub(super) active: ActiveConfig,
    pub(super) done: oneshot::Sender<Reloaded>,
}

/// Attaches the kernel half to the interfaces, in the place of the previous one.
pub(super) type Attach = Box<dyn FnOnce() -> (KernelHalf, Result<(), EbpfError>) + Send>;

/// An instance of the new configuration.
pub(super) struct Member {
    /// The slot of the instance in the present configuration, if it is there.
    pub(super) was: Option<Slot>,
    pub(super) binding: InstanceBinding,
    pub(super) group: Option<usize>,
    pub(super) health: Health,
    /// True if the instance holds something else than before.
    pub(super) holds_other: bool,
}

/// Per-slot configuration for the network thread and the effects task; replaced on reload.
#[derive(Debug)]
pub(super) struct ActiveConfig {
    /// Grows with each configuration.
    pub(super) generation: u64,
    pub(super) config: Arc<Config>,
    pub(super) master_resources: Vec<MasterResources>,
    /// The sentences that say what each instance lacks.
    pub(super) lacks: Vec<Vec<String>>,
    /// The slot of each instance in the previous configuration.
    pub(super) was: Vec<Option<Slot>>,
    /// Told of the track groups that lack something, when the network thread and the effects task have followed.
    pub(super) carried_out: Option<oneshot::Sender<BTreeSet<String>>>,
}

/// The results of a reload.
pub(super) struct Reloaded {
    pub(super) kernel: Option<KernelHalf>,
    pub(super) attached: Result<(), EbpfError>,
    /// The previous data plane. The receiver drops it, so that the engine does not have to wait until it is closed.
    pub(super) _before: DataPlane,
}

/// The state of the protocol thread.
#[derive(Debug)]
pub(super) struct EngineState {
    /// The time of everything in here.
    pub(super) at: Time,
    pub(super) config: Arc<Config>,
    /// Describes for people where the program is attached.
    pub(super) dataplane: String,
    pub(super) counters: Counters,
    /// By slot of `config`.
    pub(super) instances: Vec<InstanceState>,
}

/// The state of an instance.
#[derive(Debug)]
pub(super) struct InstanceState {
    pub(super) state: State,
    pub(super) since: Time,
    pub(super) cause: Cause,
    pub(super) priority: u8,
    /// The address that its adverts are sent from.
    pub(super) source: IpAddr,
    /// The last advert of its master.
    pub(super) heard: Option<Advert>,
    /// True while it waits until its sync group can become master.
    pub(super) waits_for_group: bool,
    pub(super) lease_until: Option<Time>,
    /// The time at which the kernel counts its master as lost, if the kernel watches it.
    pub(super) kernel_deadline: Option<Time>,
    /// The next deadline of its state machine.
    pub(super) next_deadline: Option<Time>,
    pub(super) statistics: Statistics,
}
