//! This process on its host: its namespaces, its runtime directory, its capabilities, its clocks.

mod place;

use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use nix::sys::socket::{AddressFamily, SockFlag, SockType, getsockopt, socket};
use nix::time::{ClockId, clock_gettime};
use nix::{getsockopt_impl, libc, sockopt_impl};

use crate::vrrp::Time;

pub use place::{
    EnterError, address_mark, enter, is_address_mark, name_instance, shares_address_mark, suffix,
};

/// Returns true if the kernel remembers which program has set an address (`IFA_PROTO`), as it does since 5.18.
#[must_use]
pub fn kernel_marks_addresses() -> bool {
    // The kernel does not change while this process runs.
    static MARKS: OnceLock<bool> = OnceLock::new();
    *MARKS.get_or_init(|| {
        let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
        match (numbers.next(), numbers.next()) {
            (Some(Ok(major)), Some(Ok(minor))) => (major, minor) >= (5, 18),
            _ => false,
        }
    })
}

/// Returns the present time, on the clock that the kernel half uses too.
///
/// # Panics
/// Never: Linux has this clock.
#[must_use]
pub fn now() -> Time {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("CLOCK_MONOTONIC exists");
    Time::since_start(Duration::from(now))
}

/// Returns how long this host has been up, the time that it was suspended included: the clock of leases.
///
/// # Panics
/// Never: Linux has this clock.
#[must_use]
pub fn uptime() -> Duration {
    clock_gettime(ClockId::CLOCK_BOOTTIME).expect("CLOCK_BOOTTIME exists").into()
}

/// Returns the time since 1970, as adverts under `auth_hmac` carry it. It may jump.
#[must_use]
pub fn utc() -> Duration {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default()
}

sockopt_impl!(
    /// `SO_NETNS_COOKIE`: the number of a socket's network namespace, which no other namespace gets before the host starts
    /// again.
    NetnsCookie,
    GetOnly,
    libc::SOL_SOCKET,
    libc::SO_NETNS_COOKIE,
    u64
);

/// Returns the name that tells apart the agents of several network namespaces in a directory that they share: empty for the
/// host's own namespace, `netns-COOKIE` for any other. The inode number of a namespace would not do: the kernel gives it to
/// another namespace soon after the end of the first, whose pins would then be taken for an earlier run's. Before Linux 5.14,
/// which has no cookies, the name is `net-INODE` nevertheless.
#[must_use]
pub fn namespace_suffix() -> String {
    let Some(ours) = namespace("self", "net") else { return "net-unknown".to_owned() };
    let is_host = match namespace("1", "net") {
        Some(host) => host == ours,
        // Without CAP_SYS_PTRACE this process may not look at process 1. Any namespace but the host's has a name, as a rule.
        None => !is_named(ours),
    };
    match namespace_cookie() {
        _ if is_host => String::new(),
        Some(cookie) => format!("netns-{cookie}"),
        None => format!("net-{ours}"),
    }
}

/// The cookie of this process's network namespace.
fn namespace_cookie() -> Option<u64> {
    let socket = socket(AddressFamily::Unix, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None).ok()?;
    getsockopt(&socket, NetnsCookie).ok()
}

/// Returns true if `ip netns` has a name for a network namespace.
fn is_named(inode: u64) -> bool {
    let names = fs::read_dir("/run/netns").into_iter().flatten().flatten();
    names.filter_map(|name| name.path().metadata().ok()).any(|metadata| metadata.ino() == inode)
}

/// The host's name.
#[must_use]
pub fn name() -> String {
    nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// The host's name up to the first dot.
#[must_use]
pub fn short_name() -> String {
    name().split('.').next().unwrap_or_default().to_owned()
}

/// A random number of a range.
#[must_use]
pub fn random(range: std::ops::RangeInclusive<u32>) -> u32 {
    use std::hash::{BuildHasher as _, Hasher as _};
    // The hasher has a new key each time, from the system's own randomness.
    let random = std::collections::hash_map::RandomState::new().build_hasher().finish();
    let span = u64::from(range.end() - range.start()) + 1;
    range.start() + u32::try_from(random % span).unwrap_or(0)
}

/// Returns true if a mount that this process makes is one of the host's, since it is in the mount namespace of process 1.
#[must_use]
pub fn shares_mounts_with_init() -> bool {
    namespace("self", "mnt").is_some_and(|ours| Some(ours) == namespace("1", "mnt"))
}

fn namespace(process: &str, kind: &str) -> Option<u64> {
    fs::metadata(format!("/proc/{process}/ns/{kind}")).ok().map(|metadata| metadata.ino())
}

/// The runtime directory of this network namespace's agent: `/run/vrrp-agent`, or one below it.
#[must_use]
pub fn runtime_directory() -> PathBuf {
    Path::new("/run/vrrp-agent").join(suffix())
}

/// Makes the runtime directory, for its owner alone.
///
/// # Errors
/// If it cannot be made; the error names it.
pub fn make_runtime_directory() -> std::io::Result<PathBuf> {
    let path = runtime_directory();
    make_directory(&path)?;
    Ok(path)
}

fn make_directory(path: &Path) -> std::io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|error| std::io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

/// A capability that the agent needs, by its number in `capability.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capability {
    /// Changing addresses, and attaching to an interface.
    NetAdmin = 12,
    /// Packet and raw sockets.
    NetRaw = 13,
    /// Locking memory, so that it is never swapped out.
    IpcLock = 14,
    /// Entering another network namespace.
    SysAdmin = 21,
    /// Programs that the verifier refuses without it, because of the compiler's arithmetic with pointers into a frame.
    Perfmon = 38,
    /// Loading programs and maps.
    Bpf = 39,
}

impl Capability {
    /// Its name, as `capabilities(7)` has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NetAdmin => "CAP_NET_ADMIN",
            Self::NetRaw => "CAP_NET_RAW",
            Self::IpcLock => "CAP_IPC_LOCK",
            Self::SysAdmin => "CAP_SYS_ADMIN",
            Self::Perfmon => "CAP_PERFMON",
            Self::Bpf => "CAP_BPF",
        }
    }

    /// Returns true if this process has the capability.
    #[must_use]
    pub fn held(self) -> bool {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
        let effective = effective.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
        effective >> (self as u32) & 1 == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_cannot_be_made_is_named() {
        // No directory can be made there, not even by root.
        let error = make_directory(Path::new("/proc/vrrp-agent")).expect_err("not made");
        assert!(error.to_string().starts_with("/proc/vrrp-agent: "), "{error}");
    }
}
