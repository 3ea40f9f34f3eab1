//! Telling operators what is going on: one snapshot type feeds the text and the JSON of `vrrp-agent status`.

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
    /// Its process.
    pub pid: u32,
    /// `router_id`.
    pub router_id: Option<String>,
    /// The data plane in use.
    pub dataplane: String,
    /// Where maps and program are pinned, if they are.
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
    /// What became of the frames that concern us, by name; those that are zero are left out.
    pub counters: std::collections::BTreeMap<String, u64>,
}

/// An instance at one moment.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct InstanceStatus {
    /// Its name.
    pub name: String,
    /// `initialize`, `backup`, `master` or `fault`.
    pub state: String,
    /// How long it has been in that state.
    pub for_seconds: f64,
    /// Why it entered it; in fault, why it is still there.
    pub cause: String,
    /// What it needs and lacks now, each in a sentence: why it is in fault, or what it waits for.
    #[serde(default)]
    pub lacks: Vec<String>,
    /// Its interface.
    pub interface: String,
    /// Its virtual router identifier.
    pub vrid: u8,
    /// The address that it sends from.
    pub source: IpAddr,
    /// As master: what it was by that it became it.
    pub won_by: Option<WonBy>,
    /// Protocol version.
    pub version: u8,
    /// Its sync group.
    pub group: Option<String>,
    /// As backup: whether it would be master, but for its sync group.
    pub waits_for_group: bool,
    /// Priority after tracking.
    pub priority: u8,
    /// Priority in the file.
    pub base_priority: u8,
    /// Advertisement interval.
    pub interval_seconds: f64,
    /// The master, if known: ourselves, or the router last heard.
    pub master: Option<MasterStatus>,
    /// The virtual addresses.
    pub vips: Vec<IpAddr>,
    /// As master: those of them that are not on their interface because the kernel refuses them.
    #[serde(default)]
    pub missing: Vec<IpAddr>,
    /// As master: how long the addresses are still ours if no further advert leaves.
    pub lease_seconds: Option<f64>,
    /// As backup: how long the master may still be silent.
    pub master_down_seconds: Option<f64>,
    /// Who waits for the master's next advert: `kernel` or `agent`.
    pub watch: Option<String>,
    /// Adverts sent.
    pub adverts_sent: u64,
    /// Resignations sent.
    pub resignations_sent: u64,
    /// Times that it became master.
    pub became_master: u64,
}

/// By what a router becomes master (RFC 6527, `vrrpv3StatisticsNewMasterReason`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WonBy {
    /// It owns the addresses, or the master has resigned.
    Priority,
    /// It ranks higher than the master before.
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
    /// Whether that is this router.
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
    /// The last lines that it has written, or why it cannot run.
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
    /// Where it is.
    pub path: String,
    /// What it says; 0 if it is missing.
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
