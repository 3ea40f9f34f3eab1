//! Running check scripts, each run for a bounded time, and keeping the last lines of their output. One run of a script at a
//! time; a run that would overlap is skipped.

use std::fmt;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::time::{MissedTickBehavior, interval};

use crate::config::{Script, ScriptSecurity};
use crate::process::{self, End, Lifetime, Running};
use crate::vrrp::Condition;

/// keepalived's counter: a result from 0 to rise + fall - 1; the script is up from `rise` on. The first result counts alone.
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

    /// A counter that begins with the condition that a script had under an earlier definition.
    #[must_use]
    pub fn known(script: &Script, condition: Option<Condition>) -> Self {
        let result = match condition {
            None | Some(Condition::Unknown) => return Self::new(script),
            Some(Condition::Up) => script.rise + script.fall - 1,
            Some(Condition::Down) => 0,
        };
        Self { result: Some(result), ..Self::new(script) }
    }

    /// Returns the condition of the script.
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
            // Below `rise` the result climbs one by one and jumps to the top on reaching it; above, it falls likewise.
            (Some(result), true) if result + 1 < self.rise => result + 1,
            (None | Some(_), true) => max,
            (Some(result), false) if result > self.rise => result - 1,
            (None | Some(_), false) => 0,
        });
    }
}

/// How a run of a script ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// By itself, or by a signal that was not ours.
    Ended(ExitStatus),
    /// It took longer than this time, and was killed.
    Slow(Duration),
    /// It took longer than this time, and cannot be killed.
    Stuck(Duration),
    /// It could not be started, for this reason.
    CannotRun(String),
}

impl Outcome {
    /// Returns true if it counts as a success.
    #[must_use]
    pub fn is_success(&self) -> bool {
        match self {
            Self::Ended(status) => status.success(),
            Self::Slow(_) | Self::Stuck(_) | Self::CannotRun(_) => false,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended(status) => match (status.code(), status.signal()) {
                (Some(code), _) => write!(f, "exit status {code}"),
                (None, Some(number)) => match Signal::try_from(number) {
                    Ok(signal) => write!(f, "killed by signal {number}, {}", signal.as_str()),
                    Err(_) => write!(f, "killed by signal {number}"),
                },
                (None, None) => write!(f, "{status}"),
            },
            Self::Slow(limit) => write!(f, "did not end within {} s", limit.as_secs_f64()),
            Self::Stuck(limit) => {
                write!(f, "did not end within {} s, and cannot be killed", limit.as_secs_f64())
            }
            Self::CannotRun(why) => write!(f, "cannot run: {why}"),
        }
    }
}

/// The reported state of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The condition that its runs have led to.
    pub condition: Condition,
    /// The end of its last run; `None` before the first.
    pub outcome: Option<Outcome>,
    /// The last lines that it has written, or the reason why it cannot run.
    pub output: String,
}

/// Runs a script for ever, beginning with its `known` condition; `report` is called whenever the state of the script changes.
pub async fn run(
    script: Script,
    known: Option<Condition>,
    security: ScriptSecurity,
    report: impl Fn(&Report),
) {
    let mut counter = Counter::known(&script, known);
    let mut latest = Report { condition: counter.state(), outcome: None, output: String::new() };
    let mut ticks = interval(script.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut told_unrunnable = false;
    let mut stuck: Option<Running> = None;
    loop {
        ticks.tick().await;
        let before = latest.clone();
        // While a run is there that cannot be ended, no other is started, and each counts as failed.
        let outcome = if stuck.as_mut().is_some_and(|running| !running.has_ended()) {
            Outcome::Stuck(script.timeout)
        } else {
            stuck = None;
            match process::start(&script.program, &[], security, Lifetime::OfCaller).await {
                Ok(mut running) => {
                    told_unrunnable = false;
                    let outcome = finish(&script, &mut running).await;
                    latest.output = running.last_lines();
                    if let Outcome::Stuck(_) = outcome {
                        stuck = Some(running);
                    }
                    outcome
                }
                Err(error) => {
                    latest.output = error.to_string();
                    if !std::mem::replace(&mut told_unrunnable, true) {
                        tracing::error!(
                            "script {} ({}) cannot run: {error}",
                            script.name,
                            script.program.command[0]
                        );
                    }
                    Outcome::CannotRun(latest.output.clone())
                }
            }
        };
        counter.record(outcome.is_success());
        (latest.condition, latest.outcome) = (counter.state(), Some(outcome));
        if latest != before {
            report(&latest);
        }
    }
}

/// Waits for a run, for as long as it may take.
async fn finish(script: &Script, running: &mut Running) -> Outcome {
    let Script { name, timeout, .. } = script;
    match running.within(*timeout).await {
        Ok(End::Exited(status)) => Outcome::Ended(status),
        Ok(End::Killed) => {
            tracing::warn!(
                "script {name} did not end within {timeout:?}: it was terminated and counts as failed"
            );
            Outcome::Slow(*timeout)
        }
        Ok(End::Stuck) => {
            tracing::error!(
                "script {name} did not end within {timeout:?}, and cannot be killed: it counts as failed until it ends"
            );
            Outcome::Stuck(*timeout)
        }
        Err(error) => {
            tracing::error!("script {name}: {error}");
            Outcome::CannotRun(error.to_string())
        }
    }
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

    /// Expectations worked by hand from docs/vrrp.md, "Script counter".
    #[test]
    fn rise_and_fall() {
        for (rise, fall, results, expected) in [
            (1, 1, "+-+-", "UDUD"),
            (1, 2, "-", "D"),               // the first failure suffices
            (3, 1, "+", "U"),               // and so does the first success
            (2, 3, "+--+---", "UUUUUUD"),   // a success in between starts the count of failures again
            (2, 3, "+---+-++", "UUUDDDDU"), // and a failure starts that of successes again
            (2, 3, "-++", "DDU"),
        ] {
            assert_eq!(states(counter(rise, fall), results), expected, "rise {rise} fall {fall} {results}");
        }
    }

    #[test]
    fn r13_how_a_run_ended_is_said() {
        let ended = |raw| Outcome::Ended(ExitStatus::from_raw(raw));
        let limit = Duration::from_millis(2500);
        for (outcome, text, success) in [
            (ended(0), "exit status 0", true),
            (ended(2 << 8), "exit status 2", false),
            (ended(11), "killed by signal 11, SIGSEGV", false),
            (Outcome::Slow(limit), "did not end within 2.5 s", false),
            (Outcome::Stuck(limit), "did not end within 2.5 s, and cannot be killed", false),
            (Outcome::CannotRun("/x: not found".to_owned()), "cannot run: /x: not found", false),
        ] {
            assert_eq!((outcome.to_string().as_str(), outcome.is_success()), (text, success));
        }
    }

    #[test]
    fn init_fail_needs_all_of_rise() {
        let counter = Counter { rise: 2, fall: 1, result: Some(0) };
        assert_eq!(counter.state(), Condition::Down);
        assert_eq!(states(counter, "++"), "DU");
    }
}
