//! `startup_script` and `shutdown_script`: each runs once, and is waited for.

use crate::config::{LifecycleScript, ScriptSecurity};
use crate::process::{self, End, Lifetime};

/// Runs the program to its end. However it ends, the daemon goes on, as keepalived does.
pub(super) async fn run(keyword: &str, once: &LifecycleScript, security: ScriptSecurity) {
    let Some(program) = &once.program else { return };
    // Programs that it starts may stay, and must not lose their output when the daemon ends.
    let mut running = match process::start(program, &[], security, Lifetime::OfItsOwn).await {
        Ok(running) => running,
        Err(error) => return tracing::error!("{keyword}: {error}"),
    };
    match running.within(once.timeout).await {
        Ok(End::Exited(status)) if status.success() => tracing::info!("{keyword}: done"),
        Ok(End::Exited(status)) => tracing::warn!("{keyword}: {status}"),
        Ok(End::Killed) => tracing::warn!("{keyword}: killed after {} s", once.timeout.as_secs()),
        Ok(End::Stuck) => tracing::error!("{keyword}: hangs in the kernel; not waiting for it"),
        Err(error) => tracing::error!("{keyword}: {error}"),
    }
}
