//! `cargo xtask bench`: the benchmarks, which print figures side by side and judge nothing.

use std::process::Command;

use anyhow::Result;
use clap::ValueEnum;

use crate::{build, setup};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// What to measure
    what: What,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum What {
    /// What the XDP program costs each kind of frame
    Xdp,
    /// How late the loss of a master is noticed, beside keepalived
    Detection,
    /// What hundreds of check scripts do to adverts, beside keepalived
    Scripts,
    /// What the agent costs TCP, by the way that it hears adverts
    Throughput,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let name = match arguments.what {
        What::Xdp => "xdp",
        What::Detection => "detection",
        What::Scripts => "scripts",
        What::Throughput => "throughput",
    };
    setup::ensure()?;
    // The benchmarks in namespaces measure the agent itself; the program in it is optimised in every profile.
    build::run(&build::Arguments::default())?;
    let bench = ["bench", "--profile", "dev", "--package", "vrrp-tests", "--bench", name];
    setup::run_command(Command::new("cargo").args(bench))
}
