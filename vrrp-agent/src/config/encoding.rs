//! From the bytes of a file to its text. keepalived takes any bytes for a text; here it is UTF-8, and what is not is said.

use std::borrow::Cow;

/// The mark that some editors put at the beginning of UTF-8 text.
const UTF8_MARK: &[u8] = b"\xef\xbb\xbf";

/// What is odd about the bytes of a file that can be read all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Oddity {
    /// It begins with a byte order mark, which is left out.
    ByteOrderMark,
    /// This line, counted from 1, is the first with bytes that are no UTF-8; each such byte is read as Latin-1.
    Latin1 {
        /// The line.
        line: usize,
    },
}

/// A text, and what was odd about its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Decoded {
    /// The text, without a byte order mark.
    pub(super) text: String,
    /// What was odd.
    pub(super) oddities: Vec<Oddity>,
}

/// The text of a file. The error says what the file holds instead.
pub(super) fn decode(bytes: &[u8]) -> Result<Decoded, String> {
    if is_utf16(bytes) {
        return Err("UTF-16 text, of which keepalived reads nothing either: save it as UTF-8".to_owned());
    }
    let mut oddities = Vec::new();
    let bytes = match bytes.strip_prefix(UTF8_MARK) {
        Some(rest) => {
            oddities.push(Oddity::ByteOrderMark);
            rest
        }
        None => bytes,
    };
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(error) => {
            let before = &bytes[..error.valid_up_to()];
            let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
            oddities.push(Oddity::Latin1 { line });
            Cow::Owned(mixed(bytes))
        }
    };
    Ok(Decoded { text: text.into_owned(), oddities })
}

/// UTF-8 where it is valid, and Latin-1 where it is not.
fn mixed(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|&byte| char::from(byte)));
    }
    text
}

/// Either with its mark, or with the zero byte that every letter of a keyword has in it.
fn is_utf16(bytes: &[u8]) -> bool {
    match bytes {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => true,
        [first, second, ..] => (*first == 0) != (*second == 0),
        [] | [_] => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(bytes: &[u8]) -> (String, Vec<Oddity>) {
        let Decoded { text, oddities } = decode(bytes).expect("a text");
        (text, oddities)
    }

    #[test]
    fn r17_a_byte_order_mark_is_left_out() {
        assert_eq!(decoded(b"\xef\xbb\xbfa\n"), ("a\n".to_owned(), vec![Oddity::ByteOrderMark]));
        assert_eq!(decoded("a\u{feff}\n".as_bytes()), ("a\u{feff}\n".to_owned(), vec![]));
        assert_eq!(decoded(b""), (String::new(), vec![]));
    }

    /// keepalived reads on, whatever a comment is written in.
    #[test]
    fn r10_latin_1_is_read_on() {
        let (text, oddities) = decoded(b"a \xc3\xb6\n# K\xf6ln\n");
        assert_eq!((text.as_str(), &oddities[..]), ("a ö\n# Köln\n", &[Oddity::Latin1 { line: 2 }][..]));
    }

    #[test]
    fn r17_utf_16_is_named() {
        for bytes in [&b"\xff\xfeg\0l\0"[..], b"\xfe\xff\0g\0l", b"g\0l\0o\0", b"\0g\0l\0o"] {
            let error = decode(bytes).expect_err("no text");
            assert!(error.contains("UTF-16") && error.contains("save it as UTF-8"), "{error}");
        }
    }
}
