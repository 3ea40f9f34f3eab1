//! Reading an advert and deciding if it is accepted. This is the only implementation of the rules (RFC 9568 section 7.1, RFC
//! 2338 section 7.1 for version 2, and the additional checks of keepalived).

use crate::checksum;

/// The IP protocol number of VRRP.
pub const PROTOCOL: u8 = 112;
/// The IPv4 group that adverts go to: 224.0.0.18 (RFC 9568 section 5.1.1.2).
pub const GROUP_V4: [u8; 4] = [224, 0, 0, 18];
/// The IPv6 group that adverts go to: ff02::12 (RFC 9568 section 5.1.2.2).
pub const GROUP_V6: [u8; 16] = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x12];
/// Bytes of the fixed part, in both versions.
pub const HEADER: usize = 8;
/// Bytes of version 2's authentication data, behind the addresses.
pub const AUTH_DATA: usize = 8;
/// The greatest length of a message that is read: 255 IPv4 addresses and authentication data are 1036 bytes, and the payload of
/// an Ethernet frame ends at 1480.
pub const MESSAGE_MAX: usize = 1536;
/// The priority with which a master resigns (RFC 9568 section 5.2.4).
pub const PRIORITY_RESIGN: u8 = 0;
/// The priority of the owner of the addresses (RFC 9568 section 5.2.4).
pub const PRIORITY_OWNER: u8 = 255;

/// Offsets in the message; version 2 and 3 differ in bytes 4 and 5 only.
pub mod offset {
    /// Version in the high nibble, type (always 1) in the low one.
    pub const VERSION_TYPE: usize = 0;
    /// Virtual router identifier, 1 to 255.
    pub const VRID: usize = 1;
    /// Priority of the sender.
    pub const PRIORITY: usize = 2;
    /// Number of addresses.
    pub const COUNT: usize = 3;
    /// Version 2: authentication type.
    pub const V2_AUTH_TYPE: usize = 4;
    /// Version 2: advertisement interval in whole seconds.
    pub const V2_INTERVAL: usize = 5;
    /// Version 3: four reserved bits, then the advertisement interval in centiseconds in twelve bits.
    pub const V3_INTERVAL: usize = 4;
    /// Checksum.
    pub const CHECKSUM: usize = 6;
    /// First address.
    pub const ADDRESSES: usize = 8;
}

/// An address family; an instance has exactly one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u32)]
pub enum Family {
    /// IPv4.
    V4 = 4,
    /// IPv6.
    V6 = 6,
}

impl Family {
    /// Bytes of an address on the wire.
    #[inline(always)]
    #[must_use]
    pub const fn width(self) -> usize {
        match self {
            Self::V4 => 4,
            Self::V6 => 16,
        }
    }
}

/// An address in network byte order; an IPv4 address is in the first four bytes, and the rest is zero. Aligned so that it is
/// copied and compared by words: BPF reads data that may be unaligned byte by byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(C, align(8))]
pub struct Address {
    /// The octets.
    pub octets: [u8; 16],
}

impl Family {
    /// The group to which adverts are sent unless the configuration names another (RFC 9568 sections 5.1.1.2 and 5.1.2.2).
    #[must_use]
    pub const fn group(self) -> Address {
        match self {
            Self::V4 => Address::v4(GROUP_V4),
            Self::V6 => Address::v6(GROUP_V6),
        }
    }
}

impl Address {
    /// All zero: not known.
    pub const NONE: Self = Self { octets: [0; 16] };

    /// From an IPv4 address.
    #[inline(always)]
    #[must_use]
    pub const fn v4(a: [u8; 4]) -> Self {
        Self::from_words([u32::from_ne_bytes(a), 0, 0, 0])
    }

    /// From an IPv6 address.
    #[inline(always)]
    #[must_use]
    pub const fn v6(octets: [u8; 16]) -> Self {
        Self { octets }
    }

    /// From words as this machine reads them from a packet.
    #[inline(always)]
    #[must_use]
    pub const fn from_words(words: [u32; 4]) -> Self {
        // SAFETY: four words are sixteen bytes, and all bit patterns are valid. A conversion byte by byte would be a loop in
        // BPF.
        Self { octets: unsafe { core::mem::transmute::<[u32; 4], [u8; 16]>(words) } }
    }

    /// The two halves as numbers, for comparisons without `memcmp`, which BPF does not have.
    #[inline(always)]
    #[must_use]
    pub const fn halves(&self) -> (u64, u64) {
        let a = &self.octets;
        (
            u64::from_be_bytes([a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7]]),
            u64::from_be_bytes([a[8], a[9], a[10], a[11], a[12], a[13], a[14], a[15]]),
        )
    }

    /// Returns true if this address is greater, compared unsigned and in network byte order (the tie-break of RFC 9568 section
    /// 6.4.3).
    #[inline(always)]
    #[must_use]
    pub const fn above(&self, other: &Self) -> bool {
        let (a, b) = (self.halves(), other.halves());
        a.0 > b.0 || (a.0 == b.0 && a.1 > b.1)
    }

    /// Returns true if both addresses are equal, without `memcmp`.
    #[inline(always)]
    #[must_use]
    pub const fn same(&self, other: &Self) -> bool {
        let (a, b) = (self.halves(), other.halves());
        a.0 == b.0 && a.1 == b.1
    }
}

/// The protocol version, which the configuration sets for each instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Version {
    /// RFC 3768, and the authentication of RFC 2338.
    V2 = 2,
    /// RFC 9568.
    V3 = 3,
}

/// The authentication of version 2 adverts (RFC 2338 section 5.3.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Auth {
    /// Type 0.
    None = 0,
    /// Type 1: eight bytes of password in the clear.
    Pass = 1,
    /// Type 2: an IP authentication header around the message, which the agent verifies.
    Ah = 2,
}

/// The kind of destination to which the routers of an instance send adverts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Cast {
    /// The group (RFC 9568 section 5.1.1.2).
    Multicast = 1,
    /// Each peer at its own address (keepalived's `unicast_peer`).
    Unicast = 2,
}

/// The half that decides if an advert is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum VerifiedBy {
    /// [`accept`] decides alone, in the kernel half or in the agent.
    Kernel = 1,
    /// The agent: it checks a seal (AH, HMAC), or that the sender is one of several peers, before it calls [`accept`].
    Agent = 2,
}

/// The rules by which an instance accepts an advert; the part of its configuration that decides about adverts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Rules {
    /// The version spoken.
    pub version: Version,
    /// The authentication expected; version 3 has none.
    pub auth: Auth,
    /// The password, zero-padded, if [`Auth::Pass`].
    pub password: [u8; 8],
    /// Our own advertisement interval in nanoseconds; a version 2 advert with another interval is rejected.
    pub interval_ns: u64,
    /// The destination that an advert must have: the group, or our own address if the routers use unicast.
    pub destination: Address,
    /// The kind of destination: multicast or unicast.
    pub cast: Cast,
    /// The lowest TTL or hop limit that is accepted: 255 for multicast (RFC 9568 section 5.1.1.3), as configured for unicast.
    pub ttl_min: u32,
    /// The half that judges adverts.
    pub verified_by: VerifiedBy,
    /// The sum of our own list of addresses, as [`list_sum`] calculates it. An advert with another list is accepted, but the
    /// difference is reported.
    pub list_sum: u32,
}

/// A datagram of protocol 112 as it arrived.
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'a> {
    /// Address family of the carrying packet.
    pub family: Family,
    /// Source address.
    pub source: Address,
    /// Destination address.
    pub destination: Address,
    /// TTL or hop limit.
    pub ttl: u8,
    /// The VRRP message, without Ethernet padding, at most [`MESSAGE_MAX`] bytes.
    pub payload: &'a [u8],
    /// The bytes that follow the message in the packet, which the agent verifies; empty in the kernel half. The checksum over
    /// IPv6 covers them.
    pub trailer: &'a [u8],
}

/// An advert that was read and accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advert {
    /// The sender's primary address.
    pub source: Address,
    /// The sender's priority; 0 resigns.
    pub priority: u8,
    /// The sender's advertisement interval in nanoseconds, never zero.
    pub interval_ns: u64,
    /// The result of comparing its list of addresses with ours.
    pub list: List,
}

/// The result of comparing an advert's list of addresses with ours. Like keepalived since 2.3.3, we accept the advert in both
/// cases; a difference is reported, because the two routers do not agree on the addresses that they share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum List {
    /// The same addresses, in any order.
    Same = 1,
    /// Other addresses.
    Other = 2,
}

/// The reason why an advert is rejected. Each reason has a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Reject {
    /// Shorter or longer than its address count says.
    Length,
    /// TTL or hop limit too low: it crossed a router (RFC 9568 section 5.1.1.3).
    Ttl,
    /// Not sent to the VRRP group, or, with unicast peers, not to us.
    Destination,
    /// Another protocol version than this instance speaks.
    Version,
    /// The type is not ADVERTISEMENT (RFC 9568 section 5.2.2).
    Type,
    /// The checksum is wrong.
    Checksum,
    /// Another authentication type than configured.
    AuthType,
    /// Wrong password.
    Password,
    /// Version 2: another interval than ours; version 3: zero (erratum 8301).
    Interval,
    /// Version 3 without addresses (erratum 8299).
    NoAddress,
    /// The seal that is configured is missing: AH, or the trailer of `auth_hmac`.
    Unsealed,
    /// A seal that is wrong or malformed.
    Seal,
    /// A seal under a key that is not configured.
    SealKey,
    /// The time in the seal is too far from our own time.
    Stale,
    /// A sequence number that was already used.
    Replay,
    /// Not from one of the peers (`check_unicast_src`).
    Source,
}

impl Reject {
    /// All reasons.
    const ALL: [Self; 16] = [
        Self::Length,
        Self::Ttl,
        Self::Destination,
        Self::Version,
        Self::Type,
        Self::Checksum,
        Self::AuthType,
        Self::Password,
        Self::Interval,
        Self::NoAddress,
        Self::Unsealed,
        Self::Seal,
        Self::SealKey,
        Self::Stale,
        Self::Replay,
        Self::Source,
    ];

    /// Returns the number of the reason in an event; never zero.
    #[inline(always)]
    #[must_use]
    pub const fn code(self) -> u16 {
        self as u16 + 1
    }

    /// Returns the reason with this number.
    #[must_use]
    pub fn from_code(code: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|reject| reject.code() == code)
    }
}

/// Nanoseconds in version 2's unit of time.
const SECOND_NS: u64 = 1_000_000_000;
/// Nanoseconds in version 3's unit of time.
const CENTISECOND_NS: u64 = 10_000_000;

/// Returns the VRID of a message, before any check of the message.
#[inline(always)]
#[must_use]
pub fn vrid(payload: &[u8]) -> Option<u8> {
    payload.get(offset::VRID).copied()
}

/// Reads an advert and decides if an instance with these rules accepts it.
///
/// # Errors
/// The first check that failed, in keepalived's order.
#[inline(always)]
pub fn accept(datagram: &Datagram<'_>, rules: &Rules) -> Result<Advert, Reject> {
    accept_summed(datagram, rules, checksum::sum)
}

/// [`accept`], with another function to sum the message: the kernel has a helper that needs no loop. The function may fold its
/// result, but must not invert it.
///
/// # Errors
/// As [`accept`].
#[inline(always)]
pub fn accept_summed(
    datagram: &Datagram<'_>,
    rules: &Rules,
    sum: impl FnOnce(&[u8]) -> u32,
) -> Result<Advert, Reject> {
    let payload = datagram.payload;
    let Some(header) = payload.first_chunk::<HEADER>() else { return Err(Reject::Length) };
    let addresses = header[offset::COUNT] as usize * datagram.family.width();
    let (version, tail) = match header[offset::VERSION_TYPE] >> 4 {
        2 => (Version::V2, AUTH_DATA),
        3 => (Version::V3, 0),
        _ => return Err(Reject::Version),
    };
    if payload.len() != HEADER + addresses + tail || payload.len() > MESSAGE_MAX {
        return Err(Reject::Length);
    }
    if u32::from(datagram.ttl) < rules.ttl_min {
        return Err(Reject::Ttl);
    }
    if !datagram.destination.same(&rules.destination) {
        return Err(Reject::Destination);
    }
    if version as u32 != rules.version as u32 {
        return Err(Reject::Version);
    }
    let interval_ns = match version {
        Version::V2 => {
            if u32::from(header[offset::V2_AUTH_TYPE]) != rules.auth as u32 {
                return Err(Reject::AuthType);
            }
            if matches!(rules.auth, Auth::Pass) && !password_matches(payload, &rules.password) {
                return Err(Reject::Password);
            }
            let interval_ns = u64::from(header[offset::V2_INTERVAL]) * SECOND_NS;
            if interval_ns != rules.interval_ns {
                return Err(Reject::Interval);
            }
            interval_ns
        }
        Version::V3 => {
            let interval = u16::from_be_bytes([header[offset::V3_INTERVAL], header[offset::V3_INTERVAL + 1]]);
            u64::from(interval & 0x0fff) * CENTISECOND_NS
        }
    };
    if interval_ns == 0 {
        return Err(Reject::Interval);
    }
    if header[offset::VERSION_TYPE] & 0x0f != 1 {
        return Err(Reject::Type);
    }
    if matches!(version, Version::V3) && addresses == 0 {
        return Err(Reject::NoAddress);
    }
    let sum = sum(payload);
    if !checksum_matches(datagram, version, sum) {
        return Err(Reject::Checksum);
    }
    // The sum of the list is the sum of the message minus the sum of everything around the list. In one's complement, adding
    // the inverse of a number subtracts it.
    let around = checksum::fold(checksum::sum_of(header) + auth_data_sum(payload, version));
    let listed = checksum::fold(u32::from(checksum::fold(sum)) + u32::from(!around));
    let same = u32::from(checksum::zero(listed)) == rules.list_sum;
    let list = if same { List::Same } else { List::Other };
    Ok(Advert { source: datagram.source, priority: header[offset::PRIORITY], interval_ns, list })
}

/// Returns the sum of the words of a list of addresses, to compare it with another list in any order. Two lists that differ may
/// have the same sum; then the difference is not logged, which is the only effect.
#[must_use]
pub fn list_sum(addresses: impl Iterator<Item = Address>) -> u32 {
    // The rest of an IPv4 address is zero and does not change the sum.
    let sum: u32 = addresses.map(|address| checksum::sum(&address.octets)).sum();
    checksum::zero(checksum::fold(sum)).into()
}

#[inline(always)]
fn auth_data_sum(payload: &[u8], version: Version) -> u32 {
    match (version, payload.last_chunk::<AUTH_DATA>()) {
        (Version::V2, Some(data)) => checksum::sum_of(data),
        (Version::V2, None) | (Version::V3, _) => 0,
    }
}

/// Returns true if the checksum is right. Version 2 over IPv4: it covers the message. Version 3 over IPv6: also the
/// pseudo-header. Version 3 over IPv4: both are accepted, since RFC 5798 and keepalived include the pseudo-header and RFC 9568
/// section 5.2.8 does not. `sum` is the sum of the message.
///
/// keepalived up to 1.3.6 uses the group's address in the pseudo-header of an advert that it sends to a unicast peer; for
/// unicast this is accepted too.
#[inline(always)]
fn checksum_matches(datagram: &Datagram<'_>, version: Version, sum: u32) -> bool {
    let Datagram { family, source, destination, payload, trailer, .. } = datagram;
    let valid = |sum| checksum::fold(sum) == 0xffff;
    match (version, family) {
        (Version::V2, _) => valid(sum),
        (Version::V3, Family::V4) => {
            let pseudo = |to| checksum::pseudo_header(Family::V4, source, to, payload.len());
            valid(sum)
                || valid(sum + pseudo(destination))
                || (!destination.same(&Address::v4(GROUP_V4)) && valid(sum + pseudo(&Address::v4(GROUP_V4))))
        }
        (Version::V3, Family::V6) => {
            let length = payload.len() + trailer.len();
            let pseudo = checksum::pseudo_header(Family::V6, source, destination, length);
            valid(sum + checksum::sum(trailer) + pseudo)
        }
    }
}

/// Returns true if the password is right. The authentication data is at the end of the message.
#[inline(always)]
fn password_matches(payload: &[u8], password: &[u8; AUTH_DATA]) -> bool {
    let Some(given) = payload.last_chunk::<AUTH_DATA>() else { return false };
    // All bytes are compared, so that the time taken does not show where the first difference is.
    let mut difference = 0;
    let mut at = 0;
    while at < AUTH_DATA {
        difference |= given[at] ^ password[at];
        at += 1;
    }
    difference == 0
}
