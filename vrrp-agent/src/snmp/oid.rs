//! Names of managed objects, and their values.

use std::fmt;
use std::net::IpAddr;

/// An object identifier. Identifiers are ordered by the numbers in them, which is the order of a MIB.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Oid(Vec<u32>);

impl Oid {
    /// The identifier of these numbers.
    #[must_use]
    pub(super) fn new(numbers: &[u32]) -> Self {
        Self(numbers.to_vec())
    }

    /// This identifier, continued with these numbers.
    #[must_use]
    pub(super) fn join(&self, numbers: &[u32]) -> Self {
        Self([&self.0, numbers].concat())
    }

    /// Its numbers.
    #[must_use]
    pub(super) fn numbers(&self) -> &[u32] {
        &self.0
    }

    /// Returns true if it lies below another identifier, or equals it.
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

/// The value of an object, or the reason why there is none (RFC 2741 section 5.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// A number, or a word of an enumeration.
    Integer(i32),
    /// Bytes, or a text.
    OctetString(Vec<u8>),
    /// Another object's name.
    Name(Oid),
    /// An IPv4 address.
    IpAddress([u8; 4]),
    /// A number that only grows, and begins again at 0.
    Counter32(u32),
    /// A number that grows and shrinks.
    Gauge32(u32),
    /// A number that only grows.
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

/// The name of an object, and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct VarBind {
    /// Its name.
    pub(super) name: Oid,
    /// Its value.
    pub(super) value: Value,
}
