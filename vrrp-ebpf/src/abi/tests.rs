//! The layout of the maps has a number, which grows with each change.

use super::{Counters, LAYOUT};

/// Returns the FNV-1a hash of the source text of all types with a fixed layout, without comments and without counters.
fn fingerprint() -> u64 {
    let sources = [include_str!("../abi.rs"), include_str!("../advert.rs"), include_str!("../election.rs")];
    let mut inside = false;
    let lines = sources.into_iter().flat_map(str::lines).map(str::trim).filter(|line| {
        if line.starts_with("//") {
            return false;
        }
        inside |= line.starts_with("#[repr(");
        let counts = inside;
        inside &= *line != "}";
        counts
    });
    fnv(lines.flat_map(str::bytes))
}

/// If this fails, the layout has changed: increase `LAYOUT`, and write down the new pair.
#[test]
fn another_layout_has_another_number() {
    assert_eq!((LAYOUT, fingerprint()), (6, 0xa44e_d956_7af1_315b));
}

/// The number of counters that were there when this was written down, and the hash of their names. A pinned map of counters is known
/// by its size alone, so a counter that moves would get the counts of another one.
const COUNTERS_BEFORE: (usize, u64) = (38, 0x9570_3b6e_dcc1_2f8f);

#[test]
fn counters_are_only_appended() {
    let (count, hash) = COUNTERS_BEFORE;
    let counters = Counters::default();
    let names = || counters.entries().map(|(name, _)| name).take(count);
    assert_eq!((names().count(), fnv(names().flat_map(str::bytes))), (count, hash));
}

fn fnv(bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
