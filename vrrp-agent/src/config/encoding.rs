//! Decodes the bytes of a file. keepalived accepts any bytes as text; this parser expects UTF-8 and reports other bytes.

use std::borrow::Cow;

/// The byte order mark that some editors write at the beginning of UTF-8 text.
const UTF8_MARK: &[u8] = b"\xef\xbb\xbf";

/// An oddity in the bytes of a file that can be read nevertheless.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Oddity {
    /// The file begins with a byte order mark, which is left out.
    ByteOrderMark,
    /// The file has bytes that are not UTF-8. Each such byte is read as Latin-1.
    Latin1 {
        /// The first line with such bytes, counted from 1.
        line: usize,
    },
}

/// A text, with the oddities of its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Decoded {
    /// The text, without a byte order mark.
    pub(super) text: String,
    /// The oddities that were found.
    pub(super) oddities: Vec<Oddity>,
}

/// Decodes the text of a file. The error says which kind of data the file contains instead.
pub(super) fn decode(bytes: &[u8]) -> Result<Decoded, String> {
    if is_utf16(bytes) {
        return Err("UTF-16 text, which keepalived cannot read either: save it as UTF-8".to_owned());
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

/// Decodes valid UTF-8 as UTF-8, and every other byte as Latin-1.
fn mixed(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|&byte| char::from(byte)));
    }
    text
}

/// Returns true if the bytes are UTF-16: they begin with its byte order mark, or exactly one of the first two bytes is zero, as
/// in every letter of a keyword.
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

    /// keepalived continues, whatever the encoding of a comment is.
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
