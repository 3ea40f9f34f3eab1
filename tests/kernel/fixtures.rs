//! The common data of the kernel tests: an instance, and frames about it.

use std::net::{IpAddr, Ipv4Addr};

use vrrp_agent::wire::advert::{Body, Repr, V3Checksum};
use vrrp_agent::wire::ethernet::advert_ipv4;
use vrrp_ebpf::abi::{Instance, InstanceKey, Role};
use vrrp_ebpf::advert::{Address, Auth, Cast, Family, GROUP_V4, Rules, VerifiedBy, Version, list_sum};
use vrrp_ebpf::election::{Candidate, DOWN_ADVERTS, Preempt, Takeover};

use super::program::IFINDEX;

const SECOND_NS: u64 = 1_000_000_000;
pub(crate) const SLOT: u32 = 10;
pub(crate) const VRID: u8 = 10;
pub(crate) const VMAC: [u8; 6] = [0, 0, 0x5e, 0, 1, VRID];
pub(crate) const CLIENT: [u8; 6] = [2, 0, 0, 0, 0, 7];
pub(crate) const VIP: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 0);
pub(crate) const EPOCH: u64 = 5;
pub(crate) const OTHER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 99);

/// A backup of priority 100. Some VRIDs have a meaning: 4 is unicast, 5 is idle, and 7 is judged by the agent.
pub(crate) fn instance(vrid: u8, family: Family, version: Version, password: Option<[u8; 8]>) -> Instance {
    let address = match family {
        Family::V4 => Address::v4([10, 0, 0, 2]),
        Family::V6 => Address::v6([0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]),
    };
    Instance {
        epoch: 1,
        rules: Rules {
            version,
            auth: if password.is_some() { Auth::Pass } else { Auth::None },
            password: password.unwrap_or_default(),
            interval_ns: SECOND_NS,
            destination: if vrid == 4 { address } else { family.group() },
            cast: if vrid == 4 { Cast::Unicast } else { Cast::Multicast },
            ttl_min: if vrid == 4 { 64 } else { 255 },
            verified_by: if vrid == 7 { VerifiedBy::Agent } else { VerifiedBy::Kernel },
            // The list in the generated adverts with one address.
            list_sum: list_sum([Address::v4([10, 0, 1, 0])].into_iter()),
        },
        candidate: Candidate {
            address,
            version,
            priority: 100,
            preempt: Preempt::Yes,
            down_adverts: DOWN_ADVERTS,
        },
        slot: vrid.into(),
        role: if vrid == 5 { Role::Idle } else { Role::Backup },
        key: InstanceKey { ifindex: IFINDEX, family, vrid: vrid.into() },
        takeover: Takeover::Agent,
    }
}

/// An advert of version 3 from 10.0.0.1.
pub(crate) fn advert(vrid: u8, priority: u8, centiseconds: u16) -> Vec<u8> {
    let body = Body::V3 { centiseconds, checksum: V3Checksum::PseudoHeader };
    let repr = Repr { vrid, priority, addresses: vec![IpAddr::from([10, 0, 1, 0])], body };
    let source = [10, 0, 0, 1];
    advert_ipv4([2, 0, 0, 0, 0, 1], source.into(), &repr.encode(source.into(), GROUP_V4.into()))
}

pub(crate) fn arp_request(to_mac: [u8; 6], for_address: Ipv4Addr) -> Vec<u8> {
    let mut frame = [&to_mac[..], &CLIENT, &[8, 6, 0, 1, 8, 0, 6, 4, 0, 1], &CLIENT, &[10, 0, 0, 7]].concat();
    frame.extend([0; 6]);
    frame.extend(for_address.octets());
    frame
}

/// A gratuitous ARP request.
pub(crate) fn arp_claim(mac: [u8; 6], address: Ipv4Addr) -> Vec<u8> {
    let mut frame = [&[0xff; 6][..], &mac, &[8, 6, 0, 1, 8, 0, 6, 4, 0, 1], &mac].concat();
    frame.extend(address.octets());
    frame.extend([0xff; 6]);
    frame.extend(address.octets());
    frame
}
