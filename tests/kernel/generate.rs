//! Frames from a seed: adverts as they should be, and with one thing or another wrong.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use vrrp_agent::wire::advert::{Body, Repr, V2Auth, V3Checksum};
use vrrp_agent::wire::ethernet::{advert_ipv4, advert_ipv6, ipv4_packet};
use vrrp_agent::wire::{ah, trailer};
use vrrp_ebpf::advert::{GROUP_V4, GROUP_V6};
use vrrp_tests::random::Random;

const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
const SOURCE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const ETHERNET: usize = 14;

/// A frame, valid or not. The instances of the test have VRIDs 1 (version 2), 2 (with password), 3 (version 3) over IPv4, 3
/// over IPv6, 4 (unicast, to 10.0.0.2), 5 (in fault), 7 (for the agent to judge); no instance has VRID 6.
pub(crate) fn frame(random: &mut Random) -> Vec<u8> {
    let mut frame = advert(random);
    match random.below(12) {
        0..=3 => {}
        4 => {
            // Flips one bit, most often in the part that the program looks at.
            let span = if random.below(2) == 0 { frame.len() } else { frame.len().min(64) };
            let at = random.index(span);
            frame[at] ^= 1 << random.below(8);
        }
        5 => frame.truncate(random.index(frame.len())),
        6 => frame.resize(frame.len().max(60), 0),
        7 => {
            let more = random.below(40);
            frame.extend((0..more).map(|_| random.byte()));
        }
        8 => {
            // Tags of VLAN 0, with and without a priority, and of other VLANs; sometimes two tags.
            let tags = [[0x81, 0x00, 0, 100], [0x88, 0xa8, 0, 7], [0x81, 0x00, 0, 0], [0x88, 0xa8, 0xe0, 0]];
            for _ in 0..=random.below(2) {
                let tag = *random.pick(&tags);
                frame.splice(12..12, tag);
            }
        }
        9 => {
            for _ in 0..=random.below(6) {
                let at = random.index(frame.len());
                frame[at] = random.byte();
            }
        }
        10 => options(&mut frame, random),
        _ => {
            let length = random.below(120);
            frame = (0..length).map(|_| random.byte()).collect();
            if length > 14 && random.below(2) == 0 {
                let ethertype = *random.pick(&[[8, 0], [0x86, 0xdd], [8, 6]]);
                frame[12..14].copy_from_slice(&ethertype);
            }
        }
    }
    frame
}

fn advert(random: &mut Random) -> Vec<u8> {
    let v6 = random.below(4) == 0;
    let body = if random.below(2) == 0 && !v6 {
        let pass = |password: &[u8; 8]| V2Auth::Pass(*password);
        let auth = *random.pick(&[
            V2Auth::None,
            V2Auth::None,
            pass(b"1111\0\0\0\0"),
            pass(b"1111\0\0\0\0"),
            pass(b"2222\0\0\0\0"),
            V2Auth::Ah,
        ]);
        Body::V2 { seconds: *random.pick(&[1, 1, 1, 2, 0]), auth }
    } else {
        let checksum = *random.pick(&[V3Checksum::PseudoHeader, V3Checksum::MessageOnly]);
        Body::V3 { centiseconds: *random.pick(&[100, 10, 1, 4095, 0]), checksum }
    };
    // Up to the number of addresses that an advert can hold: the kernel sums long adverts in parts.
    let count = *random.pick(if v6 { &[0, 1, 1, 2, 20, 90] } else { &[0, 1, 1, 2, 121, 255] });
    let address = |n: usize| {
        let last = u8::try_from(n).expect("small");
        if v6 {
            IpAddr::from([0xfe80, 0, 0, 0, 0, 0, 0, last.into()])
        } else {
            IpAddr::from([10, 0, 1, last])
        }
    };
    let vrid = match body {
        Body::V2 { auth: V2Auth::None, .. } => *random.pick(&[1, 1, 1, 2, 4, 6]),
        Body::V2 { .. } => *random.pick(&[2, 2, 2, 1, 5, 6]),
        Body::V3 { .. } => *random.pick(&[3, 3, 3, 1, 5, 6, 7]),
    };
    let priority = *random.pick(&[0, 1, 50, 100, 150, 255]);
    let repr = Repr { vrid, priority, addresses: (0..count).map(address).collect(), body };
    if v6 {
        let source = Ipv6Addr::from([0xfe80, 0, 0, 0, 0, 0, 0, 0x11]);
        advert_ipv6(MAC, source, &repr.encode(source.into(), GROUP_V6.into()))
    } else if vrid == 4 || random.below(10) == 0 {
        let destination = *random.pick(&[Ipv4Addr::new(10, 0, 0, 2), Ipv4Addr::new(10, 0, 0, 9)]);
        let message = repr.encode(SOURCE.into(), destination.into());
        let ttl = *random.pick(&[255, 64, 1]);
        [&MAC, &MAC, &[8, 0][..], &ipv4_packet(SOURCE, destination, ttl, &message)].concat()
    } else {
        advert_ipv4(MAC, SOURCE, &repr.encode(SOURCE.into(), GROUP_V4.into()))
    }
}

/// Puts IP options between the header and the advert, or only sets the header length as if they were there.
fn options(frame: &mut Vec<u8>, random: &mut Random) {
    if frame.len() <= 34 || frame[12..14] != [8, 0] {
        return;
    }
    let words = u8::try_from(random.below(11)).expect("small");
    frame[ETHERNET] = 0x40 | (5 + words);
    if random.below(3) > 0 {
        let bytes = vec![1; usize::from(words) * 4];
        let total = u16::from_be_bytes([frame[16], frame[17]]) + u16::from(words) * 4;
        frame[16..18].copy_from_slice(&total.to_be_bytes());
        frame.splice(34..34, bytes);
    }
}

/// An IPv4 packet with a sealed advert, valid or not.
pub(crate) fn packet(random: &mut Random) -> Vec<u8> {
    let body = match random.below(3) {
        0 => Body::V2 {
            seconds: 1,
            auth: *random.pick(&[V2Auth::Ah, V2Auth::None, V2Auth::Pass(*b"1111\0\0\0\0")]),
        },
        _ => Body::V3 { centiseconds: 100, checksum: V3Checksum::PseudoHeader },
    };
    let addresses = (0..random.below(4)).map(|n| IpAddr::from([10, 0, 1, u8::try_from(n).expect("small")]));
    let repr = Repr { vrid: 1, priority: random.byte(), addresses: addresses.collect(), body };
    let destination = *random.pick(&[Ipv4Addr::from(GROUP_V4), Ipv4Addr::new(10, 0, 0, 2)]);
    let message = repr.encode(SOURCE.into(), destination.into());
    let sequence = random.bits();
    let mut packet = match random.below(3) {
        0 => {
            let key = if random.chance(80) { *b"1111\0\0\0\0" } else { *b"2222\0\0\0\0" };
            let sequence = u32::try_from(sequence >> 32).expect("the high half");
            ah::seal(SOURCE, destination, 255, &message, &key, sequence)
        }
        1 => {
            let key = if random.chance(80) { [0x11; 32] } else { [0x22; 32] };
            let message = trailer::seal(message, SOURCE.into(), destination.into(), 1, &key, sequence);
            ipv4_packet(SOURCE, destination, 255, &message)
        }
        _ => ipv4_packet(SOURCE, destination, 255, &message),
    };
    if random.chance(40) {
        let at = random.index(packet.len());
        packet[at] ^= 1 << random.below(8);
    }
    if random.chance(10) {
        packet.truncate(random.index(packet.len()));
    }
    packet
}
