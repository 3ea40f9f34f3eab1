//! Watches the tracked scripts, files and processes. The tasks outlive a reload if they would do the same after it.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;

use futures_util::future::join_all;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

use crate::config::{
    Config, FileIndex, ProcessIndex, Script, ScriptIndex, ScriptSecurity, TrackFile, TrackProcess,
    TrackTarget,
};
use crate::track::script::Report;
use crate::track::{Carried, TrackEvent, file, process, script};
use crate::vrrp::Condition;

/// The number of a task.
type TaskId = u64;

/// The report of a task.
#[derive(Clone, Debug)]
enum TaskReport {
    Script(Report),
    File(i32),
    /// A process, by its index in the task's list.
    Process(usize, Condition),
}

/// The known state of everything that is tracked, by name.
#[derive(Clone, Debug, Default)]
pub(super) struct TrackPage {
    pub(super) scripts: BTreeMap<String, Report>,
    /// The path and the number of each file.
    pub(super) files: BTreeMap<String, (PathBuf, i32)>,
    pub(super) processes: BTreeMap<String, Condition>,
    /// True for an interface that can carry frames; none for an interface that does not exist.
    pub(super) interfaces: BTreeMap<String, Option<bool>>,
}

/// The page that trackers write, and that all readers share.
pub(super) type SharedPage = Rc<RefCell<TrackPage>>;

/// The trackers of a configuration.
pub(super) struct TrackerTasks {
    scripts: Vec<Running<ScriptIndex, Script>>,
    /// The script security with which the scripts run.
    security: ScriptSecurity,
    page: SharedPage,
    files: Vec<Running<FileIndex, TrackFile>>,
    processes: Option<Processes>,
    next: TaskId,
    reports: UnboundedSender<(TaskId, TaskReport)>,
    queue: UnboundedReceiver<(TaskId, TaskReport)>,
}

/// A task that watches one thing.
struct Running<I, T> {
    id: TaskId,
    index: I,
    target: T,
    _task: Task,
}

/// The one task that watches all processes.
struct Processes {
    id: TaskId,
    /// The processes, in the order of the task's list.
    watched: Vec<(ProcessIndex, TrackProcess, Condition)>,
    _task: Task,
}

/// A task that ends with its owner.
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The first results for a configuration.
pub(super) struct Started {
    /// The trackers that go on.
    pub(super) carried: Carried,
    /// The results of new trackers, as far as they are known at once.
    pub(super) news: Vec<TrackEvent>,
}

impl TrackerTasks {
    /// Returns an empty set of trackers.
    pub(super) fn new() -> Self {
        let (reports, queue) = unbounded_channel();
        Self {
            scripts: Vec::new(),
            security: ScriptSecurity::Off,
            page: SharedPage::default(),
            files: Vec::new(),
            processes: None,
            next: 0,
            reports,
            queue,
        }
    }

    /// Returns the page, which is also updated later.
    pub(super) fn page(&self) -> SharedPage {
        Rc::clone(&self.page)
    }

    /// Watches what the instances of a configuration track. A task that watches the same already goes on; all others end.
    pub(super) async fn run(&mut self, config: &Config) -> Started {
        let mut news = Vec::new();
        let scripts = self.run_scripts(config);
        let files = self.run_files(config, &mut news).await;
        let processes = self.run_processes(config);
        Started { carried: Carried { scripts, files, processes }, news }
    }

    fn run_scripts(&mut self, config: &Config) -> Vec<(ScriptIndex, ScriptIndex)> {
        let mut before = std::mem::take(&mut self.scripts);
        let security = config.script_security;
        if std::mem::replace(&mut self.security, security) != security {
            // No script goes on with rights that it would not be given now.
            before.clear();
        }
        let is_there = |name: &str| config.scripts.iter().any(|script| script.name == name);
        self.page.borrow_mut().scripts.retain(|name, _| is_there(name));
        let mut carried = Vec::new();
        for (index, target) in config.scripts.iter().enumerate() {
            if !config.tracks(&TrackTarget::Script(index)) {
                continue;
            }
            if let Some(running) = carry_on(&mut before, index, target, &mut carried) {
                self.scripts.push(running);
                continue;
            }
            // A script that replaces another of the same name has the condition of the old one until it has run.
            let there = before.iter().find(|running| running.target.name == target.name);
            carried.extend(there.map(|there| (there.index, index)));
            let known = there
                .and_then(|_| self.page.borrow().scripts.get(&target.name).map(|report| report.condition));
            let (id, report) = self.reporter();
            let name = target.name.clone();
            let last = Cell::new(known);
            let task = tokio::spawn(script::run(target.clone(), known, security, move |latest| {
                if last.replace(Some(latest.condition)) != Some(latest.condition) {
                    let how = latest.outcome.as_ref().map(|outcome| format!(" ({outcome})"));
                    tracing::info!("script {name} is now {:?}{}", latest.condition, how.unwrap_or_default());
                }
                report(TaskReport::Script(latest.clone()));
            }));
            self.scripts.push(Running { id, index, target: target.clone(), _task: Task(task) });
        }
        carried
    }

    async fn run_files(
        &mut self,
        config: &Config,
        news: &mut Vec<TrackEvent>,
    ) -> Vec<(FileIndex, FileIndex)> {
        let mut before = std::mem::take(&mut self.files);
        let mut carried = Vec::new();
        let mut known = std::mem::take(&mut self.page.borrow_mut().files);
        let mut new = Vec::new();
        for (index, target) in config.files.iter().enumerate() {
            if !config.tracks(&TrackTarget::File(index)) {
                continue;
            }
            if let Some(running) = carry_on(&mut before, index, target, &mut carried) {
                self.files.push(running);
                let known = known.remove(&target.name).unwrap_or_else(|| (target.path.clone(), 0));
                self.page.borrow_mut().files.insert(target.name.clone(), known);
                continue;
            }
            new.push((index, target));
        }
        // All at once, because each read may hang.
        let numbers = join_all(new.iter().map(|(_, target)| file::begin(target))).await;
        for ((index, target), number) in new.into_iter().zip(numbers) {
            news.push(TrackEvent::File(index, number));
            self.page.borrow_mut().files.insert(target.name.clone(), (target.path.clone(), number));
            let (id, report) = self.reporter();
            let name = target.name.clone();
            let task = tokio::spawn(file::run(target.clone(), number, move |number| {
                tracing::info!("track_file {name} now says {number}");
                report(TaskReport::File(number));
            }));
            self.files.push(Running { id, index, target: target.clone(), _task: Task(task) });
        }
        carried
    }

    /// Continues the task if the list is the same; otherwise the list is watched anew, from the known conditions.
    fn run_processes(&mut self, config: &Config) -> Vec<(ProcessIndex, ProcessIndex)> {
        let before = self.processes.take();
        let known = before.as_ref().map_or(&[][..], |before| &before.watched);
        let mut carried = Vec::new();
        let mut watched = Vec::new();
        for (index, process) in config.processes.iter().enumerate() {
            if !config.tracks(&TrackTarget::Process(index)) {
                continue;
            }
            let known = known.iter().find(|(_, other, _)| other.name == process.name);
            carried.extend(known.map(|(there, ..)| (*there, index)));
            let condition = known.map_or(Condition::Unknown, |(.., condition)| *condition);
            watched.push((index, process.clone(), condition));
        }
        let conditions = watched.iter().map(|(_, process, condition)| (process.name.clone(), *condition));
        self.page.borrow_mut().processes = conditions.collect();
        let same =
            watched.iter().map(|(_, process, _)| process).eq(known.iter().map(|(_, process, _)| process));
        self.processes = match before {
            _ if watched.is_empty() => None,
            Some(before) if same => Some(Processes { watched, ..before }),
            Some(_) | None => {
                let list = watched.iter().map(|(_, process, condition)| (process.clone(), *condition));
                let (id, report) = self.reporter();
                let names: Vec<String> = watched.iter().map(|(_, process, _)| process.name.clone()).collect();
                let task = tokio::spawn(process::run(list.collect(), move |place, condition| {
                    tracing::info!("vrrp_track_process {} is now {condition:?}", names[place]);
                    report(TaskReport::Process(place, condition));
                }));
                Some(Processes { id, watched, _task: Task(task) })
            }
        };
        carried
    }

    /// Returns the number of a new task, and a function with which the task reports.
    fn reporter(&mut self) -> (TaskId, impl Fn(TaskReport) + Send + Sync + 'static + use<>) {
        let (id, reports) = (self.next, self.reports.clone());
        self.next += 1;
        (id, move |word| {
            let _ending = reports.send((id, word));
        })
    }

    /// Waits for the next news of something tracked.
    pub(super) async fn changed(&mut self) -> TrackEvent {
        loop {
            // This holds a sender, so the queue never ends.
            let Some((id, word)) = self.queue.recv().await else { std::future::pending().await };
            // A report of a task that has ended meanwhile is dropped.
            if let Some(news) = self.news(id, word) {
                return news;
            }
        }
    }

    fn news(&mut self, id: TaskId, word: TaskReport) -> Option<TrackEvent> {
        match word {
            TaskReport::Script(report) => {
                let running = self.scripts.iter().find(|running| running.id == id)?;
                let condition = report.condition;
                self.page.borrow_mut().scripts.insert(running.target.name.clone(), report);
                Some(TrackEvent::Script(running.index, condition))
            }
            TaskReport::File(number) => {
                let running = self.files.iter().find(|running| running.id == id)?;
                let (name, path) = (running.target.name.clone(), running.target.path.clone());
                self.page.borrow_mut().files.insert(name, (path, number));
                Some(TrackEvent::File(running.index, number))
            }
            TaskReport::Process(place, condition) => {
                let processes = self.processes.as_mut().filter(|processes| processes.id == id)?;
                let (index, process, known) = &mut processes.watched[place];
                *known = condition;
                self.page.borrow_mut().processes.insert(process.name.clone(), condition);
                Some(TrackEvent::Process(*index, condition))
            }
        }
    }
}

/// Returns the task that watches the same thing already, with the index that the thing has now.
fn carry_on<T: PartialEq>(
    before: &mut Vec<Running<usize, T>>,
    index: usize,
    target: &T,
    carried: &mut Vec<(usize, usize)>,
) -> Option<Running<usize, T>> {
    let at = before.iter().position(|running| running.target == *target)?;
    let running = before.swap_remove(at);
    carried.push((running.index, index));
    Some(Running { index, ..running })
}
