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

/// The daemon without a name marks its addresses with the number of its protocol.
const MARK: u8 = 112;

/// With what a daemon of this name marks the addresses that it puts on interfaces (`IFA_PROTO`; below 4 are the kernel's own).
/// Each name has a number that is its own, as a rule.
fn mark_of(name: Option<&str>) -> u8 {
    const FIRST: u8 = 128;
    const MARKS: u32 = 127;
    let Some(name) = name else { return MARK };
    // FNV-1a: the same in every version.
    let hash =
        name.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    FIRST + u8::try_from(hash % MARKS).unwrap_or(0)
}

/// With what this daemon marks the addresses that it puts on interfaces.
#[must_use]
pub fn address_mark() -> u8 {
    mark_of(INSTANCE.get().map(String::as_str))
}

/// Whether this is the mark of a daemon of ours, of whichever name.
#[must_use]
pub fn is_address_mark(mark: u8) -> bool {
    mark == MARK || (128..255).contains(&mark)
}

/// Whether another daemon of this network namespace may have the same mark: nothing is known by it alone then.
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
