//! The properties of every frame: nothing panics, a believed advert has the values of the frame's bytes, and no other length is
//! believed.

use vrrp_ebpf::advert::{Address, Auth, Cast, Datagram, Family, Rules, VerifiedBy, Version, accept, offset};
use vrrp_ebpf::frame::{Class, classify};

/// Judges a frame under every kind of rules.
pub(crate) fn judge(frame: &[u8]) {
    let Class::Vrrp(carrier) = classify(frame) else { return };
    let Some(payload) =
        carrier.offset.checked_add(carrier.length).and_then(|end| frame.get(carrier.offset..end))
    else {
        return;
    };
    for version in [Version::V2, Version::V3] {
        for auth in [Auth::None, Auth::Pass] {
            for cast in [Cast::Multicast, Cast::Unicast] {
                let rules = Rules {
                    version,
                    auth,
                    password: *b"1111\0\0\0\0",
                    interval_ns: 1_000_000_000,
                    destination: match cast {
                        Cast::Multicast => carrier.family.group(),
                        Cast::Unicast => Address::v4([10, 0, 0, 2]),
                    },
                    cast,
                    ttl_min: 255,
                    verified_by: VerifiedBy::Kernel,
                    list_sum: 0,
                };
                let datagram = carrier.datagram(payload);
                let Ok(advert) = accept(&datagram, &rules) else { continue };
                assert_eq!(advert.priority, payload[offset::PRIORITY]);
                assert_ne!(advert.interval_ns, 0);
                assert_eq!(carrier.ttl, 255);
                assert_eq!(payload[0], (version as u8) << 4 | 1);
                let width = match carrier.family {
                    Family::V4 => 4,
                    Family::V6 => 16,
                };
                let tail = if matches!(version, Version::V2) { 8 } else { 0 };
                assert_eq!(payload.len(), 8 + usize::from(payload[offset::COUNT]) * width + tail);
                let shorter = Datagram { payload: &payload[..payload.len() - 1], ..datagram };
                assert!(accept(&shorter, &rules).is_err());
            }
        }
    }
}
