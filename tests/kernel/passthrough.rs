//! Other receivers of a frame: an operator's own program behind ours, and tcpdump.

use anyhow::Result;
use vrrp_ebpf::advert::{Family, Version};

use super::fixtures::{VIP, VRID, advert, arp_request, instance};
use super::program::{Action, Entry, Program};

/// A program that drops a frame that does not begin with the number of a slot, as the frames below.
const NEXT: &str = "prepare";

fn program(entry: Entry) -> Result<Program> {
    let mut program = Program::load(entry)?;
    program.set(&instance(VRID, Family::V4, Version::V3, None))?;
    Ok(program)
}

#[test]
fn the_next_program_gets_what_is_not_ours_and_nothing_else() -> Result<()> {
    let mut program = program(Entry::Xdp)?;
    let other = {
        let mut frame = vec![0xee; 64];
        frame[12..14].copy_from_slice(&[8, 0]);
        frame
    };
    let not_ours = advert(VRID + 1, 200, 100);
    for frame in [&other, &not_ours] {
        assert_eq!(program.run(frame)?, Action::Pass, "with nothing behind us");
    }
    program.set_next(NEXT)?;
    for frame in [&other, &not_ours] {
        assert_eq!(program.run(frame)?, Action::Drop, "the next program's verdict");
    }
    let before = program.counters()?.advert_accepted;
    assert_eq!(program.run(&advert(VRID, 200, 100))?, Action::Drop);
    assert_eq!(program.counters()?.advert_accepted, before + 1, "ours, as ever");
    Ok(())
}

#[test]
fn adverts_are_shown_when_somebody_wants_to_see_them() -> Result<()> {
    for entry in Entry::ALL {
        let mut program = program(entry)?;
        for (show, expected) in [(false, Action::Drop), (true, Action::Pass), (false, Action::Drop)] {
            program.show_adverts(show)?;
            let before = program.counters()?.advert_accepted;
            assert_eq!(program.run(&advert(VRID, 200, 100))?, expected);
            assert_eq!(program.counters()?.advert_accepted, before + 1, "judged, shown or not");
        }
    }
    Ok(())
}

/// The stack takes the first tag off before tc. A tag that is still in the bytes is a second one, which the stack would remove too: what
/// is about our addresses is dropped, since the stack of a host without a lease would answer it. Anything else is left as it is.
#[test]
fn in_tc_a_frame_with_a_second_tag_is_dropped_if_it_is_about_addresses() -> Result<()> {
    let mut program = Program::load(Entry::Tc)?;
    program.set(&instance(VRID, Family::V4, Version::V3, None))?;
    let tagged = |plain: &[u8]| [&plain[..12], &[0x81, 0x00, 0, 0], &plain[12..]].concat();
    for ours in [advert(VRID, 200, 100), arp_request([0xff; 6], VIP)] {
        assert_eq!(program.run(&tagged(&ours))?, Action::Drop);
    }
    let mut other = advert(VRID, 200, 100);
    const PROTOCOL: usize = 23;
    other[PROTOCOL] = 17;
    let other = tagged(&other);
    assert_eq!(program.run_to(&other)?, (Action::Pass, other));
    Ok(())
}
