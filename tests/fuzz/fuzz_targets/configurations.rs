//! Any bytes as a configuration and the files that it includes: see ../configurations.rs.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../configurations.rs"]
mod configurations;

fuzz_target!(|input: &[u8]| configurations::judge(input));
