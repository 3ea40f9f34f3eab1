//! Parsers of the values of keywords. As with keepalived, a bad value is a warning and the default stays. A missing value is an
//! error where keepalived ends too.

use std::net::IpAddr;
use std::time::Duration;

pub(super) use super::command::command;
use super::diagnostic::Diagnostic;
use super::keywords::{self, Block, Value};
use super::model::{AddressTrait, Vip};
use super::routing::{Prefix, scope};
use super::syntax::{Statement, Word};

/// Keywords whose missing value keepalived ignores. If the value of another keyword is missing, keepalived ends.
const MAY_LACK_VALUE: [&str; 42] = [
    "bfd_priority",
    "bfd_rt_priority",
    "checker_priority",
    "checker_rt_priority",
    "dbus_service_name",
    "default_interface",
    "garp_interval",
    "gna_interval",
    "instance",
    "iproute_etc_dir",
    "iproute_usr_dir",
    "json_version",
    "kernel_rx_buf_size",
    "lvs_netlink_cmd_rcv_bufs",
    "lvs_netlink_monitor_rcv_bufs",
    "lvs_sync_daemon",
    "min_auto_priority_delay",
    "net_namespace",
    "notification_email_from",
    "notify_fifo",
    "notify_fifo_script",
    "process_monitor_rcv_bufs",
    "raise",
    "router_id",
    "script",
    "script_user",
    "shutdown_script",
    "shutdown_script_timeout",
    "smtp_helo_name",
    "snmp_socket",
    "startup_script",
    "startup_script_timeout",
    "vrrp_cpu_affinity",
    "vrrp_delay_after_boot",
    "vrrp_netlink_cmd_rcv_bufs",
    "vrrp_netlink_monitor_rcv_bufs",
    "vrrp_notify_fifo",
    "vrrp_notify_fifo_script",
    "vrrp_priority",
    "vrrp_rt_priority",
    "vrrp_rx_bufs_multiplier",
    "weight",
];

/// Returns the one argument that a keyword needs. Further arguments are ignored silently, as keepalived does.
pub(super) fn argument<'s>(statement: &'s Statement, diagnostics: &mut Vec<Diagnostic>) -> Option<&'s Word> {
    let keyword = statement.keyword();
    match statement.arguments() {
        [] => {
            let message = format!("`{}` needs a value", keyword.text);
            diagnostics.push(if MAY_LACK_VALUE.contains(&keyword.text.as_str()) {
                Diagnostic::warning(keyword.span, message).label("ignored")
            } else {
                Diagnostic::error(keyword.span, message).help("write a value after it, or remove the keyword")
            });
            None
        }
        [word] => Some(word),
        [word, surplus @ ..] => {
            let message = format!("`{}` takes one value", keyword.text);
            let span = surplus[0].span.to(statement.span());
            diagnostics
                .push(Diagnostic::note(span, message).label("ignored; a statement ends with its line"));
            Some(word)
        }
    }
}

/// Parses a whole number in the range of its keyword.
pub(super) fn number<T: TryFrom<u32>>(
    block: Block,
    statement: &Statement,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<T> {
    let word = argument(statement, diagnostics)?;
    let kind = kind(block, statement);
    let range = match kind {
        Value::Number { min, max } | Value::Quantity { min, max, .. } => min..=max,
        _ => unreachable!("`{}` is read as a number", statement.keyword().text),
    };
    let value = word.text.parse::<u32>().ok().filter(|value| range.contains(value));
    let value = value.and_then(|value| T::try_from(value).ok());
    if value.is_none() {
        diagnostics.push(bad_value(statement, word, &kind.describe()));
    }
    value
}

/// Parses a number of seconds with up to nine decimals, in the range of its keyword.
pub(super) fn seconds(
    block: Block,
    statement: &Statement,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Duration> {
    let word = argument(statement, diagnostics)?;
    let kind = kind(block, statement);
    let range = match kind {
        Value::Seconds { min_ns, max_ns } => Duration::from_nanos(min_ns)..=Duration::from_nanos(max_ns),
        Value::Quantity { min, max, .. } => Duration::from_secs(min.into())..=Duration::from_secs(max.into()),
        _ => unreachable!("`{}` is read as seconds", statement.keyword().text),
    };
    let value = parse_seconds(&word.text).filter(|value| range.contains(value));
    if value.is_none() {
        diagnostics.push(bad_value(statement, word, &kind.describe()));
    }
    value
}

/// Parses a whole number that may be negative, in the range of its keyword.
pub(super) fn integer(block: Block, statement: &Statement, diagnostics: &mut Vec<Diagnostic>) -> Option<i32> {
    let word = argument(statement, diagnostics)?;
    let kind = kind(block, statement);
    let Value::Integer { min, max } = kind else {
        unreachable!("`{}` is read as a number that may be negative", statement.keyword().text)
    };
    let value = word.text.parse().ok().filter(|value| (min..=max).contains(value));
    if value.is_none() {
        diagnostics.push(bad_value(statement, word, &kind.describe()));
    }
    value
}

/// Reports a bad value of a keyword that this daemon does not use, as keepalived would.
pub(super) fn check(block: Block, statement: &Statement, diagnostics: &mut Vec<Diagnostic>) {
    let Some(keyword) = keywords::lookup(block, &statement.keyword().text) else { return };
    match keyword.value {
        Value::Number { .. } | Value::Quantity { .. } => drop(number::<u32>(block, statement, diagnostics)),
        Value::Integer { .. } => {
            integer(block, statement, diagnostics);
        }
        Value::Seconds { .. } => drop(seconds(block, statement, diagnostics)),
        Value::Switch => drop(boolean(statement, diagnostics)),
        Value::Ip => drop(address(statement, diagnostics)),
        Value::Nothing
        | Value::Weight { .. }
        | Value::Text
        | Value::Command
        | Value::CommandAs
        | Value::Choice(_)
        | Value::Section(_)
        | Value::Named(_)
        | Value::Lines(_)
        | Value::Rest(_) => {}
    }
}

/// Returns the kind of value from the keyword table. The table has every keyword whose value is parsed; a test parses them all.
fn kind(block: Block, statement: &Statement) -> Value {
    keywords::lookup(block, &statement.keyword().text)
        .expect("each keyword that is read stands in the table")
        .value
}

/// Parses a boolean. No value means on.
pub(super) fn boolean(statement: &Statement, diagnostics: &mut Vec<Diagnostic>) -> Option<bool> {
    let Some(word) = statement.arguments().first() else { return Some(true) };
    match word.text.as_str() {
        "on" | "true" | "yes" => Some(true),
        "off" | "false" | "no" => Some(false),
        _ => {
            diagnostics.push(bad_value(statement, word, "on, true, yes, off, false or no"));
            None
        }
    }
}

/// Parses an IP address.
pub(super) fn address(statement: &Statement, diagnostics: &mut Vec<Diagnostic>) -> Option<IpAddr> {
    let word = argument(statement, diagnostics)?;
    let value = without_prefix(word, diagnostics).parse().ok();
    if value.is_none() {
        diagnostics.push(bad_value(statement, word, "an IP address"));
    }
    value
}

/// Returns the text before a `/`. Where an address has no prefix length, keepalived ignores the text behind the `/`.
pub(super) fn without_prefix<'w>(word: &'w Word, diagnostics: &mut Vec<Diagnostic>) -> &'w str {
    let Some((address, prefix)) = word.text.split_once('/') else { return &word.text };
    let message = format!("`/{prefix}` after the address of a router");
    diagnostics
        .push(Diagnostic::note(word.span, message).label("ignored: expected an address, not a network"));
    address
}

fn bad_value(statement: &Statement, word: &Word, expected: &str) -> Diagnostic {
    let message = format!("bad value for `{}`", statement.keyword().text);
    Diagnostic::warning(word.span, message).label(format!("expected: {expected}; the default is used"))
}

/// Parses decimal seconds exactly, without floating point numbers.
pub(super) fn parse_seconds(text: &str) -> Option<Duration> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.len() > 9 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let nanos = if fraction.is_empty() { 0 } else { format!("{fraction:0<9}").parse().ok()? };
    // `.5` is a valid number too.
    let whole = if whole.is_empty() && !fraction.is_empty() { "0" } else { whole };
    Some(Duration::new(whole.parse::<u32>().ok()?.into(), nanos))
}

/// Parses `IP[/LEN]` and the options of the address.
pub(super) fn vip(statement: &Statement, diagnostics: &mut Vec<Diagnostic>) -> Option<Vip> {
    let word = statement.keyword();
    let (text, length) = match word.text.split_once('/') {
        Some((text, length)) => (text, Some(length)),
        None => (word.text.as_str(), None),
    };
    let Ok(address) = text.parse::<IpAddr>() else {
        diagnostics.push(
            Diagnostic::warning(word.span, "not an IP address")
                .label("ignored")
                .help("write one address on each line, as `192.0.2.10` or `192.0.2.10/24`"),
        );
        return None;
    };
    let mut vip = Vip::plain(address, prefix_length(address, length, word, diagnostics));
    let mut words = statement.arguments().iter();
    while let Some(word) = words.next() {
        let name = word.text.as_str();
        if let Some(said) = AddressTrait::ALL.into_iter().find(|said| said.word() == name) {
            vip.traits.insert(said);
            continue;
        }
        if !OPTIONS.contains(&name) {
            let message = format!("unknown option `{name}` of an address");
            diagnostics.push(Diagnostic::warning(word.span, message).label("ignored"));
            continue;
        }
        let Some(value) = words.next() else {
            let message = format!("`{name}` of an address needs a value");
            diagnostics.push(Diagnostic::warning(word.span, message).label("the address is left out"));
            return None;
        };
        if let Err(expected) = option(name, &value.text, &mut vip) {
            let message = format!("bad value `{}` for `{name}` of an address", value.text);
            // As with keepalived, a bad value of these options invalidates the address.
            let is_vital = matches!(name, "brd" | "broadcast") || (name == "label" && address.is_ipv4());
            let instead = if is_vital { "the address is left out" } else { "ignored" };
            let label = format!("expected {expected}; {instead}");
            diagnostics.push(Diagnostic::warning(value.span, message).label(label));
            if is_vital {
                return None;
            }
        }
    }
    Some(vip)
}

/// Returns the prefix length behind an address. As with keepalived, digits count up to the first other character, and a number
/// that is too large means the length of a whole address. Without a digit keepalived uses 0, which would make a route to all
/// addresses; here the length of a whole address is used.
fn prefix_length(
    address: IpAddr,
    length: Option<&str>,
    word: &Word,
    diagnostics: &mut Vec<Diagnostic>,
) -> u8 {
    let whole = if address.is_ipv6() { 128 } else { 32 };
    let Some(text) = length else { return whole };
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let within = text[..digits].parse().ok().filter(|length| (0..=whole).contains(length));
    let used = within.unwrap_or(whole);
    if text.is_empty() {
        diagnostics.push(
            Diagnostic::note(word.span, "a prefix length is missing after the `/`")
                .label(format!("/{used} is used")),
        );
    } else if within.is_none() || digits < text.len() {
        let message = format!("bad prefix length `{text}`");
        let mut complaint = Diagnostic::warning(word.span, message).label(format!("/{used} is used"));
        if let Some(length) = netmask(text) {
            complaint = complaint.help(format!("a netmask is not a prefix length: write `/{length}`"));
        }
        diagnostics.push(complaint);
    }
    used
}

/// Returns the prefix length of a netmask, or `None` if the text is not a netmask.
fn netmask(text: &str) -> Option<u32> {
    let bits = u32::from(text.parse::<std::net::Ipv4Addr>().ok()?);
    (bits.count_ones() == bits.leading_ones()).then_some(bits.leading_ones())
}

/// The options of an address that have a value.
const OPTIONS: [&str; 8] =
    ["brd", "broadcast", "dev", "label", "peer", "preferred_lft", "scope", "track_group"];

/// Sets one of [`OPTIONS`]. The error is the expected value.
fn option(name: &str, text: &str, vip: &mut Vip) -> Result<(), &'static str> {
    // The kernel's `IFNAMSIZ`, without the zero byte at the end.
    const NAME_MAX: usize = 15;
    match name {
        "dev" => vip.dev = Some(text.to_owned()),
        "label" if vip.address.is_ipv6() => return Err("no label: IPv6 addresses have none"),
        "label" if text.len() > NAME_MAX => return Err("15 bytes at most"),
        "label" => vip.label = Some(text.to_owned()),
        "peer" => {
            let peer = Prefix::parse(text).filter(|peer| peer.address.is_ipv4() == vip.address.is_ipv4());
            let peer = peer.ok_or("an address of the same family")?;
            // Without a prefix length the length of the address itself is used, as with keepalived, which accepts no length
            // here.
            let length = if text.contains('/') { peer.length } else { vip.prefix };
            vip.peer = Some(Prefix { length, ..peer });
        }
        "preferred_lft" => vip.preferred = Some(lifetime(text).ok_or("seconds, or `forever`")?),
        "scope" => vip.scope = Some(scope(text).ok_or("global, site, link, host, nowhere or a number")?),
        "track_group" => vip.track_group = Some(text.to_owned()),
        _ => {
            let broadcast = broadcast(text, vip.address, vip.prefix);
            vip.broadcast = Some(broadcast.ok_or("`+`, `-` or an IPv4 address, for an IPv4 address")?);
        }
    }
    Ok(())
}

/// Parses seconds, or `forever`.
fn lifetime(text: &str) -> Option<u32> {
    match text {
        "forever" => Some(u32::MAX),
        text => text.parse().ok(),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_exact() {
        assert_eq!(parse_seconds("0.01"), Some(Duration::from_millis(10)));
        assert_eq!(parse_seconds("1"), Some(Duration::from_secs(1)));
        assert_eq!(parse_seconds("2.5"), Some(Duration::from_millis(2500)));
        assert_eq!(parse_seconds(".5"), Some(Duration::from_millis(500)));
        for bad in ["", ".", "-1", "1.", "1e3", "0.0000000001", "one"] {
            // keepalived's strtod accepts "1." as 1, and so does this parser.
            assert_eq!(parse_seconds(bad).is_some(), bad == "1.", "{bad}");
        }
    }
}
