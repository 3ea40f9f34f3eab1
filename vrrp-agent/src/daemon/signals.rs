//! The signals of a daemon: those of keepalived, including those that its monitors send.

use clap::ValueEnum;
use nix::libc::{SIGRTMAX, SIGRTMIN};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;

use super::service::Dump;
use crate::dbus;

/// A request by a signal or a D-Bus client while the daemon goes on.
#[derive(Debug)]
pub(super) enum Request {
    Reload,
    Dump(Dump),
    /// Announce the addresses of this instance; the answer is true if they are ours.
    Announce(String, oneshot::Sender<bool>),
}

impl From<dbus::Request> for Request {
    fn from(dbus_request: dbus::Request) -> Self {
        match dbus_request {
            dbus::Request::Announce(name, done) => Self::Announce(name, done),
            dbus::Request::Reload => Self::Reload,
            dbus::Request::PrintData => Self::Dump(Dump::Data),
            dbus::Request::PrintStatistics => Self::Dump(Dump::Statistics),
            dbus::Request::ClearStatistics => {
                warn_of_clearing();
                Self::Dump(Dump::Statistics)
            }
        }
    }
}

fn warn_of_clearing() {
    tracing::warn!("counters are not cleared: compare with what was written before");
}

/// The signals by keepalived's names for them (`--signum`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum NamedSignal {
    /// Resign, give up the addresses, and end.
    #[value(name = "STOP")]
    Stop,
    /// Read the configuration again.
    #[value(name = "RELOAD")]
    Reload,
    /// Write configuration and state.
    #[value(name = "DATA")]
    Data,
    /// Write what was counted.
    #[value(name = "STATS")]
    Statistics,
    /// keepalived clears its counters then. Ours only grow, so that any number of readers can take differences.
    #[value(name = "STATS_CLEAR")]
    StatisticsClear,
    /// Write the state and what was counted as JSON.
    #[value(name = "JSON")]
    Json,
}

impl NamedSignal {
    /// The number of the signal, as in keepalived 2.2.7.
    #[must_use]
    pub fn number(self) -> i32 {
        match self {
            Self::Stop => SignalKind::terminate().as_raw_value(),
            Self::Reload => SignalKind::hangup().as_raw_value(),
            Self::Data => SignalKind::user_defined1().as_raw_value(),
            Self::Statistics => SignalKind::user_defined2().as_raw_value(),
            Self::StatisticsClear => SIGRTMAX() - 1,
            Self::Json => SIGRTMIN() + 2,
        }
    }

    fn register(self) -> std::io::Result<Signal> {
        signal(SignalKind::from_raw(self.number()))
    }
}

/// The signals of a daemon.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    dump_data: Signal,
    dump_statistics: Signal,
    clear_statistics: Signal,
    dump_json: Signal,
    overrun: Signal,
}

impl Signals {
    pub(super) fn register() -> std::io::Result<Self> {
        Ok(Self {
            terminate: NamedSignal::Stop.register()?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: NamedSignal::Reload.register()?,
            dump_data: NamedSignal::Data.register()?,
            dump_statistics: NamedSignal::Statistics.register()?,
            clear_statistics: NamedSignal::StatisticsClear.register()?,
            dump_json: NamedSignal::Json.register()?,
            overrun: signal(SignalKind::from_raw(nix::libc::SIGXCPU))?,
        })
    }

    /// Waits for SIGTERM or SIGINT, and answers the other signals meanwhile.
    pub(super) async fn asked_to_stop(&mut self, requests: &UnboundedSender<Request>) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hangup.recv() => {
                    let _ending = requests.send(Request::Reload);
                }
                _ = self.overrun.recv() => {
                    tracing::warn!("the protocol thread works for longer than vrrp_rlimit_rttime without a pause");
                }
                _ = self.dump_data.recv() => {
                    let _ending = requests.send(Request::Dump(Dump::Data));
                }
                _ = self.clear_statistics.recv() => {
                    warn_of_clearing();
                    let _ending = requests.send(Request::Dump(Dump::Statistics));
                }
                _ = self.dump_json.recv() => {
                    let _ending = requests.send(Request::Dump(Dump::Statistics));
                }
                _ = self.dump_statistics.recv() => {
                    let _ending = requests.send(Request::Dump(Dump::Statistics));
                }
            }
        }
    }
}
