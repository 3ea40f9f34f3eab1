//! The contents of an ARP packet that concerns a virtual address of ours, and the packets that we answer with (RFC 826, RFC
//! 5227, RFC 9568 section 8.1.2).

use network_types::arp::ArpHdr;

/// ARP operation: request.
pub const REQUEST: u16 = 1;
/// ARP operation: reply.
pub const REPLY: u16 = 2;
/// The Ethernet broadcast address.
pub const BROADCAST: [u8; 6] = [0xff; 6];
/// The least time between two answers to claims to an address of ours, in nanoseconds (RFC 5227 section 2.4 says 10 seconds
/// between two defenders that both give up; an election must settle sooner).
pub const DEFENCE_INTERVAL_NS: u64 = 1_000_000_000;

/// Returns the address that the sender claims to have. Any request or reply is such a claim, since every receiver learns from
/// it (RFC 5227 section 2.4). A probe claims no address.
#[inline(always)]
#[must_use]
pub fn claimed(arp: &ArpHdr) -> Option<[u8; 4]> {
    let speaks = matches!(arp.oper(), REQUEST | REPLY);
    (speaks && arp.spa != [0; 4]).then_some(arp.spa)
}

/// Returns the address that the sender asks for.
#[inline(always)]
#[must_use]
pub fn asked(arp: &ArpHdr) -> Option<[u8; 4]> {
    (arp.oper() == REQUEST).then_some(arp.tpa)
}

/// Returns the answer to a request: the address is at `mac`.
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

/// Returns our own claim to `address`, as a gratuitous request, which is what keepalived sends.
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
    fn questions_and_claims() {
        for (arp, expected) in [
            (packet(REQUEST, HOST, VIP), (Some(HOST), Some(VIP))),
            (packet(REQUEST, VIP, HOST), (Some(VIP), Some(HOST))), // a dead master's stack, asking for a client
            (packet(REQUEST, [0; 4], VIP), (None, Some(VIP))),     // RFC 5227 probe
            (packet(REQUEST, VIP, VIP), (Some(VIP), Some(VIP))),
            (packet(REPLY, VIP, HOST), (Some(VIP), None)),
            (packet(3, HOST, VIP), (None, None)),
        ] {
            assert_eq!((claimed(&arp), asked(&arp)), expected, "{arp:?}");
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
