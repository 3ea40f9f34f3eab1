//! The commands for developers: `cargo xtask COMMAND`.

mod bench;
mod build;
mod build_and_load;
mod chaos;
mod demo;
mod kernels;
mod setup;
mod sim;
mod test;
mod toolchain;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "Set up, build, load and test vrrp-agent")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Install the programs that a build and the tests need and that this machine does not have
    Setup,
    /// Build both halves: the agent and the eBPF programs
    Build(build::Arguments),
    /// Build both halves and run them: with --config on a real interface, otherwise a demonstration in network namespaces (as root)
    BuildAndLoad(build_and_load::Arguments),
    /// Run a benchmark and print its figures (as root)
    Bench(bench::Arguments),
    /// Run the simulator on a range of seeds
    Sim(sim::Arguments),
    /// Inject random faults into routers in network namespaces, and check that exactly one master remains (as root)
    Chaos(chaos::Arguments),
    /// Run tests on Debian's kernels, in virtual machines (as root)
    Kernels(kernels::Arguments),
    /// Run everything that CI runs: format, lints, unit tests, simulation and namespace tests (as root)
    Test,
}

/// An error is one line of text at the end of the output, whatever `RUST_BACKTRACE` says: what failed stands above it.
fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Setup => setup::run(),
        Command::Build(arguments) => build::run(&arguments).map(drop),
        Command::BuildAndLoad(arguments) => build_and_load::run(&arguments),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Sim(arguments) => sim::run(&arguments),
        Command::Chaos(arguments) => chaos::run(&arguments),
        Command::Kernels(arguments) => kernels::run(&arguments),
        Command::Test => test::run(),
    }
}
