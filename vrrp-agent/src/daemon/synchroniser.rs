//! The sync daemon of IPVS follows an instance: it tells while that is master, and listens while it is not. The kernel may take a
//! while to stop one, which neither addresses nor adverts wait for.

use std::time::Duration;

use tokio::sync::watch::{Receiver, Sender, channel};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::timeout;

use crate::config::{Config, SyncDaemon};
use crate::dataplane::Slot;
use crate::net::ipvs::{self, Part};
use crate::vrrp::State;

/// What is to run.
type Wanted = Option<(SyncDaemon, Option<Part>)>;

/// Whoever has the daemon follow.
#[derive(Debug)]
pub(super) struct Synchroniser {
    daemon: Option<SyncDaemon>,
    part: Option<Part>,
    wanted: Sender<Wanted>,
    task: Option<JoinHandle<()>>,
}

impl Synchroniser {
    pub(super) fn new(config: &Config) -> Self {
        let (wanted, wishes) = channel(None);
        let task = tokio::spawn(follow(wishes));
        Self { daemon: config.sync_daemon.clone(), part: None, wanted, task: Some(task) }
    }

    /// An instance has come to this.
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

    /// Follows another configuration, in which this is what the instance that is followed then is.
    pub(super) fn change(&mut self, config: &Config, is_master: impl Fn(Slot) -> bool) {
        let before = std::mem::replace(&mut self.daemon, config.sync_daemon.clone());
        match (&self.daemon, before) {
            (Some(daemon), _) => {
                let part = if is_master(daemon.instance) { Part::Master } else { Part::Backup };
                self.part = Some(part);
                self.tell();
            }
            // Told under its old settings that it is to end.
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

    /// Lets what is still to be done be done.
    pub(super) fn finish(&mut self, patience: Duration) -> impl Future<Output = ()> + use<> {
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

/// Has the kernel do what is wanted last, until nobody wants anything.
async fn follow(mut wishes: Receiver<Wanted>) {
    let mut runs: Option<(SyncDaemon, Part)> = None;
    while wishes.changed().await.is_ok() {
        let Some((daemon, part)) = wishes.borrow_and_update().clone() else { continue };
        // Its instance may have another number, which is nothing to the kernel.
        let same = runs.as_ref().is_some_and(|(running, playing)| {
            let instance = daemon.instance;
            SyncDaemon { instance, ..running.clone() } == daemon && Some(*playing) == part
        });
        if same {
            continue;
        }
        let settings = daemon.clone();
        match spawn_blocking(move || ipvs::set(&settings, part)).await {
            Ok(Ok(())) => runs = part.map(|part| (daemon, part)),
            Ok(Err(error)) => {
                runs = None;
                tracing::error!("lvs_sync_daemon on {}: {error}", daemon.interface);
            }
            Err(_panicked) => return,
        }
    }
}
