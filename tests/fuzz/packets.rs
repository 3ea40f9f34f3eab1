//! The properties of every IPv4 packet that may carry a sealed advert: nothing panics; a packet that verifies under a key is
//! the packet that this key seals; an advert that is decoded encodes to the same bytes.

use std::net::{IpAddr, Ipv4Addr};

use vrrp_agent::wire::advert::Repr;
use vrrp_agent::wire::{ah, trailer};
use vrrp_ebpf::advert::{Datagram, Family};

const KEY: [u8; 8] = *b"1111\0\0\0\0";
const LONG_KEY: [u8; 32] = [0x11; 32];

/// Judges a packet, which begins with its IPv4 header.
pub(crate) fn judge(packet: &[u8]) {
    if let Some(sealed) = ah::Sealed::parse(packet) {
        let datagram = sealed.datagram();
        if sealed.verify(&KEY) {
            let [a, b, c, d, ..] = datagram.source.octets;
            let [e, f, g, h, ..] = datagram.destination.octets;
            let (source, destination) = (Ipv4Addr::new(a, b, c, d), Ipv4Addr::new(e, f, g, h));
            let again =
                ah::seal(source, destination, datagram.ttl, datagram.payload, &KEY, sealed.sequence());
            let again = ah::Sealed::parse(&again).expect("what we seal is well formed");
            assert!(again.verify(&KEY));
            assert_eq!(again.datagram().payload, datagram.payload);
        }
        decode(&datagram);
    }
    let Some((header, payload)) = packet.split_first_chunk::<20>() else { return };
    let address = |at: usize| vrrp_ebpf::advert::Address::v4([0, 1, 2, 3].map(|byte| header[at + byte]));
    let datagram = Datagram {
        family: Family::V4,
        source: address(12),
        destination: address(16),
        ttl: header[8],
        payload,
        trailer: &[],
    };
    decode(&datagram);
    if let Some(sealed) = trailer::Sealed::split(&datagram) {
        assert_eq!(sealed.datagram().payload.len() + trailer::TRAILER, payload.len());
        let _verdict = sealed.well_formed() && sealed.verify(&LONG_KEY);
        decode(&sealed.datagram());
    }
}

fn decode(datagram: &Datagram<'_>) {
    let Some(repr) = Repr::decode(datagram) else { return };
    let ip = |address: &vrrp_ebpf::advert::Address| {
        let [a, b, c, d, ..] = address.octets;
        IpAddr::from([a, b, c, d])
    };
    let again = repr.encode(ip(&datagram.source), ip(&datagram.destination));
    // Reserved bits are ignored and sent as zero, and a checksum of zero may be written in two ways.
    assert_eq!(again.len(), datagram.payload.len());
    let again = Datagram { payload: &again, ..*datagram };
    assert_eq!(Repr::decode(&again).as_ref(), Some(&repr));
}
