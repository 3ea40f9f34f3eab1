//! The Internet checksum (RFC 1071), over VRRP messages and their pseudo-headers.

use crate::advert::{Address, Family, MESSAGE_MAX, PROTOCOL};

/// The one's complement sum of `bytes` as big-endian 16-bit words, an odd last byte padded with zero. Not folded.
///
/// The loop counts to a constant, so that the kernel's verifier sees that it ends; bytes past [`MESSAGE_MAX`] are not summed,
/// and no caller passes more.
#[inline(always)]
#[must_use]
pub fn sum(bytes: &[u8]) -> u32 {
    let mut sum = 0;
    let mut at = 0;
    while at < MESSAGE_MAX {
        let Some(&high) = bytes.get(at) else { break };
        let low = bytes.get(at + 1).copied().unwrap_or(0);
        sum += u32::from(high) << 8 | u32::from(low);
        at += 2;
    }
    sum
}

/// Returns the same sum for a short array, whose length is even and known at compile time.
#[inline(always)]
#[must_use]
pub fn sum_of<const N: usize>(bytes: &[u8; N]) -> u32 {
    let mut sum = 0;
    let mut at = 0;
    while at + 1 < N {
        sum += u32::from(bytes[at]) << 8 | u32::from(bytes[at + 1]);
        at += 2;
    }
    sum
}

/// Returns a folded sum in which zero is always 0: one's complement has two representations of zero, 0 and 0xffff.
#[inline(always)]
#[must_use]
pub const fn zero(folded: u16) -> u16 {
    if folded == 0xffff { 0 } else { folded }
}

/// Folds the carries of a sum into 16 bits.
#[inline(always)]
#[must_use]
pub const fn fold(sum: u32) -> u16 {
    let sum = (sum & 0xffff) + (sum >> 16);
    ((sum & 0xffff) + (sum >> 16)) as u16
}

/// The sum of the pseudo-header of a VRRP message of `length` bytes: addresses, protocol 112 and length
/// (RFC 9568 section 5.2.8). Not folded.
#[inline(always)]
#[must_use]
pub fn pseudo_header(family: Family, source: &Address, destination: &Address, length: usize) -> u32 {
    let words = match family {
        Family::V4 => 2,
        Family::V6 => 8,
    };
    let mut sum = u32::from(PROTOCOL) + length as u32;
    let mut at = 0;
    while at < words {
        sum += u32::from(u16::from_be_bytes([source.octets[2 * at], source.octets[2 * at + 1]]));
        sum += u32::from(u16::from_be_bytes([destination.octets[2 * at], destination.octets[2 * at + 1]]));
        at += 1;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_1071() {
        // Section 3 of the RFC: the words 0001 f203 f4f5 f6f7 sum to ddf2.
        assert_eq!(fold(sum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7])), 0xddf2);
    }

    #[test]
    fn an_odd_byte_is_the_high_half() {
        assert_eq!(fold(sum(&[0x12])), 0x1200);
    }

    #[test]
    fn carries_fold_twice() {
        assert_eq!(fold(0x0001_ffff), 0x0001);
        assert_eq!(fold(0xffff_ffff), 0xffff);
    }
}
