//! The fuzzer's corpora, replayed: what it has found once stays found.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use vrrp_tests::random::Random;

use super::generate::{frame, packet};

#[path = "../fuzz/judge.rs"]
mod judge;
#[path = "../fuzz/packets.rs"]
mod packets;

/// A fuzz target: its name, what it does with its input, and how its corpus began.
type Target = (&'static str, fn(&[u8]), fn(&mut Random) -> Vec<u8>);

const TARGETS: [Target; 2] = [("advert", judge::judge, frame), ("seals", packets::judge, packet)];

fn corpus(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus")).join(name)
}

#[test]
fn the_corpora_hold() -> Result<()> {
    for (name, judge, _) in TARGETS {
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
    for (_, judge, generate) in TARGETS {
        let mut random = Random::new(2);
        for _ in 0..100_000 {
            judge(&generate(&mut random));
        }
    }
}

/// Writes the seeds that a corpus begins with: `WRITE_CORPUS=NAME cargo test -p vrrp-tests --test kernel write`.
#[test]
fn write_the_seeds_if_asked() -> Result<()> {
    let Some(asked) = std::env::var_os("WRITE_CORPUS") else { return Ok(()) };
    for (name, _, generate) in TARGETS {
        if asked == name {
            let mut random = Random::new(3);
            for number in 0..48 {
                std::fs::write(corpus(name).join(format!("seed-{number:02}")), generate(&mut random))?;
            }
        }
    }
    Ok(())
}
