//! The ownership of frames to the hardware address of a virtual router, of questions for its addresses, and of packets to an
//! address that accepts none: while the lease lasts, after it is over, and after it was fenced.

use std::net::Ipv4Addr;

use anyhow::Result;
use vrrp_agent::host;
use vrrp_agent::wire::ethernet::ipv4_packet;
use vrrp_ebpf::abi::{EVENTS_BYTES, Instance, Lease, Role, VipUse};
use vrrp_ebpf::advert::{Family, Version};

use super::fixtures::{
    CLIENT, EPOCH, OTHER, SLOT, VIP, VMAC, VRID, advert, arp_claim, arp_request, instance,
};
use super::program::{Action, Entry, Program};

const OWN: [u8; 6] = [2, 0, 0, 0, 0, 0x99];

/// The time on the clock of the leases.
fn uptime_ns() -> u64 {
    u64::try_from(host::uptime().as_nanos()).expect("less than 584 years")
}

/// The state of an instance and its lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Held,
    LeaseOver,
    Fenced,
    Backup,
}

/// The action on a frame in each standing: `held` under the lease, and a drop without one.
fn under_the_lease_only(held: Action) -> [(Standing, Action); 4] {
    [
        (Standing::Held, held),
        (Standing::LeaseOver, Action::Drop),
        (Standing::Fenced, Action::Drop),
        (Standing::Backup, Action::Drop),
    ]
}

fn program(entry: Entry, standing: Standing, accept: bool) -> Result<Program> {
    let mut program = Program::load_with(entry, EVENTS_BYTES, !accept)?;
    let role = if standing == Standing::Backup { Role::Backup } else { Role::Master };
    program.set(&Instance { role, epoch: EPOCH, ..instance(VRID, Family::V4, Version::V3, None) })?;
    program.set_vip(VIP.into(), SLOT, VMAC, if accept { VipUse::Accept } else { VipUse::NoAccept })?;
    program.set_vmac(VMAC, SLOT, OWN)?;
    let until_boot_ns = match standing {
        Standing::Held | Standing::Fenced => uptime_ns() + 1_000_000_000_000,
        Standing::LeaseOver => uptime_ns() - 1,
        Standing::Backup => 0,
    };
    program.set_lease(SLOT, Lease { heartbeat_ns: 0, until_boot_ns, epoch: EPOCH })?;
    if standing == Standing::Fenced {
        assert_eq!(program.run(&advert(VRID, 200, 100))?, Action::Drop);
    }
    Ok(program)
}

fn udp(to_mac: [u8; 6], to: Ipv4Addr) -> Vec<u8> {
    let mut packet = ipv4_packet(Ipv4Addr::new(10, 0, 0, 7), to, 64, &[0; 40]);
    packet[9] = 17;
    [&to_mac[..], &CLIENT, &[8, 0], &packet].concat()
}

#[test]
fn frames_to_the_virtual_router_are_ours_while_we_hold_it() -> Result<()> {
    for entry in Entry::ALL {
        for (standing, expected) in under_the_lease_only(Action::Pass) {
            let mut program = program(entry, standing, true)?;
            // Routed traffic is treated like traffic to the virtual addresses.
            for destination in [VIP, OTHER] {
                let frame = udp(VMAC, destination);
                let (action, out) = program.run_to(&frame)?;
                assert_eq!(action, expected, "{standing:?}");
                if expected == Action::Pass {
                    assert_eq!(
                        (&out[..6], &out[6..]),
                        (&OWN[..], &frame[6..]),
                        "only its destination changes"
                    );
                }
            }
            // The hardware addresses of other virtual routers, and that of our own interface.
            for mac in [[0, 0, 0x5e, 0, 1, 99], [0, 0, 0x5e, 0, 3, VRID], OWN] {
                let frame = udp(mac, VIP);
                assert_eq!(program.run_to(&frame)?, (Action::Pass, frame), "{standing:?}");
            }
            let counters = program.counters()?;
            let (admitted, dropped) = if expected == Action::Pass { (2, 0) } else { (0, 2) };
            assert_eq!((counters.vmac_admitted, counters.vmac_dropped), (admitted, dropped));
        }
    }
    Ok(())
}

#[test]
fn questions_are_answered_with_the_virtual_router_s_address_while_we_hold_it() -> Result<()> {
    for entry in Entry::ALL {
        const BROADCAST: [u8; 6] = [0xff; 6];
        for (standing, expected) in under_the_lease_only(Action::Send) {
            let mut program = program(entry, standing, true)?;
            // A client that knew the answer asks for it again by unicast.
            for to in [BROADCAST, VMAC] {
                let (action, out) = program.run_to(&arp_request(to, VIP))?;
                assert_eq!(action, expected, "{standing:?} {to:?}");
                if expected == Action::Send {
                    assert_eq!((&out[..6], &out[6..12], &out[22..28]), (&CLIENT[..], &VMAC[..], &VMAC[..]));
                }
            }
            assert_eq!(program.run(&arp_request(BROADCAST, OTHER))?, Action::Pass);
            // The same question in a frame with a priority tag, which the stack would answer.
            let mut tagged = arp_request(BROADCAST, VIP);
            tagged.splice(12..12, [0x81, 0, 0xe0, 0]);
            // In tc the stack has already taken such a tag off.
            if entry != Entry::Tc {
                assert_eq!(program.run(&tagged)?, expected, "{standing:?}");
            }
            // A question in another VLAN is not for us.
            tagged[15] = 7;
            assert_eq!(program.run(&tagged)?, Action::Pass, "{standing:?}");
        }
    }
    Ok(())
}

/// Linux answers on this interface for the addresses of other interfaces too.
#[test]
fn b2_a_question_for_an_address_of_another_interface_reaches_the_stack_under_the_lease_only() -> Result<()> {
    for entry in Entry::ALL {
        for (standing, expected) in under_the_lease_only(Action::Pass) {
            let mut program = program(entry, standing, true)?;
            program.set_vip(VIP.into(), SLOT, OWN, VipUse::Elsewhere)?;
            let question = arp_request([0xff; 6], VIP);
            assert_eq!(program.run_to(&question)?.0, expected, "{standing:?}");
            // The holder's own announcement, received on the other card, is not a claim that must be answered.
            assert_eq!(program.run(&arp_claim(VMAC, VIP))?, Action::Pass, "{standing:?}");
        }
    }
    Ok(())
}

#[test]
fn an_address_that_accepts_nothing_is_answered_for_and_gets_nothing() -> Result<()> {
    for entry in Entry::ALL {
        for (accept, expected) in [(true, Action::Pass), (false, Action::Drop)] {
            let mut program = program(entry, Standing::Held, accept)?;
            for mac in [VMAC, OWN] {
                assert_eq!(program.run(&udp(mac, VIP))?, expected);
                assert_eq!(program.run(&udp(mac, OTHER))?, Action::Pass, "what is routed is not refused");
            }
            assert_eq!(program.run(&arp_request([0xff; 6], VIP))?, Action::Send);
            assert_eq!(program.counters()?.unaccepted, if accept { 0 } else { 2 });
        }
    }
    Ok(())
}

#[test]
fn over_ipv6_solicitations_are_never_refused() -> Result<()> {
    for entry in Entry::ALL {
        let mut program = program(entry, Standing::Held, false)?;
        let vip: std::net::Ipv6Addr = "fd00::10".parse()?;
        program.set_vip(vip.into(), SLOT, VMAC, VipUse::NoAccept)?;
        let packet = |kind: u8| {
            let mut frame = [&VMAC[..], &CLIENT, &[0x86, 0xdd, 0x60, 0, 0, 0, 0, 24, 58, 255]].concat();
            frame.extend("fd00::7".parse::<std::net::Ipv6Addr>().expect("an address").octets());
            frame.extend(vip.octets());
            frame.extend([kind, 0, 0, 0, 0, 0, 0, 0]);
            frame.extend(vip.octets());
            frame
        };
        assert_eq!(program.run(&packet(135))?, Action::Send);
        assert_eq!(program.run(&packet(128))?, Action::Drop, "an echo request");
    }
    Ok(())
}

/// Another host claims the address: the answer goes to all hosts, once a second at most (RFC 5227 section 2.4).
#[test]
fn a_claim_is_answered_while_we_hold_the_address_and_passed_on_while_we_do_not() -> Result<()> {
    for entry in Entry::ALL {
        let vip_v6: std::net::Ipv6Addr = "fd00::10".parse()?;
        let neighbour = |mac| vrrp_agent::wire::ethernet::unsolicited_advertisement(mac, vip_v6);
        for standing in [Standing::Held, Standing::LeaseOver, Standing::Fenced, Standing::Backup] {
            for (claim, own) in
                [(arp_claim(CLIENT, VIP), arp_claim(VMAC, VIP)), (neighbour(CLIENT), neighbour(VMAC))]
            {
                let mut program = program(entry, standing, true)?;
                program.set_vip(vip_v6.into(), SLOT, VMAC, VipUse::Accept)?;
                program.drain_events();
                assert_eq!(program.run(&own)?, Action::Pass, "our own announcement, come back");
                let (action, out) = program.run_to(&claim)?;
                if standing == Standing::Held {
                    assert_eq!((action, &out[6..12]), (Action::Send, &VMAC[..]), "{claim:02x?}");
                    assert!(out[0] & 1 == 1, "to all: {out:02x?}");
                    assert_eq!(program.drain_events(), 1, "and reported");
                    assert_eq!(program.run(&claim)?, Action::Drop, "not a second time at once");
                    assert_eq!(program.drain_events(), 0);
                } else {
                    assert_eq!(action, Action::Pass, "{standing:?}: the new owner's announcement");
                    assert_eq!(program.drain_events(), 0);
                }
            }
        }
    }
    Ok(())
}
