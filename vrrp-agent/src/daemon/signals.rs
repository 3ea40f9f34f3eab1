//! The signals of a daemon.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::UnboundedSender;

use super::service::Dump;

/// What a signal asks for while the daemon goes on.
#[derive(Clone, Copy, Debug)]
pub(super) enum Request {
    Reload,
    Dump(Dump),
}

/// The signals of a daemon.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    dump_data: Signal,
    dump_statistics: Signal,
    overrun: Signal,
}

impl Signals {
    pub(super) fn register() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            dump_data: signal(SignalKind::user_defined1())?,
            dump_statistics: signal(SignalKind::user_defined2())?,
            overrun: signal(SignalKind::from_raw(nix::libc::SIGXCPU))?,
        })
    }

    /// Until SIGTERM or SIGINT; the others are answered.
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
                _ = self.dump_statistics.recv() => {
                    let _ending = requests.send(Request::Dump(Dump::Statistics));
                }
            }
        }
    }
}
