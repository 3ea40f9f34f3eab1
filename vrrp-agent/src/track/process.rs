//! Tracked processes: are there enough of them, and not too many? The kernel reports each process that begins or ends; where it
//! does not, `/proc` is looked through once a second. Counting is pure; looking is in [`proc`].

mod proc;

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep_until};

use crate::config::{Arguments, ProcessName, TrackProcess};
use crate::net::processes::{Event, Events};
use crate::vrrp::Condition;
use proc::Scan;

/// How often all processes are looked at where the kernel reports nothing.
const LOOK: Duration = Duration::from_secs(1);

/// How often they are looked at where it does, should something have been missed.
const RESYNC: Duration = Duration::from_secs(60);

/// The number of bytes of a name that the kernel keeps.
const NAME_MAX: usize = 15;

/// A process as it is seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Its short name.
    pub name: Vec<u8>,
    /// Its command line: the program, then the arguments. Empty for a kernel thread, and if command lines are not needed.
    pub command: Vec<Vec<u8>>,
}

impl TrackProcess {
    /// Returns true if a process is one of these.
    #[must_use]
    pub fn counts(&self, seen: &Seen) -> bool {
        let program = self.program.as_bytes();
        let named = match self.known_by {
            ProcessName::Short => seen.name == program[..program.len().min(NAME_MAX)],
            ProcessName::Full => seen.command.first().is_some_and(|first| first == program),
        };
        let given = seen.command.get(1..).unwrap_or_default();
        let same =
            |wanted: &[String]| given.iter().zip(wanted).all(|(given, wanted)| given == wanted.as_bytes());
        named
            && match &self.arguments {
                Arguments::Any => true,
                Arguments::Exactly(wanted) => given.len() == wanted.len() && same(wanted),
                Arguments::First(wanted) => given.len() >= wanted.len() && same(wanted),
                Arguments::Initial(wanted) => match wanted.split_last() {
                    None => true,
                    Some((last, before)) => {
                        same(before)
                            && given.get(before.len()).is_some_and(|given| given.starts_with(last.as_bytes()))
                    }
                },
            }
    }

    /// Returns true if the command line of a process must be known.
    fn needs_command(&self) -> bool {
        self.known_by == ProcessName::Full || self.arguments != Arguments::Any
    }
}

/// A time since some fixed moment.
type Time = Duration;

/// The number of one kind of process, and what follows from it after its delays.
#[derive(Clone, Debug)]
struct Quorum {
    process: TrackProcess,
    condition: Condition,
    count: u32,
    /// The next condition and its time, unless the count changes again.
    pending: Option<(Condition, Time)>,
}

impl Quorum {
    fn new(process: TrackProcess, condition: Condition) -> Self {
        Self { process, condition, count: 0, pending: None }
    }

    /// Takes a new count. Returns true if the condition has changed. The first count takes no delay.
    fn count(&mut self, now: Time, count: u32) -> bool {
        let wanted = if self.process.quorum.contains(&count) { Condition::Up } else { Condition::Down };
        let delay = match self.condition {
            Condition::Unknown => Duration::ZERO,
            // The direction in which the number changed decides, not that of the condition: with `quorum_max` a fork takes it
            // down.
            Condition::Up | Condition::Down if count > self.count => self.process.fork_delay,
            Condition::Up | Condition::Down => self.process.terminate_delay,
        };
        self.count = count;
        self.pending = match self.pending {
            _ if wanted == self.condition => None,
            Some((pending, at)) if pending == wanted => Some((pending, at)),
            Some(_) | None => Some((wanted, now + delay)),
        };
        self.is_due(now)
    }

    /// Puts a pending condition into force if its time has come, and returns true then.
    fn is_due(&mut self, now: Time) -> bool {
        let Some((condition, _)) = self.pending.filter(|(_, at)| *at <= now) else { return false };
        (self.condition, self.pending) = (condition, None);
        true
    }
}

/// The processes that count: for each process number, the places that it counts for in the list of what is tracked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Census(HashMap<u32, Vec<usize>>);

impl Census {
    /// Takes note of a process as it is now, or of its end. Returns true if that changes a count.
    fn put<'p>(
        &mut self,
        pid: u32,
        seen: Option<&Seen>,
        processes: impl Iterator<Item = &'p TrackProcess>,
    ) -> bool {
        let counts = |seen: &Seen| {
            let counting = processes.enumerate().filter(|(_, process)| process.counts(seen));
            counting.map(|(place, _)| place).collect::<Vec<_>>()
        };
        match seen.map(counts) {
            Some(places) if !places.is_empty() => {
                let before = self.0.insert(pid, places);
                before.as_ref() != self.0.get(&pid)
            }
            Some(_) | None => self.0.remove(&pid).is_some(),
        }
    }

    fn count(&self, place: usize) -> u32 {
        let counted = self.0.values().filter(|places| places.contains(&place)).count();
        u32::try_from(counted).unwrap_or(u32::MAX)
    }
}

/// Everything tracked, and the way to look for it.
struct Watch {
    quorums: Vec<Quorum>,
    census: Census,
    scan: Scan,
    started: Instant,
}

impl Watch {
    fn new(processes: Vec<(TrackProcess, Condition)>) -> Self {
        let commands = processes.iter().any(|(process, _)| process.needs_command());
        let quorums = processes.into_iter().map(|(process, condition)| Quorum::new(process, condition));
        Self {
            quorums: quorums.collect(),
            census: Census::default(),
            scan: Scan::new(commands),
            started: Instant::now(),
        }
    }

    fn put(&mut self, pid: u32, seen: Option<&Seen>) -> bool {
        self.census.put(pid, seen, self.quorums.iter().map(|quorum| &quorum.process))
    }

    /// Takes note that a process has changed, or has ended.
    fn take(&mut self, pid: u32, seen: Option<&Seen>, report: &impl Fn(usize, Condition)) {
        // Most processes count for nothing here.
        if self.put(pid, seen) {
            self.count(report);
        }
    }

    /// Looks through all of `/proc`, on another thread: it may take a while.
    async fn look(&mut self) {
        let scan = self.scan.clone();
        match tokio::task::spawn_blocking(move || scan.all()).await {
            Ok(Ok(all)) => {
                self.census = Census::default();
                for (pid, seen) in &all {
                    self.put(*pid, Some(seen));
                }
            }
            Ok(Err(error)) => tracing::warn!("cannot read the processes in /proc: {error}"),
            Err(_panicked) => {}
        }
    }

    /// Reports each condition that has changed by what the census says.
    fn count(&mut self, report: &impl Fn(usize, Condition)) {
        let now = self.started.elapsed();
        for (place, quorum) in self.quorums.iter_mut().enumerate() {
            if quorum.count(now, self.census.count(place)) {
                report(place, quorum.condition);
            }
        }
    }

    /// Reports each condition that has changed because its delay is over.
    fn settle(&mut self, report: &impl Fn(usize, Condition)) {
        let now = self.started.elapsed();
        for (place, quorum) in self.quorums.iter_mut().enumerate() {
            if quorum.is_due(now) {
                report(place, quorum.condition);
            }
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        let next = self.quorums.iter().filter_map(|quorum| quorum.pending).map(|(_, at)| at).min();
        next.map(|at| self.started + at)
    }
}

/// Watches processes for ever, each from a known condition on; `report` is told the place of each whose condition changes.
pub async fn run(processes: Vec<(TrackProcess, Condition)>, report: impl Fn(usize, Condition)) {
    let mut watch = Watch::new(processes);
    let mut events = match Events::open().await {
        Ok(events) => Some(events),
        Err(error) => {
            tracing::info!("{error}; the agent looks for tracked processes once a second instead");
            None
        }
    };
    let mut ticks = every(if events.is_some() { RESYNC } else { LOOK });
    loop {
        let deadline = watch.next_deadline();
        tokio::select! {
            // The first tick comes at once.
            _ = ticks.tick() => {
                watch.look().await;
                watch.count(&report);
            }
            event = next(&mut events) => match event {
                Some(Event::Changed(pid)) => {
                    let seen = watch.scan.one(pid);
                    watch.take(pid, seen.as_ref(), &report);
                }
                Some(Event::Ended(pid)) => watch.take(pid, None, &report),
                Some(Event::Missed) => {
                    watch.look().await;
                    watch.count(&report);
                }
                None => ticks = every(LOOK),
            },
            () = until(deadline) => watch.settle(&report),
        }
    }
}

fn every(period: Duration) -> Interval {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// Returns the next event, and waits for ever where there are no events; `None` when there will be none any more.
async fn next(events: &mut Option<Events>) -> Option<Event> {
    let Some(open) = events else { return std::future::pending().await };
    match open.next().await {
        Ok(event) => Some(event),
        Err(error) => {
            tracing::warn!("{error}; the agent looks for tracked processes once a second instead");
            *events = None;
            None
        }
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
