//! The seeded simulator: routers on a virtual clock and a network that loses, doubles, delays and splits. A seed gives the
//! same run each time, and a failing one prints the line that replays it.

mod chaos;
mod kernel;
mod network;
mod node;
mod world;

use std::time::Instant;

use world::World;

/// How many seeds a plain test run takes, and where it starts; `cargo xtask sim` sets both.
const SEEDS: u64 = 2000;

fn from_environment(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|e| panic!("{name}={text}: {e}")))
}

/// The last lines of a transcript that a failure shows.
const SHOWN: usize = 40;

#[test]
fn every_connected_part_has_one_master() {
    let (from, seeds) = (from_environment("SIM_FROM", 0), from_environment("SIM_SEEDS", SEEDS));
    let start = Instant::now();
    let (mut steps, mut masters) = (0, 0);
    for seed in from..from + seeds {
        match World::new(seed).run() {
            Ok(run) => {
                steps += run.steps;
                masters += run.became_master;
            }
            Err(violation) => {
                let tail = violation.transcript.len().saturating_sub(SHOWN);
                panic!(
                    "seed {seed}: {}\n{}\nreplay with: cargo xtask sim --seeds 1 --from {seed}",
                    violation.what,
                    violation.transcript[tail..].join("\n")
                )
            }
        }
    }
    println!("{seeds} seeds from {from}: {steps} steps, {masters} times master, {:?}", start.elapsed());
    assert!(masters >= seeds, "a run without a master tests nothing");
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in 0..50 {
        let run = || World::new(seed).run().map(|run| run.transcript).unwrap_or_else(|v| v.transcript);
        assert_eq!(run(), run(), "seed {seed}");
    }
}
