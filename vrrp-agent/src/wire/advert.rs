//! A VRRP advert: version 2 (RFC 3768, with the password of RFC 2338) and version 3 (RFC 9568 section 5).

use std::net::IpAddr;
use std::time::Duration;

use vrrp_ebpf::advert::{AUTH_DATA, Address, Auth, Datagram, Family, HEADER, offset};
use vrrp_ebpf::checksum;

/// The contents of an advert. An advert that breaks the format cannot be built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repr {
    /// Virtual router identifier, 1 to 255.
    pub vrid: u8,
    /// Priority of the sender; 0 resigns.
    pub priority: u8,
    /// The virtual addresses, of one family, at most 255.
    pub addresses: Vec<IpAddr>,
    /// The part that differs between the versions.
    pub body: Body,
}

/// The part of an advert that differs between the versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// Version 2: whole seconds, 1 to 255, and the authentication.
    V2 {
        /// Advertisement interval in seconds.
        seconds: u8,
        /// The authentication.
        auth: V2Auth,
    },
    /// Version 3: centiseconds, 1 to 4095.
    V3 {
        /// Advertisement interval in centiseconds.
        centiseconds: u16,
        /// Over IPv4: says if the checksum covers the pseudo-header (RFC 5798 and keepalived) or not (RFC 9568).
        checksum: V3Checksum,
    },
}

/// The authentication of version 2 (RFC 2338 section 5.3.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum V2Auth {
    /// Type 0.
    None,
    /// Type 1: the password, zero-padded, in the clear.
    Pass([u8; AUTH_DATA]),
    /// Type 2: the message is inside the authentication header that [`super::ah`] builds.
    Ah,
}

impl V2Auth {
    fn kind(self) -> Auth {
        match self {
            Self::None => Auth::None,
            Self::Pass(_) => Auth::Pass,
            Self::Ah => Auth::Ah,
        }
    }

    fn data(self) -> [u8; AUTH_DATA] {
        match self {
            Self::None | Self::Ah => [0; AUTH_DATA],
            Self::Pass(password) => password,
        }
    }
}

/// The data that a version 3 checksum over IPv4 covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum V3Checksum {
    /// The message and the pseudo-header: RFC 5798, keepalived's default.
    PseudoHeader,
    /// The message alone: RFC 9568 section 5.2.8, keepalived's `v3_checksum_as_v2`.
    MessageOnly,
}

impl Repr {
    /// The advertisement interval.
    #[must_use]
    pub fn interval(&self) -> Duration {
        match self.body {
            Body::V2 { seconds, .. } => Duration::from_secs(seconds.into()),
            Body::V3 { centiseconds, .. } => Duration::from_millis(u64::from(centiseconds) * 10),
        }
    }

    /// Returns the VRRP message, as sent from `source` to `destination`; the checksum may cover both addresses.
    #[must_use]
    pub fn encode(&self, source: IpAddr, destination: IpAddr) -> Vec<u8> {
        let (version, bytes_4_5) = match self.body {
            Body::V2 { seconds, auth } => (2, [auth.kind() as u8, seconds]),
            Body::V3 { centiseconds, .. } => (3, (centiseconds & 0x0fff).to_be_bytes()),
        };
        let count = u8::try_from(self.addresses.len()).expect("the configuration keeps the list under 256");
        let mut message =
            vec![version << 4 | 1, self.vrid, self.priority, count, bytes_4_5[0], bytes_4_5[1], 0, 0];
        debug_assert_eq!(message.len(), HEADER);
        for address in &self.addresses {
            match address {
                IpAddr::V4(a) => message.extend(a.octets()),
                IpAddr::V6(a) => message.extend(a.octets()),
            }
        }
        let family = family(source);
        let pseudo = checksum::pseudo_header(family, &address(source), &address(destination), message.len());
        let covered = match self.body {
            Body::V2 { auth, .. } => {
                message.extend(auth.data());
                0
            }
            Body::V3 { checksum: V3Checksum::MessageOnly, .. } if family == Family::V4 => 0,
            Body::V3 { .. } => pseudo,
        };
        let checksum = !checksum::fold(checksum::sum(&message) + covered);
        message[offset::CHECKSUM..][..2].copy_from_slice(&checksum.to_be_bytes());
        message
    }

    /// Reads a message back: the inverse of [`Self::encode`]. Returns `None` if the format is broken or the checksum is wrong.
    /// This does not decide if an instance accepts the advert; [`vrrp_ebpf::advert::accept`] does.
    #[must_use]
    pub fn decode(datagram: &Datagram<'_>) -> Option<Self> {
        let Datagram { family, source, destination, payload, .. } = *datagram;
        let (header, rest) = payload.split_first_chunk::<HEADER>()?;
        let &[version_type, vrid, priority, count, byte_4, byte_5, _, _] = header;
        let (list, tail) = rest.split_at_checked(usize::from(count) * family.width())?;
        let sum = checksum::sum(payload);
        let valid = |covered| checksum::fold(sum + covered) == 0xffff;
        let pseudo = checksum::pseudo_header(family, &source, &destination, payload.len());
        let body = match (version_type, family) {
            (0x21, Family::V4) if valid(0) => {
                let data: [u8; AUTH_DATA] = tail.try_into().ok()?;
                let auth = match (byte_4, data) {
                    (0, NO_DATA) => V2Auth::None,
                    (1, password) => V2Auth::Pass(password),
                    (2, NO_DATA) => V2Auth::Ah,
                    _ => return None,
                };
                Body::V2 { seconds: byte_5, auth }
            }
            (0x31, _) if tail.is_empty() => {
                let checksum = match family {
                    Family::V4 if valid(0) => V3Checksum::MessageOnly,
                    Family::V4 | Family::V6 if valid(pseudo) => V3Checksum::PseudoHeader,
                    Family::V4 | Family::V6 => return None,
                };
                Body::V3 { centiseconds: u16::from_be_bytes([byte_4 & 0x0f, byte_5]), checksum }
            }
            _ => return None,
        };
        let addresses = list.chunks_exact(family.width()).map(|octets| match *octets {
            [a, b, c, d] => IpAddr::from([a, b, c, d]),
            ref octets => IpAddr::from(<[u8; 16]>::try_from(octets).expect("the other width")),
        });
        Some(Self { vrid, priority, addresses: addresses.collect(), body })
    }
}

const NO_DATA: [u8; AUTH_DATA] = [0; AUTH_DATA];

/// The family of an address.
#[must_use]
pub fn family(address: IpAddr) -> Family {
    match address {
        IpAddr::V4(_) => Family::V4,
        IpAddr::V6(_) => Family::V6,
    }
}

/// Converts an address to the kernel half's type.
#[must_use]
pub fn address(address: IpAddr) -> Address {
    match address {
        IpAddr::V4(a) => Address::v4(a.octets()),
        IpAddr::V6(a) => Address::v6(a.octets()),
    }
}

/// Converts an address to the standard library's type.
#[must_use]
pub fn ip(family: Family, address: &Address) -> IpAddr {
    match family {
        Family::V4 => {
            let [a, b, c, d, ..] = address.octets;
            IpAddr::from([a, b, c, d])
        }
        Family::V6 => IpAddr::from(address.octets),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use vrrp_ebpf::advert::{Cast, List, Reject, Rules, VerifiedBy, Version, accept, list_sum};

    use super::*;

    fn auth() -> impl Strategy<Value = V2Auth> {
        let password = prop::array::uniform8(any::<u8>()).prop_map(V2Auth::Pass);
        prop_oneof![Just(V2Auth::None), Just(V2Auth::Ah), password]
    }

    fn body() -> impl Strategy<Value = Body> {
        prop_oneof![
            (1..=255u8, auth()).prop_map(|(seconds, auth)| Body::V2 { seconds, auth }),
            (1..=4095u16, any::<bool>()).prop_map(|(centiseconds, pseudo)| Body::V3 {
                centiseconds,
                checksum: if pseudo { V3Checksum::PseudoHeader } else { V3Checksum::MessageOnly },
            }),
        ]
    }

    fn repr() -> impl Strategy<Value = Repr> {
        let addresses = prop::collection::vec(any::<[u8; 4]>().prop_map(IpAddr::from), 1..=255);
        (1..=255u8, any::<u8>(), addresses, body()).prop_map(|(vrid, priority, addresses, body)| Repr {
            vrid,
            priority,
            addresses,
            body,
        })
    }

    const SOURCE: [u8; 4] = [10, 0, 0, 1];
    const GROUP: [u8; 4] = [224, 0, 0, 18];

    fn rules(repr: &Repr) -> Rules {
        let (version, auth) = match repr.body {
            Body::V2 { auth, .. } => (Version::V2, auth),
            Body::V3 { .. } => (Version::V3, V2Auth::None),
        };
        Rules {
            version,
            auth: auth.kind(),
            password: auth.data(),
            interval_ns: u64::try_from(repr.interval().as_nanos()).unwrap(),
            destination: Address::v4(GROUP),
            cast: Cast::Multicast,
            ttl_min: 255,
            verified_by: VerifiedBy::Kernel,
            list_sum: list_sum(repr.addresses.iter().copied().map(address)),
        }
    }

    fn datagram(payload: &[u8]) -> Datagram<'_> {
        Datagram {
            family: Family::V4,
            source: Address::v4(SOURCE),
            destination: Address::v4(GROUP),
            ttl: 255,
            payload,
            trailer: &[],
        }
    }

    /// Calculated by hand: RFC 3768 section 5.1, VRID 51, priority 100, one address 192.168.1.10, interval 1 s, type 1,
    /// password "1111". The words 2133 6401 0101 c0a8 010a 3131 3131 0000 0000 sum to 1aa49, folded aa4a, inverted 55b5.
    #[test]
    fn a_version_2_advert_byte_by_byte() {
        let repr = Repr {
            vrid: 51,
            priority: 100,
            addresses: vec![IpAddr::from([192, 168, 1, 10])],
            body: Body::V2 { seconds: 1, auth: V2Auth::Pass(*b"1111\0\0\0\0") },
        };
        assert_eq!(
            repr.encode(SOURCE.into(), GROUP.into()),
            [0x21, 51, 100, 1, 1, 1, 0x55, 0xb5, 192, 168, 1, 10, 0x31, 0x31, 0x31, 0x31, 0, 0, 0, 0]
        );
    }

    proptest! {
        #[test]
        fn what_we_send_is_believed(repr in repr()) {
            let message = repr.encode(SOURCE.into(), GROUP.into());
            let advert = accept(&datagram(&message), &rules(&repr)).unwrap();
            prop_assert_eq!(advert.priority, repr.priority);
            prop_assert_eq!(advert.list, List::Same);
            prop_assert_eq!(u128::from(advert.interval_ns), repr.interval().as_nanos());
        }

        #[test]
        fn what_we_send_is_read_back(repr in repr()) {
            let message = repr.encode(SOURCE.into(), GROUP.into());
            prop_assert_eq!(Repr::decode(&datagram(&message)), Some(repr));
        }

        #[test]
        fn what_we_send_over_ipv6_is_read_back(
            vrid in 1..=255u8, priority in any::<u8>(), centiseconds in 1..=4095u16,
            addresses in prop::collection::vec(any::<[u8; 16]>(), 1..=90),
        ) {
            let body = Body::V3 { centiseconds, checksum: V3Checksum::PseudoHeader };
            let repr = Repr { vrid, priority, addresses: addresses.into_iter().map(IpAddr::from).collect(), body };
            let (source, group) = ([0xfe; 16], vrrp_ebpf::advert::GROUP_V6);
            let message = repr.encode(source.into(), group.into());
            let (source, destination) = (Address::v6(source), Address::v6(group));
            let datagram = Datagram { family: Family::V6, source, destination, ..datagram(&message) };
            prop_assert_eq!(Repr::decode(&datagram), Some(repr));
        }

        #[test]
        fn another_list_is_told(repr in repr(), other in any::<[u8; 4]>()) {
            let message = repr.encode(SOURCE.into(), GROUP.into());
            let mut list = repr.addresses.clone();
            list.reverse();
            let rules = |list: &[IpAddr]| Rules { list_sum: list_sum(list.iter().copied().map(address)), ..rules(&repr) };
            prop_assert_eq!(accept(&datagram(&message), &rules(&list)).unwrap().list, List::Same);
            list.push(other.into());
            prop_assume!(other.chunks(2).any(|word| word != [0, 0]));
            prop_assert_eq!(accept(&datagram(&message), &rules(&list)).unwrap().list, List::Other);
        }

        #[test]
        fn one_flipped_bit_is_not_believed(repr in repr(), bit in any::<prop::sample::Index>()) {
            let mut message = repr.encode(SOURCE.into(), GROUP.into());
            let bit = bit.index(message.len() * 8);
            message[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(accept(&datagram(&message), &rules(&repr)).is_err());
        }

        #[test]
        fn a_unicast_advert_is_for_its_addressee(repr in repr()) {
            let (ours, other) = ([10, 0, 0, 2], [10, 0, 0, 3]);
            let rules =
                Rules { cast: Cast::Unicast, destination: Address::v4(ours), ttl_min: 0, ..rules(&repr) };
            for (to, believed) in [(ours, true), (other, false), (GROUP, false)] {
                let message = repr.encode(SOURCE.into(), to.into());
                let datagram = Datagram { destination: Address::v4(to), ttl: 64, ..datagram(&message) };
                prop_assert_eq!(accept(&datagram, &rules).is_ok(), believed);
            }
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..1600), repr in repr()) {
            let _verdict = accept(&datagram(&bytes), &rules(&repr));
            let _read = Repr::decode(&datagram(&bytes));
        }

        #[test]
        fn a_lower_ttl_is_not_believed(repr in repr(), ttl in 0..255u8) {
            let message = repr.encode(SOURCE.into(), GROUP.into());
            let datagram = Datagram { ttl, ..datagram(&message) };
            prop_assert_eq!(accept(&datagram, &rules(&repr)), Err(Reject::Ttl));
        }
    }
}
