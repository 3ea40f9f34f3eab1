//! Tracked files: the number in a file is multiplied with a weight. The directory is watched rather than the file, so that a
//! file that is made later, or put in the place of another, is seen too.

use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::fcntl::OFlag;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::blocking::{self, Hangs};
use crate::config::{Existing, InitFile, TrackFile};
use crate::readiness::watch;

/// The most bytes that are read of a file, as many as keepalived 2.2.7 reads.
const BYTES_MAX: u64 = 128;

/// How often a directory that cannot be watched is tried again, and the file read.
const PAUSE: Duration = Duration::from_secs(1);

/// The time that reading a file may take.
const LOOK_TIMEOUT: Duration = Duration::from_secs(3);

/// Returns the number in a file. A file that is not there, is no regular file, or has no number counts as 0.
#[must_use]
pub fn number(path: &Path) -> i32 {
    let mut bytes = Vec::new();
    let read = open(OpenOptions::new().read(true), path, OFlag::empty())
        .and_then(|file| file.take(BYTES_MAX).read_to_end(&mut bytes));
    if read.is_ok() { parse(&bytes) } else { 0 }
}

/// Opens a path that may be anything, without waiting for it. It must be a regular file.
fn open(options: &mut OpenOptions, path: &Path, flags: OFlag) -> io::Result<File> {
    let file = options.custom_flags((OFlag::O_NONBLOCK | flags).bits()).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(ErrorKind::InvalidInput.into());
    }
    Ok(file)
}

/// Reads a number as C does: white space, a sign, `0x` for base 16 and `0` for base 8, and then digits up to whatever follows.
fn parse(bytes: &[u8]) -> i32 {
    let text = bytes.trim_ascii_start();
    let (sign, text) = match text {
        [b'-', rest @ ..] => (-1, rest),
        [b'+', rest @ ..] => (1, rest),
        _ => (1, text),
    };
    let (radix, digits) = match text {
        [b'0', b'x' | b'X', rest @ ..] => (16, rest),
        [b'0', ..] => (8, text),
        _ => (10, text),
    };
    let digits = digits.iter().map_while(|&byte| char::from(byte).to_digit(radix));
    let value =
        digits.fold(0_i64, |value, digit| value.saturating_mul(radix.into()).saturating_add(digit.into()));
    // A number that is too large counts as none, as with keepalived.
    i32::try_from(sign * value).unwrap_or(0)
}

/// Makes the file, if the configuration asks for that. It may be in a directory that others can write to, so a symbolic link is
/// not followed.
///
/// # Errors
/// If it cannot be written, or is no file, or a link.
pub fn initialise(file: &TrackFile) -> io::Result<()> {
    let Some(InitFile { number, existing }) = file.init else { return Ok(()) };
    let mut options = OpenOptions::new();
    options.write(true);
    match existing {
        Existing::Kept => options.create_new(true),
        Existing::Overwritten => options.create(true).truncate(false),
    };
    let mut opened = match open(&mut options, &file.path, OFlag::O_NOFOLLOW) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(()),
        Err(error) if error.raw_os_error() == Some(nix::libc::ELOOP) => {
            let message =
                "it is a symbolic link, which `init_file` does not follow: name the file that it leads to";
            return Err(io::Error::new(error.kind(), message));
        }
        opened => opened?,
    };
    opened.set_len(0)?;
    opened.write_all(format!("{number}\n").as_bytes())
}

/// Makes a file, if the configuration asks for that, and returns the number in it. A file that hangs counts as 0, like a file
/// that cannot be read.
pub async fn begin(file: &TrackFile) -> i32 {
    let (name, path) = (file.name.clone(), file.path.clone());
    let begun = {
        let file = file.clone();
        within(&path, move || (initialise(&file), number(&file.path))).await
    };
    let complaint = match begun {
        Ok((Ok(()), number)) => return number,
        Ok((Err(error), number)) => {
            tracing::error!("track_file {name} ({}): {error}", path.display());
            return number;
        }
        Err(hangs) => hangs,
    };
    tracing::error!("track_file {name} ({complaint}): its file system hangs, so it counts as 0");
    0
}

/// Watches a file for ever; `report` is told its number whenever that changes.
pub async fn run(file: TrackFile, mut before: i32, report: impl Fn(i32)) {
    let mut said_that_it_hangs = false;
    loop {
        // The watch begins before the file is read, so that a write in between is seen.
        let path = file.path.clone();
        let looked = within(&file.path, move || (Watch::open(&path), number(&path))).await;
        let now = looked.as_ref().map_or(0, |(_, number)| *number);
        if now != before {
            report(now);
            before = now;
        }
        match looked {
            Ok((Ok(watch), _)) => {
                said_that_it_hangs = false;
                watch.changed().await;
            }
            Ok((Err(error), _)) => {
                said_that_it_hangs = false;
                tracing::debug!("{} cannot be watched: {error}", file.path.display());
                tokio::time::sleep(PAUSE).await;
            }
            Err(hangs) => {
                if !std::mem::replace(&mut said_that_it_hangs, true) {
                    tracing::error!(
                        "track_file {} ({hangs}): its file system hangs, so it counts as 0",
                        file.name
                    );
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn within<T: Send + 'static>(
    path: &Path,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Hangs> {
    blocking::within(&path.display().to_string(), LOOK_TIMEOUT, work).await
}

/// A watch for changes of one path.
struct Watch {
    inotify: AsyncFd<Notifier>,
    /// The file's own name, and the name of the file that it leads to if it is a link.
    names: Vec<OsString>,
}

struct Notifier(Inotify);

impl AsFd for Notifier {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Notifier {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl Watch {
    fn open(path: &Path) -> io::Result<Self> {
        // A file that is written is read when its writer closes it, as with keepalived: before that, half of it may be there.
        let flags = AddWatchFlags::IN_CLOSE_WRITE
            | AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_MOVE
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_DELETE_SELF
            | AddWatchFlags::IN_MOVE_SELF
            | AddWatchFlags::IN_ONLYDIR;
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        let mut names = Vec::new();
        for path in places(path) {
            let directory = match path.parent() {
                Some(parent) if !parent.as_os_str().is_empty() => parent,
                Some(_) | None => Path::new("."),
            };
            inotify.add_watch(directory, flags)?;
            names.extend(path.file_name().map(OsStr::to_owned));
        }
        Ok(Self { inotify: watch(Notifier(inotify), Interest::READABLE)?, names })
    }

    /// Returns when the file may have changed, or the watch is of no use any more.
    async fn changed(&self) {
        loop {
            let Ok(mut guard) = self.inotify.readable().await else { return };
            let events = match guard.try_io(|fd| fd.get_ref().0.read_events().map_err(io::Error::from)) {
                // Nothing is there after all: wait again.
                Err(_would_block) => continue,
                Ok(Ok(events)) => events,
                Ok(Err(_)) => return,
            };
            // An event without a name is of the directory itself, or says that events were lost.
            if events.iter().any(|event| event.name.as_ref().is_none_or(|name| self.names.contains(name))) {
                return;
            }
        }
    }
}

/// Returns the path, and the path that it leads to if it is a link.
fn places(path: &Path) -> Vec<PathBuf> {
    let mut places = vec![path.to_owned()];
    places.extend(path.canonicalize().ok().filter(|target| target != path));
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    /// keepalived 2.2.7 advertises 100 plus this number.
    #[test]
    fn numbers_as_c_reads_them() {
        for (text, expected) in [
            ("3\n", 3),
            ("", 0),
            ("abc", 0),
            ("12abc", 12),
            (" 7", 7),
            ("\n6", 6),
            ("-5", -5),
            ("+5", 5),
            ("0x10", 16),
            ("010", 8),
            ("3.7", 3),
            ("3 4", 3),
            ("5\0", 5),
            ("99999999999", 0),
            ("2147483647", i32::MAX),
            // Expectations by hand: keepalived was not asked about these.
            ("-2147483648", i32::MIN),
            ("- 5", 0),
            ("08", 0),
            ("99999999999999999999999999", 0),
        ] {
            assert_eq!(parse(text.as_bytes()), expected, "{text:?}");
        }
    }

    fn directory(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("vrrp-agent-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a directory");
        path
    }

    #[test]
    fn what_is_no_file_says_nothing_and_does_not_hold_up() {
        let directory = directory("no-file");
        let fifo = directory.join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).expect("a FIFO");
        assert_eq!(number(&fifo), 0);
        assert_eq!(number(&directory), 0);
        assert_eq!(number(&directory.join("none")), 0);
        std::fs::remove_dir_all(directory).expect("removed");
    }

    /// As keepalived 2.2.7 leaves the files.
    #[test]
    fn a_file_is_made_and_kept_or_overwritten() {
        let directory = directory("init");
        for (before, number, existing, after) in [
            (None, 5, Existing::Kept, "5\n"),
            (Some("9"), 5, Existing::Kept, "9"),
            (Some(""), 5, Existing::Kept, ""),
            (Some("9999"), 5, Existing::Overwritten, "5\n"),
            (None, -254, Existing::Overwritten, "-254\n"),
        ] {
            let path = directory.join("file");
            let _none = std::fs::remove_file(&path);
            if let Some(before) = before {
                std::fs::write(&path, before).expect("written");
            }
            let file = TrackFile {
                name: "f".to_owned(),
                path: path.clone(),
                weight: crate::vrrp::Weight::straight(1),
                init: Some(InitFile { number, existing }),
            };
            initialise(&file).expect("made");
            assert_eq!(std::fs::read_to_string(&path).expect("there"), after);
        }
        std::fs::remove_dir_all(directory).expect("removed");
    }

    #[test]
    fn e_a_file_is_not_made_through_a_link() {
        let directory = directory("init-link");
        let (victim, link) = (directory.join("victim"), directory.join("file"));
        std::os::unix::fs::symlink(&victim, &link).expect("a link");
        let file = |existing| TrackFile {
            name: "f".to_owned(),
            path: link.clone(),
            weight: crate::vrrp::Weight::straight(1),
            init: Some(InitFile { number: 5, existing }),
        };
        initialise(&file(Existing::Kept)).expect("what is there is kept");
        assert!(!victim.exists());
        for content in [None, Some("precious")] {
            if let Some(content) = content {
                std::fs::write(&victim, content).expect("written");
            }
            let error = initialise(&file(Existing::Overwritten)).expect_err("refused").to_string();
            assert!(error.contains("a symbolic link, which `init_file` does not follow"), "{error}");
            assert_eq!(std::fs::read_to_string(&victim).ok().as_deref(), content);
        }
        std::fs::remove_dir_all(directory).expect("removed");
    }

    /// Each way in which programs change a file.
    #[tokio::test]
    async fn changes_are_seen() {
        let directory = directory("seen");
        let (path, other) = (directory.join("file"), directory.join("other"));
        let file = TrackFile {
            name: "f".to_owned(),
            path: path.clone(),
            weight: crate::vrrp::Weight::straight(1),
            init: None,
        };
        let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
        let task = tokio::spawn(run(file, 0, move |number| {
            let _ending = tell.send(number);
        }));
        tokio::time::sleep(Duration::from_millis(100)).await;
        let mut next = async || {
            let told = tokio::time::timeout(Duration::from_secs(10), told.recv());
            told.await.expect("told in time").expect("it runs")
        };
        std::fs::write(&path, "4").expect("written");
        assert_eq!(next().await, 4);
        std::fs::write(&other, "6").expect("written");
        std::fs::rename(&other, &path).expect("put in its place");
        assert_eq!(next().await, 6);
        std::fs::remove_file(&path).expect("removed");
        assert_eq!(next().await, 0);
        std::fs::write(&other, "8").expect("written");
        std::os::unix::fs::symlink(&other, &path).expect("a link");
        assert_eq!(next().await, 8);
        std::fs::remove_dir_all(&directory).expect("removed");
        assert_eq!(next().await, 0);
        std::fs::create_dir_all(&directory).expect("made again");
        std::fs::write(&path, "9").expect("written");
        assert_eq!(next().await, 9);
        task.abort();
        std::fs::remove_dir_all(directory).expect("removed");
    }
}
