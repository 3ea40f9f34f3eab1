//! Notify scripts: each instance and group has a queue of its own, from which one script runs at a time.
//!
//! keepalived starts all scripts at once, and of two that are started together either may come first. Here the last script to
//! run is about the last event, and a script that hangs holds up only its own queue.

use std::collections::HashMap;
use std::time::Duration;

use tokio::sync::broadcast::{Receiver, Sender, channel};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::{Subject, next};
use crate::config::{Program, ScriptSecurity};
use crate::process::{self, End, Lifetime};

/// The number of scripts that wait behind the one that runs. An instance that flaps faster than its scripts run needs to tell
/// where it ended, not each of its turns.
const WAITING_MAX: usize = 64;

/// The time that a script may take; keepalived lets scripts run for ever. A script that starts a service, or promotes a
/// database, must not be cut short; systemd gives a service 90 s to start, so a script that takes 5 minutes will not end any
/// more.
const LIMIT: Duration = Duration::from_secs(300);

/// A script to run.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) program: Program,
    pub(super) arguments: Vec<String>,
    pub(super) security: ScriptSecurity,
}

/// The subject whose script it is: its kind and its name.
type Key = (Subject, String);

/// The queues.
#[derive(Debug, Default)]
pub(super) struct Scripts {
    queues: HashMap<Key, Sender<Call>>,
    tasks: JoinSet<()>,
}

impl Scripts {
    /// Queues a script, which runs when its turn comes.
    pub(super) fn run(&mut self, of: &Key, call: Call) {
        let queue = self.queues.entry(of.clone()).or_insert_with(|| {
            let (queue, calls) = channel(WAITING_MAX);
            self.tasks.spawn(work(of.1.clone(), calls, LIMIT));
            queue
        });
        // The task only ends after the queue.
        let _never = queue.send(call);
    }

    /// Keeps the queues of subjects that stay. The other queues end when they are empty.
    pub(super) fn retain(&mut self, stays: impl Fn(&Key) -> bool) {
        self.queues.retain(|of, _| stays(of));
        while self.tasks.try_join_next().is_some() {}
    }

    /// Runs the scripts that wait, until the given time; a script that still runs then goes on without the agent.
    pub(super) async fn finish(self, until: Instant) {
        let Self { queues, mut tasks } = self;
        drop(queues);
        let all = timeout_at(until, async { while tasks.join_next().await.is_some() {} }).await;
        if all.is_err() {
            tracing::warn!(
                "notify scripts have not ended, and the agent does not wait for them (number of instances and groups: {})",
                tasks.len()
            );
        }
    }
}

/// Runs the scripts of a queue, in order.
async fn work(name: String, mut calls: Receiver<Call>, limit: Duration) {
    let what = format!("notify scripts of {name}");
    while let Some(Call { program, arguments, security }) = next(&mut calls, &what).await {
        let script = &program.command[0];
        let end = match process::start(&program, &arguments, security, Lifetime::OfItsOwn).await {
            Ok(mut running) => running.within(limit).await,
            Err(error) => {
                tracing::error!("notify script of {name} ({script}) cannot run: {error}");
                continue;
            }
        };
        match end {
            Ok(End::Exited(status)) if status.success() => {}
            Ok(End::Exited(status)) => tracing::warn!("notify script of {name} ({script}) failed: {status}"),
            Ok(End::Killed | End::Stuck) => {
                tracing::error!(
                    "notify script of {name} ({script}) did not end within {limit:?}: it was killed, and the next one may run"
                );
            }
            Err(error) => tracing::error!("notify script of {name} ({script}): {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(words: &[&str]) -> Call {
        let command = words.iter().map(|word| (*word).to_owned()).collect();
        Call {
            program: Program { command, user: None },
            arguments: Vec::new(),
            security: ScriptSecurity::Off,
        }
    }

    fn key(name: &str) -> Key {
        (Subject::Instance, name.to_owned())
    }

    #[tokio::test]
    async fn one_that_hangs_holds_up_its_own_queue_only() {
        process::identity::look_up([]).await;
        let flag = std::env::temp_dir().join(format!("vrrp-notify-script-{}", std::process::id()));
        let mut scripts = Scripts::default();
        scripts.run(&key("A"), call(&["sleep", "2"]));
        scripts.run(&key("A"), call(&["rm", "-f", flag.to_str().unwrap()]));
        scripts.run(&key("B"), call(&["touch", flag.to_str().unwrap()]));
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(flag.exists(), "B did not wait for A");
        scripts.finish(Instant::now() + Duration::from_secs(20)).await;
        assert!(!flag.exists(), "A went on in order");
    }

    #[tokio::test]
    async fn one_that_never_ends_is_killed_and_the_next_runs() {
        process::identity::look_up([]).await;
        let flag = std::env::temp_dir().join(format!("vrrp-notify-killed-{}", std::process::id()));
        let (queue, calls) = channel(4);
        queue.send(call(&["sleep", "3600"])).unwrap();
        queue.send(call(&["/nowhere/at/all"])).unwrap();
        queue.send(call(&["touch", flag.to_str().unwrap()])).unwrap();
        drop(queue);
        work("A".to_owned(), calls, Duration::from_millis(200)).await;
        std::fs::remove_file(flag).expect("the one behind it has run");
    }

    #[tokio::test]
    async fn of_too_many_the_last_are_run() {
        process::identity::look_up([]).await;
        let log = std::env::temp_dir().join(format!("vrrp-notify-many-{}", std::process::id()));
        let mut scripts = Scripts::default();
        for number in 0..3 * WAITING_MAX {
            // The task has had no turn yet, so all are sent before the first is run.
            let line = format!("echo {number} >> {}", log.display());
            scripts.run(&key("A"), call(&["sh", "-c", &line]));
        }
        scripts.finish(Instant::now() + Duration::from_secs(60)).await;
        let said = std::fs::read_to_string(&log).unwrap();
        std::fs::remove_file(log).unwrap();
        let expected: Vec<String> =
            (2 * WAITING_MAX..3 * WAITING_MAX).map(|number| number.to_string()).collect();
        assert_eq!(said.lines().collect::<Vec<_>>(), expected);
    }

    #[tokio::test]
    async fn the_end_waits_no_longer_than_it_should() {
        let mut scripts = Scripts::default();
        scripts.run(&key("A"), call(&["sleep", "30"]));
        let start = Instant::now();
        scripts.finish(start + Duration::from_millis(300)).await;
        assert!(start.elapsed() < Duration::from_secs(5));
    }
}
