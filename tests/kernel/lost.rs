//! An event that does not fit in the ring is told again with the next advert.

use anyhow::Result;
use vrrp_ebpf::advert::{Family, Version};

use super::fixtures::{advert, instance};
use super::program::{Action, Entry, Program};

/// A page, which holds about fifty events.
const RING_BYTES: usize = 4096;
const INSTANCES: u8 = 200;

#[test]
fn what_the_ring_has_no_room_for_is_told_with_the_next_advert() -> Result<()> {
    let mut program = Program::load_with(Entry::Xdp, RING_BYTES, false)?;
    // The VRIDs below 10 are left out, since some of them have a meaning in the differential test.
    let vrids = 10..10 + INSTANCES;
    for vrid in vrids.clone() {
        program.prepare(vrid.into())?;
        program.set(&instance(vrid, Family::V4, Version::V3, None))?;
        assert_eq!(program.run(&advert(vrid, 200, 100))?, Action::Drop);
    }
    let lost = usize::try_from(program.counters()?.event_lost)?;
    let mut told = program.drain_events();
    assert!(lost > 100 && told + lost == usize::from(INSTANCES), "{told} told, {lost} lost");
    // The same adverts again cause no event for the instances whose masters were reported.
    for round in 1.. {
        assert!(round < 10, "{told} of {INSTANCES} told");
        for vrid in vrids.clone() {
            program.run(&advert(vrid, 200, 100))?;
        }
        let more = program.drain_events();
        told += more;
        println!("round {round}: {more} more");
        if more == 0 {
            break;
        }
    }
    assert_eq!(told, usize::from(INSTANCES));
    Ok(())
}
