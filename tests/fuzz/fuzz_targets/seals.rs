//! Decoder, AH and trailers on arbitrary packets: see ../packets.rs.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../packets.rs"]
mod packets;

fuzz_target!(|packet: &[u8]| packets::judge(packet));
