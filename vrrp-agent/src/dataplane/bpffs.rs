//! Where programs and maps are pinned. What fences the addresses of an agent must outlive it, and a pin does.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nix::mount::{MsFlags, mount};
use nix::sys::statfs::{BPF_FS_MAGIC, statfs};

use crate::host;

const USUAL: &str = "/sys/fs/bpf";
/// `ip netns exec` mounts a fresh /sys, without a bpffs; the host's is still to be seen through its first process.
const THROUGH_INIT: &str = "/proc/1/root/sys/fs/bpf";
/// One that the host has mounted for us where `ip netns exec` leaves it alone.
const OURS: &str = "/run/vrrp-agent/bpf";

/// A name of the host's as a bpffs takes it, which refuses dots: each is written `%2e`, and `%` is written `%25`. Interfaces of VLANs
/// are named like `eth0.100`.
#[must_use]
pub fn pin_name(name: &str) -> String {
    name.replace('%', "%25").replace('.', "%2e")
}

/// The name that [`pin_name`] has written.
#[must_use]
pub fn unpin_name(name: &str) -> String {
    name.replace("%2e", ".").replace("%25", "%")
}

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
    /// Whether it outlives this process; if not, the fence dies with the agent.
    pub lasting: bool,
}

/// The directory of this network namespace's agent, if an earlier run left one that lasts.
#[must_use]
pub fn left_behind() -> Option<PinDirectory> {
    let path = lasting_root()?.join(own_directory());
    // Not by the directory, which may have been made for an agent that has yet to start. Every layout has had this map.
    path.join("settings").exists().then_some(PinDirectory { path, lasting: true })
}

/// The directory of this network namespace's agent, made if it is not there.
///
/// # Errors
/// If there is no bpffs and none can be mounted.
pub fn directory() -> io::Result<PinDirectory> {
    let (root, lasting) = root()?;
    let path = root.join(own_directory());
    fs::create_dir_all(&path)?;
    Ok(PinDirectory { path, lasting })
}

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
    /// A directory in it, for pins that are to take the place of those here.
    #[must_use]
    pub fn beside(&self) -> Self {
        Self { path: self.path.join("reload"), lasting: self.lasting }
    }

    /// Removes every pin, and with them a program that nothing else holds; one in an operator's array is taken out of that.
    ///
    /// # Errors
    /// If a pin cannot be removed.
    pub fn clear(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            // The pins of other network namespaces are directories in ours.
            if entry.file_type()?.is_dir() {
                // Of a reload that was cut off.
                if entry.path() == self.beside().path {
                    self.beside().remove();
                }
            } else {
                super::attach::leave_array(&entry.path());
                super::attach::remove_filters(&entry.path());
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    /// Removes the directory too, if it is empty now.
    pub fn remove(&self) {
        if let Err(error) = self.clear() {
            tracing::warn!("cannot remove the pins in {}: {error}", self.path.display());
        }
        // Not empty when another namespace's agent is in it.
        let _not_empty = fs::remove_dir(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::{pin_name, unpin_name};

    #[test]
    fn r1_a_name_with_a_dot_is_written_so_that_a_bpffs_takes_it() {
        assert_eq!(pin_name("eth0"), "eth0");
        assert_eq!(pin_name("eth0.100"), "eth0%2e100");
        assert_eq!(pin_name("a%2e.b"), "a%252e%2eb");
        for name in ["eth0.100", "a%2e.b", "a%252e"] {
            assert_eq!(unpin_name(&pin_name(name)), name);
        }
    }
}
