//! The words of a line, and the parsers of their values.

use std::net::IpAddr;

use vrrp_ebpf::advert::Family;

use super::tables::{Tables, number};
use super::{PROTOCOL, Prefix, family_of};

/// The kernel's `IFNAMSIZ`, without the zero byte at the end.
pub(super) const INTERFACE_NAME_MAX: usize = 15;

/// The packet marks that the rule matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Mark {
    /// The mark.
    pub value: u32,
    /// The bits of the mark that are compared; `None` means all.
    pub mask: Option<u32>,
}

/// A word that cannot be used. Because of it the whole line cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) struct BadWord {
    /// The index of the word in the line; 0 for an empty line.
    pub(in crate::config) index: usize,
    /// The description of the problem.
    pub(in crate::config) message: String,
}

impl BadWord {
    pub(super) fn new(index: usize, message: impl Into<String>) -> Self {
        Self { index, message: message.into() }
    }
}

/// The words of a line, with the index of the next one.
pub(super) struct Words<'w> {
    words: &'w [&'w str],
    tables: &'w Tables<'w>,
    pub(super) next: usize,
}

impl<'w> Words<'w> {
    pub(super) fn new(words: &'w [&'w str], tables: &'w Tables<'w>) -> Self {
        Self { words, tables, next: 0 }
    }

    pub(super) fn next(&mut self) -> Option<(usize, &'w str)> {
        let index = self.next;
        let word = *self.words.get(index)?;
        self.next += 1;
        Some((index, word))
    }

    /// Skips the next word if it is `word`, and returns true if it was.
    pub(super) fn skip(&mut self, word: &str) -> bool {
        let is_it = self.words.get(self.next) == Some(&word);
        self.next += usize::from(is_it);
        is_it
    }

    /// Returns the value of the keyword that was read last.
    pub(super) fn value(&mut self) -> Result<(usize, &'w str), BadWord> {
        let keyword = self.next.saturating_sub(1);
        self.next().ok_or_else(|| {
            let name = self.words.get(keyword).copied().unwrap_or_default();
            BadWord::new(keyword, format!("`{name}` needs a value"))
        })
    }

    /// Returns the value of the keyword that was read last, parsed by `read`.
    pub(super) fn read<T>(
        &mut self,
        expected: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, BadWord> {
        let (index, word) = self.value()?;
        read(word).ok_or_else(|| bad_value(index, word, expected))
    }

    pub(super) fn interface(&mut self) -> Result<String, BadWord> {
        self.read("the name of an interface, 15 bytes at most", |word| {
            let fits = !word.is_empty() && word.len() <= INTERFACE_NAME_MAX;
            fits.then(|| word.to_owned())
        })
    }

    pub(super) fn table(&mut self) -> Result<u32, BadWord> {
        let tables = self.tables;
        self.read("the number or the name of a routing table", |word| tables.number(word))
    }

    pub(super) fn tos(&mut self) -> Result<u8, BadWord> {
        self.read("a number up to 255", byte)
    }

    pub(super) fn protocol(&mut self) -> Result<u8, BadWord> {
        self.read("a number up to 255 or a name of `rt_protos`", |word| {
            let named = PROTOCOLS.iter().find(|(name, _)| *name == word);
            named.map_or_else(|| byte(word), |(_, number)| Some(*number))
        })
    }
}

pub(super) fn bad_value(index: usize, word: &str, expected: &str) -> BadWord {
    BadWord::new(index, format!("bad value `{word}`: expected {expected}"))
}

/// A destination or a source. The family of `default` depends on the other words of the line.
#[derive(Clone, Copy)]
pub(super) enum Range {
    Only(Prefix),
    All,
    AllV6,
}

impl Range {
    pub(super) fn parse(text: &str) -> Option<Self> {
        match text {
            "default" | "any" | "all" => Some(Self::All),
            "default6" => Some(Self::AllV6),
            text => Prefix::parse(text).map(Self::Only),
        }
    }

    pub(super) fn family(self) -> Option<Family> {
        match self {
            Self::Only(prefix) => Some(prefix.family()),
            Self::All => None,
            Self::AllV6 => Some(Family::V6),
        }
    }
}

pub(super) const RANGE: &str = "an address with or without `/LENGTH`, or `default`";

/// A gateway, with its index in the line. `family_said` is true if the line gives the family explicitly.
#[derive(Clone, Copy)]
pub(super) struct Gateway {
    pub(super) index: usize,
    pub(super) address: IpAddr,
    pub(super) family_said: bool,
}

pub(super) fn gateway(words: &mut Words<'_>) -> Result<Gateway, BadWord> {
    let said = if words.skip("inet6") {
        Some(Family::V6)
    } else if words.skip("inet") {
        Some(Family::V4)
    } else {
        None
    };
    let (index, word) = words.value()?;
    let address = word.parse::<IpAddr>().ok();
    let address = address.filter(|address| said.is_none_or(|said| said == family_of(*address)));
    let address = address.ok_or_else(|| bad_value(index, word, "the address of a router"))?;
    Ok(Gateway { index, address, family_said: said.is_some() })
}

/// The address families that the line implies, with their places. They must agree.
pub(super) struct Families(pub(super) Vec<(usize, Family)>);

impl Families {
    pub(super) fn note(&mut self, index: usize, family: Option<Family>) {
        self.0.extend(family.map(|family| (index, family)));
    }

    /// Returns the family of the line. As with keepalived, a line that fits both families is IPv4.
    pub(super) fn agreed(&self) -> Result<Family, BadWord> {
        let Some(&(_, family)) = self.0.first() else { return Ok(Family::V4) };
        match self.0.iter().find(|(_, other)| *other != family) {
            Some((index, _)) => Err(BadWord::new(*index, "IPv4 and IPv6 on one line")),
            None => Ok(family),
        }
    }
}

pub(super) fn range(index: usize, word: &str) -> Result<Range, BadWord> {
    Range::parse(word).ok_or_else(|| bad_value(index, word, RANGE))
}

/// Returns the error for an unknown word, or for a word that is known but not supported.
pub(super) fn unknown(index: usize, word: &str, of: &str, unsupported: &[(&str, &str)]) -> BadWord {
    let message = match unsupported.iter().find(|(name, _)| *name == word) {
        Some((_, help)) => format!("`{word}` of a {of} is not supported{help}"),
        None => format!("`{word}` is not a keyword of a {of}"),
    };
    BadWord::new(index, message)
}

/// Parses a number that consists of decimal digits only.
pub(super) fn decimal(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

pub(super) fn byte(text: &str) -> Option<u8> {
    number(text).and_then(|number| number.try_into().ok())
}

pub(super) fn mark(text: &str) -> Option<Mark> {
    let (value, mask) = match text.split_once('/') {
        Some((value, mask)) => (value, Some(number(mask)?)),
        None => (text, None),
    };
    Some(Mark { value: number(value)?, mask })
}

/// Parses a name of `rt_scopes`, or a number.
pub(in crate::config) fn scope(text: &str) -> Option<u8> {
    SCOPES.iter().find(|(name, _)| *name == text).map_or_else(|| byte(text), |(_, number)| Some(*number))
}

pub(super) const SCOPES: &[(&str, u8)] =
    &[("global", 0), ("site", 200), ("link", 253), ("host", 254), ("nowhere", 255)];

/// The names of `rt_protos`, as shipped with iproute2.
pub(super) const PROTOCOLS: &[(&str, u8)] = &[
    ("unspec", 0),
    ("redirect", 1),
    ("kernel", 2),
    ("boot", 3),
    ("static", 4),
    ("gated", 8),
    ("ra", 9),
    ("mrt", 10),
    ("zebra", 11),
    ("bird", 12),
    ("dnrouted", 13),
    ("xorp", 14),
    ("ntk", 15),
    ("dhcp", 16),
    ("keepalived", PROTOCOL),
    ("babel", 42),
    ("openr", 99),
    ("bgp", 186),
    ("isis", 187),
    ("ospf", 188),
    ("rip", 189),
    ("eigrp", 192),
];
