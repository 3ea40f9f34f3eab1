//! Command lines as keepalived reads them: no shell is used, only keepalived's quotes and escapes. Text in double quotes is
//! read twice, once for the quotes of the file and once for the quotes of the command, so that `\t` is white space between
//! arguments and `\\t` is a tab in an argument.

/// Splits a command line into arguments at white space outside of `'…'` and `"…"`. Returns `None` if a quote is not closed, or
/// if an argument cannot be passed to a program, because a zero byte would end it or because it is not UTF-8.
pub(super) fn command(text: &str) -> Option<Vec<String>> {
    split(&unescape(text.as_bytes())?)
}

/// Returns a command line in double quotes that is read as these arguments.
pub(super) fn quoted(arguments: &[String]) -> String {
    let mut text = String::from("\"");
    for (place, argument) in arguments.iter().enumerate() {
        text.push_str(if place == 0 { "'" } else { " '" });
        for c in argument.chars() {
            match c {
                // The text is read twice, and each time two backslashes become one.
                '\\' => text.push_str(r"\\\\"),
                '\'' => text.push_str(r"\\'"),
                '"' => text.push_str("\\\""),
                // A line break would end the line of the file, so it is written as an escape.
                '\n' => text.push_str(r"\n"),
                '\r' => text.push_str(r"\r"),
                c => text.push(c),
            }
        }
        text.push('\'');
    }
    text.push('"');
    text
}

/// Replaces all escapes; quotes stay.
fn unescape(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        bytes.push(if byte == b'\\' { escaped(&mut rest)? } else { byte });
    }
    Some(bytes)
}

fn split(text: &[u8]) -> Option<Vec<String>> {
    let mut arguments: Vec<Vec<u8>> = Vec::new();
    let mut current: Option<Vec<u8>> = None;
    let mut quote = None;
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match (quote, byte) {
            (Some(open), byte) if byte == open => quote = None,
            (None, b'\'' | b'"') => {
                quote = Some(byte);
                current.get_or_insert_default();
            }
            (_, b'\\') => current.get_or_insert_default().push(escaped(&mut rest)?),
            (None, byte) if byte.is_ascii_whitespace() || byte == VERTICAL_TAB => {
                arguments.extend(current.take());
            }
            (_, byte) => current.get_or_insert_default().push(byte),
        }
    }
    arguments.extend(current);
    let arguments = arguments.into_iter().map(|argument| String::from_utf8(argument).ok());
    if quote.is_some() { None } else { arguments.collect() }
}

const VERTICAL_TAB: u8 = 0x0b;

/// Returns the byte for a backslash and the bytes behind it. `None` means a zero byte, or a backslash at the very end.
fn escaped(rest: &mut &[u8]) -> Option<u8> {
    const OCTAL_MAX: usize = 3;
    let text = *rest;
    let (&byte, after) = text.split_first()?;
    let number = match byte {
        b'x' => digits(after, 16, usize::MAX).map(|(value, length)| (value, &after[length..])),
        b'0'..=b'7' => digits(text, 8, OCTAL_MAX).map(|(value, length)| (value, &text[length..])),
        _ => None,
    };
    let (value, after) = number.unwrap_or_else(|| match (byte, after.split_first()) {
        (b'a', _) => (0x07, after),
        (b'b', _) => (0x08, after),
        (b'E', _) => (0x1b, after),
        (b'f', _) => (0x0c, after),
        (b'n', _) => (b'\n', after),
        (b'r', _) => (b'\r', after),
        (b't', _) => (b'\t', after),
        (b'v', _) => (VERTICAL_TAB, after),
        (b'c', Some((&letter, after))) => (letter & 0x1f, after),
        (byte, _) => (byte, after),
    });
    *rest = after;
    (value != 0).then_some(value)
}

/// Reads the digits at the beginning. Returns the lowest byte of the number and the count of digits.
fn digits(text: &[u8], radix: u8, most: usize) -> Option<(u8, usize)> {
    let digit =
        |&byte: &u8| char::from(byte).to_digit(radix.into()).and_then(|digit| u8::try_from(digit).ok());
    text.iter().take(most).map_while(digit).fold(None, |number, digit| {
        let (value, length): (u8, usize) = number.unwrap_or_default();
        Some((value.wrapping_mul(radix).wrapping_add(digit), length + 1))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Arguments that keepalived 2.2.7 passes to a script, as observed; the command itself is left out.
    #[test]
    fn arguments_are_keepaliveds() {
        for (text, arguments) in [
            (r"'a b' c", &["a b", "c"][..]),
            (r"a\tb", &["a", "b"]),
            (r"'a\tb'", &["a\tb"]),
            (r"'a\\tb'", &["a\tb"]),
            // All following digits belong to the number, and its lowest byte counts.
            (r"a\x41b", &["a\x1b"]),
            (r"a\x4 1", &["a\x04", "1"]),
            (r"a\x411z \1011 \8 \x", &["a\x11z", "A1", "8", "x"]),
            (r"a\101b", &["aAb"]),
            (r"\\x41 \\101", &["A", "A"]),
            (r"'a\x41' 'b\n'", &["aA", "b\n"]),
            (r"a\\b", &["a\x08"]),
            (r#"a\"b c\""#, &["ab c"]),
            (r#"\"a b\" c"#, &["a b", "c"]),
            (r#"\"a 'b' c\" d"#, &["a 'b' c", "d"]),
            (r#"'a \"b\" c' d"#, &[r#"a "b" c"#, "d"]),
            (r#"\"a\\\"b\""#, &[r#"a"b"#]),
            (r"'a\\'b'", &["a'b"]),
            (r"a\ b", &["a", "b"]),
            (r"a\\ b", &["a b"]),
            (r"\q\cA\E\n", &["q\x01\x1b"]),
            (r"\ca \c? \c[", &["\x01", "\x1f", "\x1b"]),
            (r"'' x", &["", "x"]),
            (r"a'b c'd e", &["ab cd", "e"]),
            (r"\xc3\xa4", &["ä"]),
            (r"$(reboot) ; `x`", &["$(reboot)", ";", "`x`"]),
        ] {
            let expected: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
            assert_eq!(command(text), Some(expected), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_quoted_reads_as_the_same(arguments in proptest::collection::vec("[^\\x00]{0,12}", 1..4)) {
            let text = quoted(&arguments);
            prop_assert!(!text.contains('\n'));
            let inner = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
            prop_assert_eq!(inner.and_then(command), Some(arguments));
        }
    }

    #[test]
    fn what_cannot_be_handed_over_is_no_command() {
        for text in [r"a\'b c", "'a", r#"\"a"#, r"a\\", r"\xff", r"\0", r"\x100", r"a\c@"] {
            assert_eq!(command(text), None, "{text}");
        }
    }
}
