//! Any bytes as a frame: classified, and judged by the shared rule under every kind of rules. The properties of the verdict are
//! in `judge.rs`, which CI replays the corpus through.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../judge.rs"]
mod judge;

fuzz_target!(|frame: &[u8]| judge::judge(frame));
