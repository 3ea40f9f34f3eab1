//! The fuzzer's corpus, replayed: what it has found once stays found.

use anyhow::{Context as _, Result};
use vrrp_tests::random::Random;

use super::generate::frame;

#[path = "../fuzz/judge.rs"]
mod judge;

const CORPUS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/advert");

#[test]
fn the_corpus_holds() -> Result<()> {
    let mut files = 0;
    for entry in std::fs::read_dir(CORPUS).context("the corpus")? {
        judge::judge(&std::fs::read(entry?.path())?);
        files += 1;
    }
    println!("{files} frames of the corpus");
    assert!(files >= 40, "{files} files are no corpus");
    Ok(())
}

#[test]
fn generated_frames_hold() {
    let mut random = Random::new(2);
    for _ in 0..200_000 {
        judge::judge(&frame(&mut random));
    }
}

/// Writes the seeds that the corpus began with: `WRITE_CORPUS=1 cargo test -p vrrp-tests --test kernel write`.
#[test]
fn write_the_seeds_if_asked() -> Result<()> {
    if std::env::var_os("WRITE_CORPUS").is_none() {
        return Ok(());
    }
    let mut random = Random::new(3);
    for number in 0..48 {
        std::fs::write(format!("{CORPUS}/seed-{number:02}"), frame(&mut random))?;
    }
    Ok(())
}
