//! The configuration as understood: every field valid by itself and with the others.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use vrrp_ebpf::advert::{AUTH_DATA, Cast, Family, Version};
use vrrp_ebpf::election::Preempt;

use super::host_settings::HostSettings;
use super::routing::{Prefix, Route, Rule};
use crate::vrrp::{GarpSchedule, OnHigher, OnLower, Weight};
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

/// Index in [`Config::scripts`].
pub type ScriptIndex = usize;

/// A `vrrp_script`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// Its name.
    pub name: String,
    /// What is run.
    pub program: Program,
    /// From one start to the next.
    pub interval: Duration,
    /// When it is killed and counts as failed.
    pub timeout: Duration,
    /// What it does to an instance that says nothing else.
    pub weight: Weight,
    /// Successes in a row until it is up.
    pub rise: u32,
    /// Failures in a row until it is down.
    pub fall: u32,
    /// Whether it counts as failed until it has run.
    pub init_fail: bool,
}

/// `user` or `script_user`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptUser {
    /// The user's name.
    pub user: String,
    /// The group's, if not the user's own.
    pub group: Option<String>,
}

/// Index in [`Config::files`].
pub type FileIndex = usize;

/// Index in [`Config::processes`].
pub type ProcessIndex = usize;

/// A program that is started for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Program and arguments, at least the program.
    pub command: Vec<String>,
    /// Whom it runs as; `None` is `keepalived_script` if there is such a user, else the agent's own.
    pub user: Option<ScriptUser>,
}

/// `enable_script_security`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ScriptSecurity {
    /// Whatever the file names is run.
    #[default]
    Off,
    /// What runs as root must be changeable by root only, and nothing runs as root that does not say so.
    On,
}

/// What is run, and told, when an instance or a sync group changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NotifyScripts {
    /// `notify_master`.
    pub master: Option<Program>,
    /// `notify_backup`.
    pub backup: Option<Program>,
    /// `notify_fault`.
    pub fault: Option<Program>,
    /// `notify_stop`.
    pub stop: Option<Program>,
    /// `notify`: after the others, with what has happened as arguments.
    pub any: Option<Program>,
    /// `notify_master_rx_lower_pri`; instances only.
    pub lower_heard: Option<Program>,
    /// What it is said to be when a reload takes it away.
    pub farewell: Farewell,
    /// Whether the FIFOs hear of changes of its priority (`notify_priority_changes`).
    pub priority_changes: bool,
    /// Whether its changes of state are mailed (`smtp_alert`).
    pub smtp_alert: bool,
}

/// What becomes of an instance or a group that a reload takes away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Farewell {
    /// It is said to be in fault.
    #[default]
    Fault,
    /// `notify_deleted`: it is said to be deleted, maybe by a program of its own.
    Deleted(Option<Program>),
}

/// `notify_fifo` or `vrrp_notify_fifo`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fifo {
    /// Where it is.
    pub path: PathBuf,
    /// Whose it is, if it has to be made; `None` is the agent's own user.
    pub owner: Option<ScriptUser>,
    /// Reads it, and is started again when it ends.
    pub reader: Option<Program>,
}

/// Where mail goes, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// `notification_email`, at least one.
    pub to: Vec<String>,
    /// `notification_email_from`; `None` is the agent's user at this host.
    pub from: Option<String>,
    /// `smtp_server`: name or address.
    pub server: String,
    /// Its port.
    pub port: u16,
    /// `smtp_connect_timeout`.
    pub timeout: Duration,
    /// `smtp_helo_name`; `None` is the host's name.
    pub helo: Option<String>,
    /// Whether faults are mailed too; not with `no_email_faults`.
    pub faults: bool,
}

/// Something that an instance tracks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tracked {
    /// What.
    pub thing: Thing,
    /// What it does to the instance.
    pub weight: Weight,
}

/// What can be tracked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Thing {
    /// A `vrrp_script`.
    Script(ScriptIndex),
    /// An interface, of any kind.
    Interface(String),
    /// A `track_file`.
    File(FileIndex),
    /// A `vrrp_track_process`.
    Process(ProcessIndex),
}

/// A `track_file`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackFile {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// What its number is multiplied with.
    pub weight: Weight,
    /// Whether it is made at the start.
    pub init: Option<InitFile>,
}

/// `init_file`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InitFile {
    /// What it says at first.
    pub number: i32,
    /// What becomes of a file that is there.
    pub existing: Existing,
}

/// What becomes of a file that is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// It stays as it is.
    Kept,
    /// `overwrite`.
    Overwritten,
}

/// A `vrrp_track_process`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackProcess {
    /// Its name in the configuration.
    pub name: String,
    /// The name of the program.
    pub program: String,
    /// Which of a process's names that is.
    pub known_by: ProcessName,
    /// What arguments it must have.
    pub arguments: Arguments,
    /// What it does to an instance.
    pub weight: Weight,
    /// How many there may be.
    pub quorum: RangeInclusive<u32>,
    /// How long a number that a new process made must last.
    pub fork_delay: Duration,
    /// How long one that the end of a process made must last.
    pub terminate_delay: Duration,
}

/// The names that a process has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcessName {
    /// The kernel's, 15 bytes at most.
    Short,
    /// The first word of its command line (`full_command`).
    Full,
}

/// Arguments that a process must have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arguments {
    /// It does not matter.
    Any,
    /// These and no others.
    Exactly(Vec<String>),
    /// These first (`param_match partial`).
    First(Vec<String>),
    /// These first, and the last may go on (`param_match initial`).
    Initial(Vec<String>),
}

/// Whether an instance needs its own interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Primary {
    /// While it is down the instance is in fault.
    Tracked,
    /// `dont_track_primary`.
    Untracked,
}

/// The authentication of version 2.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Authentication {
    /// A password in the clear, zero-padded.
    Pass([u8; AUTH_DATA]),
    /// An IP authentication header, keyed with the password.
    Ah([u8; AUTH_DATA]),
}

/// Never the password.
impl std::fmt::Debug for Authentication {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Pass(_) => f.write_str("Pass(…)"),
            Self::Ah(_) => f.write_str("Ah(…)"),
        }
    }
}

/// `auth_hmac`: a trailer behind each advert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HmacKeys {
    /// The keys that are believed, each with its own number.
    pub keys: Vec<HmacKey>,
    /// The number of the one that is sent with.
    pub active: u8,
    /// How an old advert is told from a new one.
    pub replay: Replay,
    /// How far its roll-out has come.
    pub mode: HmacMode,
}

impl HmacKeys {
    /// The key that is sent with; none while only receiving.
    #[must_use]
    pub fn sending(&self) -> Option<&HmacKey> {
        match self.mode {
            HmacMode::ReceiveOnly => None,
            HmacMode::Permissive | HmacMode::Enforce => self.keys.iter().find(|key| key.id == self.active),
        }
    }
}

/// A key of `auth_hmac`.
#[derive(Clone, PartialEq, Eq)]
pub struct HmacKey {
    /// Its number.
    pub id: u8,
    /// 32 to 64 bytes.
    pub secret: Vec<u8>,
}

/// Never the key.
impl std::fmt::Debug for HmacKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HmacKey({}, …)", self.id)
    }
}

/// `anti_replay`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replay {
    /// By the clock: no further from ours than this.
    Window(Duration),
    /// By growth alone.
    Monotonic,
}

/// `mode`: the order in which a trailer is brought to running routers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HmacMode {
    /// None is sent; one that is there must be right.
    ReceiveOnly,
    /// One is sent; none need be there.
    Permissive,
    /// One must be there.
    Enforce,
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

/// A virtual address, or a static one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Vip {
    /// The address.
    pub address: IpAddr,
    /// Prefix length.
    pub prefix: u8,
    /// Another interface than the instance's.
    pub dev: Option<String>,
    /// Label, as old tools show it.
    pub label: Option<String>,
    /// Broadcast address.
    pub broadcast: Option<Ipv4Addr>,
    /// Scope, as `rt_scopes` numbers it.
    pub scope: Option<u8>,
    /// The other end of a point-to-point link, and how many of its bits are routed there.
    pub peer: Option<Prefix>,
    /// How many seconds it is preferred as a source; `u32::MAX` is for ever.
    pub preferred: Option<u32>,
    /// Whose concern its loss is; static addresses only.
    pub track_group: Option<String>,
    /// What else is said of it.
    pub traits: BTreeSet<AddressTrait>,
}

impl Vip {
    /// An address of which nothing else is said.
    #[must_use]
    pub fn plain(address: IpAddr, prefix: u8) -> Self {
        Self {
            address,
            prefix,
            dev: None,
            label: None,
            broadcast: None,
            scope: None,
            peer: None,
            preferred: None,
            track_group: None,
            traits: BTreeSet::new(),
        }
    }

    /// Whether this is said of it.
    #[must_use]
    pub fn is(&self, of: AddressTrait) -> bool {
        self.traits.contains(&of)
    }
}

/// What can be said of an address in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AddressTrait {
    /// `no_track`: it may go, and its interface too.
    Untracked,
    /// `noprefixroute`: there is no route to its network.
    NoPrefixRoute,
    /// `home`: mobile IPv6's home address.
    Home,
    /// `mngtmpaddr`: temporary addresses are made of it.
    MakesTemporary,
    /// `autojoin`: the multicast group that it is is joined.
    Joined,
    /// `-nodad`: the kernel looks for duplicates first.
    Probed,
    /// `use_vmac`: it belongs on the interface of a virtual hardware address. There is none here.
    Vmac,
}

impl AddressTrait {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Untracked,
        Self::NoPrefixRoute,
        Self::Home,
        Self::MakesTemporary,
        Self::Joined,
        Self::Probed,
        Self::Vmac,
    ];

    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Untracked => "no_track",
            Self::NoPrefixRoute => "noprefixroute",
            Self::Home => "home",
            Self::MakesTemporary => "mngtmpaddr",
            Self::Joined => "autojoin",
            Self::Probed => "-nodad",
            Self::Vmac => "use_vmac",
        }
    }
}

/// What is on the host for as long as the daemon runs, in every state (`static_ipaddress`, `static_routes`, `static_rules`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fixtures {
    /// Addresses, each with its interface.
    pub addresses: Vec<Vip>,
    /// Routes.
    pub routes: Vec<Route>,
    /// Rules.
    pub rules: Vec<Rule>,
}

/// A `vrrp_instance`.
#[derive(Clone, Debug)]
pub struct InstanceConfig {
    /// Its name.
    pub name: String,
    /// Interface that adverts are sent and heard on.
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

    /// Whom the routers speak to.
    #[must_use]
    pub fn cast(&self) -> Cast {
        if self.peers.is_empty() { Cast::Multicast } else { Cast::Unicast }
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
