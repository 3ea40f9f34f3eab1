//! The identity of this daemon among several on one host: its network namespace, and its name in that namespace.

use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use nix::sched::{CloneFlags, setns};

use super::{Capability, namespace, namespace_suffix};

/// The name of this daemon. It is set once, before any path is made from it, and never changes: like the namespace, it is part
/// of the process's identity.
static INSTANCE: OnceLock<String> = OnceLock::new();

/// Gives this process a name among the daemons of its network namespace (`instance`). A second name is ignored.
pub fn name_instance(name: &str) {
    let _named_already = INSTANCE.set(name.to_owned());
}

/// Returns the path that tells this daemon apart in a directory that it shares with others: empty for a daemon without a name
/// in the host's own network namespace.
#[must_use]
pub fn suffix() -> PathBuf {
    let namespace = PathBuf::from(namespace_suffix());
    match INSTANCE.get() {
        Some(name) => namespace.join(format!("instance-{name}")),
        None => namespace,
    }
}

/// The mark of the daemon without a name: the number of the VRRP protocol.
const MARK: u8 = 112;

/// The mark that a daemon of this name puts on the addresses that it sets (`IFA_PROTO`; marks below 4 are the kernel's own).
/// Each name has a mark of its own, as a rule.
fn mark_of(name: Option<&str>) -> u8 {
    const FIRST: u8 = 128;
    const MARKS: u32 = 127;
    let Some(name) = name else { return MARK };
    // FNV-1a: the same in every version.
    let hash =
        name.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    FIRST + u8::try_from(hash % MARKS).unwrap_or(0)
}

/// Returns the mark that this daemon puts on the addresses that it sets.
#[must_use]
pub fn address_mark() -> u8 {
    mark_of(INSTANCE.get().map(String::as_str))
}

/// Returns true if this is the mark of a daemon of ours, whatever its name.
#[must_use]
pub fn is_address_mark(mark: u8) -> bool {
    mark == MARK || (128..255).contains(&mark)
}

/// Returns true if another daemon of this network namespace may have the same mark: then the mark alone does not tell whose an
/// address is.
#[must_use]
pub fn shares_address_mark() -> bool {
    let Some(ours) = INSTANCE.get() else { return false };
    let siblings = Path::new("/run/vrrp-agent").join(namespace_suffix());
    let names = std::fs::read_dir(siblings).into_iter().flatten().flatten();
    let names = names.filter_map(|entry| entry.file_name().into_string().ok());
    names
        .filter_map(|name| name.strip_prefix("instance-").map(str::to_owned))
        .any(|name| name != *ours && mark_of(Some(&name)) == address_mark())
}

/// The reason why a network namespace could not be entered.
#[derive(Debug, thiserror::Error)]
pub enum EnterError {
    /// There is no such namespace.
    #[error("there is no network namespace `{name}`: {path}: {error}; `ip netns add {name}` creates it")]
    Missing {
        /// The name of the namespace.
        name: String,
        /// The path at which it would be.
        path: PathBuf,
        /// The system's error.
        error: std::io::Error,
    },
    /// The system does not allow it.
    #[error("cannot enter the network namespace `{name}`: {error}{hint}")]
    Refused {
        /// The name of the namespace.
        name: String,
        /// The system's error.
        error: nix::Error,
        /// The remedy, for the operator.
        hint: &'static str,
    },
}

/// Enters the network namespace that `ip netns` knows by a name. This moves the calling thread, and threads that it starts
/// later: there must be no other thread yet that needs the network.
///
/// # Errors
/// If there is no such namespace, or without `CAP_SYS_ADMIN`. If the process is in the namespace already, nothing is needed.
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
            "; RestrictNamespaces=yes in a unit forbids this; use NetworkNamespacePath= instead"
        } else {
            "; this needs CAP_SYS_ADMIN; in a unit, use NetworkNamespacePath= instead"
        };
        EnterError::Refused { name: name.to_owned(), error, hint }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_marks_that_are_not_the_kernel_s() {
        assert_eq!(mark_of(None), 112);
        for name in ["a", "b", "lan", "wan", ""] {
            let mark = mark_of(Some(name));
            assert!((128..255).contains(&mark) && is_address_mark(mark), "{name}: {mark}");
            assert_eq!(mark, mark_of(Some(name)));
        }
        assert_ne!(mark_of(Some("lan")), mark_of(Some("wan")));
        assert!(!is_address_mark(0) && !is_address_mark(18), "unmarked, and keepalived's");
    }

    #[test]
    fn a_namespace_that_is_not_there_is_named() {
        let error = enter("no-such-namespace").expect_err("not there").to_string();
        assert!(error.contains("no-such-namespace") && error.contains("/run/netns"), "{error}");
    }
}
