//! Waiting for a descriptor in tokio: the one place where it is promised to be one.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Watches a descriptor, which must not block; must be called in a tokio runtime.
///
/// # Errors
/// If it is of a kind that cannot be waited for.
pub fn watch<T: AsFd + AsRawFd>(inner: T, interest: Interest) -> io::Result<AsyncFd<T>> {
    // SAFETY: what can lend its descriptor owns it, and so keeps it open, for as long as it lives, which is until tokio lets go
    // of it; none of the types that are watched here has another one to give.
    let watched = unsafe { AsyncFd::register_with_interest(inner, interest) };
    Ok(watched?)
}
