//! The wire format between a subagent and its master agent (RFC 2741 section 6). Nothing that arrives is trusted: lengths and
//! counts are compared with what is there.

mod write;

use super::oid::Oid;
pub(super) use write::{Answer, Message, encode};

const VERSION: u8 = 1;
/// RFC 2741 section 6.1.
const HEADER_LEN: usize = 20;
/// The longest payload that is read. No question is longer, by far: an SNMP message over UDP has 64 KiB.
const PAYLOAD_MAX: usize = 1 << 20;
/// RFC 2741 section 5.1.
const NUMBERS_MAX: u8 = 128;

/// The types of messages: the byte after the version.
mod kind {
    pub(super) const OPEN: u8 = 1;
    pub(super) const CLOSE: u8 = 2;
    pub(super) const REGISTER: u8 = 3;
    pub(super) const GET: u8 = 5;
    pub(super) const GET_NEXT: u8 = 6;
    pub(super) const GET_BULK: u8 = 7;
    pub(super) const TEST_SET: u8 = 8;
    pub(super) const COMMIT_SET: u8 = 9;
    pub(super) const UNDO_SET: u8 = 10;
    pub(super) const CLEANUP_SET: u8 = 11;
    pub(super) const NOTIFY: u8 = 12;
    pub(super) const PING: u8 = 13;
    pub(super) const RESPONSE: u8 = 18;
}

/// The flag of numbers in network order; without it they are little-endian.
const NETWORK_BYTE_ORDER: u8 = 0x10;
/// The flag of a context, which comes first in the payload.
const NON_DEFAULT_CONTEXT: u8 = 0x08;

/// The reason why a message cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Malformed {
    /// Another protocol, or a later version.
    #[error("a message has version {0} instead of 1")]
    Version(u8),
    /// The length is more than any question to us has, or not a multiple of four bytes.
    #[error("a message has a length of {0} bytes")]
    Length(u32),
    /// The message ends too early.
    #[error("a message is cut off")]
    Short,
    /// More numbers than a name may have.
    #[error("an object identifier has {0} numbers")]
    Name(u8),
}

/// The conversation that a message belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Ids {
    /// The session that the master agent has given.
    pub(super) session: u32,
    /// The manager's question of which this is a part.
    pub(super) transaction: u32,
    /// The number of a question, which its answer repeats.
    pub(super) packet: u32,
}

/// A message that has arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Arrived {
    /// Its conversation.
    pub(super) ids: Ids,
    /// Its content.
    pub(super) said: Said,
}

/// The content of a message from a master agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// These objects are asked for.
    Get(Vec<Range>),
    /// The first object in each of these is asked for.
    GetNext(Vec<Range>),
    /// The first object is asked for in some ranges, several objects in the others.
    GetBulk {
        /// The number of ranges in which only the first object is asked for.
        non_repeaters: u16,
        /// The number of objects asked for in each of the others.
        max_repetitions: u16,
        /// The ranges.
        ranges: Vec<Range>,
    },
    /// Objects are to be changed, or a change is to be made or taken back.
    Set,
    /// A change is over, and may be forgotten. This is not answered.
    CleanupSet,
    /// A question about another set of objects than the only one that we have.
    OtherContext,
    /// The answer to a message of ours: 0 means success.
    Response(u16),
    /// The session is over.
    Close(u8),
    /// A message that no subagent needs to understand.
    Other(u8),
}

/// The names from one up to another. In a `Get` only the start counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Range {
    /// Where it begins.
    pub(super) start: Oid,
    /// Says if the start belongs to it.
    pub(super) first: First,
    /// The name at which it is over, and which does not belong to it. `None` means that it has no end.
    pub(super) end: Option<Oid>,
}

/// Says if the name that a range begins with belongs to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum First {
    /// The name does not belong to the range.
    #[default]
    Excluded,
    /// The name belongs to the range.
    Included,
}

/// Takes the first message off what has arrived so far, and returns it with its length in bytes; `None` if it is not complete.
///
/// # Errors
/// If it is no message, after which nothing that follows can be understood.
pub(super) fn decode(bytes: &[u8]) -> Result<Option<(Arrived, usize)>, Malformed> {
    let Some((header, rest)) = bytes.split_at_checked(HEADER_LEN) else { return Ok(None) };
    let mut header = Reader { bytes: header, order: Order::of(header[2]) };
    let [version, kind, flags, _reserved] = header.array()?;
    if version != VERSION {
        return Err(Malformed::Version(version));
    }
    let ids = Ids { session: header.word()?, transaction: header.word()?, packet: header.word()? };
    let said_length = header.word()?;
    let length = usize::try_from(said_length).unwrap_or(usize::MAX);
    if length > PAYLOAD_MAX || !length.is_multiple_of(4) {
        return Err(Malformed::Length(said_length));
    }
    let Some(payload) = rest.get(..length) else { return Ok(None) };
    let reader = Reader { bytes: payload, order: header.order };
    let said = if flags & NON_DEFAULT_CONTEXT == 0 { read(kind, reader)? } else { Said::OtherContext };
    Ok(Some((Arrived { ids, said }, HEADER_LEN + length)))
}

fn read(kind: u8, mut reader: Reader<'_>) -> Result<Said, Malformed> {
    Ok(match kind {
        kind::GET => Said::Get(reader.ranges()?),
        kind::GET_NEXT => Said::GetNext(reader.ranges()?),
        kind::GET_BULK => {
            let (non_repeaters, max_repetitions) = (reader.half()?, reader.half()?);
            Said::GetBulk { non_repeaters, max_repetitions, ranges: reader.ranges()? }
        }
        kind::TEST_SET | kind::COMMIT_SET | kind::UNDO_SET => Said::Set,
        kind::CLEANUP_SET => Said::CleanupSet,
        kind::RESPONSE => {
            let _up_time = reader.word()?;
            // The bytes behind it repeat the question.
            Said::Response(reader.half()?)
        }
        kind::CLOSE => {
            let [reason, ..] = reader.array::<4>()?;
            Said::Close(reason)
        }
        other => Said::Other(other),
    })
}

/// The byte order of numbers.
#[derive(Clone, Copy, Debug)]
enum Order {
    Network,
    Little,
}

impl Order {
    fn of(flags: u8) -> Self {
        if flags & NETWORK_BYTE_ORDER == 0 { Self::Little } else { Self::Network }
    }
}

/// The bytes that are left to read.
struct Reader<'b> {
    bytes: &'b [u8],
    order: Order,
}

impl Reader<'_> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (first, rest) = self.bytes.split_first_chunk().ok_or(Malformed::Short)?;
        self.bytes = rest;
        Ok(*first)
    }

    fn half(&mut self) -> Result<u16, Malformed> {
        let bytes = self.array()?;
        Ok(match self.order {
            Order::Network => u16::from_be_bytes(bytes),
            Order::Little => u16::from_le_bytes(bytes),
        })
    }

    fn word(&mut self) -> Result<u32, Malformed> {
        let bytes = self.array()?;
        Ok(match self.order {
            Order::Network => u32::from_be_bytes(bytes),
            Order::Little => u32::from_le_bytes(bytes),
        })
    }

    /// RFC 2741 section 5.1.
    fn name(&mut self) -> Result<(Oid, First), Malformed> {
        let [count, prefix, include, _reserved] = self.array()?;
        if count > NUMBERS_MAX {
            return Err(Malformed::Name(count));
        }
        let mut numbers = if prefix == 0 { Vec::new() } else { vec![1, 3, 6, 1, u32::from(prefix)] };
        for _ in 0..count {
            numbers.push(self.word()?);
        }
        Ok((Oid::new(&numbers), if include == 0 { First::Excluded } else { First::Included }))
    }

    /// RFC 2741 section 5.2, up to the end.
    fn ranges(&mut self) -> Result<Vec<Range>, Malformed> {
        let mut ranges = Vec::new();
        while !self.bytes.is_empty() {
            let (start, first) = self.name()?;
            let (end, _) = self.name()?;
            ranges.push(Range { start, first, end: Some(end).filter(|end| !end.numbers().is_empty()) });
        }
        Ok(ranges)
    }
}

#[cfg(test)]
mod tests;
