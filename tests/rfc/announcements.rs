//! Sections 7.2 and 8: the packets that are sent.

use std::net::{Ipv4Addr, Ipv6Addr};

use vrrp_agent::wire::advert::{Body, Repr, V3Checksum};
use vrrp_agent::wire::ethernet::{advert_ipv4, advert_ipv6, gratuitous_arp, unsolicited_advertisement};
use vrrp_ebpf::arp;
use vrrp_ebpf::frame::{Carrier, Class, NeighbourKind, classify};

use super::{Row, check};

const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
const VIP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 100);
const OTHER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 101);

fn carrier(frame: &[u8]) -> Option<Carrier> {
    match classify(frame) {
        Class::Vrrp(carrier) => Some(carrier),
        Class::Arp(_) | Class::Nd(_) | Class::Other => None,
    }
}

fn claims(frame: &[u8], address: Ipv4Addr) -> bool {
    match classify(frame) {
        Class::Arp(packet) => {
            arp::claimed(&packet) == Some(address.octets()) && packet.tpa == address.octets()
        }
        Class::Vrrp(_) | Class::Nd(_) | Class::Other => false,
    }
}

#[test]
fn what_is_sent() {
    check(&[
        Row {
            section: "7.2, 5.1.1.3",
            rule: "adverts leave with TTL 255, to the group, by its Ethernet address",
            satisfied: || {
                let frame = advert_ipv4(MAC, VIP, &[0x31; 12]);
                carrier(&frame).is_some_and(|c| c.ttl == 255) && frame[..6] == [1, 0, 0x5e, 0, 0, 0x12]
            },
            violated: Some(|| advert_ipv4(MAC, VIP, &[0x31; 12])[30..34] != [224, 0, 0, 18]),
        },
        Row {
            section: "7.2, 5.1.2.3",
            rule: "over IPv6 with hop limit 255, to ff02::12",
            satisfied: || {
                let frame = advert_ipv6(MAC, Ipv6Addr::LOCALHOST, &[0x31; 24]);
                carrier(&frame).is_some_and(|c| c.ttl == 255) && frame[..6] == [0x33, 0x33, 0, 0, 0, 0x12]
            },
            violated: Some(|| advert_ipv6(MAC, Ipv6Addr::LOCALHOST, &[0x31; 24])[38..40] != [0xff, 0x02]),
        },
        Row {
            section: "7.2, 7.3",
            rule: "an advert leaves from the virtual router's hardware address, if it is to have one",
            satisfied: || {
                advert_ipv4([0, 0, 0x5e, 0, 1, 51], VIP, &[0x31; 12])[6..12] == [0, 0, 0x5e, 0, 1, 51]
            },
            violated: None,
        },
        Row {
            section: "5.2.6",
            rule: "the reserved bits are zero",
            satisfied: || {
                let body = Body::V3 { centiseconds: 0xffff, checksum: V3Checksum::PseudoHeader };
                let repr = Repr { vrid: 1, priority: 100, addresses: vec![VIP.into()], body };
                repr.encode(OTHER.into(), VIP.into())[4] >> 4 == 0
            },
            violated: None,
        },
        Row {
            section: "8.1.2, 6.4.1 (e7947)",
            rule: "a gratuitous ARP is broadcast, and sender and target are the virtual address",
            satisfied: || {
                claims(&gratuitous_arp(MAC, VIP), VIP) && gratuitous_arp(MAC, VIP)[..6] == [0xff; 6]
            },
            violated: Some(|| claims(&gratuitous_arp(MAC, VIP), OTHER)),
        },
        Row {
            section: "6.4.1, 8.2.2",
            rule: "an unsolicited neighbour advertisement has R and O set and S not",
            satisfied: || unsolicited_advertisement(MAC, Ipv6Addr::LOCALHOST)[58] == 0xa0,
            violated: Some(|| {
                let frame = unsolicited_advertisement(MAC, Ipv6Addr::LOCALHOST);
                !matches!(classify(&frame[..]), Class::Nd(m) if m.kind == NeighbourKind::Advertisement)
            }),
        },
    ]);
}
