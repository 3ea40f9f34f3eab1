//! Authentication between routers.

use std::time::Duration;

use vrrp_ebpf::advert::AUTH_DATA;

/// The authentication of version 2.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Authentication {
    /// A password in the clear, padded with zero bytes.
    Pass([u8; AUTH_DATA]),
    /// An IP authentication header, keyed with the password.
    Ah([u8; AUTH_DATA]),
}

/// Does not print the password.
impl std::fmt::Debug for Authentication {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Pass(_) => f.write_str("Pass(…)"),
            Self::Ah(_) => f.write_str("Ah(…)"),
        }
    }
}

/// `auth_hmac`: a trailer behind each advert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HmacKeys {
    /// The keys that are accepted, each with its own number.
    pub keys: Vec<HmacKey>,
    /// The number of the key used for sending.
    pub active: u8,
    /// The rule by which an old advert is distinguished from a new one.
    pub replay: Replay,
    /// The stage of the introduction of `auth_hmac`.
    pub mode: HmacMode,
}

impl HmacKeys {
    /// Returns the key used for sending, or `None` in the receive-only mode.
    #[must_use]
    pub fn sending(&self) -> Option<&HmacKey> {
        match self.mode {
            HmacMode::ReceiveOnly => None,
            HmacMode::Permissive | HmacMode::Enforce => self.keys.iter().find(|key| key.id == self.active),
        }
    }
}

/// A key of `auth_hmac`.
#[derive(Clone, PartialEq, Eq)]
pub struct HmacKey {
    /// The number of the key.
    pub id: u8,
    /// The key, 32 to 64 bytes.
    pub secret: Vec<u8>,
}

/// Does not print the key.
impl std::fmt::Debug for HmacKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HmacKey({}, …)", self.id)
    }
}

/// `anti_replay`: the rule by which an old advert is distinguished from a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replay {
    /// By the clock: the time in a trailer may differ from the local clock by at most this much.
    Window(Duration),
    /// Only by growth: the sequence number must be larger than the last one.
    Monotonic,
}

/// `mode`: the stages in which a trailer is introduced on running routers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HmacMode {
    /// No trailer is sent. A received trailer must be valid.
    ReceiveOnly,
    /// A trailer is sent. A received advert may have no trailer.
    Permissive,
    /// A trailer is sent. A received advert must have a trailer.
    Enforce,
}
