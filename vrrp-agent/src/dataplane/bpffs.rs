//! The place where programs and maps are pinned. The programs and maps that fence the addresses of an agent must outlive it,
//! and a pin makes them do so.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::mount::{MsFlags, mount};
use nix::sys::statfs::{BPF_FS_MAGIC, statfs};

use super::pins::pin_name;
use crate::host;

const USUAL: &str = "/sys/fs/bpf";
/// `ip netns exec` mounts a fresh /sys without a bpffs; the host's bpffs is still reachable through process 1.
const THROUGH_INIT: &str = "/proc/1/root/sys/fs/bpf";
/// A bpffs that the host has mounted for the agent, in a place that `ip netns exec` leaves alone.
const OURS: &str = "/run/vrrp-agent/bpf";

/// The directory below the root of a bpffs that belongs to this agent.
fn own_directory() -> PathBuf {
    let suffix = host::suffix();
    let names = suffix.components().map(|name| pin_name(&name.as_os_str().to_string_lossy()));
    Path::new("vrrp-agent").join(names.collect::<PathBuf>())
}

/// A directory of pins.
#[derive(Clone, Debug)]
pub struct PinDirectory {
    /// Its path.
    pub path: PathBuf,
    /// True if it outlives this process; if not, the fence ends with the agent.
    pub lasting: bool,
    /// The lock by which other agents see that a running agent uses it.
    _lock: Option<Arc<Flock<File>>>,
}

/// The directory of this network namespace's agent, if an earlier run left one that lasts.
#[must_use]
pub fn left_behind() -> Option<PinDirectory> {
    let path = lasting_root()?.join(own_directory());
    // The directory itself proves nothing, since it may have been made for an agent that has yet to start. Every layout has had
    // this map.
    path.join("settings").exists().then_some(PinDirectory { path, lasting: true, _lock: None })
}

/// The directory of this network namespace's agent, made if it is not there.
///
/// # Errors
/// If there is no bpffs and none can be mounted, or if another agent that runs uses the directory.
pub fn directory() -> io::Result<PinDirectory> {
    let (root, lasting) = root()?;
    let path = root.join(own_directory());
    fs::create_dir_all(&path)?;
    let lock = lock_patiently(&path)?;
    Ok(PinDirectory { path, lasting, _lock: Some(Arc::new(lock)) })
}

/// Takes the lock of a directory of pins, which an agent holds for as long as it runs.
///
/// # Errors
/// `EWOULDBLOCK` if another process has it.
fn lock(path: &Path) -> Result<Flock<File>, Errno> {
    let directory = File::open(path).map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(0)))?;
    Flock::lock(directory, FlockArg::LockExclusiveNonblock).map_err(|(_, error)| error)
}

/// Takes the lock for the agent itself, and waits for it up to half a second: another agent may hold it for a moment while it
/// sweeps ([`sweep`]).
fn lock_patiently(path: &Path) -> io::Result<Flock<File>> {
    const TRIES: u32 = 10;
    const PAUSE: Duration = Duration::from_millis(50);
    for _ in 1..TRIES {
        match lock(path) {
            Err(Errno::EWOULDBLOCK) => std::thread::sleep(PAUSE),
            taken => return Ok(taken?),
        }
    }
    lock(path).map_err(|error| match error {
        Errno::EWOULDBLOCK => {
            io::Error::other(format!("another running vrrp-agent uses the pins in {}", path.display()))
        }
        other => other.into(),
    })
}

/// Removes the pins of agents whose network namespace is gone, as that of a container is once it has ended: no other program
/// does so, and the maps would be kept for ever. A directory stays if a running agent uses it, if an attachment in it still has
/// its interface, or if it is of our own network namespace, whose interfaces may have been made anew.
pub fn sweep() {
    let Some(root) = lasting_root() else { return };
    let own = root.join(own_directory());
    let root = root.join("vrrp-agent");
    for path in directories(&root).filter(|path| is_namespace(path) && !own.starts_with(path)) {
        for named in directories(&path).filter(|path| is_instance(path)) {
            sweep_directory(&named);
        }
        sweep_directory(&path);
    }
}

/// Returns the directories in `path`; none if it cannot be read.
fn directories(path: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_dir())
}

/// True for the directory of a network namespace ([`host::namespace_suffix`]), today's or an earlier version's.
fn is_namespace(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with("netns-") || name.starts_with("net-")
}

/// True for the directory of a daemon with a name (`instance NAME`).
fn is_instance(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("instance-"))
}

fn sweep_directory(path: &Path) {
    // An agent that runs has the lock, even if it has no interface just now.
    let Ok(_lock) = lock(path) else { return };
    let Ok(entries) = fs::read_dir(path) else { return };
    let names: Vec<String> =
        entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    let links: Vec<&String> = names.iter().filter(|name| super::pins::is_link_pin(name)).collect();
    let is_gone = |name: &&String| super::pins::ifindex_of_link(&path.join(name)) == Some(GONE);
    if links.is_empty() || !links.iter().all(is_gone) {
        return;
    }
    // `PinDirectory::remove` would not do: it also takes filters off interfaces, which it finds by their names, in our own
    // namespace.
    let _reload = fs::remove_dir_all(path.join("reload"));
    for name in &names {
        let _directory = fs::remove_file(path.join(name));
    }
    let _not_empty = fs::remove_dir(path);
    tracing::info!(
        "removed the pins in {}, which belong to an agent whose network namespace is gone",
        path.display()
    );
}

/// The interface number of a link whose interface is gone.
const GONE: u32 = 0;

fn lasting_root() -> Option<&'static Path> {
    let is_bpffs = |path: &&str| statfs(*path).is_ok_and(|fs| fs.filesystem_type() == BPF_FS_MAGIC);
    [USUAL, OURS, THROUGH_INIT].into_iter().find(is_bpffs).map(Path::new)
}

fn root() -> io::Result<(&'static Path, bool)> {
    if let Some(root) = lasting_root() {
        return Ok((root, true));
    }
    mount(Some("bpf"), USUAL, Some("bpf"), MsFlags::empty(), None::<&str>)?;
    Ok((Path::new(USUAL), host::shares_mounts_with_init()))
}

impl PinDirectory {
    /// Returns a directory inside this one, for pins that are to take the place of those here.
    #[must_use]
    pub fn staged(&self) -> Self {
        Self { path: self.path.join("reload"), lasting: self.lasting, _lock: None }
    }

    /// Removes every pin, and with it a program that nothing else holds. A program in an operator's array is taken out of the
    /// array.
    ///
    /// # Errors
    /// If a pin cannot be removed.
    pub fn clear(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            // The pins of other network namespaces are directories in ours.
            if entry.file_type()?.is_dir() {
                // Left behind by a reload that was cut off.
                if entry.path() == self.staged().path {
                    self.staged().remove();
                }
            } else {
                super::pins::leave_array(&entry.path());
                super::pins::remove_filters(&entry.path());
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    /// Removes every pin, and the directory too if it is empty then.
    pub fn remove(&self) {
        if let Err(error) = self.clear() {
            tracing::warn!("cannot remove the pins in {}: {error}", self.path.display());
        }
        // The directory is not empty if the pins of another namespace's agent are in it.
        let _not_empty = fs::remove_dir(&self.path);
    }
}
