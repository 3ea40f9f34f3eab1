//! `cargo xtask sim`: the simulator, for as many seeds as wanted.

use std::process::Command;

use anyhow::Result;

use crate::setup;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Number of seeds
    #[arg(long, default_value_t = 10_000)]
    seeds: u64,
    /// First seed
    #[arg(long, default_value_t = 0)]
    from: u64,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    setup::ensure()?;
    setup::run_command(
        Command::new("cargo")
            .args(["test", "--release", "--package", "vrrp-tests", "--test", "simulation"])
            .args(["every_connected_part_has_one_master", "--", "--exact", "--nocapture"])
            .env("SIM_SEEDS", arguments.seeds.to_string())
            .env("SIM_FROM", arguments.from.to_string()),
    )
}
