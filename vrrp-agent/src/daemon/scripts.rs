//! The check scripts that run: one task each, which outlives a reload if the script is the same.

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

use crate::config::{Config, Script, ScriptIndex};
use crate::track::{ScriptState, script};

/// Of which task.
type TaskId = u64;

/// The scripts of a configuration.
pub(super) struct Scripts {
    running: Vec<Running>,
    next: TaskId,
    reports: UnboundedSender<(TaskId, ScriptState)>,
    queue: UnboundedReceiver<(TaskId, ScriptState)>,
}

struct Running {
    id: TaskId,
    index: ScriptIndex,
    script: Script,
    task: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Scripts {
    /// None yet.
    pub(super) fn new() -> Self {
        let (reports, queue) = unbounded_channel();
        Self { running: Vec::new(), next: 0, reports, queue }
    }

    /// Runs the scripts of a configuration that an instance tracks; those that run already go on, all others end. Pairs of the
    /// index before and the index now of those that go on.
    pub(super) fn run(&mut self, config: &Config) -> Vec<(ScriptIndex, ScriptIndex)> {
        let mut before = std::mem::take(&mut self.running);
        let mut going_on = Vec::new();
        for (index, script) in config.scripts.iter().enumerate() {
            if !config.instances.iter().any(|i| i.tracked.iter().any(|tracked| tracked.script == index)) {
                continue;
            }
            match before.iter().position(|running| running.script == *script) {
                Some(at) => {
                    let mut running = before.swap_remove(at);
                    going_on.push((running.index, index));
                    running.index = index;
                    self.running.push(running);
                }
                None => self.start(index, script.clone()),
            }
        }
        going_on
    }

    fn start(&mut self, index: ScriptIndex, script: Script) {
        let (id, reports, name) = (self.next, self.reports.clone(), script.name.clone());
        self.next += 1;
        let task = tokio::spawn(script::run(script.clone(), move |state| {
            tracing::info!("script {name} is now {state:?}");
            let _ending = reports.send((id, state));
        }));
        self.running.push(Running { id, index, script, task });
    }

    /// The next script whose state has changed.
    pub(super) async fn changed(&mut self) -> (ScriptIndex, ScriptState) {
        loop {
            // We hold a sender, so that it never ends.
            let Some((id, state)) = self.queue.recv().await else { std::future::pending().await };
            // One that has ended meanwhile is nobody's any more.
            if let Some(running) = self.running.iter().find(|running| running.id == id) {
                return (running.index, state);
            }
        }
    }
}
