//! What the service manager is told, and what an operator gets by a signal: keepalived's dumps, in a directory that is the daemon's
//! own instead of /tmp.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use sd_notify::NotifyState;

use crate::config::{self, Config, Secrets};
use crate::control::{self, Snapshot};
use crate::host;

/// It runs, and answers.
pub(super) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// It reads its configuration again; [`ready`] ends that.
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(_) => tell(&[NotifyState::Reloading]),
    }
}

/// It is about to end.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

fn tell(states: &[NotifyState<'_>]) {
    // Nobody listens unless systemd has started us.
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!("systemd: {error}");
    }
}

/// What a signal has written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dump {
    /// SIGUSR1: configuration and state.
    Data,
    /// SIGUSR2: what was counted.
    Statistics,
}

/// Writes what was asked for, for the daemon's owner alone, and says where.
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

/// In one piece: whoever reads it reads the old one or the new one.
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

/// Removes what was written.
pub(super) fn remove_dumps() {
    for name in ["data", "stats.json"] {
        let _none = fs::remove_file(host::runtime_directory().join(name));
    }
}
