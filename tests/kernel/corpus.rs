//! Replays the corpora of the fuzz targets, so that an error that was found once is found again.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use vrrp_tests::random::Random;

use super::generate::{frame, packet};

#[path = "../fuzz/configurations.rs"]
mod configurations;
#[path = "../config/generate.rs"]
mod files;
#[path = "../fuzz/judge.rs"]
mod judge;
#[path = "../fuzz/packets.rs"]
mod packets;

/// A fuzz target.
struct Target {
    name: &'static str,
    /// The function that judges an input.
    judge: fn(&[u8]),
    /// The generator of the inputs with which its corpus began.
    generate: fn(&mut Random) -> Vec<u8>,
    /// The number of inputs that are generated here each time: a file costs a thousand times what a frame does.
    rounds: u32,
}

const TARGETS: [Target; 3] = [
    Target { name: "advert", judge: judge::judge, generate: frame, rounds: 100_000 },
    Target { name: "seals", judge: packets::judge, generate: packet, rounds: 100_000 },
    Target {
        name: "configurations",
        judge: configurations::judge,
        generate: |random| files::file(random).into_bytes(),
        rounds: 2_000,
    },
];

fn corpus(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus")).join(name)
}

#[test]
fn the_corpora_hold() -> Result<()> {
    for Target { name, judge, .. } in TARGETS {
        let mut files = 0;
        for entry in std::fs::read_dir(corpus(name)).with_context(|| format!("the corpus {name}"))? {
            judge(&std::fs::read(entry?.path())?);
            files += 1;
        }
        println!("{files} inputs of the corpus {name}");
        assert!(files >= 40, "{files} files are no corpus");
    }
    Ok(())
}

#[test]
fn generated_inputs_hold() {
    for Target { judge, generate, rounds, .. } in TARGETS {
        let mut random = Random::new(2);
        for _ in 0..rounds {
            judge(&generate(&mut random));
        }
    }
}

/// Writes the seeds that a corpus begins with: `WRITE_CORPUS=NAME cargo test -p vrrp-tests --test kernel write`.
#[test]
fn write_the_seeds_if_asked() -> Result<()> {
    let Some(asked) = std::env::var_os("WRITE_CORPUS") else { return Ok(()) };
    for Target { name, generate, .. } in TARGETS {
        if asked == name {
            let mut random = Random::new(3);
            for number in 0..48 {
                std::fs::write(corpus(name).join(format!("seed-{number:02}")), generate(&mut random))?;
            }
        }
    }
    Ok(())
}
