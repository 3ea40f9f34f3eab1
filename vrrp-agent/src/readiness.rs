//! Waiting for a descriptor in tokio. This is the one place that promises that a value owns an open descriptor.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Watches a descriptor, which must not block; must be called in a tokio runtime.
///
/// # Errors
/// If tokio cannot wait for a descriptor of this kind.
pub fn watch<T: AsFd + AsRawFd>(inner: T, interest: Interest) -> io::Result<AsyncFd<T>> {
    // SAFETY: a value that can lend its descriptor owns it, and so keeps it open, for as long as the value lives, which is
    // until tokio lets go of it; no type that is watched here has a second descriptor to give.
    let watched = unsafe { AsyncFd::register_with_interest(inner, interest) };
    Ok(watched?)
}
