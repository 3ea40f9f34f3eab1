//! `authentication` and `auth_hmac` of an instance. Only newer versions of keepalived know `auth_hmac`. A bad `auth_hmac` is an
//! error, because the routers would not accept each other's adverts.

use std::time::Duration;

use vrrp_ebpf::advert::AUTH_DATA;

use super::super::diagnostic::Diagnostic;
use super::super::files::Files;
use super::super::keywords::Block;
use super::super::model::{Authentication, HmacKey, HmacKeys, HmacMode, Replay};
use super::super::syntax::{Statement, Word};
use super::super::value;
use super::{block, unrecognised};

/// Allowed length of a key of `auth_hmac`, in bytes.
const SECRET: std::ops::RangeInclusive<usize> = 32..=64;
const NOT_HEARD: &str = "without a valid `auth_hmac` the routers would not accept each other's adverts, and each would become master";

/// Reads `authentication`.
pub(super) fn read(statement: &Statement, diagnostics: &mut Vec<Diagnostic>) -> Option<Authentication> {
    let (mut kind, mut password) = (None, None);
    for statement in block(statement, diagnostics) {
        match statement.keyword().text.as_str() {
            "auth_type" => kind = value::argument(statement, diagnostics),
            "auth_pass" => password = value::argument(statement, diagnostics),
            _ => unrecognised(Block::Authentication, statement, diagnostics),
        }
    }
    match (kind?.text.as_str(), password) {
        ("PASS", Some(word)) => Some(Authentication::Pass(pad(word, diagnostics))),
        ("AH", Some(word)) => Some(Authentication::Ah(pad(word, diagnostics))),
        ("PASS" | "AH", None) => {
            diagnostics.push(
                Diagnostic::warning(statement.span(), "authentication without a password")
                    .label("no authentication is used")
                    .help("add `auth_pass` on a line of its own"),
            );
            None
        }
        (other, _) => {
            let message = format!("unknown authentication type `{other}`");
            diagnostics.push(
                Diagnostic::warning(kind?.span, message)
                    .label("no authentication is used; expected PASS or AH")
                    .help("all routers of a virtual router need the same authentication"),
            );
            None
        }
    }
}

fn pad(word: &Word, diagnostics: &mut Vec<Diagnostic>) -> [u8; AUTH_DATA] {
    let bytes = word.text.as_bytes();
    if bytes.len() > AUTH_DATA {
        diagnostics.push(
            Diagnostic::warning(word.span, "a password longer than 8 bytes")
                .label("only the first 8 bytes are used, as by the other routers"),
        );
    }
    let mut padded = [0; AUTH_DATA];
    for (to, from) in padded.iter_mut().zip(bytes) {
        *to = *from;
    }
    padded
}

/// The values of `auth_hmac`. The default of the time window depends on the advertisement interval, so [`Hmac::complete`] sets
/// it.
#[derive(Clone, Debug)]
pub(super) struct Hmac {
    keys: Vec<HmacKey>,
    active: Option<u8>,
    monotonic: bool,
    window: Option<Duration>,
    mode: HmacMode,
}

/// Reads `auth_hmac`.
pub(super) fn read_hmac(statement: &Statement, files: &dyn Files, diagnostics: &mut Vec<Diagnostic>) -> Hmac {
    let mut hmac =
        Hmac { keys: Vec::new(), active: None, monotonic: false, window: None, mode: HmacMode::Enforce };
    for statement in block(statement, diagnostics) {
        match statement.keyword().text.as_str() {
            "key" => {
                let key = key(statement, &hmac.keys, files, diagnostics);
                hmac.keys.extend(key);
            }
            "active_key" => hmac.active = value::number(Block::AuthHmac, statement, diagnostics),
            "anti_replay" => match value::argument(statement, diagnostics).map(|word| word.text.as_str()) {
                Some("time") => hmac.monotonic = false,
                Some("monotonic") => hmac.monotonic = true,
                _ => diagnostics.push(refused(statement, "`anti_replay` must be `time` or `monotonic`")),
            },
            "time_window" => {
                hmac.window = value::seconds(Block::AuthHmac, statement, diagnostics);
            }
            "mode" => match value::argument(statement, diagnostics).map(|word| word.text.as_str()) {
                Some("enforce") => hmac.mode = HmacMode::Enforce,
                Some("permissive") => hmac.mode = HmacMode::Permissive,
                Some("receive-only") => hmac.mode = HmacMode::ReceiveOnly,
                _ => diagnostics
                    .push(refused(statement, "`mode` must be `enforce`, `permissive` or `receive-only`")),
            },
            _ => unrecognised(Block::AuthHmac, statement, diagnostics),
        }
    }
    if hmac.keys.is_empty() {
        diagnostics.push(refused(statement, "`auth_hmac` without a valid key"));
    } else if hmac.active.is_some_and(|active| hmac.keys.iter().all(|key| key.id != active)) {
        diagnostics.push(refused(statement, "`active_key` is not the number of a valid key"));
    }
    hmac
}

fn refused(statement: &Statement, message: &str) -> Diagnostic {
    Diagnostic::error(statement.span(), message.to_owned()).label(NOT_HEARD)
}

/// Reads `key ID [hex:|file:]VALUE`.
fn key(
    statement: &Statement,
    others: &[HmacKey],
    files: &dyn Files,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<HmacKey> {
    let [id, value] = statement.arguments() else {
        diagnostics.push(refused(statement, "expected `key NUMBER VALUE`"));
        return None;
    };
    let id = id.text.parse().ok().filter(|id| others.iter().all(|key| key.id != *id));
    let secret = secret(&value.text, files).and_then(|secret| match SECRET.contains(&secret.len()) {
        true => Ok(secret),
        false => Err(format!("a key of {} bytes instead of 32 to 64", secret.len())),
    });
    match (id, secret) {
        (Some(id), Ok(secret)) => Some(HmacKey { id, secret }),
        (None, _) => {
            diagnostics.push(refused(statement, "a key needs a number of its own, from 0 to 255"));
            None
        }
        (Some(_), Err(what)) => {
            let help = "write 32 to 64 bytes as text, as `hex:…`, or in a file as `file:/path`";
            diagnostics.push(Diagnostic::error(value.span, what).label(NOT_HEARD).help(help));
            None
        }
    }
}

/// Returns the bytes of a key. The error says what is wrong with the key, and never contains the key itself.
fn secret(text: &str, files: &dyn Files) -> Result<Vec<u8>, String> {
    if let Some(digits) = text.strip_prefix("hex:") {
        let digit = |c: char| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let digits: Option<Vec<u8>> = digits.chars().map(digit).collect();
        let digits = digits.filter(|digits| digits.len().is_multiple_of(2));
        let digits = digits.ok_or("a key that is not an even number of hexadecimal digits")?;
        return Ok(digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect());
    }
    if let Some(path) = text.strip_prefix("file:") {
        let text = files.read(path.as_ref()).map_err(|error| error.to_string())?;
        return Ok(text.trim_end().as_bytes().to_vec());
    }
    Ok(text.as_bytes().to_vec())
}

impl Hmac {
    /// Returns the keys of an instance with this advertisement interval.
    pub(super) fn finish(self, interval: Duration) -> HmacKeys {
        let window = self.window.unwrap_or_else(|| (3 * interval).max(Duration::from_secs(5)));
        HmacKeys {
            active: self.active.or(self.keys.first().map(|key| key.id)).unwrap_or_default(),
            keys: self.keys,
            replay: if self.monotonic { Replay::Monotonic } else { Replay::Window(window) },
            mode: self.mode,
        }
    }
}
