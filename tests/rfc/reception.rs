//! Sections 5 and 7.1: the adverts that are believed.

use std::net::IpAddr;

use vrrp_agent::wire::advert::{Body, Repr, V2Auth, V3Checksum};
use vrrp_ebpf::advert::{
    Address, Auth, Cast, Datagram, Family, GROUP_V4, GROUP_V6, Rules, VerifiedBy, Version, accept, offset,
};
use vrrp_ebpf::checksum;
use vrrp_ebpf::frame::{Class, classify};

use super::{Row, check, trace};

const SECOND_NS: u64 = 1_000_000_000;
const SOURCE: [u8; 4] = [10, 0, 0, 1];

/// A case to be judged: built valid, then spoiled.
struct Case {
    family: Family,
    destination: Address,
    ttl: u8,
    payload: Vec<u8>,
    rules: Rules,
}

const OURS: Address = Address::v4([10, 0, 0, 2]);

fn rules(version: Version) -> Rules {
    Rules {
        version,
        auth: Auth::None,
        password: [0; 8],
        interval_ns: SECOND_NS,
        destination: Family::V4.group(),
        cast: Cast::Multicast,
        ttl_min: 255,
        verified_by: VerifiedBy::Kernel,
        list_sum: 0,
    }
}

fn v3_over(family: Family, addresses: usize, checksum: V3Checksum) -> Case {
    let (source, group, vip, destination) = match family {
        Family::V4 => (
            IpAddr::from(SOURCE),
            IpAddr::from(GROUP_V4),
            IpAddr::from([10, 0, 0, 100]),
            Address::v4(GROUP_V4),
        ),
        Family::V6 => {
            let link_local = |last| IpAddr::from([0xfe80, 0, 0, 0, 0, 0, 0, last]);
            (link_local(1), IpAddr::from(GROUP_V6), link_local(0x100), Address::v6(GROUP_V6))
        }
    };
    let body = Body::V3 { centiseconds: 100, checksum };
    let repr = Repr { vrid: 1, priority: 100, addresses: vec![vip; addresses], body };
    let payload = repr.encode(source, group);
    let rules = Rules { destination, ..rules(Version::V3) };
    Case { family, destination, ttl: 255, payload, rules }
}

fn v3() -> Case {
    v3_over(Family::V4, 1, V3Checksum::PseudoHeader)
}

fn v2(password: Option<[u8; 8]>) -> Case {
    let body = Body::V2 { seconds: 1, auth: password.map_or(V2Auth::None, V2Auth::Pass) };
    let repr = Repr { vrid: 1, priority: 100, addresses: vec![IpAddr::from([10, 0, 0, 100])], body };
    let payload = repr.encode(SOURCE.into(), GROUP_V4.into());
    let auth = if password.is_some() { Auth::Pass } else { Auth::None };
    let rules = Rules { auth, password: password.unwrap_or_default(), ..rules(Version::V2) };
    Case { family: Family::V4, destination: Address::v4(GROUP_V4), ttl: 255, payload, rules }
}

impl Case {
    fn believed(&self) -> bool {
        let source = match self.family {
            Family::V4 => Address::v4(SOURCE),
            Family::V6 => Address::v6([0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]),
        };
        let (family, destination, ttl) = (self.family, self.destination, self.ttl);
        let datagram = Datagram { family, source, destination, ttl, payload: &self.payload, trailer: &[] };
        let judged = accept(&datagram, &self.rules);
        trace(format!(
            "{:02x?} to {destination:?}, TTL {ttl}, under {:?}: {judged:?}",
            self.payload, self.rules
        ));
        judged.is_ok()
    }

    /// Changes a byte and mends the checksum (without pseudo-header), so that only the byte is wrong.
    fn with(mut self, at: usize, value: u8) -> Self {
        self.payload[at] = value;
        self.payload[offset::CHECKSUM..][..2].fill(0);
        let sum = !checksum::fold(checksum::sum(&self.payload));
        self.payload[offset::CHECKSUM..][..2].copy_from_slice(&sum.to_be_bytes());
        self
    }
}

/// An advert by unicast to us, with the checksum for another destination.
fn unicast_with_checksum_for(destination: [u8; 4]) -> Case {
    let body = Body::V3 { centiseconds: 100, checksum: V3Checksum::PseudoHeader };
    let repr = Repr { vrid: 1, priority: 100, addresses: vec![IpAddr::from([10, 0, 0, 100])], body };
    let mut rules = rules(Version::V3);
    (rules.cast, rules.destination, rules.ttl_min) = (Cast::Unicast, OURS, 0);
    let payload = repr.encode(SOURCE.into(), destination.into());
    Case { family: Family::V4, destination: rules.destination, ttl: 255, payload, rules }
}

/// True if a frame is taken for VRRP at all.
fn is_vrrp(spoil: impl FnOnce(&mut Vec<u8>)) -> bool {
    let mut frame = vrrp_agent::wire::ethernet::advert_ipv4([2, 0, 0, 0, 0, 1], SOURCE.into(), &v3().payload);
    spoil(&mut frame);
    matches!(classify(&frame[..]), Class::Vrrp(_))
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of rules")]
fn what_is_believed() {
    check(&[
        Row {
            section: "5.1.1.3",
            rule: "a TTL other than 255 is discarded",
            satisfied: || v3().believed(),
            violated: Some(|| Case { ttl: 254, ..v3() }.believed()),
        },
        Row {
            section: "5.1.2.3",
            rule: "a hop limit other than 255 is discarded",
            satisfied: || v3_over(Family::V6, 1, V3Checksum::PseudoHeader).believed(),
            violated: Some(|| {
                Case { ttl: 64, ..v3_over(Family::V6, 1, V3Checksum::PseudoHeader) }.believed()
            }),
        },
        Row {
            section: "5.1.1.2",
            rule: "adverts go to 224.0.0.18",
            satisfied: || v3().believed(),
            violated: Some(|| Case { destination: Address::v4([224, 0, 0, 5]), ..v3() }.believed()),
        },
        Row {
            section: "5.1.1.4",
            rule: "the protocol is 112",
            satisfied: || is_vrrp(|_| {}),
            violated: Some(|| is_vrrp(|frame| frame[23] = 111)),
        },
        Row {
            section: "5.2.1, 7.1",
            rule: "the version is 3",
            satisfied: || v3().believed(),
            violated: Some(|| v3().with(0, 0x41).believed() || v3().with(0, 0x21).believed()),
        },
        Row {
            section: "5.2.2",
            rule: "an unknown type is discarded",
            satisfied: || v3().with(0, 0x31).believed(),
            violated: Some(|| v3().with(0, 0x32).believed()),
        },
        Row {
            section: "5.2.4",
            rule: "every priority is valid: 0 resigns, 255 owns",
            satisfied: || [0, 1, 254, 255].iter().all(|&p| v3().with(offset::PRIORITY, p).believed()),
            violated: None,
        },
        Row {
            section: "5.2.5, erratum 8299",
            rule: "an advert without addresses is ignored",
            satisfied: || v3_over(Family::V4, 1, V3Checksum::PseudoHeader).believed(),
            violated: Some(|| v3_over(Family::V4, 0, V3Checksum::PseudoHeader).believed()),
        },
        Row {
            section: "5.2.6",
            rule: "the reserved bits are ignored",
            satisfied: || v3().with(offset::V3_INTERVAL, 0xf0).believed(),
            violated: None,
        },
        Row {
            section: "5.2.7, erratum 8301",
            rule: "an interval of zero is discarded",
            satisfied: || v3().with(5, 1).believed(),
            violated: Some(|| v3().with(4, 0).with(5, 0).believed()),
        },
        Row {
            section: "5.2.8",
            rule: "over IPv4 the checksum covers the message, or, with RFC 5798, the pseudo-header too",
            satisfied: || {
                v3_over(Family::V4, 1, V3Checksum::MessageOnly).believed()
                    && v3_over(Family::V4, 1, V3Checksum::PseudoHeader).believed()
            },
            violated: Some(|| {
                let mut case = v3();
                case.payload[6] ^= 0x10;
                case.believed()
            }),
        },
        Row {
            section: "5.2.8",
            rule: "over IPv6 the checksum covers the pseudo-header",
            satisfied: || v3_over(Family::V6, 1, V3Checksum::PseudoHeader).believed(),
            violated: Some(|| v3_over(Family::V6, 1, V3Checksum::PseudoHeader).with(1, 1).believed()),
        },
        Row {
            section: "7.1",
            rule: "the message is complete",
            satisfied: || v3().believed(),
            violated: Some(|| {
                let mut case = v3();
                case.payload.pop();
                case.believed()
            }),
        },
        Row {
            section: "7.1",
            rule: "the list of addresses may be another than ours (keepalived since 2.3.3)",
            satisfied: || {
                let mut case = v3();
                case.rules.list_sum = 1;
                case.believed()
            },
            violated: None,
        },
        Row {
            section: "keepalived 1.3.6",
            rule: "to a peer the checksum may be that of an advert to the group; to the group no other",
            satisfied: || unicast_with_checksum_for(GROUP_V4).believed(),
            violated: Some(|| unicast_with_checksum_for([10, 0, 0, 9]).believed()),
        },
        Row {
            section: "7.1",
            rule: "another interval than ours is believed (version 3)",
            satisfied: || v3().with(5, 50).believed(),
            violated: None,
        },
        Row {
            section: "RFC 3768 7.1",
            rule: "another interval than ours is discarded (version 2)",
            satisfied: || v2(None).believed(),
            violated: Some(|| v2(None).with(offset::V2_INTERVAL, 2).believed()),
        },
        Row {
            section: "RFC 2338 7.1",
            rule: "the authentication type is ours",
            satisfied: || v2(Some(*b"1111\0\0\0\0")).believed(),
            violated: Some(|| Case { rules: rules(Version::V2), ..v2(Some(*b"1111\0\0\0\0")) }.believed()),
        },
        Row {
            section: "RFC 2338 7.1",
            rule: "the password is ours, in all its eight bytes",
            satisfied: || v2(Some(*b"12345678")).believed(),
            violated: Some(|| {
                let mut case = v2(Some(*b"12345678"));
                case.rules.password = *b"12345679";
                case.believed()
            }),
        },
        Row {
            section: "keepalived",
            rule: "a unicast advert is believed at any TTL, by its addressee",
            satisfied: || {
                let mut case = v2(None);
                (case.rules.cast, case.rules.destination, case.rules.ttl_min) = (Cast::Unicast, OURS, 0);
                (case.destination, case.ttl) = (case.rules.destination, 3);
                case.believed()
            },
            violated: Some(|| {
                let mut case = v2(None);
                (case.rules.cast, case.rules.destination, case.rules.ttl_min) = (Cast::Unicast, OURS, 0);
                case.believed()
            }),
        },
    ]);
}
