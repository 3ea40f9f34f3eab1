//! Writes the messages of a subagent as bytes, always in network order.

use super::super::oid::{Oid, Value, VarBind};
use super::{HEADER_LEN, Ids, NETWORK_BYTE_ORDER, VERSION, kind};

/// A message of a subagent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::snmp) enum Message<'m> {
    /// Opens a session.
    Open {
        /// The seconds that an answer may take.
        timeout: u8,
        /// The name of the subagent, for people.
        description: &'m str,
    },
    /// Closes the session.
    Close,
    /// Registers the subagent for all objects that lie below a name.
    Register(&'m Oid),
    /// An answer.
    Response(Answer),
    /// Something has happened: `snmpTrapOID.0` comes first, then the objects that belong to it.
    Notify(&'m [VarBind]),
    /// Asks if the master agent is there.
    Ping,
}

/// The answer to a question.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::snmp) struct Answer {
    /// 0 means success.
    pub(in crate::snmp) error: u16,
    /// The position, from 1, of the name that the error is about.
    pub(in crate::snmp) index: u16,
    /// The objects that were asked for.
    pub(in crate::snmp) values: Vec<VarBind>,
}

/// The reason of a close: the daemon ends (RFC 2741 section 6.2.2).
const REASON_SHUTDOWN: u8 = 5;
/// The priority that registrations usually have (RFC 2741 section 6.2.3).
const PRIORITY: u8 = 127;
/// 1.3.6.1, which is left out if a number that fits in one byte follows.
const INTERNET: [u32; 4] = [1, 3, 6, 1];

/// A message as bytes.
#[must_use]
pub(in crate::snmp) fn encode(ids: Ids, message: &Message<'_>) -> Vec<u8> {
    let mut writer = Writer(vec![0; HEADER_LEN]);
    let kind = match message {
        Message::Open { timeout, description } => {
            writer.0.extend([*timeout, 0, 0, 0]);
            writer.name(&Oid::default());
            writer.octets(description.as_bytes());
            kind::OPEN
        }
        Message::Close => {
            writer.0.extend([REASON_SHUTDOWN, 0, 0, 0]);
            kind::CLOSE
        }
        Message::Register(subtree) => {
            // The session's time limit applies, and the whole subtree is registered.
            writer.0.extend([0, PRIORITY, 0, 0]);
            writer.name(subtree);
            kind::REGISTER
        }
        Message::Response(Answer { error, index, values }) => {
            // The up-time, which only a master agent knows.
            writer.word(0);
            writer.half(*error);
            writer.half(*index);
            writer.values(values);
            kind::RESPONSE
        }
        Message::Notify(values) => {
            writer.values(values);
            kind::NOTIFY
        }
        Message::Ping => kind::PING,
    };
    let Writer(mut bytes) = writer;
    let length = u32::try_from(bytes.len() - HEADER_LEN).expect("an answer is bounded");
    bytes[..4].copy_from_slice(&[VERSION, kind, NETWORK_BYTE_ORDER, 0]);
    for (word, at) in [ids.session, ids.transaction, ids.packet, length].into_iter().zip((4..).step_by(4)) {
        bytes[at..at + 4].copy_from_slice(&word.to_be_bytes());
    }
    bytes
}

struct Writer(Vec<u8>);

impl Writer {
    fn half(&mut self, half: u16) {
        self.0.extend(half.to_be_bytes());
    }

    fn word(&mut self, word: u32) {
        self.0.extend(word.to_be_bytes());
    }

    /// RFC 2741 section 5.1. No name that we write begins a range.
    fn name(&mut self, name: &Oid) {
        let (prefix, numbers) = match name.numbers() {
            [a, b, c, d, next, rest @ ..] if [*a, *b, *c, *d] == INTERNET => match u8::try_from(*next) {
                Ok(prefix @ 1..) => (prefix, rest),
                Ok(0) | Err(_) => (0, name.numbers()),
            },
            numbers => (0, numbers),
        };
        let count = u8::try_from(numbers.len()).expect("the names of our objects are short");
        self.0.extend([count, prefix, 0, 0]);
        for number in numbers {
            self.word(*number);
        }
    }

    /// RFC 2741 section 5.3.
    fn octets(&mut self, octets: &[u8]) {
        self.word(u32::try_from(octets.len()).expect("texts are bounded"));
        self.0.extend(octets);
        let padded = self.0.len().next_multiple_of(4);
        self.0.resize(padded, 0);
    }

    /// RFC 2741 section 5.4.
    fn values(&mut self, values: &[VarBind]) {
        for VarBind { name, value } in values {
            self.half(tag(value));
            self.half(0);
            self.name(name);
            match value {
                Value::Integer(number) => self.0.extend(number.to_be_bytes()),
                Value::OctetString(octets) => self.octets(octets),
                Value::Name(other) => self.name(other),
                Value::IpAddress(octets) => self.octets(octets),
                Value::Counter32(number) | Value::Gauge32(number) => {
                    self.word(*number);
                }
                Value::Counter64(number) => self.0.extend(number.to_be_bytes()),
                Value::NoSuchObject | Value::NoSuchInstance | Value::EndOfMibView => {}
            }
        }
    }
}

fn tag(value: &Value) -> u16 {
    match value {
        Value::Integer(_) => 2,
        Value::OctetString(_) => 4,
        Value::Name(_) => 6,
        Value::IpAddress(_) => 64,
        Value::Counter32(_) => 65,
        Value::Gauge32(_) => 66,
        Value::Counter64(_) => 70,
        Value::NoSuchObject => 128,
        Value::NoSuchInstance => 129,
        Value::EndOfMibView => 130,
    }
}
