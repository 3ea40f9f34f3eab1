//! How routers know each other.

use std::time::Duration;

use vrrp_ebpf::advert::AUTH_DATA;

/// The authentication of version 2.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Authentication {
    /// A password in the clear, zero-padded.
    Pass([u8; AUTH_DATA]),
    /// An IP authentication header, keyed with the password.
    Ah([u8; AUTH_DATA]),
}

/// Never the password.
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
    /// The keys that are believed, each with its own number.
    pub keys: Vec<HmacKey>,
    /// The number of the one that is sent with.
    pub active: u8,
    /// How an old advert is told from a new one.
    pub replay: Replay,
    /// How far its roll-out has come.
    pub mode: HmacMode,
}

impl HmacKeys {
    /// The key that is sent with; none while only receiving.
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
    /// Its number.
    pub id: u8,
    /// 32 to 64 bytes.
    pub secret: Vec<u8>,
}

/// Never the key.
impl std::fmt::Debug for HmacKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HmacKey({}, …)", self.id)
    }
}

/// `anti_replay`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replay {
    /// By the clock: no further from ours than this.
    Window(Duration),
    /// By growth alone.
    Monotonic,
}

/// `mode`: the order in which a trailer is brought to running routers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HmacMode {
    /// None is sent; one that is there must be right.
    ReceiveOnly,
    /// One is sent; none need be there.
    Permissive,
    /// One must be there.
    Enforce,
}
