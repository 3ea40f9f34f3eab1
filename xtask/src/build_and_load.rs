//! `cargo xtask build-and-load`: runs the agent on a real interface with a configuration, or the demonstration.

use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::{build, demo};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// keepalived.conf to run; without it, the demonstration runs
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Interface of every instance; overrides `interface` in the file
    #[arg(long, value_name = "IF", requires = "config")]
    interface: Option<String>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    if !nix::unistd::geteuid().is_root() {
        bail!("loading an XDP program needs root; run this as root");
    }
    let agent = build::run(&build::Arguments { release: true })?;
    let Some(config) = &arguments.config else { return demo::run(&agent) };
    let mut command = Command::new(agent);
    command.arg("-f").arg(config);
    if let Some(interface) = &arguments.interface {
        command.args(["--interface", interface]);
    }
    // The agent takes this process's place, so that signals reach it.
    Err(command.exec()).context("cannot run the agent")
}
