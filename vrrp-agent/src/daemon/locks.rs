//! One agent for each pid file and for each network namespace. The lock is the kernel's: what a killed agent leaves behind
//! does not hold.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use nix::fcntl::{Flock, FlockArg};

/// A locked file with our pid in it; removed at the end.
#[derive(Debug)]
pub(super) struct PidFile {
    path: PathBuf,
    _lock: Flock<File>,
}

impl PidFile {
    /// Takes the lock.
    pub(super) fn acquire(path: &Path) -> anyhow::Result<Self> {
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o644).open(path);
        let file = file.with_context(|| format!("cannot open the pid file {}", path.display()))?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(mut lock) => {
                lock.set_len(0)?;
                writeln!(lock, "{}", std::process::id())?;
                Ok(Self { path: path.to_owned(), _lock: lock })
            }
            Err((mut file, nix::Error::EWOULDBLOCK)) => {
                let mut pid = String::new();
                // Only for the message.
                let _unreadable = file.read_to_string(&mut pid);
                bail!(
                    "another vrrp-agent (pid {}) is running with {}; stop it first, or give this one its own with -p",
                    pid.trim(),
                    path.display()
                )
            }
            Err((_, error)) => bail!("cannot lock the pid file {}: {error}", path.display()),
        }
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // Removed by someone else: gone is gone.
        let _gone = std::fs::remove_file(&self.path);
    }
}
