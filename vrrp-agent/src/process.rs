//! Starting the operator's programs: without a shell, as another user, in a process group of their own; and, with script
//! security, only files that root alone could have put there.

use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Gid, Pid, Uid};
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::blocking::{self, Hangs};
use crate::config::{Program, ScriptSecurity, ScriptUser};

pub mod identity;

/// The time between the signal to terminate and the signal that cannot be caught.
const KILL_TIMEOUT: Duration = Duration::from_secs(2);

/// The time that a program may take to begin: its file may be on a server that is gone.
const START_TIMEOUT: Duration = Duration::from_secs(5);

/// The user that programs run as if there is such a user and the file names none.
const DEFAULT_USER: &str = "keepalived_script";

/// The number of bytes of a program's output that are kept.
const KEPT: usize = 1024;

/// The reason why a program cannot run.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// There is no user of this name.
    #[error("there is no user {0}")]
    NoUser(String),
    /// There is no group of this name.
    #[error("there is no group {0}")]
    NoGroup(String),
    /// The name service has not answered yet who this user is.
    #[error("the name service has not answered yet for user {0}")]
    Unanswered(String),
    /// The file system of the program's file does not answer.
    #[error("{0}; its file system hangs")]
    Hangs(#[from] Hangs),
    /// With script security a program does not run as root only because no user was named.
    #[error(
        "with enable_script_security it needs a user: there is neither a `script_user` nor a user {}",
        DEFAULT_USER
    )]
    NobodyNamed,
    /// There is no such file, or it cannot be run.
    #[error("{path}: {error}")]
    File {
        /// The path of the file.
        path: PathBuf,
        /// The system's error.
        error: io::Error,
    },
    /// Another user than root could change it, and so have root run any program.
    #[error("it is not run as root, because {0} can be changed by others (enable_script_security)")]
    Changeable(PathBuf),
    /// The system refuses.
    #[error(transparent)]
    System(#[from] io::Error),
}

/// The time for which a program may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// Its last output is kept, and it is killed when the caller does not wait for it any more.
    OfCaller,
    /// It goes on without the agent, and its output goes nowhere: it may start services, which inherit both.
    OfItsOwn,
}

/// A program that runs, leader of its process group.
#[derive(Debug)]
pub struct Running {
    child: Child,
    group: Option<Pid>,
    /// The user and group that it runs as; `None` if they are the agent's.
    identity: Option<Identity>,
    lifetime: Lifetime,
    output: Option<pipe::Receiver>,
    tail: Tail,
}

/// The end of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It ended by itself.
    Exited(ExitStatus),
    /// It took too long, and was killed with all processes that it had started.
    Killed,
    /// It took too long, and is still there though it was killed: it hangs in the kernel, say on a file server that is gone.
    Stuck,
}

/// Starts a program, with the arguments `more` behind its own.
///
/// # Errors
/// If the program cannot run, or its file system does not answer.
pub async fn start(
    program: &Program,
    more: &[String],
    security: ScriptSecurity,
    lifetime: Lifetime,
) -> Result<Running, ProgramError> {
    let (program, more) = (program.clone(), more.to_vec());
    let name = program.command[0].clone();
    // The kernel reads the file before it says that the program runs.
    let begun = blocking::within(&name, START_TIMEOUT, move || {
        begin(&program, &more, security, lifetime).map(Begun::new)
    });
    begun.await?.map(Begun::taken)
}

/// A program that has begun. If that was too late for its caller, this is dropped, and kills it.
struct Begun(Option<Running>);

impl Begun {
    fn new(running: Running) -> Self {
        Self(Some(running))
    }

    fn taken(mut self) -> Running {
        self.0.take().expect("it is taken once")
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        if let Some(running) = &self.0 {
            running.signal(Signal::SIGKILL);
        }
    }
}

fn begin(
    program: &Program,
    more: &[String],
    security: ScriptSecurity,
    lifetime: Lifetime,
) -> Result<Running, ProgramError> {
    let Permit { path, identity } = examine(program, security)?;
    let mut command = Command::new(path);
    command.arg0(&program.command[0]).args(&program.command[1..]).args(more).stdin(Stdio::null());
    // A server that the program starts must not speak for the agent.
    command.env_remove("NOTIFY_SOCKET").env_remove("JOURNAL_STREAM");
    if let Some((user, group)) = identity {
        // Its supplementary groups go too, since the agent's may be root's.
        command.uid(user.as_raw()).gid(group.as_raw());
    }
    let output = match lifetime {
        Lifetime::OfItsOwn => {
            command.stdout(Stdio::null()).stderr(Stdio::null());
            None
        }
        Lifetime::OfCaller => {
            // One pipe for both, so that their lines stay in order.
            let (reader, writer) = io::pipe()?;
            command.stdout(writer.try_clone()?).stderr(writer).kill_on_drop(true);
            Some(pipe::Receiver::from_owned_fd(reader.into())?)
        }
    };
    let child = command.process_group(0).spawn()?;
    let group = child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
    Ok(Running { child, group, identity, lifetime, output, tail: Tail::default() })
}

/// The program that may run, and the user and group that it runs as; `None` if they are the agent's.
#[derive(Debug)]
pub struct Permit {
    path: PathBuf,
    identity: Option<Identity>,
}

/// Returns a permit if a program could run now, so that an error is reported at the start rather than when the program is
/// needed.
///
/// # Errors
/// If the program could not run.
pub fn examine(program: &Program, security: ScriptSecurity) -> Result<Permit, ProgramError> {
    let identity = identity(program.user.as_ref(), security)?;
    let path = find(&program.command[0])?;
    let as_root = identity.map_or(Uid::effective(), |(user, _)| user).is_root();
    match security {
        ScriptSecurity::On if as_root => {
            // Symbolic links are followed first, so that the file that runs is the file that was examined.
            let path = path.canonicalize().map_err(|error| ProgramError::File { path, error })?;
            match path.ancestors().find(|part| is_changeable(part)) {
                Some(part) => Err(ProgramError::Changeable(part.to_owned())),
                None => Ok(Permit { path, identity }),
            }
        }
        ScriptSecurity::On | ScriptSecurity::Off => Ok(Permit { path, identity }),
    }
}

/// A user and a group.
pub type Identity = (Uid, Gid);

/// Returns the user and group that a program runs as, by keepalived's rule; `None` if they are the agent's.
fn identity(user: Option<&ScriptUser>, security: ScriptSecurity) -> Result<Option<Identity>, ProgramError> {
    if let Some(user) = user {
        return Ok(Some(identity::known(user)?).filter(|&ids| ids != (Uid::effective(), Gid::effective())));
    }
    match (identity::known_default(), security) {
        (Ok(ids), _) => Ok(Some(ids).filter(|_| Uid::effective().is_root())),
        (Err(ProgramError::NoUser(_)), ScriptSecurity::On) => Err(ProgramError::NobodyNamed),
        (Err(ProgramError::NoUser(_)), ScriptSecurity::Off) => Ok(None),
        (Err(error), _) => Err(error),
    }
}

/// Logs an error if a program could not run now, at the start rather than when it is needed. Returns at once.
pub fn examine_soon(what: String, program: &Program, security: ScriptSecurity) {
    let program = program.clone();
    tokio::spawn(async move {
        let name = program.command[0].clone();
        let examined = {
            let program = program.clone();
            blocking::within(&name, START_TIMEOUT, move || examine(&program, security).map(drop)).await
        };
        if let Err(error) = examined.map_err(ProgramError::from).and_then(|examined| examined) {
            tracing::error!("{what} ({name}) cannot run: {error}");
        }
    });
}

/// Finds a program by its path, or by its name in one of the directories of `PATH`.
fn find(name: &str) -> Result<PathBuf, ProgramError> {
    let runs = |path: &Path| match path.metadata() {
        Ok(metadata) if !metadata.is_file() => Err(io::Error::other("not a file")),
        Ok(metadata) if metadata.permissions().mode() & 0o111 == 0 => Err(io::Error::other("not executable")),
        Ok(_) => Ok(()),
        Err(error) => Err(error),
    };
    if !name.contains('/') {
        let directories = std::env::var_os("PATH").unwrap_or_default();
        let mut paths = std::env::split_paths(&directories).map(|directory| directory.join(name));
        let missing = || io::Error::new(io::ErrorKind::NotFound, "not found in PATH");
        return paths
            .find(|path| runs(path).is_ok())
            .ok_or_else(|| ProgramError::File { path: name.into(), error: missing() });
    }
    let path = PathBuf::from(name);
    runs(&path).map_err(|error| ProgramError::File { path: path.clone(), error })?;
    Ok(path)
}

/// Returns true if another user than root could put something else here. In a sticky directory only root can replace root's
/// files.
fn is_changeable(path: &Path) -> bool {
    const STICKY: u32 = 0o1000;
    let Ok(metadata) = path.metadata() else { return true };
    let mode = metadata.mode();
    let sticky = metadata.is_dir() && mode & STICKY != 0;
    let by_group = mode & 0o020 != 0 && metadata.gid() != 0;
    let by_others = mode & 0o002 != 0;
    metadata.uid() != 0 || (!sticky && (by_group || by_others))
}

impl Running {
    /// Waits for the end of the program.
    ///
    /// # Errors
    /// If the system does not know how it ended.
    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        let Self { child, output, tail, .. } = self;
        loop {
            let Some(pipe) = output else { return child.wait().await };
            tokio::select! {
                status = child.wait() => {
                    let status = status?;
                    // The output from before its end is in the pipe. The programs that it has started may go on writing, and
                    // must not be hurt when the pipe is closed.
                    match tail.take_what_is_there(pipe) {
                        Flow::Ended => {}
                        Flow::MoreToCome => drop(tokio::spawn(discard(output.take()))),
                    }
                    return Ok(status);
                }
                readable = pipe.readable() => match readable.map(|()| tail.take_what_is_there(pipe)) {
                    // Other tasks have their turn, however much the program writes.
                    Ok(Flow::MoreToCome) => tokio::task::yield_now().await,
                    Ok(Flow::Ended) | Err(_) => *output = None,
                },
            }
        }
    }

    /// Waits for the end of the program, for `limit` at most; then ends its whole process group.
    ///
    /// # Errors
    /// If the system does not know how it ended.
    pub async fn within(&mut self, limit: Duration) -> io::Result<End> {
        if let Ok(status) = timeout(limit, self.wait()).await {
            return status.map(End::Exited);
        }
        Ok(if self.terminate().await { End::Killed } else { End::Stuck })
    }

    /// Returns true if the program has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|status| status.is_some())
    }

    /// Asks the program and all that it has started to end, and then kills them. Returns false if the program is there even
    /// after that, which a caller cannot wait for.
    pub async fn terminate(&mut self) -> bool {
        self.signal(Signal::SIGTERM);
        let ended = timeout(KILL_TIMEOUT, self.child.wait()).await.is_ok();
        // The program's children may have ignored the first signal.
        self.signal(Signal::SIGKILL);
        ended || timeout(KILL_TIMEOUT, self.child.wait()).await.is_ok()
    }

    /// Returns the last lines that the program has written.
    #[must_use]
    pub fn last_lines(&self) -> String {
        self.tail.text()
    }

    fn signal(&self, signal: Signal) {
        let Some(group) = self.group else { return };
        // An error because the group is gone already is ignored.
        let refused = killpg(group, signal) == Err(Errno::EPERM);
        if let (true, Some((user, own_group))) = (refused, self.identity) {
            // Without CAP_KILL, the signal must come from a process of the program's own user.
            let mut kill = Command::new("/bin/kill");
            kill.args(["-s", signal.as_str().trim_start_matches("SIG"), "--", &format!("-{group}")]);
            let _told = kill.uid(user.as_raw()).gid(own_group.as_raw()).stderr(Stdio::null()).spawn();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A child that has no number any more has been reaped.
        match self.lifetime {
            Lifetime::OfCaller if self.child.id().is_some() => self.signal(Signal::SIGKILL),
            Lifetime::OfCaller | Lifetime::OfItsOwn => {}
        }
    }
}

/// Reads and drops what is still written, so that no program is stopped by a pipe that is not read.
async fn discard(output: Option<pipe::Receiver>) {
    let Some(pipe) = output else { return };
    let mut tail = Tail::default();
    while pipe.readable().await.is_ok() {
        match tail.take_what_is_there(&pipe) {
            Flow::MoreToCome => {}
            Flow::Ended => return,
        }
    }
}

/// The end of a program's output.
#[derive(Debug, Default)]
struct Tail {
    bytes: Vec<u8>,
    /// True if there was output before it, which was dropped.
    cut: bool,
}

/// The prospect of more output from a pipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    MoreToCome,
    Ended,
}

impl Tail {
    /// Reads until nothing more is there for now, or a bounded number of times: a program that writes without end must not keep
    /// the agent.
    fn take_what_is_there(&mut self, pipe: &pipe::Receiver) -> Flow {
        const READS_MAX: usize = 64;
        let mut buffer = [0; 4096];
        for _ in 0..READS_MAX {
            match pipe.try_read(&mut buffer) {
                Ok(0) => return Flow::Ended,
                Ok(length) => self.push(&buffer[..length]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Flow::MoreToCome,
                Err(_) => return Flow::Ended,
            }
        }
        Flow::MoreToCome
    }

    fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        let surplus = self.bytes.len().saturating_sub(KEPT);
        self.cut |= surplus > 0;
        self.bytes.drain(..surplus);
    }

    /// Returns whole lines, unless the last line alone is longer than what is kept.
    fn text(&self) -> String {
        let text = String::from_utf8_lossy(&self.bytes);
        let text = text.trim_end();
        match text.split_once('\n') {
            Some((_half, whole)) if self.cut => whole.to_owned(),
            Some(_) | None => text.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests;
