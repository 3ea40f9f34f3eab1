//! Which of several daemons of one host this is: by its network namespace, and by its name in that.

use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use nix::sched::{CloneFlags, setns};

use super::{Capability, namespace, namespace_suffix};

/// Set once, before anything has a path, and never again: like the namespace, it is what the process is.
static INSTANCE: OnceLock<String> = OnceLock::new();

/// Gives this process a name among the daemons of its network namespace (`instance`). A second name is not taken.
pub fn name_instance(name: &str) {
    let _named_already = INSTANCE.set(name.to_owned());
}

/// What tells this daemon apart in a directory that it shares with others: nothing for one without a name in the host's own
/// network namespace.
#[must_use]
pub fn suffix() -> PathBuf {
    let namespace = PathBuf::from(namespace_suffix());
    match INSTANCE.get() {
        Some(name) => namespace.join(format!("instance-{name}")),
        None => namespace,
    }
}

/// Why a network namespace could not be entered.
#[derive(Debug, thiserror::Error)]
pub enum EnterError {
    /// It is not there.
    #[error("there is no network namespace `{name}`: {path}: {error}; `ip netns add {name}` makes one")]
    Missing {
        /// Its name.
        name: String,
        /// Where it would be.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// It may not be.
    #[error("cannot enter the network namespace `{name}`: {error}{hint}")]
    Refused {
        /// Its name.
        name: String,
        /// What the system says.
        error: nix::Error,
        /// What to do about it.
        hint: &'static str,
    },
}

/// Enters the network namespace that `ip netns` knows by a name. The calling thread does, and those that it starts: there must
/// be no other yet that needs the network.
///
/// # Errors
/// If there is none, or without `CAP_SYS_ADMIN`. Where the process is in it already nothing is needed.
pub fn enter(name: &str) -> Result<(), EnterError> {
    let path = Path::new("/run/netns").join(name);
    let missing = |error| EnterError::Missing { name: name.to_owned(), path: path.clone(), error };
    let file = File::open(&path).map_err(missing)?;
    let inode = file.metadata().map_err(missing)?.ino();
    if namespace("self", "net") == Some(inode) {
        return Ok(());
    }
    setns(&file, CloneFlags::CLONE_NEWNET).map_err(|error| {
        let hint = if Capability::SysAdmin.held() {
            "; RestrictNamespaces=yes in a unit forbids it: use its NetworkNamespacePath= instead"
        } else {
            "; it takes CAP_SYS_ADMIN: in a unit, use its NetworkNamespacePath= instead"
        };
        EnterError::Refused { name: name.to_owned(), error, hint }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_that_is_not_there_is_named() {
        let error = enter("no-such-namespace").expect_err("not there").to_string();
        assert!(error.contains("no-such-namespace") && error.contains("/run/netns"), "{error}");
    }
}
