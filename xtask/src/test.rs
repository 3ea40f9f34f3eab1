//! `cargo xtask test`: everything that CI runs, in the order of what fails fastest. Prints how long each part took.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::{build, kernels, setup};

const NAMESPACES: [&str; 7] = ["test", "--locked", "--package", "vrrp-tests", "--test", "namespaces", "--"];

/// The tests that measure microseconds run alone on the machine.
const TIMING_TESTS: &str = "many::";

/// Namespace tests wait more than they work, so that four can run at once.
const NAMESPACE_TESTS_AT_ONCE: &str = "--test-threads=4";

pub(crate) fn run() -> Result<()> {
    if !nix::unistd::geteuid().is_root() {
        bail!("the namespace tests need root, and no test is skipped silently; run this as root");
    }
    let mut parts = Vec::new();
    let mut part = |name: &'static str, body: &mut dyn FnMut() -> Result<()>| {
        println!("== {name}");
        let start = Instant::now();
        body().with_context(|| name.to_owned())?;
        parts.push((name, start.elapsed()));
        Ok::<_, anyhow::Error>(())
    };
    part("setup", &mut setup::ensure)?;
    part("format", &mut || cargo(&["fmt", "--all", "--check"]))?;
    part("build", &mut || build::run(&build::Arguments::default()).map(drop))?;
    part("lints", &mut || {
        cargo(&["clippy", "--locked", "--workspace", "--all-targets", "--", "--deny", "warnings"])
    })?;
    part("unit tests", &mut || cargo(&["test", "--locked", "--workspace", "--lib", "--bins"]))?;
    part("simulation", &mut || {
        cargo(&["test", "--locked", "--package", "vrrp-tests", "--test", "simulation"])
    })?;
    part("walls between the rooms", &mut || {
        cargo(&["test", "--locked", "--package", "vrrp-tests", "--test", "walls"])
    })?;
    part("RFC table", &mut || cargo(&["test", "--locked", "--package", "vrrp-tests", "--test", "rfc"]))?;
    part("configuration beside keepalived", &mut || {
        let test = ["test", "--locked", "--package", "vrrp-tests", "--test", "config", "--", "--show-output"];
        cargo(&test)
    })?;
    part("kernel tests", &mut || {
        let test = ["test", "--locked", "--package", "vrrp-tests", "--test", "kernel", "--", "--show-output"];
        cargo(&test)
    })?;
    part("tests on Debian's own kernel, emulated", &mut || {
        kernels::test_on(kernels::OLDEST, &kernels::CHOSEN)
    })?;
    part("namespace tests", &mut || {
        let alone = ["--skip", TIMING_TESTS, NAMESPACE_TESTS_AT_ONCE, "--show-output"];
        cargo(&[&NAMESPACES[..], &alone].concat())
    })?;
    part("namespace tests that measure", &mut || {
        cargo(&[&NAMESPACES[..], &[TIMING_TESTS, "--test-threads=1", "--show-output"]].concat())
    })?;
    part("chaos, by fresh seeds", &mut || {
        cargo(&["test", "--locked", "--package", "vrrp-tests", "--test", "chaos", "--", "--nocapture"])
    })?;
    print_times(&parts);
    Ok(())
}

fn cargo(arguments: &[&str]) -> Result<()> {
    // A failed test says where it failed. A backtrace below it would only push what it said out of sight.
    setup::run_command(Command::new("cargo").args(arguments).env("RUST_BACKTRACE", "0"))
}

fn print_times(parts: &[(&str, Duration)]) {
    println!("== all passed");
    for (name, took) in parts {
        println!("{:>7.1} s  {name}", took.as_secs_f64());
    }
}
