//! An event that does not fit in the ring is told again with the next advert.

use std::net::IpAddr;

use anyhow::Result;
use vrrp_agent::wire::advert::{Body, Repr, V3Checksum};
use vrrp_agent::wire::ethernet::advert_ipv4;
use vrrp_ebpf::advert::{Family, GROUP_V4, Version};

use super::differential::instance;
use super::program::{Action, Program};

/// A page, which holds about fifty events.
const RING_BYTES: usize = 4096;
const INSTANCES: u8 = 200;

pub(crate) fn advert(vrid: u8) -> Vec<u8> {
    let body = Body::V3 { centiseconds: 100, checksum: V3Checksum::PseudoHeader };
    let repr = Repr { vrid, priority: 200, addresses: vec![IpAddr::from([10, 0, 1, 0])], body };
    let source = [10, 0, 0, 1];
    advert_ipv4([2, 0, 0, 0, 0, 1], source.into(), &repr.encode(source.into(), GROUP_V4.into()))
}

#[test]
fn what_the_ring_has_no_room_for_is_told_with_the_next_advert() -> Result<()> {
    let mut program = Program::load_with(RING_BYTES, false)?;
    // Not the numbers that mean something else in the differential test.
    let vrids = 10..10 + INSTANCES;
    for vrid in vrids.clone() {
        program.prepare(vrid.into())?;
        program.set(&instance(vrid, Family::V4, Version::V3, None))?;
        assert_eq!(program.run(&advert(vrid))?, Action::Drop);
    }
    let lost = usize::try_from(program.counters()?.event_lost)?;
    let mut told = program.drain_events();
    assert!(lost > 100 && told + lost == usize::from(INSTANCES), "{told} told, {lost} lost");
    // The same adverts again are no news for those whose masters were told.
    for round in 1.. {
        assert!(round < 10, "{told} of {INSTANCES} told");
        for vrid in vrids.clone() {
            program.run(&advert(vrid))?;
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
