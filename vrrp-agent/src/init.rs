//! As process 1 of a container, the agent is the parent of every process there that has lost its own parent: what a script
//! leaves in the background, say. Process 1 must reap them, or each stays as a zombie. The daemon cannot tell them from its own
//! children, whose ends tokio waits for; so process 1 does nothing but this, and the daemon is a child of it.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// If this process is process 1: runs the same command as a child until it ends, hands it all signals that have a name (those
/// without a name are for the daemon itself, whose number is in the pid file), and reaps orphaned processes. Returns `None` in
/// any other process.
///
/// # Errors
/// If the child cannot be started.
pub fn run_if_first() -> io::Result<Option<ExitCode>> {
    // The process that started this one may have blocked signals; a daemon must not inherit that.
    SigSet::all().thread_unblock()?;
    if std::process::id() != 1 {
        return Ok(None);
    }
    let heard: SigSet = Signal::iterator().collect();
    heard.thread_block()?;
    let mut arguments = std::env::args_os();
    let mut command = Command::new("/proc/self/exe");
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    let child = command.args(arguments).spawn()?;
    let child = Pid::from_raw(i32::try_from(child.id()).map_err(io::Error::other)?);
    loop {
        match heard.wait()? {
            Signal::SIGCHLD => {
                if let Some(code) = reap(child)? {
                    return Ok(Some(code));
                }
            }
            signal => {
                // The child may have ended just now.
                let _gone = kill(child, signal);
            }
        }
    }
}

/// Reaps every child that has ended. Returns the exit code for this process if `child` was among them.
fn reap(child: Pid) -> io::Result<Option<ExitCode>> {
    let mut ended = None;
    loop {
        // A process that was stopped has not ended.
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, code)) if pid == child => {
                ended = Some(ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX)));
            }
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == child => {
                // The exit code that a shell would report.
                ended = Some(ExitCode::from(128 + u8::try_from(signal as i32).unwrap_or(0)));
            }
            Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return Ok(ended),
            Ok(_another) => {}
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
