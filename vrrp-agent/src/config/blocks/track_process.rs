//! Reads `vrrp_track_process`.

use std::time::Duration;

use super::super::diagnostic::Diagnostic;
use super::super::keywords::Block;
use super::super::model::{Arguments, ProcessName, TrackProcess};
use super::super::syntax::{Statement, Word};
use super::super::value;
use super::track::{WEIGHT_MAX_NUMBER, weight};
use super::{block, name, unrecognised};
use crate::vrrp::Weight;

/// The way in which arguments are compared (`param_match`).
#[derive(Clone, Copy)]
enum Match {
    Exact,
    Initial,
    Partial,
}

pub(super) fn read(statement: &Statement, diagnostics: &mut Vec<Diagnostic>) -> Option<TrackProcess> {
    let name = name(statement, diagnostics)?.to_owned();
    let (mut words, mut compared): (&[Word], _) = (&[], None);
    let (mut least, mut most) = (1, None);
    let mut process = TrackProcess {
        name,
        program: String::new(),
        known_by: ProcessName::Short,
        arguments: Arguments::Any,
        weight: Weight::NONE,
        quorum: 1..=u32::MAX,
        fork_delay: Duration::ZERO,
        terminate_delay: Duration::ZERO,
    };
    let number = |statement: &Statement, diagnostics: &mut Vec<Diagnostic>| -> Option<u32> {
        value::number(Block::TrackProcess, statement, diagnostics)
    };
    let seconds = |statement: &Statement, diagnostics: &mut Vec<Diagnostic>| {
        value::seconds(Block::TrackProcess, statement, diagnostics)
    };
    for statement in block(statement, diagnostics) {
        match statement.keyword().text.as_str() {
            "process" if !words.is_empty() => diagnostics.push(
                Diagnostic::warning(statement.span(), "a second process").label("ignored; the first counts"),
            ),
            "process" => words = statement.arguments(),
            "weight" => process.weight = weight(statement, WEIGHT_MAX_NUMBER, process.weight, diagnostics),
            "quorum" => {
                let said = number(statement, diagnostics);
                least = below(said, most, statement, diagnostics).unwrap_or(least);
            }
            "quorum_max" => {
                let said = number(statement, diagnostics);
                most = match said {
                    Some(said) if said != 0 && said < least => {
                        contradiction(statement, diagnostics);
                        most
                    }
                    said => said.or(most),
                };
            }
            "delay" => {
                if let Some(delay) = seconds(statement, diagnostics) {
                    (process.fork_delay, process.terminate_delay) = (delay, delay);
                }
            }
            "fork_delay" => {
                process.fork_delay = seconds(statement, diagnostics).unwrap_or(process.fork_delay);
            }
            "terminate_delay" => {
                process.terminate_delay = seconds(statement, diagnostics).unwrap_or(process.terminate_delay);
            }
            "full_command" => process.known_by = ProcessName::Full,
            "param_match" => compared = compare(statement, diagnostics).or(compared),
            _ => unrecognised(Block::TrackProcess, statement, diagnostics),
        }
    }
    let [program, arguments @ ..] = words else {
        let message = format!("vrrp_track_process `{}` has no process", process.name);
        diagnostics.push(Diagnostic::warning(statement.span(), message).label("ignored"));
        return None;
    };
    process.program.clone_from(&program.text);
    let arguments: Vec<String> = arguments.iter().map(|word| word.text.clone()).collect();
    if !arguments.is_empty() {
        // Only the full command line contains arguments.
        process.known_by = ProcessName::Full;
    }
    process.arguments = match (compared, arguments) {
        (None, none) if none.is_empty() => Arguments::Any,
        // `param_match` without arguments: the process must have no arguments.
        (Some(_), none) if none.is_empty() => Arguments::Exactly(none),
        (None | Some(Match::Exact), arguments) => Arguments::Exactly(arguments),
        (Some(Match::Initial), arguments) => Arguments::Initial(arguments),
        (Some(Match::Partial), arguments) => Arguments::First(arguments),
    };
    // `quorum_max 0` means that no such process may run, so the minimum does not apply.
    process.quorum = if most == Some(0) { 0..=0 } else { least..=most.unwrap_or(u32::MAX) };
    Some(process)
}

/// Reads `param_match [initial|partial]`.
fn compare(statement: &Statement, diagnostics: &mut Vec<Diagnostic>) -> Option<Match> {
    let Some(word) = statement.arguments().first() else { return Some(Match::Exact) };
    match word.text.as_str() {
        "initial" => Some(Match::Initial),
        "partial" => Some(Match::Partial),
        _ => {
            let message = format!("unknown `param_match {}`", word.text);
            diagnostics
                .push(Diagnostic::warning(word.span, message).label("expected initial or partial; ignored"));
            None
        }
    }
}

/// Checks that the minimum does not exceed the maximum.
fn below(
    said: Option<u32>,
    most: Option<u32>,
    statement: &Statement,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<u32> {
    let said = said?;
    if most.is_some_and(|most| said > most) {
        contradiction(statement, diagnostics);
        return None;
    }
    Some(said)
}

fn contradiction(statement: &Statement, diagnostics: &mut Vec<Diagnostic>) {
    diagnostics.push(
        Diagnostic::warning(statement.span(), "`quorum` is more than `quorum_max`")
            .label("ignored")
            .help("the result is up while at least `quorum` and at most `quorum_max` of these processes run"),
    );
}
