//! How the kernel schedules the protocol thread. A setting that the kernel refuses is a warning: a daemon that is less urgent
//! than its operator wants is better than none.

use std::io;

use nix::libc;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::mman::{MlockAllFlags, mlockall};
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit};
use nix::unistd::Pid;

use crate::config::{MemoryUse, Scheduling};
use crate::host::Capability;

/// The calling thread, in system calls that take a number.
const THIS_THREAD: Pid = Pid::from_raw(0);

/// Schedules the calling thread, and warns of settings that cannot be had.
pub(super) fn apply(scheduling: &Scheduling) {
    let Scheduling { nice, real_time, processors, most_real_time, memory } = scheduling;
    if let Some(nice) = *nice {
        let instead = "have CAP_SYS_NICE in the unit and SystemCallFilter=@resources, or use its Nice=";
        report(&format!("vrrp_priority {nice}"), set_nice(nice), instead);
    }
    // Set before the thread has a real-time priority, which this limits.
    if let Some(most) = *most_real_time {
        let micros = libc::rlim_t::try_from(most.as_micros()).unwrap_or(RLIM_INFINITY);
        let instead = "have SystemCallFilter=@resources in the unit";
        report(&format!("vrrp_rlimit_rttime {micros}"), limit_real_time(micros), instead);
    }
    if let Some(priority) = *real_time {
        let instead = "have CAP_SYS_NICE, RestrictRealtime=no and SystemCallFilter=@resources in the unit, or use its \
                       CPUSchedulingPolicy=rr and CPUSchedulingPriority=";
        report(&format!("vrrp_rt_priority {priority}"), set_real_time(priority), instead);
    }
    if !processors.is_empty() {
        let instead = "name processors that there are; have SystemCallFilter=@resources in the unit, or use its CPUAffinity=";
        report("vrrp_cpu_affinity", set_processors(processors), instead);
    }
    match memory {
        MemoryUse::Swappable => {}
        MemoryUse::Locked => {
            report("vrrp_no_swap", lock_memory(), "have CAP_IPC_LOCK or LimitMEMLOCK=infinity in the unit");
        }
    }
}

fn report(keyword: &str, result: io::Result<()>, instead: &str) {
    if let Err(error) = result {
        tracing::warn!("{keyword}: {error}; {instead}");
    }
}

fn set_nice(nice: i32) -> io::Result<()> {
    // SAFETY: takes numbers only. On Linux a process number is that of a thread, and 0 is the calling thread.
    let result = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, nice) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn set_real_time(priority: i32) -> io::Result<()> {
    let parameters = libc::sched_param { sched_priority: priority };
    // SAFETY: the parameters live through the call, which only reads them.
    let result =
        unsafe { libc::sched_setscheduler(THIS_THREAD.as_raw(), libc::SCHED_RR, &raw const parameters) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn set_processors(numbers: &[usize]) -> io::Result<()> {
    let mut processors = CpuSet::new();
    for &number in numbers {
        processors.set(number)?;
    }
    Ok(sched_setaffinity(THIS_THREAD, &processors)?)
}

/// Sets only the soft limit, at which the kernel sends a signal: at the hard limit the kernel would end the daemon.
fn limit_real_time(micros: libc::rlim_t) -> io::Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_RTTIME)?;
    Ok(setrlimit(Resource::RLIMIT_RTTIME, micros.min(hard), hard)?)
}

/// Locks the memory of the whole process. Not under a limit: memory that is wanted later would be refused, and the daemon would
/// end.
fn lock_memory() -> io::Result<()> {
    let (soft, _) = getrlimit(Resource::RLIMIT_MEMLOCK)?;
    if soft != RLIM_INFINITY && !Capability::IpcLock.held() {
        return Err(io::Error::other("memory that may be locked is limited"));
    }
    Ok(mlockall(MlockAllFlags::MCL_CURRENT | MlockAllFlags::MCL_FUTURE)?)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Returns the nice value of a thread, from proc(5).
    fn nice(thread: &str) -> String {
        let stat = fs::read_to_string(format!("/proc/{thread}/stat")).expect("a thread");
        // The nineteenth field. The name before it may have blanks, and the last closing bracket ends it.
        let rest = stat.rsplit(')').next().unwrap_or_default();
        rest.split_whitespace().nth(16).unwrap_or_default().to_owned()
    }

    /// Settings that every user may make.
    #[test]
    fn the_calling_thread_and_no_other() {
        let before = nice("self");
        let thread = std::thread::spawn(|| {
            apply(&Scheduling { nice: Some(19), processors: vec![0], ..Scheduling::default() });
            let status = fs::read_to_string("/proc/thread-self/status").expect("a status");
            let allowed = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
            (nice("thread-self"), allowed.unwrap_or_default().trim().to_owned())
        });
        assert_eq!(thread.join().expect("no panic"), ("19".to_owned(), "0".to_owned()));
        assert_eq!(nice("self"), before);
    }

    #[test]
    fn what_cannot_be_had_is_no_more_than_a_warning() {
        let impossible =
            Scheduling { real_time: Some(1000), processors: vec![1_000_000], ..Scheduling::default() };
        std::thread::spawn(move || apply(&impossible)).join().expect("no panic");
    }
}
