//! A FIFO that gets a line for each notification, in order. The agent has it open for reading too, so that a reader may end and
//! another come without a line lost: lines that are not read wait in the FIFO, and lines for which it has no room wait here.

use std::fs::{File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use tokio::io::AsyncWriteExt as _;
use tokio::net::unix::pipe;
use tokio::sync::broadcast::{Receiver, Sender, channel};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::next;
use crate::config::{self, Program, ScriptSecurity};
use crate::process::{self, Lifetime, ProgramError};

/// The number of lines that wait while the FIFO, which has room for some two thousand, is full.
const WAITING_MAX: usize = 1024;
/// The time for which it may be full before that is logged.
const FULL: Duration = Duration::from_secs(10);
/// The pause from the end of a reader to its next start: at first, and at most.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// The time for a reader that has seen the end of its FIFO and may still have something to do.
const READER_TIMEOUT: Duration = Duration::from_secs(2);

/// The reason why a FIFO cannot be written to.
#[derive(Debug, thiserror::Error)]
pub(super) enum FifoError {
    /// Another kind of file has this name.
    #[error("the file is not a FIFO, and is not changed")]
    NotAFifo,
    /// The user that it is to belong to is not known.
    #[error(transparent)]
    Owner(#[from] ProgramError),
    /// The system refuses.
    #[error(transparent)]
    System(#[from] io::Error),
}

/// A FIFO, with its writer and its reader.
#[derive(Debug)]
pub(super) struct Fifo {
    path: PathBuf,
    file: Identity,
    origin: Origin,
    lines: Sender<String>,
    writer: JoinHandle<()>,
    reader: Option<Reader>,
}

/// The identity of a file, whatever its name: device and inode.
type Identity = (u64, u64);

/// The origin of the FIFO: the agent removes it only if the agent has made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    Made,
    Found,
}

impl Fifo {
    /// Opens the FIFO, and makes it first if there is none.
    pub(super) fn open(settings: &config::Fifo) -> Result<Self, FifoError> {
        let path = &settings.path;
        let owner = settings.owner.as_ref().map(process::identity::known).transpose()?;
        let origin = match mkfifo(path, Mode::S_IRUSR | Mode::S_IWUSR) {
            Ok(()) => Origin::Made,
            Err(nix::Error::EEXIST) => Origin::Found,
            Err(error) => return Err(io::Error::from(error).into()),
        };
        // A link is never followed: a user who can put a link there would choose what we write to.
        let flags = OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW;
        let file = OpenOptions::new().read(true).write(true).custom_flags(flags.bits()).open(path)?;
        let metadata = file.metadata()?;
        if !metadata.file_type().is_fifo() {
            return Err(FifoError::NotAFifo);
        }
        match origin {
            Origin::Made => give(&file, owner)?,
            // The program that has made it has also chosen its owner.
            Origin::Found => {}
        }
        let (lines, queue) = channel(WAITING_MAX);
        let what = format!("FIFO {}", path.display());
        let writer = tokio::spawn(write(what, pipe::Sender::from_file(file)?, queue));
        let file = (metadata.dev(), metadata.ino());
        Ok(Self { path: path.clone(), file, origin, lines, writer, reader: None })
    }

    /// Returns true if this is still the FIFO at that path.
    pub(super) fn is_at(&self, path: &Path) -> bool {
        let there = path.symlink_metadata().map(|metadata| (metadata.dev(), metadata.ino()));
        self.path == path && there.is_ok_and(|there| there == self.file)
    }

    /// Has a program read it. A program that reads it already goes on.
    pub(super) fn set_reader(&mut self, program: Option<&Program>, security: ScriptSecurity) {
        if self.reader.as_ref().map(|reader| (&reader.program, reader.security))
            != program.map(|p| (p, security))
        {
            // The reader before ends by itself, and only then may the next begin: two would share the lines.
            let before = self.reader.take();
            self.reader = program.map(|program| Reader::start(program, &self.path, security, before));
        }
    }

    /// Writes a line, as soon as there is room.
    pub(super) fn write(&self, line: String) {
        // The task only ends after the queue.
        let _never = self.lines.send(line);
    }

    /// Removes the FIFO if it was made here, writes the lines that wait, until the given time, and ends the reader.
    pub(super) async fn finish(self, until: Instant) {
        // The FIFO is removed at once, since a later configuration may make one of the same name. A program that has it open
        // reads on.
        match self.origin {
            Origin::Made if self.is_at(&self.path) => {
                let _gone = std::fs::remove_file(&self.path);
            }
            Origin::Made | Origin::Found => {}
        }
        let Self { path, lines, mut writer, reader, .. } = self;
        drop(lines);
        if timeout_at(until, &mut writer).await.is_err() {
            tracing::warn!("FIFO {}: no program has read the last lines, which are lost", path.display());
            writer.abort();
            let _aborted = writer.await;
        }
        if let Some(reader) = reader {
            reader.stop().await;
        }
    }
}

/// Gives a FIFO that was just made to its owner alone.
fn give(file: &File, owner: Option<process::Identity>) -> io::Result<()> {
    // The mode that it was made with was subject to the umask.
    file.set_permissions(Permissions::from_mode(0o600))?;
    match owner {
        Some((user, group)) => std::os::unix::fs::fchown(file, Some(user.as_raw()), Some(group.as_raw())),
        None => Ok(()),
    }
}

/// Writes the lines of a queue. Lines are so short that the kernel takes each whole or not at all.
async fn write(what: String, mut pipe: pipe::Sender, mut lines: Receiver<String>) {
    while let Some(line) = next(&mut lines, &what).await {
        let mut writing = std::pin::pin!(pipe.write_all(line.as_bytes()));
        let written = match timeout(FULL, &mut writing).await {
            Ok(written) => written,
            Err(_elapsed) => {
                tracing::warn!(
                    "{what} is full, because no program reads it; {WAITING_MAX} more lines are kept"
                );
                writing.await
            }
        };
        if let Err(error) = written {
            tracing::error!("{what}: a line cannot be written: {error}");
        }
    }
}

/// A program that reads a FIFO, and is started again when it ends.
#[derive(Debug)]
struct Reader {
    program: Program,
    security: ScriptSecurity,
    /// Dropping it tells the task to end the program.
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Reader {
    fn start(program: &Program, path: &Path, security: ScriptSecurity, before: Option<Self>) -> Self {
        let (stop, stopped) = oneshot::channel();
        let (of, path) = (program.clone(), path.display().to_string());
        let task = tokio::spawn(async move {
            if let Some(before) = before {
                before.stop().await;
            }
            supervise(&of, &path, security, stopped).await;
        });
        Self { program: program.clone(), security, stop, task }
    }

    async fn stop(self) {
        let Self { stop, task, .. } = self;
        drop(stop);
        let _panicked = task.await;
    }
}

async fn supervise(
    program: &Program,
    path: &str,
    security: ScriptSecurity,
    mut stopped: oneshot::Receiver<()>,
) {
    let script = &program.command[0];
    let mut pause = PAUSE_MIN;
    loop {
        let started = Instant::now();
        match process::start(program, &[path.to_owned()], security, Lifetime::OfItsOwn).await {
            Ok(mut running) => tokio::select! {
                end = running.wait() => match end {
                    Ok(status) => tracing::warn!("the reader of FIFO {path} ({script}) has ended: {status}; it is started again"),
                    Err(error) => tracing::error!("the reader of FIFO {path} ({script}): {error}"),
                },
                _ = &mut stopped => {
                    if timeout(READER_TIMEOUT, running.wait()).await.is_err() {
                        running.terminate().await;
                    }
                    return;
                }
            },
            Err(error) => tracing::error!("the reader of FIFO {path} ({script}) cannot run: {error}"),
        }
        if started.elapsed() > PAUSE_MAX {
            pause = PAUSE_MIN;
        }
        tokio::select! {
            () = sleep(pause) => {}
            _ = &mut stopped => return,
        }
        pause = PAUSE_MAX.min(2 * pause);
    }
}

#[cfg(test)]
mod tests;
