//! The status for operators: one snapshot type feeds the text and the JSON of `vrrp-agent status`.

mod render;
mod socket;

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

pub use render::render;
pub use socket::{path, query, serve};

/// The daemon at one moment. Durations are seconds, so that a script needs no parser for units.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Snapshot {
    /// Version of the agent.
    pub version: String,
    /// Its process identifier.
    pub pid: u32,
    /// `router_id`.
    pub router_id: Option<String>,
    /// The data plane in use.
    pub dataplane: String,
    /// The directory where maps and program are pinned, if they are.
    pub pins: Option<String>,
    /// Every instance, in the order of the file.
    pub instances: Vec<InstanceStatus>,
    /// The check scripts that run.
    pub scripts: Vec<ScriptStatus>,
    /// The interfaces that are tracked beside the instances' own.
    #[serde(default)]
    pub interfaces: Vec<TrackedInterface>,
    /// The tracked files.
    #[serde(default)]
    pub files: Vec<FileStatus>,
    /// The tracked processes.
    #[serde(default)]
    pub processes: Vec<ProcessStatus>,
    /// The frames that concern us, counted by what was done with them, by name; counters that are zero are left out.
    pub counters: std::collections::BTreeMap<String, u64>,
}

/// An instance at one moment.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct InstanceStatus {
    /// Its name.
    pub name: String,
    /// `initialize`, `backup`, `master` or `fault`.
    pub state: String,
    /// The time for which the instance has been in that state.
    pub for_seconds: f64,
    /// The reason why the instance entered that state; in fault, why it is still there.
    pub cause: String,
    /// The things that the instance needs and lacks now, one sentence each: why it is in fault, or what it waits for.
    #[serde(default)]
    pub lacks: Vec<String>,
    /// Its interface.
    pub interface: String,
    /// Its virtual router identifier.
    pub vrid: u8,
    /// The address that it sends from.
    pub source: IpAddr,
    /// As master: the reason why it became master.
    pub won_by: Option<WonBy>,
    /// Protocol version.
    pub version: u8,
    /// Its sync group.
    pub group: Option<String>,
    /// As backup: true if it would be master without its sync group.
    pub waits_for_group: bool,
    /// Priority after tracking.
    pub priority: u8,
    /// Priority in the file.
    pub base_priority: u8,
    /// Advertisement interval.
    pub interval_seconds: f64,
    /// The master, if known: this router, or the router last heard.
    pub master: Option<MasterStatus>,
    /// The virtual addresses.
    pub vips: Vec<IpAddr>,
    /// As master: the virtual addresses that are not on their interface because the kernel refuses them.
    #[serde(default)]
    pub missing: Vec<IpAddr>,
    /// As master: the time for which the addresses are still ours if no further advert leaves.
    pub lease_seconds: Option<f64>,
    /// As backup: the time for which the master may still be silent.
    pub master_down_seconds: Option<f64>,
    /// The half that waits for the master's next advert: `kernel` or `agent`.
    pub watch: Option<String>,
    /// Adverts sent.
    pub adverts_sent: u64,
    /// Resignations sent.
    pub resignations_sent: u64,
    /// Number of times that it became master.
    pub became_master: u64,
}

/// The reason why a router becomes master (RFC 6527, `vrrpv3StatisticsNewMasterReason`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WonBy {
    /// It owns the addresses, or the master has resigned.
    Priority,
    /// It ranks higher than the previous master.
    Preemption,
    /// The master was silent.
    Silence,
}

/// The master of an instance.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MasterStatus {
    /// Its address.
    pub address: IpAddr,
    /// Its priority.
    pub priority: u8,
    /// True if the master is this router.
    pub is_self: bool,
}

/// A check script at one moment.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ScriptStatus {
    /// Its name.
    pub name: String,
    /// `unknown`, `up` or `down`.
    pub state: String,
    /// How its last run ended, such as `exit status 1`; none before the first.
    #[serde(default)]
    pub result: Option<String>,
    /// The last lines that the script has written, or the reason why it cannot run.
    pub output: String,
}

/// A tracked interface at one moment.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TrackedInterface {
    /// Its name.
    pub name: String,
    /// `up`, `down` or `missing`.
    pub state: String,
}

/// A tracked file at one moment.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FileStatus {
    /// Its name in the configuration.
    pub name: String,
    /// Its path.
    pub path: String,
    /// The number in the file; 0 if the file is missing.
    pub number: i32,
}

/// Tracked processes at one moment.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ProcessStatus {
    /// Their name in the configuration.
    pub name: String,
    /// `unknown`, `up` or `down`.
    pub state: String,
}
