//! Names of managed objects, and what they can be.

use std::fmt;
use std::net::IpAddr;

/// An object identifier. Their order is that of the numbers in them, which is the order of a MIB.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Oid(Vec<u32>);

impl Oid {
    /// The one of these numbers.
    #[must_use]
    pub(super) fn new(numbers: &[u32]) -> Self {
        Self(numbers.to_vec())
    }

    /// The one that goes on from here.
    #[must_use]
    pub(super) fn join(&self, numbers: &[u32]) -> Self {
        Self([&self.0, numbers].concat())
    }

    /// Its numbers.
    #[must_use]
    pub(super) fn numbers(&self) -> &[u32] {
        &self.0
    }

    /// Whether it lies below another, or is that.
    #[must_use]
    pub(super) fn is_below(&self, other: &Self) -> bool {
        self.0.starts_with(&other.0)
    }
}

impl fmt::Display for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|number| write!(f, ".{number}"))
    }
}

/// What an object is, or that there is none (RFC 2741 section 5.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// A number, or one of several words.
    Integer(i32),
    /// Bytes, or a text.
    OctetString(Vec<u8>),
    /// Another object's name.
    Name(Oid),
    /// An IPv4 address.
    IpAddress([u8; 4]),
    /// What only grows, and begins again at 0.
    Counter32(u32),
    /// What grows and shrinks.
    Gauge32(u32),
    /// What only grows.
    Counter64(u64),
    /// There is no such kind of object.
    NoSuchObject,
    /// There is such a kind of object, but not this one.
    NoSuchInstance,
    /// Nothing comes behind this name.
    EndOfMibView,
}

impl Value {
    /// A text.
    #[must_use]
    pub(super) fn text(text: &str) -> Self {
        Self::OctetString(text.as_bytes().to_vec())
    }

    /// An address of either family, in network order (RFC 4001, `InetAddress`).
    #[must_use]
    pub(super) fn address(address: IpAddr) -> Self {
        Self::OctetString(match address {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        })
    }
}

/// An object and what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct VarBind {
    /// Its name.
    pub(super) name: Oid,
    /// What it is.
    pub(super) value: Value,
}
