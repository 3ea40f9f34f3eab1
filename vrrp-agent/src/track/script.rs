//! Running check scripts, each for a bounded time, of which the last lines are kept. One run at a time;
//! a run that would overlap is skipped.

use tokio::time::{MissedTickBehavior, interval};

use crate::config::{Script, ScriptSecurity};
use crate::process::{self, End, Running, Tie};
use crate::vrrp::Condition;

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

    /// The same, for one that stood there when its definition was another.
    #[must_use]
    pub fn known(script: &Script, condition: Option<Condition>) -> Self {
        let result = match condition {
            None | Some(Condition::Unknown) => return Self::new(script),
            Some(Condition::Up) => script.rise + script.fall - 1,
            Some(Condition::Down) => 0,
        };
        Self { result: Some(result), ..Self::new(script) }
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

/// Runs a script for ever, beginning with what is `known` of it; `report` is told the state, and the last lines that it has written, whenever either changes.
pub async fn run(
    script: Script,
    known: Option<Condition>,
    security: ScriptSecurity,
    report: impl Fn(Condition, &str),
) {
    let mut counter = Counter::known(&script, known);
    let mut said = String::new();
    let mut ticks = interval(script.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut told_unrunnable = false;
    let mut stuck: Option<Running> = None;
    loop {
        ticks.tick().await;
        let before = (counter.state(), said.clone());
        // While one is there that cannot be ended there is no other, and none has succeeded.
        let success = if stuck.as_mut().is_some_and(|running| !running.has_ended()) {
            false
        } else {
            stuck = None;
            match process::start(&script.program, &[], security, Tie::Close) {
                Ok(mut running) => {
                    told_unrunnable = false;
                    let success = finish(&script, &mut running).await;
                    said = running.last_lines();
                    if success.is_none() {
                        stuck = Some(running);
                    }
                    success.unwrap_or(false)
                }
                Err(error) => {
                    said = error.to_string();
                    if !std::mem::replace(&mut told_unrunnable, true) {
                        tracing::error!(
                            "script {} ({}) cannot run: {error}",
                            script.name,
                            script.program.command[0]
                        );
                    }
                    false
                }
            }
        };
        counter.record(success);
        if (counter.state(), &said) != (before.0, &before.1) {
            report(counter.state(), &said);
        }
    }
}

/// Waits for it, for as long as it may take. `None` if it cannot be ended.
async fn finish(script: &Script, running: &mut Running) -> Option<bool> {
    let Script { name, timeout, .. } = script;
    match running.within(*timeout).await {
        Ok(End::Exited(status)) => Some(status.success()),
        Ok(End::Killed) => {
            tracing::warn!("script {name} did not end within {timeout:?}: terminated, counts as failed");
            Some(false)
        }
        Ok(End::Stuck) => {
            tracing::error!(
                "script {name} did not end within {timeout:?}, and cannot be killed: failed until it ends"
            );
            None
        }
        Err(error) => {
            tracing::error!("script {name}: {error}");
            Some(false)
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
