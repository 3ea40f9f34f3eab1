//! Scripts, interfaces, files and processes that are tracked.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::programs::Program;
use crate::vrrp::Weight;

/// Index in [`super::Config::scripts`].
pub type ScriptIndex = usize;

/// Index in [`super::Config::files`].
pub type FileIndex = usize;

/// Index in [`super::Config::processes`].
pub type ProcessIndex = usize;

/// A `vrrp_script`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// The name of the script.
    pub name: String,
    /// The program to run.
    pub program: Program,
    /// The time from one start to the next.
    pub interval: Duration,
    /// The run time after which the script is killed and counts as failed.
    pub timeout: Duration,
    /// The weight for instances that set no other weight.
    pub weight: Weight,
    /// The number of successes in a row until the script counts as up.
    pub rise: u32,
    /// The number of failures in a row until the script counts as down.
    pub fall: u32,
    /// True if the script counts as failed before its first run.
    pub init_fail: bool,
}

/// A target that an instance tracks, with its weight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tracked {
    /// The tracked target.
    pub target: TrackTarget,
    /// The effect on the instance.
    pub weight: Weight,
}

/// The targets that can be tracked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrackTarget {
    /// A `vrrp_script`.
    Script(ScriptIndex),
    /// An interface of any kind, by name.
    Interface(String),
    /// A `track_file`.
    File(FileIndex),
    /// A `vrrp_track_process`.
    Process(ProcessIndex),
}

/// A `track_file`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackFile {
    /// The name of the tracked file in the configuration.
    pub name: String,
    /// The path of the file.
    pub path: PathBuf,
    /// The factor that the number in the file is multiplied by.
    pub weight: Weight,
    /// The initial contents, if the file is created at the start.
    pub init: Option<InitFile>,
}

/// `init_file`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InitFile {
    /// The initial number in the file.
    pub number: i32,
    /// The treatment of a file that already exists.
    pub existing: Existing,
}

/// The treatment of a file that already exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// The file stays unchanged.
    Kept,
    /// The file is overwritten (`overwrite`).
    Overwritten,
}

/// A `vrrp_track_process`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackProcess {
    /// The name in the configuration.
    pub name: String,
    /// The name of the program.
    pub program: String,
    /// The kind of process name that `program` is compared with.
    pub known_by: ProcessName,
    /// The arguments that the process must have.
    pub arguments: Arguments,
    /// The effect on an instance.
    pub weight: Weight,
    /// The allowed number of such processes.
    pub quorum: RangeInclusive<u32>,
    /// The time that the number must last after a process has started.
    pub fork_delay: Duration,
    /// The time that the number must last after a process has ended.
    pub terminate_delay: Duration,
}

/// The two names of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcessName {
    /// The kernel's name of the process, at most 15 bytes.
    Short,
    /// The first word of the command line (`full_command`).
    Full,
}

/// Arguments that a process must have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arguments {
    /// The arguments do not matter.
    Any,
    /// Exactly these arguments.
    Exactly(Vec<String>),
    /// These arguments first; others may follow (`param_match partial`).
    First(Vec<String>),
    /// These arguments first; the last one may be the beginning of a longer argument (`param_match initial`).
    Initial(Vec<String>),
}
