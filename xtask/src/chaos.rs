//! `cargo xtask chaos`: routers in network namespaces to which faults happen, for as many rounds as wanted.

use std::process::Command;

use anyhow::Result;

use crate::{build, setup};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Number of rounds; each round uses the next seed
    #[arg(long, default_value_t = 10)]
    rounds: u64,
    /// Seed of the first round; the default is the current time in seconds
    #[arg(long)]
    seed: Option<u64>,
    /// Run only this number of steps of each round, to find the step that causes a failure
    #[arg(long)]
    steps: Option<u64>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    setup::ensure()?;
    build::run(&build::Arguments::default())?;
    let mut command = Command::new("cargo");
    command.args(["test", "--locked", "--package", "vrrp-tests", "--test", "chaos", "--", "--nocapture"]);
    command.env("CHAOS_ROUNDS", arguments.rounds.to_string());
    if let Some(seed) = arguments.seed {
        command.env("CHAOS_SEED", seed.to_string());
    }
    if let Some(steps) = arguments.steps {
        command.env("CHAOS_STEPS", steps.to_string());
    }
    setup::run_command(&mut command)
}
