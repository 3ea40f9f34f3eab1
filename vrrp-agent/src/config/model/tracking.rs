//! What is tracked.

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
