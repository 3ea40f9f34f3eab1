//! What an ARP packet deserves when it concerns a virtual address of ours, and the packets we answer with
//! (RFC 826, RFC 5227, RFC 9568 section 8.1.2).

use network_types::arp::ArpHdr;

/// ARP operation: request.
pub const REQUEST: u16 = 1;
/// ARP operation: reply.
pub const REPLY: u16 = 2;
/// The Ethernet broadcast address.
pub const BROADCAST: [u8; 6] = [0xff; 6];
/// A claim to an address of ours is answered at most this often (RFC 5227 section 2.4 says 10 seconds between two
/// defenders that both give up; an election must settle sooner).
pub const DEFENCE_INTERVAL_NS: u64 = 1_000_000_000;

/// Which address of an ARP packet might be ours, and what it is doing there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Concern {
    /// Somebody asks who has this address.
    Asked([u8; 4]),
    /// Somebody says to have this address: a gratuitous request or reply, or any packet sent from it.
    Claimed([u8; 4]),
}

/// Reads what an ARP packet is about. A claim counts before a question: a gratuitous request is both.
#[inline(always)]
#[must_use]
pub fn concern(arp: &ArpHdr) -> Option<Concern> {
    let claimed = arp.spa != [0; 4] && (arp.spa == arp.tpa || arp.oper() == REPLY);
    match (arp.oper(), claimed) {
        (REQUEST | REPLY, true) => Some(Concern::Claimed(arp.spa)),
        (REQUEST, false) => Some(Concern::Asked(arp.tpa)),
        _ => None,
    }
}

/// The answer to a question: the address is at `mac`.
#[inline(always)]
#[must_use]
pub fn answer(question: &ArpHdr, mac: [u8; 6]) -> ArpHdr {
    let mut arp = *question;
    arp.set_oper(REPLY);
    arp.sha = mac;
    arp.spa = question.tpa;
    arp.tha = question.sha;
    arp.tpa = question.spa;
    arp
}

/// Our own claim to `address`, as a gratuitous request, which is what keepalived sends.
#[inline(always)]
#[must_use]
pub fn gratuitous(address: [u8; 4], mac: [u8; 6]) -> ArpHdr {
    let mut arp = ArpHdr::new();
    arp.set_htype(1);
    arp.set_ptype(0x0800);
    arp.set_hlen(6);
    arp.set_plen(4);
    arp.set_oper(REQUEST);
    arp.sha = mac;
    arp.spa = address;
    arp.tha = BROADCAST;
    arp.tpa = address;
    arp
}

#[cfg(test)]
mod tests {
    use super::*;

    const VIP: [u8; 4] = [10, 0, 0, 100];
    const HOST: [u8; 4] = [10, 0, 0, 7];

    fn packet(oper: u16, spa: [u8; 4], tpa: [u8; 4]) -> ArpHdr {
        let mut arp = gratuitous(spa, [2, 0, 0, 0, 0, 7]);
        arp.set_oper(oper);
        arp.tpa = tpa;
        arp
    }

    #[test]
    fn questions_claims_and_the_rest() {
        let cases = [
            (packet(REQUEST, HOST, VIP), Some(Concern::Asked(VIP))),
            (packet(REQUEST, [0; 4], VIP), Some(Concern::Asked(VIP))), // RFC 5227 probe
            (packet(REQUEST, VIP, VIP), Some(Concern::Claimed(VIP))),
            (packet(REPLY, VIP, VIP), Some(Concern::Claimed(VIP))),
            (packet(REPLY, VIP, HOST), Some(Concern::Claimed(VIP))),
            (packet(REPLY, [0; 4], HOST), None),
            (packet(3, HOST, VIP), None),
        ];
        for (arp, expected) in cases {
            assert_eq!(concern(&arp), expected, "{arp:?}");
        }
    }

    #[test]
    fn an_answer_swaps_the_parties() {
        let ours = [2, 0, 0, 0, 0, 1];
        let reply = answer(&packet(REQUEST, HOST, VIP), ours);
        assert_eq!((reply.oper(), reply.sha, reply.spa), (REPLY, ours, VIP));
        assert_eq!((reply.tha, reply.tpa), ([2, 0, 0, 0, 0, 7], HOST));
    }
}
