//! Settings of the daemon itself: its place and its scheduling, and the programs that run before and after it.

use std::time::Duration;

use super::model::programs::Program;

/// Settings of the daemon itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostSettings {
    /// The place where the daemon runs.
    pub place: Place,
    /// The scheduling of the protocol thread.
    pub scheduling: Scheduling,
    /// The permissions that new files of the daemon do not get (`umask`); `None` keeps the umask that the daemon was started
    /// with.
    pub umask: Option<u32>,
    /// The program that runs once before everything else (`startup_script`).
    pub startup: LifecycleScript,
    /// The program that runs once after everything else (`shutdown_script`).
    pub shutdown: LifecycleScript,
    /// The treatment of adverts of virtual routers that are not in the file.
    pub unknown_vrids: UnknownVrids,
}

/// The place where the daemon runs. A running daemon cannot change it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// `net_namespace`; `None` is the namespace that the daemon was started in.
    pub net_namespace: Option<String>,
    /// `instance`: the name that distinguishes several daemons in one network namespace.
    pub instance: Option<String>,
}

/// The scheduling of the protocol thread. `None` keeps the setting that the daemon was started with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scheduling {
    /// `vrrp_priority`: the nice value, from -20 (most urgent) to 19.
    pub nice: Option<i32>,
    /// `vrrp_rt_priority`: the real-time priority, from 1 to 99.
    pub real_time: Option<i32>,
    /// `vrrp_cpu_affinity`: the numbers of processors; an empty list means all.
    pub processors: Vec<usize>,
    /// `vrrp_rlimit_rttime`: the CPU time that the thread may use under real-time scheduling between two sleeps; more is
    /// reported.
    pub most_real_time: Option<Duration>,
    /// `vrrp_no_swap`.
    pub memory: MemoryUse,
}

/// `vrrp_no_swap`: permission for the kernel to swap the memory of the daemon out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MemoryUse {
    /// The kernel may swap the memory out.
    #[default]
    Swappable,
    /// The memory is locked.
    Locked,
}

/// A program that runs once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LifecycleScript {
    /// The program, if there is one.
    pub program: Option<Program>,
    /// The largest run time of the program.
    pub timeout: Duration,
}

impl Default for LifecycleScript {
    fn default() -> Self {
        Self { program: None, timeout: Duration::from_secs(10) }
    }
}

/// `log_unknown_vrids`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownVrids {
    /// Adverts of unknown virtual routers are not observed.
    #[default]
    Unheard,
    /// Each unknown virtual router is logged once.
    Logged,
}
