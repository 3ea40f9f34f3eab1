//! The authentication header around a version 2 advert over IPv4 (RFC 2402, RFC 2338 section 5.3.6.3), as keepalived sends
//! it: HMAC-MD5-96 under the eight bytes of the password, the sender's address as SPI, a sequence number that grows.
//!
//! The integrity check covers the IP header except the fields that change on the way. The TTL of a multicast advert does not
//! change (it must be 255) and is covered; the TTL of a unicast advert is not.

use std::net::Ipv4Addr;

use hmac::{Hmac, KeyInit as _, Mac as _};
use md5::Md5;
use vrrp_ebpf::advert::{AUTH_DATA, Address, Datagram, Family, PROTOCOL};
use vrrp_ebpf::frame::FRAGMENT;

use super::ethernet::{IPV4_HEADER, Ipv4, TOS_INTERNETWORK_CONTROL};

/// IP protocol of the authentication header.
pub const AH_PROTOCOL: u8 = 51;
/// Bytes of the header, with its 96 bits of integrity check.
pub const HEADER: usize = 24;
/// RFC 2402 section 2.2: the header's length in words, less two.
const LENGTH_IN_WORDS: u8 = 4;

/// Offsets in the IPv4 packet, whose header has no options.
mod offset {
    use super::IPV4_HEADER;
    pub(super) const TOS: usize = 1;
    pub(super) const FRAGMENT: usize = 6;
    pub(super) const TTL: usize = 8;
    pub(super) const IP_PROTOCOL: usize = 9;
    pub(super) const IP_CHECKSUM: usize = 10;
    pub(super) const SOURCE: usize = 12;
    pub(super) const DESTINATION: usize = 16;
    pub(super) const NEXT: usize = IPV4_HEADER;
    pub(super) const LENGTH: usize = IPV4_HEADER + 1;
    pub(super) const SPI: usize = IPV4_HEADER + 4;
    pub(super) const SEQUENCE: usize = IPV4_HEADER + 8;
    pub(super) const CHECK: usize = IPV4_HEADER + 12;
    pub(super) const MESSAGE: usize = IPV4_HEADER + super::HEADER;
}

/// An IPv4 packet with an authentication header and a VRRP message, not verified yet.
#[derive(Clone, Copy, Debug)]
pub struct Sealed<'p>(&'p [u8]);

impl<'p> Sealed<'p> {
    /// Reads a packet, which begins with its IPv4 header and may end with padding. Returns `None` unless the packet has this
    /// form: no options, no fragment, VRRP behind the authentication header.
    #[must_use]
    pub fn parse(packet: &'p [u8]) -> Option<Self> {
        let total = u16::from_be_bytes([*packet.get(2)?, *packet.get(3)?]).into();
        let packet = packet.get(..total)?;
        if packet.len() < offset::MESSAGE {
            return None;
        }
        let fragment =
            u16::from_be_bytes([packet[offset::FRAGMENT], packet[offset::FRAGMENT + 1]]) & FRAGMENT;
        let form = (packet[0], packet[offset::IP_PROTOCOL], packet[offset::NEXT], packet[offset::LENGTH]);
        (form == (0x45, AH_PROTOCOL, PROTOCOL, LENGTH_IN_WORDS) && fragment == 0).then_some(Self(packet))
    }

    /// Returns the VRRP message with its addresses and TTL.
    #[must_use]
    pub fn datagram(&self) -> Datagram<'p> {
        Datagram {
            family: Family::V4,
            source: Address::v4(self.array(offset::SOURCE)),
            destination: Address::v4(self.array(offset::DESTINATION)),
            ttl: self.0[offset::TTL],
            payload: &self.0[offset::MESSAGE..],
            trailer: &[],
        }
    }

    /// Returns the sequence number, whether it is verified or not.
    #[must_use]
    pub fn sequence(&self) -> u32 {
        u32::from_be_bytes(self.array(offset::SEQUENCE))
    }

    /// Returns true if the sender knows the password: the SPI is its address, and the integrity check is right.
    #[must_use]
    pub fn verify(&self, key: &[u8; AUTH_DATA]) -> bool {
        let spi: [u8; 4] = self.array(offset::SPI);
        let source: [u8; 4] = self.array(offset::SOURCE);
        spi == source
            && mac(self.0, key).verify_truncated_left(&self.0[offset::CHECK..offset::MESSAGE]).is_ok()
    }

    fn array<const N: usize>(&self, at: usize) -> [u8; N] {
        self.0[at..at + N].try_into().expect("the length was checked when it was read")
    }
}

/// Returns the IPv4 packet of a VRRP message under an authentication header.
#[must_use]
pub fn seal(
    source: Ipv4Addr,
    destination: Ipv4Addr,
    ttl: u8,
    message: &[u8],
    key: &[u8; AUTH_DATA],
    sequence: u32,
) -> Vec<u8> {
    let header = Ipv4 {
        source,
        destination,
        ttl,
        protocol: AH_PROTOCOL,
        tos: TOS_INTERNETWORK_CONTROL,
        // Receivers differ in whether they treat the flags as changing on the way; zero gives the same check for all of them.
        // The identification is not zero, because the kernel would replace zero by another value, which would break the seal.
        flags: [0, 0],
        identification: u16::try_from(sequence % 0xffff).expect("a remainder") + 1,
    };
    let mut packet = header.encode(HEADER + message.len());
    packet.extend([PROTOCOL, LENGTH_IN_WORDS, 0, 0]);
    packet.extend(source.octets());
    packet.extend(sequence.to_be_bytes());
    packet.extend([0; 12]);
    packet.extend(message);
    let check = mac(&packet, key).finalize().into_bytes();
    packet[offset::CHECK..offset::MESSAGE].copy_from_slice(&check[..12]);
    packet
}

/// Calculates the HMAC over the packet, with zeros in place of the check itself and of the fields that may change on the way.
fn mac(packet: &[u8], key: &[u8; AUTH_DATA]) -> Hmac<Md5> {
    let mut mac = Hmac::<Md5>::new_from_slice(key).expect("HMAC takes a key of any length");
    let mut header: [u8; offset::CHECK] =
        packet[..offset::CHECK].try_into().expect("longer than its headers");
    header[offset::TOS] = 0;
    header[offset::FRAGMENT..][..2].fill(0);
    header[offset::IP_CHECKSUM..][..2].fill(0);
    let multicast = header[offset::DESTINATION] >> 4 == 0xe;
    if !multicast {
        header[offset::TTL] = 0;
    }
    mac.update(&header);
    mac.update(&[0; 12]);
    mac.update(&packet[offset::MESSAGE..]);
    mac
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEY: [u8; 8] = *b"1111\0\0\0\0";

    /// Recorded from keepalived 2.2.7: `auth_type AH`, password 1111, VRID 51 to the group and 52 to a peer.
    const FROM_KEEPALIVED: [&[u8]; 2] = [
        &[
            0x45, 0xc0, 0x00, 0x40, 0x00, 0x01, 0x00, 0x00, 0xff, 0x33, 0x13, 0x0e, 0xc0, 0xa8, 0x07, 0x01,
            0xe0, 0x00, 0x00, 0x12, 0x70, 0x04, 0x00, 0x00, 0xc0, 0xa8, 0x07, 0x01, 0x00, 0x00, 0x00, 0x01,
            0xdc, 0xde, 0xb2, 0xd1, 0xdc, 0x58, 0x79, 0xc9, 0x81, 0x9b, 0x59, 0x2d, 0x21, 0x33, 0x64, 0x01,
            0x02, 0x01, 0xb1, 0x17, 0xc0, 0xa8, 0x07, 0x0a, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        ],
        &[
            0x45, 0xc0, 0x00, 0x40, 0x00, 0x01, 0x00, 0x00, 0xff, 0x33, 0x2b, 0x76, 0xc0, 0xa8, 0x07, 0x01,
            0xc0, 0xa8, 0x07, 0x02, 0x70, 0x04, 0x00, 0x00, 0xc0, 0xa8, 0x07, 0x01, 0x00, 0x00, 0x00, 0x01,
            0x44, 0x9a, 0xb9, 0x5d, 0x56, 0x4a, 0xf0, 0x20, 0x9a, 0xbf, 0x66, 0x71, 0x21, 0x34, 0x64, 0x01,
            0x02, 0x01, 0xb1, 0x15, 0xc0, 0xa8, 0x07, 0x0b, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        ],
    ];

    #[test]
    fn keepalived_s_packets_verify() {
        for packet in FROM_KEEPALIVED {
            let sealed = Sealed::parse(packet).expect("well formed");
            assert!(sealed.verify(&KEY));
            assert!(!sealed.verify(b"1112\0\0\0\0"));
            assert_eq!(sealed.sequence(), 1);
        }
    }

    #[test]
    fn a_hop_may_change_what_it_must_and_nothing_else() {
        let mut packet = FROM_KEEPALIVED[1].to_vec();
        packet[offset::TOS] = 0;
        packet[offset::TTL] -= 1;
        packet[offset::IP_CHECKSUM] ^= 1;
        assert!(Sealed::parse(&packet).expect("well formed").verify(&KEY));
        // The TTL of a packet to the group is covered: no router may be on the way.
        let mut packet = FROM_KEEPALIVED[0].to_vec();
        packet[offset::TTL] -= 1;
        assert!(!Sealed::parse(&packet).expect("well formed").verify(&KEY));
    }

    fn sealed(message: &[u8], sequence: u32, unicast: bool) -> Vec<u8> {
        let destination = if unicast { [10, 0, 0, 2] } else { [224, 0, 0, 18] };
        seal([10, 0, 0, 1].into(), destination.into(), 255, message, &KEY, sequence)
    }

    proptest! {
        #[test]
        fn what_we_seal_verifies(
            message in prop::collection::vec(any::<u8>(), 0..1100), sequence in any::<u32>(), unicast in any::<bool>(),
            padding in 0..20usize,
        ) {
            let mut packet = sealed(&message, sequence, unicast);
            packet.extend(vec![0; padding]);
            let sealed = Sealed::parse(&packet).unwrap();
            prop_assert!(sealed.verify(&KEY));
            prop_assert_eq!(sealed.sequence(), sequence);
            prop_assert_eq!(sealed.datagram().payload, &message[..]);
        }

        #[test]
        fn one_flipped_bit_of_the_rest_does_not(
            message in prop::collection::vec(any::<u8>(), 1..100), bit in any::<prop::sample::Index>(),
        ) {
            let mut packet = sealed(&message, 7, false);
            let bit = bit.index(packet.len() * 8);
            let byte = bit / 8;
            let changes = [offset::TOS, offset::FRAGMENT, offset::FRAGMENT + 1, offset::IP_CHECKSUM, offset::IP_CHECKSUM + 1];
            prop_assume!(!changes.contains(&byte));
            packet[byte] ^= 1 << (bit % 8);
            prop_assert!(!Sealed::parse(&packet).is_some_and(|sealed| sealed.verify(&KEY)));
        }

        #[test]
        fn no_bytes_panic(packet in prop::collection::vec(any::<u8>(), 0..200)) {
            let _verdict = Sealed::parse(&packet).map(|sealed| sealed.verify(&KEY));
        }
    }
}
