//! The parts of an advert that the kernel cannot judge: seals (AH, `auth_hmac`) with their sequences, and the sender as one
//! peer among several. After that the shared rule decides, as for any other advert.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use vrrp_ebpf::advert::{AUTH_DATA, Address, Advert, Datagram, Reject, Rules, accept};

use crate::config::{HmacKeys, HmacMode, Peer, Replay};
use crate::net::receive::Heard;
use crate::wire::trailer;

/// The number of senders whose sequences are remembered.
const SENDERS_MAX: usize = 4;

/// The sequence numbers of AH in one virtual router. The numbers that are sent go on from those that were heard, from whatever
/// router, so that the next master's adverts are as new to the other routers as the last master's were.
#[derive(Clone, Debug)]
pub struct Sequence {
    /// The highest number heard or sent.
    last: Arc<AtomicU32>,
    /// The numbers that are sent are above this; the numbers that are heard need not be, since keepalived begins at one.
    above: u32,
}

impl Sequence {
    /// A sequence of which nothing was heard yet.
    #[must_use]
    pub fn new(above: u32) -> Self {
        Self { last: Arc::new(AtomicU32::new(0)), above }
    }

    /// Returns the number of the next advert to send.
    pub fn next(&self) -> u32 {
        self.last.fetch_max(self.above, Ordering::Relaxed);
        self.last.fetch_add(1, Ordering::Relaxed).wrapping_add(1)
    }

    /// Returns true if a number is new, and takes note of it.
    fn take(&self, number: u32) -> bool {
        self.last.fetch_max(number, Ordering::Relaxed) < number
    }
}

/// The way in which adverts are sealed.
#[derive(Clone)]
pub enum Seal {
    /// By AH.
    Ah {
        /// The password.
        key: [u8; AUTH_DATA],
        /// The sequence numbers, shared with the sending side.
        sequence: Sequence,
    },
    /// By a trailer.
    Hmac(HmacKeys),
}

/// Never shows the key.
impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ah { sequence, .. } => write!(f, "Ah({sequence:?})"),
            Self::Hmac(keys) => write!(f, "Hmac({keys:?})"),
        }
    }
}

/// The judge of an instance, which decides which adverts to believe.
#[derive(Clone, Debug, Default)]
pub struct AdvertVerifier {
    seal: Option<Seal>,
    peers: Vec<Peer>,
    /// `check_unicast_src`.
    only_peers: bool,
    /// The last sequence number in a trailer of each sender; the sender heard last is the last one.
    senders: Vec<(Address, u64)>,
}

impl AdvertVerifier {
    /// A judge for an instance.
    #[must_use]
    pub fn new(seal: Option<Seal>, peers: Vec<Peer>, only_peers: bool) -> Self {
        Self { seal, peers, only_peers, senders: Vec::new() }
    }

    /// Returns the verdict on an advert; `utc` is the time since 1970.
    ///
    /// # Errors
    /// The reason why the advert is not believed.
    pub fn verify(&mut self, heard: &Heard<'_>, rules: &Rules, utc: Duration) -> Result<Advert, Reject> {
        let (datagram, sequence) = self.unseal(heard, utc)?;
        self.check_peer(&datagram)?;
        let advert = accept(&datagram, rules)?;
        // The number is taken last, so that an advert that is not believed does not move the sequence.
        if let Some(number) = sequence {
            self.take(&advert.source, number)?;
        }
        Ok(advert)
    }

    /// Returns the datagram under the seal, and its sequence number, which is not taken yet.
    fn unseal<'p>(&self, heard: &Heard<'p>, utc: Duration) -> Result<(Datagram<'p>, Option<u64>), Reject> {
        match (&self.seal, heard) {
            (None, Heard::Plain(datagram)) => Ok((*datagram, None)),
            (Some(Seal::Ah { key, .. }), Heard::Sealed(sealed)) => {
                if !sealed.verify(key) {
                    return Err(Reject::Seal);
                }
                Ok((sealed.datagram(), Some(sealed.sequence().into())))
            }
            (Some(Seal::Ah { .. }), Heard::Plain(_)) => Err(Reject::Unsealed),
            (Some(Seal::Hmac(keys)), Heard::Plain(datagram)) => match trailer::Sealed::split(datagram) {
                Some(sealed) => {
                    check_trailer(&sealed, keys, utc)?;
                    Ok((sealed.datagram(), Some(sealed.sequence())))
                }
                None => match keys.mode {
                    HmacMode::Enforce => Err(Reject::Unsealed),
                    HmacMode::Permissive | HmacMode::ReceiveOnly => Ok((*datagram, None)),
                },
            },
            (None | Some(Seal::Hmac(_)), Heard::Sealed(_)) => Err(Reject::AuthType),
        }
    }

    /// Returns true if an advert is from one of the peers in the file.
    pub(super) fn has_peer(&self, datagram: &Datagram<'_>) -> bool {
        self.peer(datagram).is_some()
    }

    fn peer(&self, datagram: &Datagram<'_>) -> Option<&Peer> {
        self.peers.iter().find(|peer| crate::wire::advert::address(peer.address) == datagram.source)
    }

    fn check_peer(&self, datagram: &Datagram<'_>) -> Result<(), Reject> {
        match self.peer(datagram) {
            Some(peer) if !peer.ttl.contains(&datagram.ttl) => Err(Reject::Ttl),
            None if self.only_peers => Err(Reject::Source),
            Some(_) | None => Ok(()),
        }
    }

    fn take(&mut self, source: &Address, number: u64) -> Result<(), Reject> {
        let new = match &self.seal {
            Some(Seal::Ah { sequence, .. }) => {
                u32::try_from(number).is_ok_and(|number| sequence.take(number))
            }
            Some(Seal::Hmac(_)) => {
                let known = self.senders.iter().position(|(sender, _)| sender == source);
                let last = known.map(|at| self.senders[at].1);
                // Serial number arithmetic (RFC 1982): later is less than half a turn ahead.
                let later = |last: u64| number != last && number.wrapping_sub(last) < 1 << 63;
                let new = last.is_none_or(later);
                if new {
                    let forgotten = known.or((self.senders.len() == SENDERS_MAX).then_some(0));
                    forgotten.map(|at| self.senders.remove(at));
                    self.senders.push((*source, number));
                }
                new
            }
            None => true,
        };
        if new { Ok(()) } else { Err(Reject::Replay) }
    }
}

fn check_trailer(sealed: &trailer::Sealed<'_>, keys: &HmacKeys, utc: Duration) -> Result<(), Reject> {
    if !sealed.well_formed() {
        return Err(Reject::Seal);
    }
    match keys.replay {
        Replay::Window(window) => {
            let theirs = Duration::from_secs(sealed.sequence() >> 32);
            // The time in the trailer has 32 bits, which end after 2106; our time is cut to as many.
            let ours = Duration::from_secs(utc.as_secs() & u64::from(u32::MAX));
            if ours.abs_diff(theirs) > window {
                return Err(Reject::Stale);
            }
        }
        Replay::Monotonic => {}
    }
    let key = keys.keys.iter().find(|key| key.id == sealed.key_id()).ok_or(Reject::SealKey)?;
    if sealed.verify(&key.secret) { Ok(()) } else { Err(Reject::Seal) }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use vrrp_ebpf::advert::{Auth, Cast, GROUP_V4, VerifiedBy, Version};

    use super::*;
    use crate::config::HmacKey;
    use crate::wire::advert::{Body, Repr, V2Auth, V3Checksum};

    const KEY: [u8; 8] = *b"1111\0\0\0\0";
    const NOW: Duration = Duration::from_secs(1_800_000_000);

    fn rules(version: Version, auth: Auth) -> Rules {
        Rules {
            version,
            auth,
            password: KEY,
            interval_ns: 1_000_000_000,
            destination: Address::v4(GROUP_V4),
            cast: Cast::Multicast,
            ttl_min: 255,
            verified_by: VerifiedBy::Agent,
            list_sum: 0,
        }
    }

    fn repr(body: Body) -> Vec<u8> {
        let repr = Repr { vrid: 1, priority: 100, addresses: vec![IpAddr::from([10, 0, 0, 100])], body };
        repr.encode([10, 0, 0, 1].into(), GROUP_V4.into())
    }

    fn ah(sequence: u32, key: &[u8; 8], auth: V2Auth) -> Vec<u8> {
        let message = repr(Body::V2 { seconds: 1, auth });
        crate::wire::ah::seal([10, 0, 0, 1].into(), GROUP_V4.into(), 255, &message, key, sequence)
    }

    fn hear_ah(verifier: &mut AdvertVerifier, packet: &[u8]) -> Result<(), Reject> {
        let sealed = crate::wire::ah::Sealed::parse(packet).expect("well formed");
        verifier.verify(&Heard::Sealed(sealed), &rules(Version::V2, Auth::Ah), NOW).map(drop)
    }

    #[test]
    fn ah_believes_what_is_sealed_and_new() {
        // A keepalived that has just started counts from one, whatever number we would begin with.
        let seal = Seal::Ah { key: KEY, sequence: Sequence::new(1_000_000) };
        let mut verifier = AdvertVerifier::new(Some(seal), Vec::new(), false);
        assert_eq!(hear_ah(&mut verifier, &ah(5, &KEY, V2Auth::Ah)), Ok(()));
        assert_eq!(hear_ah(&mut verifier, &ah(5, &KEY, V2Auth::Ah)), Err(Reject::Replay));
        assert_eq!(hear_ah(&mut verifier, &ah(4, &KEY, V2Auth::Ah)), Err(Reject::Replay));
        assert_eq!(hear_ah(&mut verifier, &ah(6, b"2222\0\0\0\0", V2Auth::Ah)), Err(Reject::Seal));
        // An advert that is not believed does not use up its number, however high it is.
        assert_eq!(hear_ah(&mut verifier, &ah(u32::MAX, &KEY, V2Auth::None)), Err(Reject::AuthType));
        assert_eq!(hear_ah(&mut verifier, &ah(6, &KEY, V2Auth::Ah)), Ok(()));
        // An advert of the type AH without its seal: any host can send that.
        let message = repr(Body::V2 { seconds: 1, auth: V2Auth::Ah });
        assert_eq!(hear(&mut verifier, &message, &rules(Version::V2, Auth::Ah), NOW), Err(Reject::Unsealed));
    }

    #[test]
    fn what_is_sent_goes_on_from_what_was_heard() {
        let sequence = Sequence::new(7);
        let seal = Seal::Ah { key: KEY, sequence: sequence.clone() };
        let mut verifier = AdvertVerifier::new(Some(seal), Vec::new(), false);
        assert_eq!(hear_ah(&mut verifier, &ah(40, &KEY, V2Auth::Ah)), Ok(()));
        assert_eq!(sequence.next(), 41);
        assert_eq!(Sequence::new(7).next(), 8);
        assert_eq!(hear_ah(&mut verifier, &ah(41, &KEY, V2Auth::Ah)), Err(Reject::Replay));
    }

    fn hear(
        verifier: &mut AdvertVerifier,
        payload: &[u8],
        rules: &Rules,
        utc: Duration,
    ) -> Result<(), Reject> {
        verifier.verify(&Heard::Plain(datagram(payload, 255)), rules, utc).map(drop)
    }

    fn datagram(payload: &[u8], ttl: u8) -> Datagram<'_> {
        Datagram {
            family: vrrp_ebpf::advert::Family::V4,
            source: Address::v4([10, 0, 0, 1]),
            destination: Address::v4(GROUP_V4),
            ttl,
            payload,
            trailer: &[],
        }
    }

    fn keys(mode: HmacMode, replay: Replay) -> AdvertVerifier {
        let key = |id, byte| HmacKey { id, secret: vec![byte; 32] };
        let keys = HmacKeys { keys: vec![key(1, 0x11), key(2, 0x22)], active: 1, replay, mode };
        AdvertVerifier::new(Some(Seal::Hmac(keys)), Vec::new(), false)
    }

    fn trailed(key_id: u8, byte: u8, sequence: u64) -> Vec<u8> {
        let message = repr(Body::V3 { centiseconds: 100, checksum: V3Checksum::PseudoHeader });
        trailer::seal(message, [10, 0, 0, 1].into(), GROUP_V4.into(), key_id, &[byte; 32], sequence)
    }

    fn at(seconds: u64) -> u64 {
        seconds << 32
    }

    #[test]
    fn a_trailer_is_believed_if_it_is_right_new_and_of_now() {
        let rules = rules(Version::V3, Auth::None);
        let mut verifier = keys(HmacMode::Enforce, Replay::Window(Duration::from_secs(5)));
        let now = NOW.as_secs();
        for (payload, expected) in [
            (trailed(1, 0x11, at(now)), Ok(())),
            (trailed(1, 0x11, at(now)), Err(Reject::Replay)),
            (trailed(2, 0x22, at(now) + 1), Ok(())), // either key is accepted: that is how keys are changed
            (trailed(3, 0x33, at(now) + 2), Err(Reject::SealKey)),
            (trailed(1, 0x22, at(now) + 2), Err(Reject::Seal)),
            (trailed(1, 0x11, at(now + 6)), Err(Reject::Stale)),
            (trailed(1, 0x11, at(now - 6)), Err(Reject::Stale)),
            (trailed(1, 0x11, at(now - 1)), Err(Reject::Replay)),
            (repr(Body::V3 { centiseconds: 100, checksum: V3Checksum::PseudoHeader }), Err(Reject::Unsealed)),
            (trailed(1, 0x11, at(now + 5)), Ok(())),
        ] {
            assert_eq!(hear(&mut verifier, &payload, &rules, NOW), expected, "{payload:02x?}");
        }
    }

    #[test]
    fn while_it_is_rolled_out_a_missing_trailer_is_believed_and_a_wrong_one_is_not() {
        let rules = rules(Version::V3, Auth::None);
        for mode in [HmacMode::Permissive, HmacMode::ReceiveOnly] {
            let mut verifier = keys(mode, Replay::Monotonic);
            let plain = repr(Body::V3 { centiseconds: 100, checksum: V3Checksum::PseudoHeader });
            assert_eq!(hear(&mut verifier, &plain, &rules, NOW), Ok(()));
            assert_eq!(hear(&mut verifier, &trailed(1, 0x22, 9), &rules, NOW), Err(Reject::Seal));
            assert_eq!(hear(&mut verifier, &trailed(1, 0x11, 9), &rules, NOW), Ok(()));
            assert_eq!(hear(&mut verifier, &trailed(1, 0x11, 8), &rules, NOW), Err(Reject::Replay));
        }
    }

    #[test]
    fn each_peer_has_its_own_ttl() {
        let peer = Peer { address: [10, 0, 0, 1].into(), ttl: 64..=100 };
        let rules = Rules { ttl_min: 0, ..rules(Version::V3, Auth::None) };
        let payload = repr(Body::V3 { centiseconds: 100, checksum: V3Checksum::PseudoHeader });
        let mut verifier = AdvertVerifier::new(None, vec![peer.clone()], true);
        for (ttl, expected) in [(63, Err(Reject::Ttl)), (64, Ok(())), (100, Ok(())), (101, Err(Reject::Ttl))]
        {
            let heard = Heard::Plain(datagram(&payload, ttl));
            assert_eq!(verifier.verify(&heard, &rules, NOW).map(drop), expected, "{ttl}");
        }
        let stranger = Peer { address: [10, 0, 0, 9].into(), ..peer };
        let mut verifier = AdvertVerifier::new(None, vec![stranger], true);
        assert_eq!(hear(&mut verifier, &payload, &rules, NOW), Err(Reject::Source));
    }
}
