//! As process 1 of a container, the agent is the parent of every process there that has lost its own: what a script leaves in the
//! background, say. Somebody must take note of their ends, or each stays as a zombie. The daemon cannot tell them from its own
//! children, whose ends tokio waits for; so process 1 does nothing but this, and the daemon is a child of it.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// Where this process is process 1: runs the same command as a child to its end, hands it all signals that have a name (those without
/// are for the daemon itself, whose number is in the pid file), and reaps what is orphaned. `None` in any other process.
///
/// # Errors
/// If the child cannot be started.
pub fn run_if_first() -> io::Result<Option<ExitCode>> {
    // What whoever started us did not want to hear is nothing to a daemon.
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
                // It may have ended just now.
                let _gone = kill(child, signal);
            }
        }
    }
}

/// Takes note of every end. The code to end with, if the child was among them.
fn reap(child: Pid) -> io::Result<Option<ExitCode>> {
    let mut ended = None;
    loop {
        // Stopped is not ended.
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, code)) if pid == child => {
                ended = Some(ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX)));
            }
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == child => {
                // As a shell says it.
                ended = Some(ExitCode::from(128 + u8::try_from(signal as i32).unwrap_or(0)));
            }
            Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return Ok(ended),
            Ok(_another) => {}
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
