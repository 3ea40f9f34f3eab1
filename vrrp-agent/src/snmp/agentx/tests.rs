//! Bytes by hand, from the diagrams of RFC 2741.

use super::super::oid::{Value, VarBind};
use super::*;

const IDS: Ids = Ids { session: 0x0102, transaction: 3, packet: 4 };

/// A header of section 6.1: 16 is the flag of network order.
fn header(kind: u8, flags: u8, length: u8) -> Vec<u8> {
    let number = |number: [u8; 4]| {
        if flags & 0x10 == 0 { [number[3], number[2], number[1], number[0]] } else { number }
    };
    let words = [[0, 0, 1, 2], [0, 0, 0, 3], [0, 0, 0, 4], [0, 0, 0, length]];
    [vec![1, kind, flags, 0], words.map(number).concat()].concat()
}

fn arrived(kind: u8, flags: u8, payload: &[u8]) -> Said {
    let bytes = [header(kind, flags, u8::try_from(payload.len()).unwrap()), payload.to_vec()].concat();
    let (arrived, taken) = decode(&bytes).unwrap().expect("it is complete");
    assert_eq!((arrived.ids, taken), (IDS, bytes.len()));
    arrived.said
}

/// 1.3.6.1.2.1.68 with the prefix 2, then 1 and 68.
const RANGE: [u8; 16] = [2, 2, 1, 0, 0, 0, 0, 1, 0, 0, 0, 68, 0, 0, 0, 0];

#[test]
fn questions() {
    let ranges = vec![Range { start: Oid::new(&[1, 3, 6, 1, 2, 1, 68]), first: First::Included, end: None }];
    assert_eq!(arrived(5, 0x10, &RANGE), Said::Get(ranges.clone()));
    assert_eq!(arrived(6, 0x10, &RANGE), Said::GetNext(ranges.clone()));
    let bulk = Said::GetBulk { non_repeaters: 1, max_repetitions: 10, ranges };
    assert_eq!(arrived(7, 0x10, &[&[0, 1, 0, 10], &RANGE[..]].concat()), bulk);
    assert_eq!(arrived(8, 0x10, &[]), Said::Set);
    assert_eq!(arrived(11, 0x10, &[]), Said::CleanupSet);
    assert_eq!(arrived(2, 0x10, &[5, 0, 0, 0]), Said::Close(5));
    assert_eq!(arrived(18, 0x10, &[0, 0, 0, 9, 1, 7, 0, 0]), Said::Response(263));
    assert_eq!(arrived(5, 0x18, &[0, 0, 0, 1, b'c', 0, 0, 0]), Said::OtherContext);
    assert_eq!(arrived(99, 0x10, &[]), Said::Other(99));
}

#[test]
fn the_other_byte_order() {
    let end = Some(Oid::new(&[1, 3]));
    let payload = [1, 4, 0, 0, 0x72, 0x25, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0];
    let start = Oid::new(&[1, 3, 6, 1, 4, 0x2572]);
    assert_eq!(arrived(6, 0, &payload), Said::GetNext(vec![Range { start, first: First::Excluded, end }]));
    assert_eq!(arrived(18, 0, &[0, 0, 0, 0, 7, 1, 0, 0]), Said::Response(263));
}

#[test]
fn what_is_not_complete_is_waited_for() {
    let bytes = [header(5, 0x10, 16), RANGE.to_vec(), vec![1, 2, 3]].concat();
    for length in 0..36 {
        assert_eq!(decode(&bytes[..length]), Ok(None), "{length}");
    }
    assert_eq!(decode(&bytes).unwrap().unwrap().1, 36);
}

#[test]
fn what_lies_about_itself() {
    let with = |kind, payload: &[u8]| {
        decode(&[header(kind, 0x10, u8::try_from(payload.len()).unwrap()), payload.to_vec()].concat())
    };
    assert_eq!(decode(&[2; 20]), Err(Malformed::Version(2)));
    assert_eq!(decode(&header(5, 0x10, 3)), Err(Malformed::Length(3)));
    let mut endless = header(5, 0x10, 0);
    endless[16..].fill(0xff);
    assert_eq!(decode(&endless), Err(Malformed::Length(u32::MAX)));
    // The name says that it has two numbers, and one is there.
    assert_eq!(with(5, &RANGE[..8]), Err(Malformed::Short));
    // A range has two names.
    assert_eq!(with(5, &RANGE[..12]), Err(Malformed::Short));
    assert_eq!(with(5, &[129, 0, 0, 0]), Err(Malformed::Name(129)));
    assert_eq!(with(18, &[0, 0, 0, 0]), Err(Malformed::Short));
    assert_eq!(with(2, &[]), Err(Malformed::Short));
    assert_eq!(with(7, &[]), Err(Malformed::Short));
}

/// Any bytes: a generator is enough, since what matters is that each byte of a message takes each value.
#[test]
fn nothing_panics() {
    let whole = [header(7, 0x10, 20), vec![0, 1, 0, 10], RANGE.to_vec()].concat();
    for at in 0..whole.len() {
        for byte in 0..=u8::MAX {
            let mut bytes = whole.clone();
            bytes[at] = byte;
            let _whatever = decode(&bytes);
        }
    }
}

#[test]
fn opening_and_closing() {
    let open = encode(Ids::default(), &Message::Open { timeout: 5, description: "VRRP!" });
    let mut expected = vec![1, 1, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 20];
    expected.extend([5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, b'V', b'R', b'R', b'P', b'!', 0, 0, 0]);
    assert_eq!(open, expected);
    assert_eq!(encode(IDS, &Message::Close), [header(2, 16, 4), vec![5, 0, 0, 0]].concat());
    assert_eq!(encode(IDS, &Message::Ping), header(13, 16, 0));
    let subtree = Oid::new(&[1, 3, 6, 1, 4, 1, 9586]);
    let expected = [header(3, 16, 16), vec![0, 127, 0, 0, 2, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0x25, 0x72]].concat();
    assert_eq!(encode(IDS, &Message::Register(&subtree)), expected);
}

#[test]
fn names_that_cannot_be_shortened() {
    for numbers in [&[1, 3, 6, 1, 0][..], &[1, 3, 6, 1, 256], &[1, 3, 6], &[2, 3, 6, 1, 4]] {
        let bytes = encode(IDS, &Message::Register(&Oid::new(numbers)));
        assert_eq!(&bytes[24..28], &[u8::try_from(numbers.len()).unwrap(), 0, 0, 0], "{numbers:?}");
    }
    assert_eq!(&encode(IDS, &Message::Register(&Oid::new(&[1, 3, 6, 1, 255])))[24..], &[0, 255, 0, 0]);
}

#[test]
fn values() {
    let name = Oid::new(&[1, 3, 6, 1, 2]);
    for (value, tag, data) in [
        (Value::Integer(-2), 2, vec![0xff, 0xff, 0xff, 0xfe]),
        (Value::text("VI_1"), 4, vec![0, 0, 0, 4, b'V', b'I', b'_', b'1']),
        (Value::text(""), 4, vec![0, 0, 0, 0]),
        (Value::Name(name.clone()), 6, vec![0, 2, 0, 0]),
        (Value::IpAddress([192, 0, 2, 1]), 64, vec![0, 0, 0, 4, 192, 0, 2, 1]),
        (Value::Counter32(258), 65, vec![0, 0, 1, 2]),
        (Value::Gauge32(258), 66, vec![0, 0, 1, 2]),
        (Value::Counter64(1 << 32), 70, vec![0, 0, 0, 1, 0, 0, 0, 0]),
        (Value::NoSuchObject, 128, vec![]),
        (Value::NoSuchInstance, 129, vec![]),
        (Value::EndOfMibView, 130, vec![]),
    ] {
        let values = vec![VarBind { name: name.clone(), value }];
        let bytes = encode(IDS, &Message::Response(Answer { error: 1, index: 2, values: values.clone() }));
        let expected = [vec![0, 0, 0, 0, 0, 1, 0, 2, 0, tag, 0, 0, 0, 2, 0, 0], data.clone()].concat();
        assert_eq!(bytes[20..], expected, "{values:?}");
        assert_eq!(encode(IDS, &Message::Notify(&values))[20..], expected[8..], "{values:?}");
    }
}
