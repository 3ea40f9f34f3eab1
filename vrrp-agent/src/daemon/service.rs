//! Messages to the service manager, and keepalived's dumps, which an operator gets by a signal: in a directory that is the
//! daemon's own instead of /tmp.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use sd_notify::NotifyState;

use crate::config::{self, Config, Secrets};
use crate::control::{self, Snapshot};
use crate::host;

/// Tells the service manager that the daemon runs, and answers.
pub(super) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// Tells the service manager that the daemon reads its configuration again; [`ready`] ends that.
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(_) => tell(&[NotifyState::Reloading]),
    }
}

/// Tells the service manager that the daemon is about to end.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

fn tell(states: &[NotifyState<'_>]) {
    // There is no receiver unless systemd has started the daemon.
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!("systemd: {error}");
    }
}

/// The files that signals have the daemon write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dump {
    /// SIGUSR1: configuration and state.
    Data,
    /// SIGUSR2: what was counted.
    Statistics,
}

/// Writes a dump, which only the daemon's owner can read, and logs where it is.
pub(super) fn write_dump(dump: Dump, config: &Config, snapshot: &Snapshot) {
    let (name, text) = match dump {
        Dump::Data => ("data", config::show(config, Secrets::Hidden) + "\n" + &control::render(snapshot)),
        Dump::Statistics => ("stats.json", serde_json::to_string_pretty(snapshot).unwrap_or_default() + "\n"),
    };
    let path = host::runtime_directory().join(name);
    match write(&path, &text) {
        Ok(()) => tracing::info!("written to {}", path.display()),
        Err(error) => tracing::error!("{}: {error}", path.display()),
    }
}

/// Writes the file in one piece: a reader sees the old contents or the new ones.
fn write(path: &PathBuf, text: &str) -> std::io::Result<()> {
    let new = path.with_extension("new");
    match fs::remove_file(&new) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    file.write_all(text.as_bytes())?;
    fs::rename(&new, path)
}

/// Removes the dumps.
pub(super) fn remove_dumps() {
    for name in ["data", "stats.json"] {
        let _none = fs::remove_file(host::runtime_directory().join(name));
    }
}
