//! What a file says of the daemon itself: where it runs, how it is scheduled, what runs before it and after it.

use std::time::Duration;

use super::model::Program;

/// What the daemon does for itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostSettings {
    /// Where it runs.
    pub place: Place,
    /// How its protocol thread is scheduled.
    pub scheduling: Scheduling,
    /// Permissions that the files it makes do not have (`umask`); `None` is what it was started with.
    pub umask: Option<u32>,
    /// What runs once, before all else (`startup_script`).
    pub startup: Once,
    /// What runs once, after all else (`shutdown_script`).
    pub shutdown: Once,
    /// What is said of virtual routers that are not in the file.
    pub unknown_vrids: UnknownVrids,
}

/// Where a daemon runs, which it cannot change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// `net_namespace`; `None` is the one that it was started in.
    pub net_namespace: Option<String>,
    /// `instance`: its name among several in one network namespace.
    pub instance: Option<String>,
}

/// How the protocol thread is scheduled; `None` is as it was started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scheduling {
    /// `vrrp_priority`, from -20, the most urgent, to 19.
    pub nice: Option<i32>,
    /// `vrrp_rt_priority`, from 1 to 99.
    pub real_time: Option<i32>,
    /// `vrrp_cpu_affinity`: the numbers of processors; none is all.
    pub processors: Vec<usize>,
    /// `vrrp_rlimit_rttime`: real-time work between two sleeps that is said to be too much.
    pub most_real_time: Option<Duration>,
    /// `vrrp_no_swap`.
    pub memory: MemoryUse,
}

/// Whether the kernel may take memory away for a while.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MemoryUse {
    /// It may.
    #[default]
    Swappable,
    /// It may not.
    Locked,
}

/// A program that runs once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Once {
    /// Which, if any.
    pub program: Option<Program>,
    /// How long it may take.
    pub timeout: Duration,
}

impl Default for Once {
    fn default() -> Self {
        Self { program: None, timeout: Duration::from_secs(10) }
    }
}

/// `log_unknown_vrids`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownVrids {
    /// Nobody listens to them.
    #[default]
    Unheard,
    /// Each is logged once.
    Logged,
}
