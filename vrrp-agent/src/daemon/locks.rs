//! One agent for each pid file and for each network namespace. The kernel holds the lock, so a file that a killed agent leaves
//! behind locks nothing. A pid file may be in a directory that others can write to, so a symbolic link is not followed.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use nix::fcntl::{Flock, FlockArg, OFlag};

/// A locked file with our pid in it; removed at the end.
#[derive(Debug)]
pub(super) struct PidFile {
    path: PathBuf,
    _lock: Flock<File>,
}

impl PidFile {
    /// Opens a file that may be there already.
    fn open(path: &Path) -> anyhow::Result<File> {
        if path.symlink_metadata().is_ok_and(|metadata| metadata.is_symlink()) {
            bail!(
                "the pid file {} is a symbolic link, which is not followed: remove it, or name another file with -p",
                path.display()
            );
        }
        // The check above is for the message only: a link that is put there after it is not followed either.
        let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o644).custom_flags(flags.bits());
        let file =
            options.open(path).with_context(|| format!("cannot open the pid file {}", path.display()))?;
        if !file.metadata().is_ok_and(|metadata| metadata.is_file()) {
            bail!("the pid file {} is no regular file: name another with -p", path.display());
        }
        Ok(file)
    }

    /// Takes the lock.
    pub(super) fn acquire(path: &Path) -> anyhow::Result<Self> {
        let file = Self::open(path)?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(mut lock) => {
                lock.set_len(0)?;
                writeln!(lock, "{}", std::process::id())?;
                Ok(Self { path: path.to_owned(), _lock: lock })
            }
            Err((mut file, nix::Error::EWOULDBLOCK)) => {
                let mut pid = String::new();
                // The pid is for the message only.
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
        // If it is gone already, nothing is left to do.
        let _gone = std::fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("vrrp-agent-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a directory");
        path
    }

    #[test]
    fn e_a_pid_file_is_not_written_through_a_link() {
        let directory = directory("pid-link");
        let (victim, link) = (directory.join("victim"), directory.join("agent.pid"));
        std::fs::write(&victim, "precious").expect("written");
        std::os::unix::fs::symlink(&victim, &link).expect("a link");
        let error = PidFile::acquire(&link).expect_err("refused").to_string();
        assert!(error.contains("agent.pid is a symbolic link, which is not followed"), "{error}");
        assert_eq!(std::fs::read_to_string(&victim).expect("there"), "precious");
        std::fs::remove_file(&victim).expect("removed");
        PidFile::acquire(&link).expect_err("one that leads nowhere is refused too");
        assert!(!victim.exists());
        std::fs::remove_dir_all(directory).expect("removed");
    }

    #[test]
    fn e_a_pid_file_is_a_file() {
        let directory = directory("pid-file");
        let path = directory.join("agent.pid");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).expect("a FIFO");
        let error = PidFile::acquire(&path).expect_err("refused").to_string();
        assert!(error.contains("no regular file"), "{error}");
        std::fs::remove_file(&path).expect("removed");
        let held = PidFile::acquire(&path).expect("made");
        assert_eq!(std::fs::read_to_string(&path).expect("there").trim(), std::process::id().to_string());
        let error = PidFile::acquire(&path).expect_err("held").to_string();
        assert!(error.contains("another vrrp-agent"), "{error}");
        drop(held);
        assert!(!path.exists());
        std::fs::remove_dir_all(directory).expect("removed");
    }
}
