//! keepalived's `auth_hmac`: 28 bytes behind the VRRP message with an HMAC-SHA256, cut to 128 bits, and a sequence made of
//! the time (docs/vrrp.md, "HMAC trailer": keepalived 2.4.2 and later).
//!
//! The HMAC is taken over a pseudo-header, the message with a checksum of zero, and the trailer with an HMAC of zero. The
//! message's checksum does not cover the trailer over IPv4; over IPv6 it covers all of the payload.

use std::net::IpAddr;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use vrrp_ebpf::advert::{Address, Datagram, Family, HEADER, offset};
use vrrp_ebpf::checksum;

use super::advert::{address, family};

/// Bytes of the trailer.
pub const TRAILER: usize = 28;
/// The only type of trailer so far: HMAC-SHA256-128.
const TYPE: u8 = 1;
/// Offset of the HMAC in the trailer.
const HMAC: usize = 12;

/// A VRRP message with its trailer, not verified yet.
#[derive(Clone, Copy, Debug)]
pub struct Sealed<'p> {
    message: Datagram<'p>,
    trailer: &'p [u8; TRAILER],
}

impl<'p> Sealed<'p> {
    /// Splits a payload that is longer than its message by exactly one trailer. Returns `None` for any other payload.
    #[must_use]
    pub fn split(datagram: &Datagram<'p>) -> Option<Self> {
        let payload = datagram.payload;
        let width = datagram.family.width();
        let tail = if payload.first()? >> 4 == 2 { vrrp_ebpf::advert::AUTH_DATA } else { 0 };
        let message = HEADER + usize::from(*payload.get(offset::COUNT)?) * width + tail;
        let trailer = payload.get(message..)?;
        Some(Self {
            trailer: trailer.try_into().ok()?,
            message: Datagram { payload: &payload[..message], trailer, ..*datagram },
        })
    }

    /// Returns the message, for [`vrrp_ebpf::advert::accept`].
    #[must_use]
    pub fn datagram(&self) -> Datagram<'p> {
        self.message
    }

    /// Returns true if the trailer has the known type, and zeros in its reserved bytes.
    #[must_use]
    pub fn well_formed(&self) -> bool {
        self.trailer[0] == TYPE && self.trailer[2..4] == [0, 0]
    }

    /// Returns the number of the key.
    #[must_use]
    pub fn key_id(&self) -> u8 {
        self.trailer[1]
    }

    /// Returns the sequence number: seconds since 1970, 16 bits of their fraction, 16 bits of a counter.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        u64::from_be_bytes(self.trailer[4..HMAC].try_into().expect("eight bytes"))
    }

    /// Returns true if the HMAC is right: the sender knows the key.
    #[must_use]
    pub fn verify(&self, key: &[u8]) -> bool {
        let Datagram { family, source, payload, .. } = &self.message;
        let mac = mac(*family, source, payload, &self.trailer[..HMAC], key);
        mac.verify_truncated_left(&self.trailer[HMAC..]).is_ok()
    }
}

/// Returns a message that [`super::advert::Repr::encode`] has made, with a trailer behind it.
#[must_use]
pub fn seal(
    mut message: Vec<u8>,
    source: IpAddr,
    destination: IpAddr,
    key_id: u8,
    key: &[u8],
    sequence: u64,
) -> Vec<u8> {
    let (family, source) = (family(source), address(source));
    let mut trailer = vec![TYPE, key_id, 0, 0];
    trailer.extend(sequence.to_be_bytes());
    let hmac = mac(family, &source, &message, &trailer, key).finalize().into_bytes();
    trailer.extend(&hmac[..TRAILER - HMAC]);
    message.extend(trailer);
    match family {
        Family::V4 => {}
        Family::V6 => {
            message[offset::CHECKSUM..][..2].fill(0);
            let pseudo = checksum::pseudo_header(family, &source, &address(destination), message.len());
            let sum = !checksum::fold(checksum::sum(&message) + pseudo);
            message[offset::CHECKSUM..][..2].copy_from_slice(&sum.to_be_bytes());
        }
    }
    message
}

/// Calculates the HMAC. `message` has at least a header; its checksum is treated as zero.
fn mac(family: Family, source: &Address, message: &[u8], prefix: &[u8], key: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    let (version, vrid) = (message[offset::VERSION_TYPE] >> 4, message[offset::VRID]);
    mac.update(&[family as u8, version, vrid, 0]);
    mac.update(&source.octets);
    mac.update(&message[..offset::CHECKSUM]);
    mac.update(&[0; 2]);
    mac.update(&message[offset::ADDRESSES..]);
    mac.update(prefix);
    mac.update(&[0; TRAILER - HMAC]);
    mac
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use vrrp_ebpf::advert::{GROUP_V4, GROUP_V6};

    use super::*;
    use crate::wire::advert::{Body, Repr, V3Checksum};

    const KEY: [u8; 32] = [0x11; 32];
    /// 2023-11-14 and half a second.
    const SEQUENCE: u64 = 0x6553_f100 << 32 | 0x8000 << 16;

    /// Computed with another HMAC implementation (Python's) from docs/vrrp.md, "HMAC trailer"; no keepalived that a distribution
    /// has released supports this trailer.
    const VECTORS: [(&str, &str, u16, [u8; 16]); 2] = [
        (
            "198.51.100.10",
            "192.0.2.100",
            0,
            [0xb1, 0x06, 0x96, 0x65, 0x5d, 0xf8, 0x3e, 0x6c, 0x0a, 0x52, 0xe3, 0xec, 0x59, 0xa5, 0xe0, 0xe3],
        ),
        (
            "fe80::10",
            "fe80::100",
            0x3d40,
            [0x0e, 0x72, 0x0d, 0x0a, 0x35, 0x33, 0x52, 0xac, 0xe9, 0x06, 0xf3, 0x24, 0x90, 0x75, 0xe4, 0x08],
        ),
    ];

    fn group(source: IpAddr) -> IpAddr {
        match source {
            IpAddr::V4(_) => GROUP_V4.into(),
            IpAddr::V6(_) => GROUP_V6.into(),
        }
    }

    fn sealed(source: IpAddr, vip: IpAddr, sequence: u64) -> Vec<u8> {
        let body = Body::V3 { centiseconds: 100, checksum: V3Checksum::PseudoHeader };
        let repr = Repr { vrid: 51, priority: 200, addresses: vec![vip], body };
        let message = repr.encode(source, group(source));
        seal(message, source, group(source), 1, &KEY, sequence)
    }

    fn datagram(payload: &[u8], source: IpAddr) -> Datagram<'_> {
        let destination = address(group(source));
        Datagram {
            family: family(source),
            source: address(source),
            destination,
            ttl: 255,
            payload,
            trailer: &[],
        }
    }

    #[test]
    fn the_vectors() {
        for (source, vip, checksum, hmac) in VECTORS {
            let source: IpAddr = source.parse().expect("an address");
            let payload = sealed(source, vip.parse().expect("an address"), SEQUENCE);
            assert_eq!(payload[payload.len() - 16..], hmac, "{source}");
            if checksum != 0 {
                assert_eq!(payload[6..8], checksum.to_be_bytes(), "over all of the payload");
            }
            let read = Sealed::split(&datagram(&payload, source)).expect("it has a trailer");
            assert!(read.well_formed() && read.verify(&KEY) && !read.verify(&[0x22; 32]));
            assert_eq!((read.key_id(), read.sequence()), (1, SEQUENCE));
            let message = read.datagram();
            assert_eq!(message.payload.len() + TRAILER, payload.len());
        }
    }

    proptest! {
        #[test]
        fn one_flipped_bit_is_not_believed(sequence in any::<u64>(), bit in any::<prop::sample::Index>()) {
            let source = IpAddr::from([10, 0, 0, 1]);
            let mut payload = sealed(source, IpAddr::from([10, 0, 0, 100]), sequence);
            let bit = bit.index(payload.len() * 8);
            // The HMAC treats the checksum as zero; an error there is found by the message's own checksum.
            prop_assume!(!(6..8).contains(&(bit / 8)));
            payload[bit / 8] ^= 1 << (bit % 8);
            let read = Sealed::split(&datagram(&payload, source));
            prop_assert!(!read.is_some_and(|read| read.well_formed() && read.verify(&KEY)));
        }

        #[test]
        fn no_bytes_panic(payload in prop::collection::vec(any::<u8>(), 0..200)) {
            let source = IpAddr::from([10, 0, 0, 1]);
            let _verdict = Sealed::split(&datagram(&payload, source)).map(|read| read.verify(&KEY));
        }
    }
}
