//! Running check scripts: no shell, a process group of their own, bounded in time, output not read. One run at a time;
//! a run that would overlap is skipped.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Gid, Group, Pid, Uid, User};
use tokio::process::{Child, Command};
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::config::{Script, ScriptUser};
use crate::vrrp::Condition;

/// Between the signal to terminate and the one that cannot be caught.
const PATIENCE: Duration = Duration::from_secs(2);

/// Scripts run as this user if there is one and the file names none.
const DEFAULT_USER: &str = "keepalived_script";

/// keepalived's counter: a result from 0 to rise + fall - 1, up from `rise` on. The first result counts alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counter {
    rise: u32,
    fall: u32,
    result: Option<u32>,
}

impl Counter {
    /// A counter that has seen no result; with `init_fail` it starts down.
    #[must_use]
    pub fn new(script: &Script) -> Self {
        Self { rise: script.rise, fall: script.fall, result: script.init_fail.then_some(0) }
    }

    /// What it says.
    #[must_use]
    pub fn state(&self) -> Condition {
        match self.result {
            None => Condition::Unknown,
            Some(result) if result >= self.rise => Condition::Up,
            Some(_) => Condition::Down,
        }
    }

    /// Counts one run.
    pub fn record(&mut self, success: bool) {
        let max = self.rise + self.fall - 1;
        self.result = Some(match (self.result, success) {
            // Below `rise` it climbs one by one and jumps to the top on reaching it; above, it falls likewise.
            (Some(result), true) if result + 1 < self.rise => result + 1,
            (None | Some(_), true) => max,
            (Some(result), false) if result > self.rise => result - 1,
            (None | Some(_), false) => 0,
        });
    }
}

/// Runs a script for ever; `report` is told the state whenever it changes.
pub async fn run(script: Script, report: impl Fn(Condition)) {
    let mut counter = Counter::new(&script);
    let mut ticks = interval(script.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut told_unrunnable = false;
    loop {
        ticks.tick().await;
        let before = counter.state();
        let success = match spawn(&script) {
            Ok(child) => {
                told_unrunnable = false;
                finish(&script, child).await
            }
            Err(error) => {
                if !std::mem::replace(&mut told_unrunnable, true) {
                    tracing::error!("script {} ({}) cannot run: {error}", script.name, script.command[0]);
                }
                false
            }
        };
        counter.record(success);
        if counter.state() != before {
            report(counter.state());
        }
    }
}

fn spawn(script: &Script) -> std::io::Result<Child> {
    let mut command = Command::new(&script.command[0]);
    if let Some((user, group)) = identity(script)? {
        // Its supplementary groups go too, since the agent's may be root's.
        command.uid(user.as_raw()).gid(group.as_raw());
    }
    command
        .args(&script.command[1..])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
}

/// Whom a script runs as, if not as the agent: keepalived's rule.
fn identity(script: &Script) -> std::io::Result<Option<(Uid, Gid)>> {
    let unknown =
        |what: &str| std::io::Error::new(std::io::ErrorKind::NotFound, format!("there is no {what}"));
    let Some(ScriptUser { user, group }) = &script.user else {
        let default = User::from_name(DEFAULT_USER)?.filter(|_| Uid::effective().is_root());
        return Ok(default.map(|user| (user.uid, user.gid)));
    };
    let user = User::from_name(user)?.ok_or_else(|| unknown(&format!("user {user}")))?;
    let group = match group {
        None => user.gid,
        Some(group) => Group::from_name(group)?.ok_or_else(|| unknown(&format!("group {group}")))?.gid,
    };
    Ok(Some((user.uid, group)).filter(|&(uid, _)| uid != Uid::effective()))
}

/// Waits for it, for as long as it may take; then ends its whole process group.
async fn finish(script: &Script, mut child: Child) -> bool {
    let group = child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
    if let Ok(status) = timeout(script.timeout, child.wait()).await {
        return status.as_ref().is_ok_and(ExitStatus::success);
    }
    tracing::warn!(
        "script {} did not end within {:?}: terminated, counts as failed",
        script.name,
        script.timeout
    );
    let signal = |signal| {
        if let Some(group) = group {
            // Gone already is what is wanted.
            let _gone = killpg(group, signal);
        }
    };
    signal(Signal::SIGTERM);
    let ended = timeout(PATIENCE, child.wait()).await.is_ok();
    // Its children may have ignored the first one.
    signal(Signal::SIGKILL);
    if !ended {
        let _reaped = child.wait().await;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counter(rise: u32, fall: u32) -> Counter {
        Counter { rise, fall, result: None }
    }

    fn states(mut counter: Counter, results: &str) -> String {
        let step = |c| {
            counter.record(c == '+');
            match counter.state() {
                Condition::Up => 'U',
                Condition::Down => 'D',
                Condition::Unknown => '?',
            }
        };
        results.chars().map(step).collect()
    }

    /// Expectations worked by hand from KEEPALIVED.md section 2, "Script counter".
    #[test]
    fn rise_and_fall() {
        for (rise, fall, results, expected) in [
            (1, 1, "+-+-", "UDUD"),
            (1, 2, "-", "D"),               // the first failure suffices
            (3, 1, "+", "U"),               // and so does the first success
            (2, 3, "+--+---", "UUUUUUD"),   // a success in between starts the count of failures again
            (2, 3, "+---+-++", "UUUDDDDU"), // and a failure that of successes
            (2, 3, "-++", "DDU"),
        ] {
            assert_eq!(states(counter(rise, fall), results), expected, "rise {rise} fall {fall} {results}");
        }
    }

    #[test]
    fn init_fail_needs_all_of_rise() {
        let counter = Counter { rise: 2, fall: 1, result: Some(0) };
        assert_eq!(counter.state(), Condition::Down);
        assert_eq!(states(counter, "++"), "DU");
    }
}
