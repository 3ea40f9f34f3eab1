//! `cargo xtask build`: both halves. The agent's build script builds the eBPF half and puts it into the agent.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::setup;

#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Arguments {
    /// Build with all optimisations, as for a package
    #[arg(long)]
    pub(crate) release: bool,
}

/// Builds, and returns the path of the agent.
pub(crate) fn run(arguments: &Arguments) -> Result<PathBuf> {
    setup::ensure()?;
    let mut command = Command::new("cargo");
    command.args(["build", "--locked", "--package", "vrrp-agent"]);
    if arguments.release {
        command.arg("--release");
    }
    setup::run_command(&mut command)?;
    Ok(target().join(if arguments.release { "release" } else { "debug" }).join("vrrp-agent"))
}

/// The directory into which the build writes.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from)
}

/// The root of the checkout.
pub(crate) fn workspace() -> PathBuf {
    let xtask = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().map_or_else(|| xtask.clone(), PathBuf::from)
}
