//! Has the sync daemon of IPVS follow an instance: the daemon sends while the instance is master, and listens while it is not.
//! The kernel may take a while to stop a daemon; neither addresses nor adverts wait for that.

use std::time::Duration;

use tokio::sync::watch::{Receiver, Sender, channel};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{sleep, timeout};

use crate::config::{Config, SyncDaemon};
use crate::dataplane::Slot;
use crate::net::ipvs::{self, Part};
use crate::vrrp::State;

/// The pause between two tries.
const PAUSE: Duration = Duration::from_secs(10);

/// The settings of the daemon and the part that it is to play; without a part it is to end.
type Wanted = Option<(SyncDaemon, Option<Part>)>;

/// Has the sync daemon follow its instance.
#[derive(Debug)]
pub(super) struct IpvsSync {
    daemon: Option<SyncDaemon>,
    part: Option<Part>,
    wanted: Sender<Wanted>,
    task: Option<JoinHandle<()>>,
}

impl IpvsSync {
    pub(super) fn new(config: &Config) -> Self {
        let (wanted, wishes) = channel(None);
        let task = tokio::spawn(follow(wishes));
        Self { daemon: config.sync_daemon.clone(), part: None, wanted, task: Some(task) }
    }

    /// Takes note of an instance's new state.
    pub(super) fn note(&mut self, slot: Slot, state: State) {
        if self.daemon.as_ref().is_some_and(|daemon| daemon.instance == slot) {
            self.part = match state {
                State::Master => Some(Part::Master),
                State::Backup | State::Fault => Some(Part::Backup),
                State::Initialize => None,
            };
            self.tell();
        }
    }

    /// Changes to another configuration. `is_master` says of the instance that is followed then if it is master.
    pub(super) fn change(&mut self, config: &Config, is_master: impl Fn(Slot) -> bool) {
        let before = std::mem::replace(&mut self.daemon, config.sync_daemon.clone());
        match (&self.daemon, before) {
            (Some(daemon), _) => {
                let part = if is_master(daemon.instance) { Part::Master } else { Part::Backup };
                self.part = Some(part);
                self.tell();
            }
            // The daemon is asked to end with its old settings.
            (None, Some(before)) => {
                self.part = None;
                let _ended = self.wanted.send(Some((before, None)));
            }
            (None, None) => {}
        }
    }

    fn tell(&self) {
        if let Some(daemon) = &self.daemon {
            let _ended = self.wanted.send(Some((daemon.clone(), self.part)));
        }
    }

    /// Ends the daemon, however its instance has ended.
    pub(super) fn finish(&mut self, patience: Duration) -> impl Future<Output = ()> + use<> {
        self.part = None;
        self.tell();
        let task = self.task.take();
        self.wanted = channel(None).0;
        async move {
            if let Some(task) = task
                && timeout(patience, task).await.is_err()
            {
                tracing::warn!("the kernel takes too long to stop the sync daemon of IPVS");
            }
        }
    }
}

/// Has the kernel do what is wanted last, until the sender is gone. A request that the kernel refuses is repeated: the
/// interface may come, and the module.
async fn follow(mut wishes: Receiver<Wanted>) {
    let mut runs: Option<(SyncDaemon, Part)> = None;
    let mut refused = None;
    loop {
        tokio::select! {
            changed = wishes.changed() => {
                if changed.is_err() {
                    return;
                }
            }
            () = sleep(PAUSE), if refused.is_some() => {}
        }
        let Some((daemon, part)) = wishes.borrow_and_update().clone() else { continue };
        // The slot of its instance may have changed, which is nothing to the kernel.
        let same = runs.as_ref().is_some_and(|(running, playing)| {
            let instance = daemon.instance;
            SyncDaemon { instance, ..running.clone() } == daemon && Some(*playing) == part
        });
        if same {
            refused = None;
            continue;
        }
        let settings = daemon.clone();
        match spawn_blocking(move || ipvs::set(&settings, part)).await {
            Ok(Ok(())) => {
                runs = part.map(|part| (daemon, part));
                refused = None;
            }
            Ok(Err(error)) => {
                runs = None;
                let now = format!("lvs_sync_daemon on {}: {error}", daemon.interface);
                // An error that repeats is logged once.
                if refused.as_ref() != Some(&now) {
                    tracing::error!("{now}; it is tried again");
                    refused = Some(now);
                }
            }
            Err(_panicked) => return,
        }
    }
}
