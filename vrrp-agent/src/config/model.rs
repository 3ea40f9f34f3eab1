//! The configuration as understood: every field valid by itself and with the others.

mod addresses;
mod authentication;
mod programs;
mod tracking;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use vrrp_ebpf::advert::{AUTH_DATA, Cast, Family, Version};
use vrrp_ebpf::election::Preempt;

use super::host_settings::HostSettings;
pub use addresses::{AddressTrait, Fixtures, Vip};
pub use authentication::{Authentication, HmacKey, HmacKeys, HmacMode, Replay};
pub use programs::{Farewell, Fifo, Mail, NotifyScripts, Program, ScriptSecurity, ScriptUser};
pub use tracking::{
    Arguments, Existing, FileIndex, InitFile, ProcessIndex, ProcessName, Script, ScriptIndex, Thing,
    TrackFile, TrackProcess, Tracked,
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
    /// `router_id`, for people.
    pub router_id: Option<String>,
    /// The check scripts.
    pub scripts: Vec<Script>,
    /// The tracked files.
    pub files: Vec<TrackFile>,
    /// The tracked processes.
    pub processes: Vec<TrackProcess>,
    /// The instances, at least one.
    pub instances: Vec<InstanceConfig>,
    /// The sync groups.
    pub groups: Vec<Group>,
    /// Whether what runs as root must be root's (`enable_script_security`).
    pub script_security: ScriptSecurity,
    /// FIFOs that get what happens.
    pub fifos: Vec<Fifo>,
    /// Mail, if there is somebody to send it to and a server.
    pub mail: Option<Mail>,
    /// What SNMP managers see and are told.
    pub snmp: Snmp,
    /// The name on the system bus, if D-Bus clients are to see anything (`enable_dbus`, `dbus_service_name`).
    pub dbus: Option<String>,
    /// The daemon of IPVS that follows an instance, if one does.
    pub sync_daemon: Option<SyncDaemon>,
    /// How announcements are spaced out.
    pub spacing: Spacing,
    /// What the daemon does for itself.
    pub host: HostSettings,
    /// Interfaces that announce at a pace of their own (`garp_group`).
    pub paced_together: Vec<PacedTogether>,
    /// How long changes of links must last, by interface (`interface_up_down_delays`).
    pub link_delays: BTreeMap<String, LinkDelays>,
    /// Instances that need what is static.
    pub track_groups: Vec<TrackGroup>,
    /// What becomes of an interface that is not there at the start.
    pub missing: Missing,
    /// How long elections wait.
    pub start_delay: StartDelay,
    /// What is there in every state.
    pub fixtures: Fixtures,
}

impl Config {
    /// Whether it has programs run.
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

    /// The users that the programs of an operator run as, and that FIFOs belong to; one may come more than once.
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

    /// At what pace an interface announces, and the number of the group that it shares that with.
    #[must_use]
    pub fn pace_of(&self, interface: &str) -> (Option<usize>, Spacing) {
        let is_in = |group: &PacedTogether| group.interfaces.iter().any(|name| name == interface);
        let group = self.paced_together.iter().position(is_in);
        (group, group.map_or(self.spacing, |group| self.paced_together[group].spacing))
    }

    /// Whether an instance tracks something.
    #[must_use]
    pub fn tracks(&self, thing: &Thing) -> bool {
        self.instances.iter().any(|instance| instance.tracked.iter().any(|tracked| tracked.thing == *thing))
    }

    /// The interfaces that instances track beside their own; one may come more than once.
    pub fn tracked_interfaces(&self) -> impl Iterator<Item = &str> {
        let tracked = self.instances.iter().flat_map(|instance| &instance.tracked);
        tracked.filter_map(|tracked| match &tracked.thing {
            Thing::Interface(name) => Some(name.as_str()),
            Thing::Script(_) | Thing::File(_) | Thing::Process(_) => None,
        })
    }
}

/// A `garp_group`: interfaces that wait for each other's announcements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PacedTogether {
    /// Their names, at least one; an interface is in one group at most.
    pub interfaces: Vec<String>,
    /// Between two announcements on any of them.
    pub spacing: Spacing,
}

/// How long a change of a link must last to count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkDelays {
    /// One that goes down.
    pub down: Duration,
    /// One that comes up.
    pub up: Duration,
}

/// A `track_group`: instances that are in fault while something static cannot be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackGroup {
    /// Its name, which static addresses, routes and rules say.
    pub name: String,
    /// Indices in [`Config::instances`], each once.
    pub members: Vec<usize>,
}

/// Whether an instance needs the address that it is told to send from (`track_src_ip`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceNeed {
    /// It is taken to be there.
    Assumed,
    /// While it is not on this host the instance is in fault.
    Tracked,
}

/// Whether an instance can be anything but in fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It can.
    Able,
    /// It has no peers, and is told not to speak to a group then (`unicast_fault_no_peer`).
    WithoutPeers,
}

/// Whether the other addresses of a network stay when one of them goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secondaries {
    /// As the host has it.
    AsTheyAre,
    /// `promote_secondaries`.
    Promoted,
}

/// An interface that is not there when the daemon starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Missing {
    /// It does not start.
    #[default]
    Fatal,
    /// It is waited for (`dynamic_interfaces`).
    Awaited,
}

/// How long elections wait when the daemon starts: until both have passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StartDelay {
    /// From the start of the daemon (`vrrp_startup_delay`).
    pub from_start: Duration,
    /// From that of the host (`vrrp_delay_after_boot`).
    pub from_boot: Duration,
}

/// A `vrrp_sync_group`: instances that are master together or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Indices in [`Config::instances`], at least one; an instance is in one group at most.
    pub members: Vec<usize>,
    /// What is run and told when it changes.
    pub notify: NotifyScripts,
}

/// The least time between two announcements on one interface (`vrrp_garp_interval`, `vrrp_gna_interval`); zero is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spacing {
    /// Between two gratuitous ARP packets.
    pub arp: Duration,
    /// Between two unsolicited neighbour advertisements.
    pub na: Duration,
}

/// Whether an instance needs its own interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Primary {
    /// While it is down the instance is in fault.
    Tracked,
    /// `dont_track_primary`.
    Untracked,
}

/// A router that adverts are sent to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its address.
    pub address: IpAddr,
    /// TTL or hop limit believed of it.
    pub ttl: RangeInclusive<u8>,
}

/// The keyword `state`: a hint that only matters to the owner of the addresses, and against `nopreempt`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hint {
    /// `state MASTER`.
    Master,
    /// `state BACKUP`, or nothing.
    Backup,
}

/// A `vrrp_instance`.
#[derive(Clone, Debug)]
pub struct InstanceConfig {
    /// Its name.
    pub name: String,
    /// Interface that adverts are sent and heard on. Where the file names none, the text of [`Self::source`], whose interface it is
    /// on this host.
    pub interface: String,
    /// Virtual router identifier, 1 to 255.
    pub vrid: u8,
    /// Protocol version.
    pub version: Version,
    /// Address family of the adverts, and of the addresses in them.
    pub family: Family,
    /// `state`.
    pub hint: Hint,
    /// Base priority, 1 to 255.
    pub priority: u8,
    /// Advertisement interval, as the version can say it.
    pub interval: Duration,
    /// Whether a lower priority may stay master.
    pub preempt: Preempt,
    /// How long a lower master is let be.
    pub preempt_delay: Duration,
    /// What a master does about a lower advert.
    pub on_lower: OnLower,
    /// What a master does about a higher one.
    pub on_higher: OnHigher,
    /// Version 2's authentication.
    pub authentication: Option<Authentication>,
    /// `mcast_src_ip` or `unicast_src_ip`; otherwise the interface's first address, for IPv6 its link-local one.
    pub source: Option<IpAddr>,
    /// `auth_hmac`.
    pub hmac: Option<HmacKeys>,
    /// The multicast group of its adverts, of its family (`mcast_dst_ip`, `vrrp_mcast_group4`, `vrrp_mcast_group6`).
    pub group: IpAddr,
    /// `unicast_peer`; none is multicast.
    pub peers: Vec<Peer>,
    /// Whether only peers are believed (`check_unicast_src`).
    pub only_peers: bool,
    /// TTL or hop limit of what is sent to peers.
    pub unicast_ttl: u8,
    /// What a version 3 checksum over IPv4 covers.
    pub v3_checksum: V3Checksum,
    /// `use_vmac`: the hardware address of the virtual router instead of the interface's own.
    pub vmac: Option<Vmac>,
    /// Whether the host accepts what is sent to the addresses (`accept`, `no_accept`); its owner always does.
    pub accept: bool,
    /// Addresses that are advertised, at most 255.
    pub vips: Vec<Vip>,
    /// Addresses that are not (`virtual_ipaddress_excluded`).
    pub excluded: Vec<Vip>,
    /// Routes that a master has (`virtual_routes`).
    pub routes: Vec<Route>,
    /// Rules that a master has (`virtual_rules`).
    pub rules: Vec<Rule>,
    /// What is run and told when it changes.
    pub notify: NotifyScripts,
    /// Whether it needs the address of [`Self::source`].
    pub source_need: SourceNeed,
    /// Whether it can be anything but in fault.
    pub standing: Standing,
    /// Whether the other addresses of a network stay when one goes.
    pub secondaries: Secondaries,
    /// Whether it needs its own interface to be up.
    pub primary: Primary,
    /// What it tracks beside.
    pub tracked: Vec<Tracked>,
    /// When the addresses are announced.
    pub garp: GarpSchedule,
    /// Adverts that may be missed.
    pub down_adverts: u32,
}

/// What proves that an advert is a fellow router's, beyond the message itself.
#[derive(Clone, Copy)]
pub enum Sealing<'i> {
    /// An authentication header, with this key.
    Ah([u8; AUTH_DATA]),
    /// A trailer.
    Hmac(&'i HmacKeys),
}

/// How the hardware address of a virtual router is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vmac {
    /// Adverts leave from it too (RFC 9568 section 7.2).
    All,
    /// Adverts leave from the interface's own (`vmac_xmit_base`).
    AddressesOnly,
}

impl InstanceConfig {
    /// The hardware address of the virtual router (RFC 9568 section 7.3).
    #[must_use]
    pub fn virtual_mac(&self) -> Mac {
        let family = match self.family {
            Family::V4 => 1,
            Family::V6 => 2,
        };
        [0x00, 0x00, 0x5e, 0x00, family, self.vrid]
    }

    /// Whether its interface is named, and not only said to be the one that has its source.
    #[must_use]
    pub fn names_interface(&self) -> bool {
        self.source.is_none_or(|source| self.interface != source.to_string())
    }

    /// Whom the routers speak to.
    #[must_use]
    pub fn cast(&self) -> Cast {
        if self.peers.is_empty() { Cast::Multicast } else { Cast::Unicast }
    }

    /// Whether two instances have a peer in common.
    #[must_use]
    pub fn shares_peer(&self, other: &Self) -> bool {
        self.peers.iter().any(|peer| other.peers.iter().any(|theirs| theirs.address == peer.address))
    }

    /// The seal of its adverts, if they have one.
    #[must_use]
    pub fn sealing(&self) -> Option<Sealing<'_>> {
        match (self.authentication, &self.hmac) {
            (Some(Authentication::Ah(key)), _) => Some(Sealing::Ah(key)),
            (Some(Authentication::Pass(_)) | None, Some(keys)) => Some(Sealing::Hmac(keys)),
            (Some(Authentication::Pass(_)) | None, None) => None,
        }
    }

    /// All addresses, advertised or not.
    pub fn addresses(&self) -> impl Iterator<Item = &Vip> {
        self.vips.iter().chain(&self.excluded)
    }
}
