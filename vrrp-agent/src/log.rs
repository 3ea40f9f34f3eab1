//! The destinations of the log: the console, syslog with a facility, or systemd's journal with fields. The agent never waits
//! for the reader of its log: a terminal, a syslog or a journal that hangs must not hold up an address, so lines that are not
//! taken at once are lost.

use std::io::{self, IsTerminal as _, Write};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::str::FromStr;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_appender::non_blocking::WorkerGuard;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::debug_fn;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, fmt};

const NAME: &str = "vrrp-agent";
const SYSLOG: &str = "/dev/log";
const JOURNAL: &str = "/run/systemd/journal/socket";

/// The destination of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Standard error output.
    Console,
    /// syslog, with this facility.
    Syslog(Facility),
    /// systemd's journal.
    Journal,
}

/// A facility of syslog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Facility {
    /// `user`.
    User,
    /// `daemon`.
    Daemon,
    /// `local0` to `local7`.
    Local(u8),
}

impl Facility {
    /// The facility's number (RFC 5424 section 6.2.1).
    fn code(self) -> u8 {
        match self {
            Self::User => 1,
            Self::Daemon => 3,
            Self::Local(number) => 16 + number,
        }
    }
}

impl FromStr for Facility {
    type Err = NoFacility;

    /// Reads a facility as `keepalived -S` does.
    fn from_str(text: &str) -> Result<Self, NoFacility> {
        match text {
            "user" => Ok(Self::User),
            "daemon" => Ok(Self::Daemon),
            text => match text.strip_prefix("local").unwrap_or(text).parse() {
                Ok(number @ 0..=7) => Ok(Self::Local(number)),
                Ok(_) | Err(_) => Err(NoFacility),
            },
        }
    }
}

/// The text names no facility that the agent uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected: 0 to 7, local0 to local7, user or daemon")]
pub struct NoFacility;

/// Returns true if systemd has connected the standard error output with its journal.
#[must_use]
pub fn journal_is_listening() -> bool {
    std::env::var_os("JOURNAL_STREAM").is_some() && Path::new(JOURNAL).exists()
}

/// Begins to log. Lines that still wait to be written are written when the returned guard is dropped.
///
/// # Errors
/// If the socket cannot be opened.
pub fn start(target: Target, detail: bool) -> io::Result<Option<WorkerGuard>> {
    let level = if detail { LevelFilter::DEBUG } else { LevelFilter::INFO };
    let mut filter = EnvFilter::builder()
        .with_env_var("VRRP_AGENT_LOG")
        .with_default_directive(level.into())
        .from_env_lossy();
    // netlink's crates log every message at debug level, and at the end warn of each message that no task waits for any more.
    for quiet in
        ["netlink_proto=error", "rtnetlink=warn", "netlink_packet_route=error", "aya=info", "aya_obj=info"]
    {
        filter = filter.add_directive(quiet.parse().expect("a valid directive"));
    }
    let registry = tracing_subscriber::registry().with(filter);
    match target {
        Target::Console => {
            let (writer, guard) = tracing_appender::non_blocking(io::stderr());
            let layer = fmt::layer()
                .fmt_fields(message_only())
                .with_target(false)
                .with_ansi(io::stderr().is_terminal())
                .with_writer(writer);
            registry.with(layer).init();
            Ok(Some(guard))
        }
        Target::Syslog(facility) => {
            let writer = Syslog { facility, socket: Listener::new(SYSLOG)? };
            let layer = fmt::layer()
                .fmt_fields(message_only())
                .without_time()
                .with_level(false)
                .with_target(false)
                .with_ansi(false)
                .with_writer(writer);
            registry.with(layer).init();
            Ok(None)
        }
        Target::Journal => {
            registry.with(Journal { socket: Listener::new(JOURNAL)? }).init();
            Ok(None)
        }
    }
}

/// Writes the message without its fields. The fields are for the journal; people read their values in the message.
fn message_only() -> impl for<'w> fmt::FormatFields<'w> + 'static {
    debug_fn(|writer, field, value| match field.name() {
        "message" => write!(writer, "{value:?}"),
        _ => Ok(()),
    })
}

/// A program that listens at a path. It may start later than the agent, or be started again, which makes another socket of the
/// path.
struct Listener {
    path: &'static str,
    socket: UnixDatagram,
}

impl Listener {
    fn new(path: &'static str) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        Ok(Self { path, socket })
    }

    /// Sends a line, which is lost if it is not taken at once: this never waits.
    fn send(&self, bytes: &[u8]) {
        if let Err(error) = self.socket.send(bytes)
            && error.kind() != io::ErrorKind::WouldBlock
            && self.socket.connect(self.path).is_ok()
        {
            let _lost = self.socket.send(bytes);
        }
    }
}

/// Severity of a level (RFC 5424 section 6.2.1).
fn severity(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        _ => 7,
    }
}

/// Lines to syslog, as the C library writes them.
struct Syslog {
    facility: Facility,
    socket: Listener,
}

/// A line that is sent once it is complete.
struct SyslogLine<'s> {
    socket: &'s Listener,
    bytes: Vec<u8>,
}

impl Syslog {
    fn line(&self, level: Level) -> SyslogLine<'_> {
        let priority = self.facility.code() << 3 | severity(level);
        let head = format!("<{priority}>{NAME}[{}]: ", std::process::id());
        SyslogLine { socket: &self.socket, bytes: head.into_bytes() }
    }
}

impl<'s> MakeWriter<'s> for Syslog {
    type Writer = SyslogLine<'s>;

    fn make_writer(&'s self) -> Self::Writer {
        self.line(Level::INFO)
    }

    fn make_writer_for(&'s self, metadata: &Metadata<'_>) -> Self::Writer {
        self.line(*metadata.level())
    }
}

impl Write for SyslogLine<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for SyslogLine<'_> {
    fn drop(&mut self) {
        self.socket.send(self.bytes.trim_ascii_end());
    }
}

/// Events to the journal in its own protocol, each field by its name.
struct Journal {
    socket: Listener,
}

impl<S: Subscriber> Layer<S> for Journal {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let mut fields = Fields(Vec::new());
        fields.push("PRIORITY", &severity(*event.metadata().level()).to_string());
        fields.push("SYSLOG_IDENTIFIER", NAME);
        event.record(&mut fields);
        self.socket.send(&fields.0);
    }
}

struct Fields(Vec<u8>);

impl Fields {
    /// Adds a field. A value of several lines has its length before it.
    fn push(&mut self, name: &str, value: &str) {
        self.0.extend_from_slice(name.as_bytes());
        if value.contains('\n') {
            self.0.push(b'\n');
            self.0.extend_from_slice(&(value.len() as u64).to_le_bytes());
        } else {
            self.0.push(b'=');
        }
        self.0.extend_from_slice(value.as_bytes());
        self.0.push(b'\n');
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let text = format!("{value:?}");
        match field.name() {
            "message" => self.push("MESSAGE", &text),
            name => self.push(&format!("VRRP_{}", name.to_uppercase().replace(['.', '-'], "_")), &text),
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expectations by hand, from the journal's native protocol and RFC 5424.
    #[test]
    fn fields_and_priorities() {
        let mut fields = Fields(Vec::new());
        fields.push("A", "b");
        fields.push("C", "d\ne");
        assert_eq!(fields.0, b"A=b\nC\n\x03\0\0\0\0\0\0\0d\ne\n");
        assert_eq!(
            (Facility::Daemon.code(), Facility::Local(0).code(), Facility::Local(7).code()),
            (3, 16, 23)
        );
        for (text, expected) in [
            ("0", Ok(Facility::Local(0))),
            ("local7", Ok(Facility::Local(7))),
            ("user", Ok(Facility::User)),
            ("daemon", Ok(Facility::Daemon)),
            ("8", Err(NoFacility)),
            ("local", Err(NoFacility)),
            ("kern", Err(NoFacility)),
        ] {
            assert_eq!(text.parse(), expected, "{text}");
        }
        assert_eq!((severity(Level::ERROR), severity(Level::INFO), severity(Level::TRACE)), (3, 6, 7));
    }
}
