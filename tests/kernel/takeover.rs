//! The kernel half's takeover when its timer finds a master lost, before the agent has said anything; and how little the timer
//! does until then.

use std::time::Duration;

use anyhow::Result;
use vrrp_agent::host;
use vrrp_ebpf::abi::{Instance, Lease, VipUse};
use vrrp_ebpf::advert::{Family, Version};
use vrrp_ebpf::election::Takeover;

use super::fixtures::{
    CLIENT, EPOCH, OTHER, SLOT, VIP, VMAC, VRID, advert, arp_claim, arp_request, instance,
};
use super::program::{Action, Entry, Program};

const BROADCAST: [u8; 6] = [0xff; 6];
/// Longer than three intervals of 10 ms and the skew time, with a margin for a busy machine.
const DOWN: Duration = Duration::from_millis(200);

/// A backup with an interval of a second that has heard nothing yet.
fn backup(entry: Entry, takeover: Takeover) -> Result<Program> {
    let mut program = Program::load(entry)?;
    program.prepare(SLOT)?;
    program.set_alive(Duration::from_secs(60))?;
    let backup = instance(VRID, Family::V4, Version::V3, None);
    program.set(&Instance { epoch: EPOCH, takeover, ..backup })?;
    program.set_lease(SLOT, Lease { heartbeat_ns: 0, until_boot_ns: 0, epoch: EPOCH })?;
    program.set_vip(VIP.into(), SLOT, VMAC, VipUse::Accept)?;
    assert_eq!(program.run(&arp_request(BROADCAST, VIP))?, Action::Drop, "a backup does not answer");
    Ok(program)
}

#[test]
fn the_addresses_of_a_lost_master_are_answered_for_at_once_until_another_router_advertises() -> Result<()> {
    let higher = (advert(VRID, 200, 100), Entry::Xdp);
    let lower = (advert(VRID, 1, 100), Entry::Xdp);
    // The timer calls back into whichever program has set it.
    for (next, entry) in [higher, lower, (advert(VRID, 200, 100), Entry::Tc)] {
        let mut program = backup(entry, Takeover::Kernel)?;
        program.run(&advert(VRID, 200, 1))?;
        assert_eq!(
            program.run(&arp_request(BROADCAST, VIP))?,
            Action::Drop,
            "the master has just advertised"
        );
        std::thread::sleep(DOWN);
        assert_eq!(program.counters()?.taken_over, 1);
        assert_eq!(program.run(&arp_request(BROADCAST, VIP))?, Action::Send, "nobody else answers");
        assert_eq!(program.run(&arp_request(BROADCAST, OTHER))?, Action::Pass);
        // A claim by another host is not answered: the host may be the next master.
        assert_eq!(program.run(&arp_claim(CLIENT, VIP))?, Action::Pass);
        // Whatever its priority, an advert means that another router is master, or is about to be.
        program.run(&next)?;
        assert_eq!(program.run(&arp_request(BROADCAST, VIP))?, Action::Drop, "somebody has advertised");
    }
    Ok(())
}

#[test]
fn it_lasts_no_longer_than_the_agent_has_to_confirm_it() -> Result<()> {
    let mut program = backup(Entry::Xdp, Takeover::Kernel)?;
    program.run(&advert(VRID, 200, 1))?;
    std::thread::sleep(DOWN + Duration::from_secs(1));
    assert_eq!(program.counters()?.taken_over, 1);
    assert_eq!(program.run(&arp_request(BROADCAST, VIP))?, Action::Drop);
    // The takeover is over at once when the epoch changes.
    program.run(&advert(VRID, 200, 1))?;
    std::thread::sleep(DOWN);
    assert_eq!(program.run(&arp_request(BROADCAST, VIP))?, Action::Send);
    program.set_lease(SLOT, Lease { heartbeat_ns: 0, until_boot_ns: 0, epoch: EPOCH + 1 })?;
    assert_eq!(program.run(&arp_request(BROADCAST, VIP))?, Action::Drop);
    Ok(())
}

#[test]
fn it_does_not_happen_without_a_running_agent_and_ends_with_it() -> Result<()> {
    for entry in [Entry::Xdp, Entry::Tc] {
        let mut program = backup(entry, Takeover::Kernel)?;
        program.set_alive(Duration::ZERO)?;
        program.run(&advert(VRID, 200, 1))?;
        std::thread::sleep(DOWN);
        assert_eq!(program.run(&arp_request(BROADCAST, VIP))?, Action::Drop);
        assert_eq!(program.counters()?.taken_over, 0);
        // It was not alive when the master was lost: to be alive later does not begin a takeover.
        program.set_alive(Duration::from_secs(60))?;
        assert_eq!(program.run(&arp_request(BROADCAST, VIP))?, Action::Drop);
        program.run(&advert(VRID, 200, 1))?;
        std::thread::sleep(DOWN);
        assert_eq!(program.run(&arp_request(BROADCAST, VIP))?, Action::Send);
        program.set_alive(Duration::ZERO)?;
        assert_eq!(program.run(&arp_request(BROADCAST, VIP))?, Action::Drop);
    }
    Ok(())
}

#[test]
fn it_does_not_happen_where_somebody_must_be_asked_first_or_a_lower_router_is_master() -> Result<()> {
    let mut program = backup(Entry::Xdp, Takeover::Agent)?;
    program.run(&advert(VRID, 200, 1))?;
    std::thread::sleep(DOWN);
    assert_eq!(program.run(&arp_request(BROADCAST, VIP))?, Action::Drop);
    let mut program = backup(Entry::Xdp, Takeover::Kernel)?;
    program.run(&advert(VRID, 200, 1))?;
    program.run(&advert(VRID, 1, 1))?;
    std::thread::sleep(DOWN);
    assert_eq!(program.run(&arp_request(BROADCAST, VIP))?, Action::Drop);
    assert_eq!(program.counters()?.taken_over, 0);
    Ok(())
}

/// An advert stores a deadline, and no more: what timers cost does not grow with the rate of adverts.
#[test]
fn ten_thousand_adverts_set_one_timer() -> Result<()> {
    let mut program = backup(Entry::Xdp, Takeover::Kernel)?;
    let start = host::now();
    for _ in 0..10_000 {
        program.run(&advert(VRID, 200, 100))?;
    }
    let (took, set) = (host::now() - start, program.counters()?.timer_set);
    println!("10,000 adverts in {took:?} set the timer {set} times");
    // The timer is set once at first, and once each time that it fires, which is not before three seconds.
    assert!(set <= 1 + took.as_secs() / 3 + 1, "{set}");
    // A shorter interval moves the deadline forward, and the timer with it.
    program.run(&advert(VRID, 200, 50))?;
    assert_eq!(program.counters()?.timer_set, set + 1);
    Ok(())
}
