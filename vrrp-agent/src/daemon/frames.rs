//! The packets of one instance. They are built when their contents change, not when they are sent; but a sealed advert has new
//! contents each time.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use vrrp_ebpf::advert::{AUTH_DATA, Cast, Version};

use crate::config::{Authentication, HmacKey, InstanceConfig, Replay, Spacing};
use crate::dataplane::Sequence;
use crate::net::links::Link;
use crate::net::transmit::Outgoing;
use crate::wire::advert::{Body, Repr, V2Auth};
use crate::wire::ethernet::{
    Mac, TTL, gratuitous_arp, ipv4_packet, to_group_v4, to_group_v6, unsolicited_advertisement,
};
use crate::wire::{ah, trailer};

/// A packet that is ready to be sent.
#[derive(Clone, Debug)]
pub(super) enum Packet {
    /// An Ethernet frame to the group.
    Frame { ifindex: u32, bytes: Arc<[u8]> },
    /// An IPv4 packet to a peer, or to the group on an interface without Ethernet frames.
    Ipv4 { peer: std::net::Ipv4Addr, ifindex: u32, bytes: Arc<[u8]> },
    /// The same for IPv6; the kernel makes the header.
    Ipv6 { source: std::net::Ipv6Addr, peer: std::net::Ipv6Addr, ttl: u8, ifindex: u32, bytes: Arc<[u8]> },
}

impl Packet {
    pub(super) fn outgoing(&self) -> Outgoing<'_> {
        match self {
            Self::Frame { ifindex, bytes } => Outgoing::Frame { ifindex: *ifindex, bytes },
            Self::Ipv4 { peer, ifindex, bytes } => Outgoing::Ipv4 { peer: *peer, ifindex: *ifindex, bytes },
            Self::Ipv6 { source, peer, ttl, ifindex, bytes } => {
                Outgoing::Ipv6 { source: *source, peer: *peer, ttl: *ttl, ifindex: *ifindex, bytes }
            }
        }
    }
}

/// The kind of packet that announces an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// Gratuitous ARP.
    Arp,
    /// An unsolicited neighbour advertisement.
    Neighbour,
}

/// The announcements that wait for each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum PacingKey {
    /// An interface by itself.
    Interface(u32),
    /// The interfaces of a `garp_group`, by the group's number.
    Group(usize),
}

/// A frame that announces an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Announcement {
    pub(super) ifindex: u32,
    pub(super) pacing_key: PacingKey,
    pub(super) kind: Kind,
    /// The time from this announcement to the next in its lane.
    pub(super) spacing: Duration,
    pub(super) bytes: Arc<[u8]>,
}

/// All packets that an instance sends.
#[derive(Clone, Debug)]
pub(super) struct Frames {
    builder: Builder,
    repr: Repr,
    sealer: Option<Sealer>,
    adverts: Vec<Packet>,
    resignations: Vec<Packet>,
    announcements: Vec<Announcement>,
}

/// The origin of an instance's adverts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin<'l> {
    /// The interface that the adverts leave by.
    pub(super) wire: &'l Link,
    pub(super) source: IpAddr,
}

/// The hardware addresses that an instance sends from on its own interface.
#[derive(Clone, Copy, Debug)]
pub(super) struct Macs {
    pub(super) adverts: Mac,
    /// The hardware address that the virtual addresses are announced with.
    pub(super) addresses: Mac,
}

/// The parts of an instance's adverts that do not change.
#[derive(Clone, Debug)]
struct Builder {
    ifindex: u32,
    /// True if the interface takes Ethernet frames.
    takes_frames: bool,
    mac: Mac,
    source: IpAddr,
    group: IpAddr,
    cast: Cast,
    peers: Vec<IpAddr>,
    ttl: u8,
}

/// The state for sealing adverts: each sealed advert has a new sequence number.
#[derive(Clone)]
pub(super) enum Sealer {
    Ah { key: [u8; AUTH_DATA], sequence: Sequence },
    Hmac { key: HmacKey, replay: Replay, last: u64 },
}

/// Never prints the key.
impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ah { .. } => f.write_str("Ah(…)"),
            Self::Hmac { key, .. } => write!(f, "Hmac({key:?})"),
        }
    }
}

/// The seal of one advert, the same for all peers.
enum Stamp<'s> {
    Ah { key: &'s [u8; AUTH_DATA], sequence: u32 },
    Hmac { key: &'s HmacKey, sequence: u64 },
}

impl Sealer {
    /// `utc` is the time since 1970.
    fn stamp(&mut self, utc: Duration) -> Stamp<'_> {
        match self {
            Self::Ah { key, sequence } => Stamp::Ah { key, sequence: sequence.next() },
            Self::Hmac { key, replay, last } => {
                *last = next_in_time(*last, utc, *replay);
                Stamp::Hmac { key, sequence: *last }
            }
        }
    }
}

/// Returns the next sequence number: seconds, a fraction of 16 bits, and a counter of 16 bits. It is the clock, or one more
/// than the last number if the clock has not moved on. A clock that was set back further than receivers tolerate is followed.
fn next_in_time(last: u64, utc: Duration, replay: Replay) -> u64 {
    let fraction = (u64::from(utc.subsec_nanos()) << 16) / 1_000_000_000;
    let clock = (utc.as_secs() & u64::from(u32::MAX)) << 32 | fraction << 16;
    let ahead = Duration::from_secs((last >> 32).saturating_sub(clock >> 32));
    match replay {
        _ if clock > last => clock,
        Replay::Window(window) if ahead > window => clock,
        Replay::Window(_) | Replay::Monotonic => last + 1,
    }
}

impl Frames {
    /// `link` is the interface of addresses without `dev`, and `macs` are its hardware addresses; `link_of` finds the interface
    /// of an address's `dev`.
    pub(super) fn new<'l>(
        config: &InstanceConfig,
        link: &'l Link,
        macs: Macs,
        origin: Origin<'_>,
        sealer: Option<Sealer>,
        link_of: impl Fn(&str) -> Option<&'l Link>,
        pace_of: impl Fn(&str) -> (Option<usize>, Spacing),
    ) -> Self {
        let body = match config.version {
            Version::V2 => Body::V2 {
                seconds: u8::try_from(config.interval.as_secs()).expect("read as at most 255"),
                auth: match config.authentication {
                    None => V2Auth::None,
                    Some(Authentication::Pass(password)) => V2Auth::Pass(password),
                    Some(Authentication::Ah(_)) => V2Auth::Ah,
                },
            },
            Version::V3 => Body::V3 {
                centiseconds: u16::try_from(config.interval.as_millis() / 10).expect("read as at most 4095"),
                checksum: config.v3_checksum,
            },
        };
        let repr = Repr {
            vrid: config.vrid,
            priority: config.priority,
            addresses: config.vips.iter().map(|vip| vip.address).collect(),
            body,
        };
        let announcements = config
            .addresses()
            .filter_map(|vip| {
                let (link, mac) = match vip.dev.as_deref() {
                    None => (link, macs.addresses),
                    Some(dev) => link_of(dev).map(|link| (link, link.mac))?,
                };
                if !link.uses_arp() {
                    return None;
                }
                let (group, pace) = pace_of(&link.name);
                let pacing_key = group.map_or(PacingKey::Interface(link.index), PacingKey::Group);
                let (kind, spacing, bytes) = match vip.address {
                    IpAddr::V4(address) => (Kind::Arp, pace.arp, gratuitous_arp(mac, address)),
                    IpAddr::V6(address) => {
                        (Kind::Neighbour, pace.na, unsolicited_advertisement(mac, address))
                    }
                };
                Some(Announcement { ifindex: link.index, pacing_key, kind, spacing, bytes: bytes.into() })
            })
            .collect();
        let builder = Builder {
            ifindex: origin.wire.index,
            takes_frames: origin.wire.is_ethernet(),
            mac: macs.adverts,
            source: origin.source,
            group: config.group,
            cast: config.cast(),
            peers: config.peers.iter().map(|peer| peer.address).collect(),
            ttl: config.unicast_ttl,
        };
        let (adverts, resignations) =
            (builder.build(&repr, None), builder.build(&Repr { priority: 0, ..repr.clone() }, None));
        Self { builder, repr, sealer, adverts, resignations, announcements }
    }

    /// The advert with a priority, for the group or for each peer; 0 resigns.
    pub(super) fn adverts(&mut self, priority: u8, utc: Duration) -> &[Packet] {
        if let Some(sealer) = &mut self.sealer {
            let repr = Repr { priority, ..self.repr.clone() };
            self.adverts = self.builder.build(&repr, Some(&sealer.stamp(utc)));
        } else if priority == 0 {
            return &self.resignations;
        } else if priority != self.repr.priority {
            self.repr.priority = priority;
            self.adverts = self.builder.build(&self.repr, None);
        }
        &self.adverts
    }

    /// Returns the interfaces that packets are sent by; an interface may occur more than once.
    pub(super) fn interfaces(&self) -> impl Iterator<Item = u32> {
        let announced = self.announcements.iter().map(|announcement| announcement.ifindex);
        std::iter::once(self.builder.ifindex).chain(announced)
    }

    /// A gratuitous ARP or neighbour advertisement for each address that neighbours have to be told of.
    pub(super) fn announcements(&self) -> &[Announcement] {
        &self.announcements
    }
}

impl Builder {
    fn build(&self, repr: &Repr, stamp: Option<&Stamp<'_>>) -> Vec<Packet> {
        match self.cast {
            Cast::Multicast => vec![self.to_group(repr, stamp)],
            Cast::Unicast => self.peers.iter().filter_map(|&peer| self.to_peer(repr, stamp, peer)).collect(),
        }
    }

    fn to_group(&self, repr: &Repr, stamp: Option<&Stamp<'_>>) -> Packet {
        let Self { ifindex, takes_frames, mac, source, group, .. } = *self;
        let message = message(repr, stamp, source, group);
        match (source, group) {
            (IpAddr::V4(source), IpAddr::V4(group)) => {
                let packet = packet(stamp, source, group, TTL, &message);
                if takes_frames {
                    Packet::Frame { ifindex, bytes: to_group_v4(mac, group, &packet).into() }
                } else {
                    Packet::Ipv4 { peer: group, ifindex, bytes: packet.into() }
                }
            }
            (IpAddr::V6(source), IpAddr::V6(group)) => {
                if takes_frames {
                    Packet::Frame { ifindex, bytes: to_group_v6(mac, source, group, &message).into() }
                } else {
                    Packet::Ipv6 { source, peer: group, ttl: TTL, ifindex, bytes: message.into() }
                }
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => {
                unreachable!("the group is of the instance's family")
            }
        }
    }

    /// None if the peer is of the other family, which the configuration excludes.
    fn to_peer(&self, repr: &Repr, stamp: Option<&Stamp<'_>>, peer: IpAddr) -> Option<Packet> {
        let Self { ifindex, source, ttl, .. } = *self;
        let message = message(repr, stamp, source, peer);
        match (source, peer) {
            (IpAddr::V4(source), IpAddr::V4(peer)) => {
                let bytes = packet(stamp, source, peer, ttl, &message).into();
                Some(Packet::Ipv4 { peer, ifindex, bytes })
            }
            (IpAddr::V6(source), IpAddr::V6(peer)) => {
                Some(Packet::Ipv6 { source, peer, ttl, ifindex, bytes: message.into() })
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => None,
        }
    }
}

/// The VRRP message, with its trailer if it has one.
fn message(repr: &Repr, stamp: Option<&Stamp<'_>>, source: IpAddr, destination: IpAddr) -> Vec<u8> {
    let message = repr.encode(source, destination);
    match stamp {
        Some(Stamp::Hmac { key, sequence }) => {
            trailer::seal(message, source, destination, key.id, &key.secret, *sequence)
        }
        Some(Stamp::Ah { .. }) | None => message,
    }
}

/// The IPv4 packet, under an authentication header if there is to be one.
fn packet(
    stamp: Option<&Stamp<'_>>,
    source: std::net::Ipv4Addr,
    destination: std::net::Ipv4Addr,
    ttl: u8,
    message: &[u8],
) -> Vec<u8> {
    match stamp {
        Some(&Stamp::Ah { key, sequence }) => ah::seal(source, destination, ttl, message, key, sequence),
        Some(Stamp::Hmac { .. }) | None => ipv4_packet(source, destination, ttl, message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// keepalived's rule for the sequence, calculated by hand.
    #[test]
    fn the_sequence_grows_with_the_clock_or_without() {
        let window = Replay::Window(Duration::from_secs(5));
        let at = |millis| Duration::from_millis(millis);
        let half = 1 << 31;
        assert_eq!(next_in_time(0, at(7_500), window), 7 << 32 | half);
        assert_eq!(next_in_time(7 << 32 | half, at(7_500), window), (7 << 32 | half) + 1);
        assert_eq!(next_in_time(7 << 32, at(3_000), window), (7 << 32) + 1);
        assert_eq!(next_in_time(9 << 32, at(3_000), window), 3 << 32);
        assert_eq!(next_in_time(9 << 32, at(3_000), Replay::Monotonic), (9 << 32) + 1);
    }
}
