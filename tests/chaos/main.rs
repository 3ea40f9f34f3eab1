//! Three routers in network namespaces. Faults happen to them in an order that a seed decides. After the last fault each
//! virtual router must have one master, the right one. `cargo xtask chaos --rounds N --seed S`. Needs root.

mod fault;
mod judge;
mod names;
mod plan;
mod prober;
mod round;
mod router;

use std::time::{Instant, SystemTime};

use anyhow::Result;
use round::Round;

/// The number of rounds in a plain test run.
const ROUNDS: u64 = 10;

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|e| panic!("{name}={text}: {e}")))
}

#[test]
fn after_every_chaos_there_is_one_master() -> Result<()> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
    let first = from_environment("CHAOS_SEED").unwrap_or(now);
    let rounds = from_environment("CHAOS_ROUNDS").unwrap_or(ROUNDS);
    let steps = from_environment("CHAOS_STEPS").map_or(usize::MAX, |steps| steps as usize);
    let mut failed = Vec::new();
    for seed in first..first + rounds {
        let start = Instant::now();
        let mut round = Round::new(seed)?;
        let result = round.run(steps);
        let took = start.elapsed().as_secs_f64();
        match result {
            Ok(()) => println!("seed {seed}: right, {took:.1} s\n{}", round.steps()),
            Err(error) => {
                println!("seed {seed}: {error:#}, {took:.1} s\n{}", round.story());
                println!("again: cargo xtask chaos --rounds 1 --seed {seed}\n");
                failed.push(format!("seed {seed}: {error:#}"));
            }
        }
    }
    assert!(failed.is_empty(), "{} of {rounds} rounds failed:\n{}", failed.len(), failed.join("\n"));
    Ok(())
}
