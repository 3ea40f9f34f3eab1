//! The parsed configuration. Every field is valid by itself and together with the others.

mod addresses;
mod authentication;
pub(super) mod programs;
mod tracking;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use vrrp_ebpf::advert::{AUTH_DATA, Cast, Family, Version};
use vrrp_ebpf::election::Preempt;

use super::host_settings::HostSettings;
pub use addresses::{AddressTrait, StaticResources, Vip};
pub use authentication::{Authentication, HmacKey, HmacKeys, HmacMode, Replay};
pub use programs::{Fifo, Mail, NotifyScripts, OnDelete, Program, ScriptSecurity, ScriptUser};
pub use tracking::{
    Arguments, Existing, FileIndex, InitFile, ProcessIndex, ProcessName, Script, ScriptIndex, TrackFile,
    TrackProcess, TrackTarget, Tracked,
};

use super::routing::{Route, Rule};
use super::snmp::Snmp;
use super::sync_daemon::SyncDaemon;
use crate::vrrp::{GarpSchedule, OnHigher, OnLower};
use crate::wire::advert::V3Checksum;
use crate::wire::ethernet::Mac;

/// A whole configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// `router_id`, the name of the router for its users.
    pub router_id: Option<String>,
    /// The check scripts.
    pub scripts: Vec<Script>,
    /// The tracked files.
    pub files: Vec<TrackFile>,
    /// The tracked processes.
    pub processes: Vec<TrackProcess>,
    /// The instances. The list is empty if the file has no `vrrp_instance` that can be used.
    pub instances: Vec<InstanceConfig>,
    /// The sync groups.
    pub groups: Vec<Group>,
    /// The rules for programs that run as root (`enable_script_security`).
    pub script_security: ScriptSecurity,
    /// The FIFOs that notifications are written to.
    pub fifos: Vec<Fifo>,
    /// The mail settings, if there is a recipient and a server.
    pub mail: Option<Mail>,
    /// The objects and notifications for SNMP managers.
    pub snmp: Snmp,
    /// The name on the system bus, if D-Bus is enabled (`enable_dbus`, `dbus_service_name`).
    pub dbus: Option<String>,
    /// The IPVS sync daemon that follows an instance, if there is one.
    pub sync_daemon: Option<SyncDaemon>,
    /// The intervals between announcements.
    pub spacing: Spacing,
    /// Settings of the daemon itself.
    pub host: HostSettings,
    /// Groups of interfaces with their own interval between announcements (`garp_group`).
    pub paced_together: Vec<PacedTogether>,
    /// The time that a change of a link must last to count, by interface (`interface_up_down_delays`).
    pub link_delays: BTreeMap<String, LinkDelays>,
    /// Groups of instances that depend on static addresses, routes and rules (`track_group`).
    pub track_groups: Vec<TrackGroup>,
    /// The treatment of an interface that does not exist when the daemon starts.
    pub missing: MissingInterfaces,
    /// The delay of elections after the start.
    pub start_delay: StartDelay,
    /// The addresses, routes and rules that are set in every state.
    pub statics: StaticResources,
}

impl Config {
    /// Returns true if the configuration contains programs to run.
    #[must_use]
    pub fn runs_programs(&self) -> bool {
        let instances = self.instances.iter().map(|instance| &instance.notify);
        let mut notify = instances.chain(self.groups.iter().map(|group| &group.notify));
        !self.scripts.is_empty()
            || self.host.startup.program.is_some()
            || self.host.shutdown.program.is_some()
            || self.fifos.iter().any(|fifo| fifo.reader.is_some())
            || notify.any(|notify| notify.programs().next().is_some())
    }

    /// Returns the users that programs run as and the owners of FIFOs. A user may occur more than once.
    pub fn script_users(&self) -> impl Iterator<Item = &ScriptUser> {
        let instances = self.instances.iter().map(|instance| &instance.notify);
        let notify = instances.chain(self.groups.iter().map(|group| &group.notify));
        let scripts = self.scripts.iter().map(|script| &script.program);
        let readers = self.fifos.iter().filter_map(|fifo| fifo.reader.as_ref());
        let once =
            [&self.host.startup, &self.host.shutdown].into_iter().filter_map(|once| once.program.as_ref());
        let programs = scripts.chain(readers).chain(once).chain(notify.flat_map(NotifyScripts::programs));
        let owners = self.fifos.iter().filter_map(|fifo| fifo.owner.as_ref());
        programs.filter_map(|program| program.user.as_ref()).chain(owners)
    }

    /// Returns the interval between announcements on an interface, and the index of its `garp_group`, if it is in one.
    #[must_use]
    pub fn pace_of(&self, interface: &str) -> (Option<usize>, Spacing) {
        let is_in = |group: &PacedTogether| group.interfaces.iter().any(|name| name == interface);
        let group = self.paced_together.iter().position(is_in);
        (group, group.map_or(self.spacing, |group| self.paced_together[group].spacing))
    }

    /// Returns true if an instance tracks this thing.
    #[must_use]
    pub fn tracks(&self, target: &TrackTarget) -> bool {
        self.instances.iter().any(|instance| instance.tracked.iter().any(|tracked| tracked.target == *target))
    }

    /// Returns the interfaces that instances track in addition to their own. An interface may occur more than once.
    pub fn tracked_interfaces(&self) -> impl Iterator<Item = &str> {
        let tracked = self.instances.iter().flat_map(|instance| &instance.tracked);
        tracked.filter_map(|tracked| match &tracked.target {
            TrackTarget::Interface(name) => Some(name.as_str()),
            TrackTarget::Script(_) | TrackTarget::File(_) | TrackTarget::Process(_) => None,
        })
    }
}

/// A `garp_group`: interfaces that share an interval between announcements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PacedTogether {
    /// The names of the interfaces, at least one. An interface is in at most one group.
    pub interfaces: Vec<String>,
    /// The interval between two announcements on any of these interfaces.
    pub spacing: Spacing,
}

/// The time that a change of a link must last to count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkDelays {
    /// The time for a link that goes down.
    pub down: Duration,
    /// The time for a link that comes up.
    pub up: Duration,
}

/// A `track_group`: instances that are in fault while a static address, route or rule of the group cannot be set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackGroup {
    /// The name of the group, which static addresses, routes and rules refer to.
    pub name: String,
    /// Indices in [`Config::instances`], each once.
    pub members: Vec<usize>,
}

/// The treatment of an instance whose source address is missing (`track_src_ip`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceNeed {
    /// The address is assumed to exist.
    Assumed,
    /// The instance is in fault while the address is not on this host.
    Tracked,
}

/// The ability of an instance to leave the state fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usability {
    /// The instance can leave it.
    Usable,
    /// The instance is always in fault: it has no peers, and may not use multicast instead (`unicast_fault_no_peer`).
    NoPeers,
}

/// The treatment of the other addresses of a network when one of them is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secondaries {
    /// The setting of the host is not changed.
    AsTheyAre,
    /// The other addresses stay (`promote_secondaries`).
    Promoted,
}

/// The treatment of an interface that does not exist when the daemon starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MissingInterfaces {
    /// The daemon does not start.
    #[default]
    Fatal,
    /// The daemon waits for the interface (`dynamic_interfaces`).
    Awaited,
}

/// The delay of elections after the start. Elections begin when both delays have passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StartDelay {
    /// The delay from the start of the daemon (`vrrp_startup_delay`).
    pub from_start: Duration,
    /// The delay from the start of the host (`vrrp_delay_after_boot`).
    pub from_boot: Duration,
}

/// A `vrrp_sync_group`: instances that are either all master or all not master.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The name of the group.
    pub name: String,
    /// Indices in [`Config::instances`], at least one; an instance is in one group at most.
    pub members: Vec<usize>,
    /// The programs to run and the events to report when the state of the group changes.
    pub notify: NotifyScripts,
}

/// The minimum time between two announcements on one interface (`vrrp_garp_interval`, `vrrp_gna_interval`). Zero means no
/// limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spacing {
    /// The time between two gratuitous ARP packets.
    pub arp: Duration,
    /// The time between two unsolicited neighbour advertisements.
    pub na: Duration,
}

/// The treatment of an instance whose own interface is down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Primary {
    /// The instance is in fault while the interface is down.
    Tracked,
    /// The state of the interface does not matter (`dont_track_primary`).
    Untracked,
}

/// A router that unicast adverts are sent to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The address of the peer.
    pub address: IpAddr,
    /// The TTL or hop limit that an advert of the peer must have.
    pub ttl: RangeInclusive<u8>,
}

/// The keyword `state`. It matters only for the default priority, which is 255 (address owner) with MASTER, and against
/// `nopreempt` and `preempt_delay`, which MASTER clears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InitialState {
    /// `state MASTER`.
    Master,
    /// `state BACKUP`, or no `state`.
    Backup,
}

/// A `vrrp_instance`.
#[derive(Clone, Debug)]
pub struct InstanceConfig {
    /// The name of the instance.
    pub name: String,
    /// The interface that adverts are sent and received on. If the file names none, this is the text of [`Self::source`]; the
    /// interface with that address on this host is used.
    pub interface: String,
    /// The virtual router identifier, 1 to 255.
    pub vrid: u8,
    /// The protocol version.
    pub version: Version,
    /// The address family of the adverts, and of the addresses in them.
    pub family: Family,
    /// The value of `state`.
    pub hint: InitialState,
    /// The base priority, 1 to 255.
    pub priority: u8,
    /// The advertisement interval, as the version can express it.
    pub interval: Duration,
    /// The preemption mode: `nopreempt` lets a master with a lower priority stay master.
    pub preempt: Preempt,
    /// The time that a master with a lower priority is tolerated before preemption.
    pub preempt_delay: Duration,
    /// The reaction of a master to an advert with a lower priority.
    pub on_lower: OnLower,
    /// The reaction of a master to an advert with a higher priority.
    pub on_higher: OnHigher,
    /// The authentication of version 2.
    pub authentication: Option<Authentication>,
    /// `mcast_src_ip` or `unicast_src_ip`. The default is the interface's first address; for IPv6, its link-local address.
    pub source: Option<IpAddr>,
    /// `auth_hmac`.
    pub hmac: Option<HmacKeys>,
    /// The multicast group of the adverts, in their address family (`mcast_dst_ip`, `vrrp_mcast_group4`, `vrrp_mcast_group6`).
    pub group: IpAddr,
    /// `unicast_peer`. If the list is empty, adverts are multicast.
    pub peers: Vec<Peer>,
    /// True if adverts are accepted only from peers (`check_unicast_src`).
    pub only_peers: bool,
    /// The TTL or hop limit of adverts to peers.
    pub unicast_ttl: u8,
    /// The data covered by a version 3 checksum over IPv4.
    pub v3_checksum: V3Checksum,
    /// `use_vmac`: the virtual router uses its own hardware address instead of the interface's.
    pub vmac: Option<Vmac>,
    /// True if the host accepts packets sent to the virtual addresses (`accept`, `no_accept`). The address owner always accepts
    /// them.
    pub accept: bool,
    /// The addresses that are advertised, at most 255.
    pub vips: Vec<Vip>,
    /// The addresses that are not advertised (`virtual_ipaddress_excluded`).
    pub excluded: Vec<Vip>,
    /// The routes that a master sets (`virtual_routes`).
    pub routes: Vec<Route>,
    /// The rules that a master sets (`virtual_rules`).
    pub rules: Vec<Rule>,
    /// The programs to run and the events to report when the state of the instance changes.
    pub notify: NotifyScripts,
    /// The treatment of a missing address [`Self::source`].
    pub source_need: SourceNeed,
    /// The ability of the instance to leave the state fault.
    pub usability: Usability,
    /// The treatment of the other addresses of a network when one of them is removed.
    pub secondaries: Secondaries,
    /// The treatment of an own interface that is down.
    pub primary: Primary,
    /// The things that the instance tracks in addition to its own interface.
    pub tracked: Vec<Tracked>,
    /// The schedule of the announcements of the addresses.
    pub garp: GarpSchedule,
    /// The number of adverts that may be missed before the master counts as down.
    pub down_adverts: u32,
}

/// The proof, beyond the advert itself, that an advert comes from a router of the same virtual router.
#[derive(Clone, Copy)]
pub enum Sealing<'i> {
    /// An IP authentication header with this key.
    Ah([u8; AUTH_DATA]),
    /// A trailer with an HMAC.
    Hmac(&'i HmacKeys),
}

/// The use of the hardware address of a virtual router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vmac {
    /// Adverts are sent from it too (RFC 9568 section 7.2).
    All,
    /// Adverts are sent from the interface's own hardware address (`vmac_xmit_base`).
    AddressesOnly,
}

impl InstanceConfig {
    /// Returns the hardware address of the virtual router (RFC 9568 section 7.3).
    #[must_use]
    pub fn virtual_mac(&self) -> Mac {
        let family = match self.family {
            Family::V4 => 1,
            Family::V6 => 2,
        };
        [0x00, 0x00, 0x5e, 0x00, family, self.vrid]
    }

    /// Returns true if the file names the interface, and false if the interface is found by the source address.
    #[must_use]
    pub fn names_interface(&self) -> bool {
        self.source.is_none_or(|source| self.interface != source.to_string())
    }

    /// Returns the destination kind of the adverts, multicast or unicast.
    #[must_use]
    pub fn cast(&self) -> Cast {
        if self.peers.is_empty() { Cast::Multicast } else { Cast::Unicast }
    }

    /// True if adverts cannot tell the two instances apart on an interface that they share: both send to the same group, or both
    /// send from the same address, as far as the file says it, and have a peer in common.
    #[must_use]
    pub fn shares_destination(&self, other: &Self) -> bool {
        match (self.cast(), other.cast()) {
            (Cast::Multicast, Cast::Multicast) => self.group == other.group,
            (Cast::Unicast, Cast::Unicast) => self.source == other.source && self.shares_peer(other),
            (Cast::Multicast, Cast::Unicast) | (Cast::Unicast, Cast::Multicast) => false,
        }
    }

    /// Returns true if the two instances have a peer in common.
    #[must_use]
    pub fn shares_peer(&self, other: &Self) -> bool {
        self.peers.iter().any(|peer| other.peers.iter().any(|theirs| theirs.address == peer.address))
    }

    /// Returns the seal of the adverts, if they have one.
    #[must_use]
    pub fn sealing(&self) -> Option<Sealing<'_>> {
        match (self.authentication, &self.hmac) {
            (Some(Authentication::Ah(key)), _) => Some(Sealing::Ah(key)),
            (Some(Authentication::Pass(_)) | None, Some(keys)) => Some(Sealing::Hmac(keys)),
            (Some(Authentication::Pass(_)) | None, None) => None,
        }
    }

    /// Returns all addresses, advertised or not.
    pub fn addresses(&self) -> impl Iterator<Item = &Vip> {
        self.vips.iter().chain(&self.excluded)
    }
}
