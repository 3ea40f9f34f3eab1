//! The local socket: each client that connects is sent the snapshot as JSON, and nothing is read from it.

use std::io::{Read as _, Result};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixListener;
use tokio::time::timeout;

use super::Snapshot;
use crate::host;

/// The connection to a client that does not read is closed after this time.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(1);
/// The greatest number of bytes of a snapshot that is read; 1024 instances with many addresses are about 1 MB.
const SNAPSHOT_MAX: u64 = 64 * 1024 * 1024;

/// The socket of this network namespace's agent.
#[must_use]
pub fn path() -> PathBuf {
    host::runtime_directory().join("control.sock")
}

/// Answers clients until `ask` returns `None`; `ask` gets the snapshot from the daemon.
///
/// # Errors
/// If the socket cannot be made.
pub async fn serve(path: &Path, ask: impl AsyncFn() -> Option<Snapshot>) -> Result<()> {
    // Removes a socket that a crash left behind. It is known by now that no other agent runs here.
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    loop {
        let mut client = match listener.accept().await {
            Ok((client, _)) => client,
            Err(error) => {
                // For example, no file descriptor is left; a later client may have more luck.
                tracing::warn!("control socket: cannot accept a connection: {error}");
                tokio::time::sleep(CLIENT_TIMEOUT).await;
                continue;
            }
        };
        let Some(snapshot) = ask().await else { return Ok(()) };
        let Ok(json) = serde_json::to_vec(&snapshot) else { continue };
        // An error or a timeout of a client does not concern the agent.
        let _client = timeout(CLIENT_TIMEOUT, client.write_all(&json)).await;
    }
}

/// Gets the snapshot from the agent of this network namespace.
///
/// # Errors
/// If no agent answers.
pub fn query(path: &Path) -> Result<Snapshot> {
    let mut json = Vec::new();
    let stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(2 * CLIENT_TIMEOUT))?;
    stream.take(SNAPSHOT_MAX).read_to_end(&mut json)?;
    Ok(serde_json::from_slice(&json)?)
}
