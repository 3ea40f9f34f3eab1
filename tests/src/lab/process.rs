//! A program that goes on, with its output in a file. It is killed, by its own pid, when the test is done with it.

use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use super::eventually;

/// A running program, leader of its own process group.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    pub(super) fn spawn(command: &mut Command, log: &Path) -> Result<Self> {
        let output = File::options().create(true).append(true).open(log)?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output).process_group(0);
        let child = command.spawn().with_context(|| format!("{command:?}"))?;
        Ok(Self { child, log: log.to_owned() })
    }

    /// Its pid.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Everything that it has said.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until it has said something.
    #[must_use]
    pub fn says(&self, text: &str, patience: Duration) -> bool {
        eventually(patience, || self.log().contains(text))
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// If it has ended.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill(self.raw_pid(), signal)?)
    }

    /// True if the program has ended.
    pub fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// If it goes on.
    pub fn wait(&mut self, patience: Duration) -> Result<ExitStatus> {
        let mut status = None;
        let ended = eventually(patience, || {
            status = self.child.try_wait().ok().flatten();
            status.is_some()
        });
        status.filter(|_| ended).with_context(|| format!("still running after {patience:?}:\n{}", self.log()))
    }

    /// Asks it to end, and waits.
    ///
    /// # Errors
    /// If the program does not end.
    pub fn stop(mut self) -> Result<ExitStatus> {
        self.signal(Signal::SIGTERM)?;
        self.wait(Duration::from_secs(10))
    }

    /// Ends the program without asking, and reaps it: an unreaped process still counts as running for a keepalived.
    ///
    /// # Errors
    /// If the program cannot be ended.
    pub fn kill(mut self) -> Result<()> {
        self.signal(Signal::SIGKILL)?;
        self.wait(Duration::from_secs(10)).map(drop)
    }

    fn raw_pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).expect("pids are below 2^22"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.has_ended() {
            let _ended = killpg(self.raw_pid(), Signal::SIGKILL);
            let _reaped = self.child.wait();
        }
    }
}
