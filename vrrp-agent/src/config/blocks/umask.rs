//! `umask`: a number in C notation, or names of permission bits with `|` between them.

use super::super::diagnostic::Diagnostic;
use super::super::routing::number;
use super::super::syntax::Statement;
use super::super::value;

const ALL: u32 = 0o777;

/// Reads `umask`: the permissions that new files do not get.
pub(super) fn read(statement: &Statement, diagnostics: &mut Vec<Diagnostic>) -> Option<u32> {
    let words = statement.arguments();
    let is_number = words.first().is_some_and(|word| starts_as_number(&word.text));
    let mask = if is_number || words.is_empty() {
        parse(&value::argument(statement, diagnostics)?.text)
    } else {
        // There may be white space around the `|`.
        parse(&words.iter().map(|word| word.text.as_str()).collect::<String>())
    };
    if mask.is_none() {
        let expected = "expected: a number up to 0777, or bits such as `IWGRP|IWOTH`; ignored";
        diagnostics.push(Diagnostic::warning(statement.span(), "bad value for `umask`").label(expected));
    }
    mask
}

/// Parses the value of the keyword, or of the command line option `-u`.
pub(in super::super) fn parse(text: &str) -> Option<u32> {
    if starts_as_number(text) { number(text).filter(|mask| *mask <= ALL) } else { bits(text) }
}

fn starts_as_number(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit())
}

fn bits(text: &str) -> Option<u32> {
    text.split('|').map(bit).try_fold(0, |mask, bit| Some(mask | bit?))
}

/// Returns the permission bit of a name such as `IRUSR`: the name from chmod(2) without its `S_`.
fn bit(name: &str) -> Option<u32> {
    let (what, whose) = name.strip_prefix('I')?.split_at_checked(1)?;
    let what = match what {
        "R" => 0o4,
        "W" => 0o2,
        "X" => 0o1,
        _ => return None,
    };
    match whose {
        "USR" => Some(what << 6),
        "GRP" => Some(what << 3),
        "OTH" => Some(what),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;

    /// Values that keepalived 2.2.7 accepts, and values that it refuses.
    #[test]
    fn numbers_and_bits() {
        let umask = |text: &str| {
            let text = format!(
                "global_defs {{\numask {text}\n}}\nvrrp_instance V {{\ninterface eth0\nvirtual_router_id 1\n\
                 virtual_ipaddress {{\n192.0.2.1\n}}\n}}\n"
            );
            let reading = parse(&text);
            let mask = reading.config.expect("usable").host.umask;
            assert_eq!(mask.is_none(), !reading.diagnostics.is_empty(), "{text}");
            mask
        };
        for (text, mask) in [
            ("022", 0o22),
            ("0x12", 0o22),
            ("18", 0o22),
            ("0777", 0o777),
            ("IWGRP|IWOTH", 0o22),
            ("IRUSR | IXOTH", 0o401),
        ] {
            assert_eq!(umask(text), Some(mask), "{text}");
        }
        for bad in ["01000", "FOO", "IRGRP|", "-1", "IRWXU", "I"] {
            assert_eq!(umask(bad), None, "{bad}");
        }
    }

    #[test]
    fn each_bit() {
        let all = ["IRUSR", "IWUSR", "IXUSR", "IRGRP", "IWGRP", "IXGRP", "IROTH", "IWOTH", "IXOTH"];
        assert_eq!(bits(&all.join("|")), Some(ALL));
    }
}
