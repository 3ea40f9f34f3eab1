//! `cargo xtask bench`: the benchmarks, which print figures side by side and judge nothing.

use std::process::Command;

use anyhow::Result;
use clap::ValueEnum;

use crate::{build, setup};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Benchmark to run
    what: What,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum What {
    /// Time that the XDP program takes for each kind of frame
    Xdp,
    /// Delay until a dead master is replaced, compared with keepalived
    Detection,
    /// Delay of adverts while hundreds of check scripts run, compared with keepalived
    Scripts,
    /// TCP throughput of a host on which the agent runs, for each way to receive adverts
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
