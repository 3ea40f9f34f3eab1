//! The objects that clients see: one for the daemon, one for each instance; keepalived's paths, interfaces and numbers.

use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;
use tokio::time::timeout;
use vrrp_ebpf::advert::Family;
use zbus::object_server::SignalEmitter;
use zbus::{fdo, interface};

use super::{Request, View, look};
use crate::config::Place;

/// The time that the daemon may be busy, with a reload, say.
const ANSWER: Duration = Duration::from_secs(5);

/// The status of an instance, in keepalived's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Status {
    Initialize = 0,
    Backup = 1,
    Master = 2,
    Fault = 3,
    Deleted = 97,
    Stopped = 98,
}

impl Status {
    pub(super) fn number(self) -> u32 {
        self as u32
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Initialize => "Init",
            Self::Backup => "Backup",
            Self::Master => "Master",
            Self::Fault => "Fault",
            Self::Deleted | Self::Stopped => "Unknown",
        }
    }
}

/// The beginning of the paths of a daemon's objects.
pub(super) fn root(place: &Place) -> String {
    let names = [&place.net_namespace, &place.instance].into_iter().flatten();
    names.fold("/org/keepalived/Vrrp1".to_owned(), |path, name| path + "/" + &element(name))
}

/// The daemon's object.
pub(super) fn daemon_path(root: &str) -> String {
    format!("{root}/Vrrp")
}

/// An instance's object.
pub(super) fn instance_path(root: &str, interface: &str, vrid: u8, family: Family) -> String {
    let family = match family {
        Family::V4 => "IPv4",
        Family::V6 => "IPv6",
    };
    format!("{root}/Instance/{}/{vrid}/{family}", element(interface))
}

/// Writes a name as an element of a path, which has letters, digits and `_` only.
fn element(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

/// The daemon.
pub(super) struct Daemon {
    pub(super) requests: UnboundedSender<Request>,
}

impl Daemon {
    fn request(&self, request: Request) {
        tracing::info!("D-Bus: a client asks for {request:?}");
        // The receiver only goes away when the daemon ends.
        let _ending = self.requests.send(request);
    }
}

#[interface(name = "org.keepalived.Vrrp1.Vrrp")]
impl Daemon {
    fn print_data(&self) {
        self.request(Request::PrintData);
    }

    fn print_stats(&self) {
        self.request(Request::PrintStatistics);
    }

    fn print_stats_clear(&self) {
        self.request(Request::ClearStatistics);
    }

    fn reload_config(&self) {
        self.request(Request::Reload);
    }

    #[zbus(signal)]
    pub(super) async fn vrrp_started(emitter: &SignalEmitter<'_>) -> zbus::Result<()>;

    #[zbus(signal)]
    pub(super) async fn vrrp_reloaded(emitter: &SignalEmitter<'_>) -> zbus::Result<()>;

    #[zbus(signal)]
    pub(super) async fn vrrp_stopped(emitter: &SignalEmitter<'_>) -> zbus::Result<()>;
}

/// An instance.
pub(super) struct Instance {
    pub(super) path: String,
    pub(super) view: View,
    pub(super) requests: UnboundedSender<Request>,
}

impl Instance {
    fn seen(&self) -> fdo::Result<(String, Status)> {
        let view = look(&self.view);
        let seen = view.iter().find(|seen| seen.path == self.path);
        let seen = seen.map(|seen| (seen.name.clone(), seen.status));
        seen.ok_or_else(|| {
            fdo::Error::UnknownObject(format!("{} is not in the configuration any more", self.path))
        })
    }
}

#[interface(name = "org.keepalived.Vrrp1.Instance")]
impl Instance {
    /// Announces the addresses. keepalived reports success even if it has nothing to announce.
    async fn send_garp(&self) -> fdo::Result<()> {
        let (name, _) = self.seen()?;
        tracing::info!("D-Bus: a client asks to announce the addresses of {name}");
        let (done, is_done) = oneshot::channel();
        if self.requests.send(Request::Announce(name.clone(), done)).is_err() {
            return Err(fdo::Error::Failed("the daemon is stopping".to_owned()));
        }
        match timeout(ANSWER, is_done).await {
            Ok(Ok(true)) => Ok(()),
            Ok(Ok(false)) => {
                Err(fdo::Error::Failed(format!("{name} is not master, so its addresses are not announced")))
            }
            Ok(Err(_)) => Err(fdo::Error::Failed(format!(
                "{name} is not in the configuration any more, or the daemon is stopping"
            ))),
            Err(_) => Err(fdo::Error::TimedOut("the daemon is busy".to_owned())),
        }
    }

    #[zbus(property)]
    fn name(&self) -> fdo::Result<String> {
        Ok(self.seen()?.0)
    }

    #[zbus(property)]
    fn state(&self) -> fdo::Result<(u32, String)> {
        let (_, status) = self.seen()?;
        Ok((status.number(), status.word().to_owned()))
    }

    #[zbus(signal)]
    pub(super) async fn vrrp_status_change(emitter: &SignalEmitter<'_>, status: u32) -> zbus::Result<()>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_have_what_d_bus_allows() {
        let place = |net_namespace: Option<&str>, instance: Option<&str>| Place {
            net_namespace: net_namespace.map(str::to_owned),
            instance: instance.map(str::to_owned),
        };
        assert_eq!(root(&place(None, None)), "/org/keepalived/Vrrp1");
        let root = root(&place(Some("red-1"), Some("lb")));
        assert_eq!(daemon_path(&root), "/org/keepalived/Vrrp1/red_1/lb/Vrrp");
        assert_eq!(
            instance_path(&root, "bond0.5", 7, Family::V6),
            "/org/keepalived/Vrrp1/red_1/lb/Instance/bond0_5/7/IPv6"
        );
    }
}
