//! Neighbour discovery for IPv6 virtual addresses (RFC 4861; RFC 9568 sections 8.2.2 and 8.2.3): the messages, and the
//! advertisements that we send.

use crate::checksum;

/// Protocol number of ICMPv6.
pub const ICMPV6: u8 = 58;
/// ICMPv6 type: neighbour solicitation.
pub const SOLICITATION: u8 = 135;
/// ICMPv6 type: neighbour advertisement.
pub const ADVERTISEMENT: u8 = 136;
/// All nodes on the link: ff02::1.
pub const ALL_NODES: [u8; 16] = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
/// The Ethernet address of [`ALL_NODES`] (RFC 2464 section 7).
pub const ALL_NODES_MAC: [u8; 6] = [0x33, 0x33, 0, 0, 0, 1];
/// Hop limit of all these messages: a message with a lower one has crossed a router and is not valid (RFC 4861 section 7.1).
pub const HOP_LIMIT: u8 = 255;

/// Flags of an advertisement: from a router, solicited, overriding.
const ROUTER: u8 = 0x80;
const SOLICITED: u8 = 0x40;
const OVERRIDE: u8 = 0x20;
/// Option: target link-layer address, of one unit of eight bytes.
pub const TARGET_LINK_LAYER: [u8; 2] = [2, 1];

/// The fixed part of a solicitation or advertisement.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Message {
    /// Type.
    pub kind: u8,
    /// Code, zero.
    pub code: u8,
    /// Checksum.
    pub checksum: [u8; 2],
    /// Flags of an advertisement.
    pub flags: [u8; 4],
    /// The address that the message is about.
    pub target: [u8; 16],
}

/// An advertisement with the option that contains the hardware address.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Advertisement {
    /// The fixed part.
    pub message: Message,
    /// Type and length of the option.
    pub option: [u8; 2],
    /// The hardware address.
    pub mac: [u8; 6],
}

/// The occasion for a neighbour advertisement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// A solicitation from this address.
    Solicited([u8; 16]),
    /// No solicitation, or one from a host that has no address yet: the advertisement goes to all nodes.
    Unsolicited,
}

/// Offset at which the fixed part of an IPv6 header ends.
pub const IPV6_HEADER: usize = 40;
/// Bytes of an advertisement with its option.
pub const ADVERTISEMENT_BYTES: usize = size_of::<Advertisement>();

/// Returns our advertisement for `target` at `mac`, and the address to which it is sent.
#[inline(always)]
#[must_use]
pub fn advertisement(target: [u8; 16], mac: [u8; 6], reply: Reply) -> (Advertisement, [u8; 16]) {
    let (destination, solicited) = match reply {
        Reply::Solicited(from) => (from, SOLICITED),
        Reply::Unsolicited => (ALL_NODES, 0),
    };
    let mut advertisement = Advertisement {
        message: Message {
            kind: ADVERTISEMENT,
            code: 0,
            checksum: [0; 2],
            flags: [ROUTER | solicited | OVERRIDE, 0, 0, 0],
            target,
        },
        option: TARGET_LINK_LAYER,
        mac,
    };
    let sum = sum(&advertisement, &target, &destination);
    advertisement.message.checksum = (!checksum::fold(sum)).to_be_bytes();
    (advertisement, destination)
}

/// Returns the sum of the message, whose checksum is still zero, and of its pseudo-header; the source is the target.
#[inline(always)]
fn sum(advertisement: &Advertisement, source: &[u8; 16], destination: &[u8; 16]) -> u32 {
    let Advertisement { message, option, mac } = advertisement;
    let word = |a: u8, b: u8| u32::from(u16::from_be_bytes([a, b]));
    let mut sum = u32::from(ICMPV6) + ADVERTISEMENT_BYTES as u32;
    sum += word(message.kind, message.code) + word(message.flags[0], 0) + word(option[0], option[1]);
    sum += word(mac[0], mac[1]) + word(mac[2], mac[3]) + word(mac[4], mac[5]);
    let mut at = 0;
    while at < 16 {
        // The target is in the message and, as source, in the pseudo-header.
        sum += word(message.target[at], message.target[at + 1]) + word(source[at], source[at + 1]);
        sum += word(destination[at], destination[at + 1]);
        at += 2;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    const VIP: [u8; 16] = [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x01, 0x00];
    const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];

    fn bytes(advertisement: &Advertisement) -> [u8; ADVERTISEMENT_BYTES] {
        let m = &advertisement.message;
        let mut bytes = [0; ADVERTISEMENT_BYTES];
        bytes[..8].copy_from_slice(&[m.kind, m.code, m.checksum[0], m.checksum[1], m.flags[0], 0, 0, 0]);
        bytes[8..24].copy_from_slice(&m.target);
        bytes[24..26].copy_from_slice(&advertisement.option);
        bytes[26..].copy_from_slice(&advertisement.mac);
        bytes
    }

    #[test]
    fn an_advertisement_has_its_flags_and_a_valid_checksum() {
        let asker = [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7];
        for (reply, flags, to) in
            [(Reply::Solicited(asker), 0xe0, asker), (Reply::Unsolicited, 0xa0, ALL_NODES)]
        {
            let (advertisement, destination) = advertisement(VIP, MAC, reply);
            assert_eq!((advertisement.message.flags[0], destination), (flags, to));
            let mut pseudo = checksum::sum(&VIP) + checksum::sum(&destination);
            pseudo += u32::from(ICMPV6) + 32;
            assert_eq!(checksum::fold(pseudo + checksum::sum(&bytes(&advertisement))), 0xffff);
        }
    }
}
