//! Reading the values of keywords. A bad value is a warning and the default stays, as with keepalived.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use super::diagnostic::Diagnostic;
use super::model::Vip;
use super::syntax::{Statement, Word};

/// The one argument that a keyword needs.
pub(super) fn argument<'s, 't>(
    statement: &'s Statement<'t>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<&'s Word<'t>> {
    let keyword = statement.keyword();
    match statement.arguments() {
        [] => {
            let message = format!("`{}` needs a value", keyword.text);
            diagnostics.push(Diagnostic::warning(keyword.span.clone(), message).label("ignored"));
            None
        }
        [word] => Some(word),
        [word, surplus @ ..] => {
            let message = format!("`{}` takes one value", keyword.text);
            let span = surplus[0].span.start..statement.span().end;
            diagnostics
                .push(Diagnostic::warning(span, message).label("ignored; a statement ends with its line"));
            Some(word)
        }
    }
}

/// A whole number in a range.
pub(super) fn number<T>(
    statement: &Statement<'_>,
    range: RangeInclusive<T>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<T>
where
    T: FromStr + PartialOrd + std::fmt::Display,
{
    let word = argument(statement, diagnostics)?;
    let value = word.text.parse().ok().filter(|value| range.contains(value));
    if value.is_none() {
        let expected = format!("a whole number from {} to {}", range.start(), range.end());
        diagnostics.push(bad_value(statement, word, &expected));
    }
    value
}

/// A number of seconds with up to nine decimals, in a range.
pub(super) fn seconds(
    statement: &Statement<'_>,
    range: RangeInclusive<Duration>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Duration> {
    let word = argument(statement, diagnostics)?;
    let value = parse_seconds(word.text).filter(|value| range.contains(value));
    if value.is_none() {
        let expected =
            format!("seconds from {} to {}", range.start().as_secs_f64(), range.end().as_secs_f64());
        diagnostics.push(bad_value(statement, word, &expected));
    }
    value
}

/// A switch: nothing is on.
pub(super) fn boolean(statement: &Statement<'_>, diagnostics: &mut Vec<Diagnostic>) -> Option<bool> {
    let Some(word) = statement.arguments().first() else { return Some(true) };
    match word.text {
        "on" | "true" | "yes" => Some(true),
        "off" | "false" | "no" => Some(false),
        _ => {
            diagnostics.push(bad_value(statement, word, "on, true, yes, off, false or no"));
            None
        }
    }
}

/// An IP address.
pub(super) fn address(statement: &Statement<'_>, diagnostics: &mut Vec<Diagnostic>) -> Option<IpAddr> {
    let word = argument(statement, diagnostics)?;
    let value = word.text.parse().ok();
    if value.is_none() {
        diagnostics.push(bad_value(statement, word, "an IP address"));
    }
    value
}

fn bad_value(statement: &Statement<'_>, word: &Word<'_>, expected: &str) -> Diagnostic {
    let message = format!("bad value for `{}`", statement.keyword().text);
    Diagnostic::warning(word.span.clone(), message).label(format!("expected {expected}; the default is used"))
}

/// Decimal seconds, exactly: never through a float.
fn parse_seconds(text: &str) -> Option<Duration> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.len() > 9 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let nanos = if fraction.is_empty() { 0 } else { format!("{fraction:0<9}").parse().ok()? };
    Some(Duration::new(whole.parse::<u32>().ok()?.into(), nanos))
}

/// `IP[/LEN] [brd IP|+|-] [dev IF] [label NAME] [scope NAME]`.
pub(super) fn vip(statement: &Statement<'_>, diagnostics: &mut Vec<Diagnostic>) -> Option<Vip> {
    let word = statement.keyword();
    let (text, prefix) = match word.text.split_once('/') {
        Some((text, prefix)) => (text, Some(prefix)),
        None => (word.text, None),
    };
    let address = text.parse::<IpAddr>().ok();
    let full = if address.is_some_and(|a| a.is_ipv6()) { 128 } else { 32 };
    let prefix = prefix.map_or(Some(full), |prefix| prefix.parse().ok().filter(|p| (1..=full).contains(p)));
    let (Some(address), Some(prefix)) = (address, prefix) else {
        diagnostics.push(
            Diagnostic::error(word.span.clone(), "not an address")
                .help("write it as `192.0.2.10` or `192.0.2.10/24`"),
        );
        return None;
    };
    let mut vip = Vip { address, prefix, dev: None, label: None, broadcast: None, scope: None };
    let mut words = statement.arguments().iter();
    while let Some(word) = words.next() {
        let mut value = || words.next().map(|word| word.text.to_owned());
        match word.text {
            "dev" => vip.dev = value(),
            "label" => vip.label = value(),
            "brd" | "broadcast" => vip.broadcast = value().and_then(|text| broadcast(&text, address, prefix)),
            "scope" => vip.scope = value().and_then(|text| scope(&text)),
            other => {
                let message = format!("`{other}` of an address is not supported yet");
                diagnostics
                    .push(Diagnostic::warning(word.span.clone(), message).label("ignored from here on"));
                break;
            }
        }
    }
    Some(vip)
}

fn broadcast(text: &str, address: IpAddr, prefix: u8) -> Option<std::net::Ipv4Addr> {
    let IpAddr::V4(address) = address else { return None };
    let host = u32::MAX.checked_shr(prefix.into()).unwrap_or(0);
    match text {
        "+" => Some((u32::from(address) | host).into()),
        "-" => Some((u32::from(address) & !host).into()),
        text => text.parse().ok(),
    }
}

/// The names of `rt_scopes`, or a number.
fn scope(text: &str) -> Option<u8> {
    match text {
        "global" => Some(0),
        "site" => Some(200),
        "link" => Some(253),
        "host" => Some(254),
        "nowhere" => Some(255),
        text => text.parse().ok(),
    }
}

/// A command line as a list of arguments: split at white space, with `'…'`, `"…"` and `\` as a shell would, but no
/// shell. `None` if a quote is not closed.
pub(super) fn command(text: &str) -> Option<Vec<String>> {
    let mut arguments = Vec::new();
    let mut current: Option<String> = None;
    let mut quote = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                current.get_or_insert_default();
            }
            (None | Some('"'), '\\') => current.get_or_insert_default().extend(chars.next()),
            (None, c) if c.is_whitespace() => arguments.extend(current.take()),
            (_, c) => current.get_or_insert_default().push(c),
        }
    }
    arguments.extend(current);
    quote.is_none().then_some(arguments)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_exact() {
        assert_eq!(parse_seconds("0.01"), Some(Duration::from_millis(10)));
        assert_eq!(parse_seconds("1"), Some(Duration::from_secs(1)));
        assert_eq!(parse_seconds("2.5"), Some(Duration::from_millis(2500)));
        for bad in ["", ".", "-1", "1.", "1e3", "0.0000000001", "one"] {
            // "1." is what keepalived's strtod takes for 1; so do we.
            assert_eq!(parse_seconds(bad).is_some(), bad == "1.", "{bad}");
        }
    }

    #[test]
    fn commands_split_without_a_shell() {
        let split = |text| command(text).unwrap();
        assert_eq!(split("/bin/check  -x 'a b' \"c d\" e\\ f"), ["/bin/check", "-x", "a b", "c d", "e f"]);
        assert_eq!(split("/bin/check $(reboot) ; `x`"), ["/bin/check", "$(reboot)", ";", "`x`"]);
        assert_eq!(command("/bin/check 'a"), None);
    }
}
