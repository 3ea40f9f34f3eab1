//! `track_script`, `track_interface`, `track_file` and `track_process` of an instance or a sync group, and the weights of the
//! tracked things. A tracked script, file or process must be defined above; an interface is looked up on the host.

use super::super::diagnostic::Diagnostic;
use super::super::keywords::Block;
use super::super::model::{Config, TrackTarget, Tracked};
use super::super::syntax::{Statement, Word};
use super::{block, unrecognised};
use crate::vrrp::{Sense, Weight};

/// The largest weight of a script or an interface.
pub(super) const WEIGHT_MAX: i16 = 253;

/// The largest weight of a file or a process. With the negative of this weight, a file that contains 1 is a fault.
pub(super) const WEIGHT_MAX_NUMBER: i16 = 254;

/// Reads a block of things to track. `within` is the kind of the block around it.
pub(super) fn read(
    within: Block,
    statement: &Statement,
    config: &Config,
    tracked: &mut Vec<Tracked>,
    diagnostics: &mut Vec<Diagnostic>,
) {
    let lookup: Lookup = match statement.keyword().text.as_str() {
        "track_script" => script,
        "track_interface" => interface,
        "track_file" => file,
        "track_process" => process,
        _ => return unrecognised(within, statement, diagnostics),
    };
    for line in block(statement, diagnostics) {
        let Some(found) = lookup(line.keyword(), config, diagnostics) else { continue };
        if tracked.iter().any(|other| other.target == found.target) {
            let message = format!("`{}` is tracked already", line.keyword().text);
            diagnostics
                .push(Diagnostic::warning(line.span(), message).label("ignored; the first line counts"));
            continue;
        }
        tracked.extend(weighed(line, found, diagnostics));
    }
}

/// Finds the thing that a line names. The result has the weight from the definition of the thing.
type Lookup = fn(&Word, &Config, &mut Vec<Diagnostic>) -> Option<Tracked>;

fn script(word: &Word, config: &Config, diagnostics: &mut Vec<Diagnostic>) -> Option<Tracked> {
    let names = config.scripts.iter().map(|script| script.name.as_str());
    let index = position("vrrp_script", names, word, diagnostics)?;
    Some(Tracked { target: TrackTarget::Script(index), weight: config.scripts[index].weight })
}

fn file(word: &Word, config: &Config, diagnostics: &mut Vec<Diagnostic>) -> Option<Tracked> {
    let names = config.files.iter().map(|file| file.name.as_str());
    let index = position("track_file", names, word, diagnostics)?;
    Some(Tracked { target: TrackTarget::File(index), weight: config.files[index].weight })
}

fn process(word: &Word, config: &Config, diagnostics: &mut Vec<Diagnostic>) -> Option<Tracked> {
    let names = config.processes.iter().map(|process| process.name.as_str());
    let index = position("vrrp_track_process", names, word, diagnostics)?;
    Some(Tracked { target: TrackTarget::Process(index), weight: config.processes[index].weight })
}

fn interface(word: &Word, _config: &Config, _diagnostics: &mut Vec<Diagnostic>) -> Option<Tracked> {
    Some(Tracked { target: TrackTarget::Interface(word.text.clone()), weight: Weight::NONE })
}

fn position<'n>(
    keyword: &str,
    mut names: impl Iterator<Item = &'n str>,
    word: &Word,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<usize> {
    let index = names.position(|name| name == word.text);
    if index.is_none() {
        let message = format!("no {keyword} `{}` above", word.text);
        diagnostics.push(
            Diagnostic::warning(word.span, message)
                .label("not tracked")
                .help(format!("write the {keyword} above the block that tracks it")),
        );
    }
    index
}

/// Returns the largest weight of this kind of thing.
fn most(target: &TrackTarget) -> i16 {
    match target {
        TrackTarget::Script(_) | TrackTarget::Interface(_) => WEIGHT_MAX,
        TrackTarget::File(_) | TrackTarget::Process(_) => WEIGHT_MAX_NUMBER,
    }
}

/// Reads `NAME [weight N [reverse|noreverse]]`. As with keepalived, a line with another word than `weight` behind the name is
/// ignored.
fn weighed(line: &Statement, found: Tracked, diagnostics: &mut Vec<Diagnostic>) -> Option<Tracked> {
    let (value, rest) = match line.arguments() {
        [] => return Some(found),
        [keyword, value, rest @ ..] if keyword.text == "weight" => (value, rest),
        [word, ..] => {
            let message = format!("`{}` is not followed by a weight", line.keyword().text);
            diagnostics.push(
                Diagnostic::warning(word.span.to(line.span()), message)
                    .label("expected `weight N`; not tracked"),
            );
            return None;
        }
    };
    let value = number(value, most(&found.target), diagnostics).unwrap_or(found.weight.value);
    let sense = match rest {
        [] => found.weight.sense,
        [word, ..] if word.text == "reverse" => Sense::Reverse,
        [word, ..] if word.text == "noreverse" => Sense::Straight,
        [word, ..] => {
            surplus(word, "`reverse` or `noreverse`", diagnostics);
            found.weight.sense
        }
    };
    Some(Tracked { weight: Weight { value, sense }, ..found })
}

/// Reads `weight N [reverse]` of a script, a file or a process.
pub(super) fn weight(
    statement: &Statement,
    most: i16,
    default: Weight,
    diagnostics: &mut Vec<Diagnostic>,
) -> Weight {
    let [value, rest @ ..] = statement.arguments() else {
        diagnostics.push(Diagnostic::warning(statement.span(), "`weight` needs a value").label("ignored"));
        return default;
    };
    let sense = match rest {
        [] => Sense::Straight,
        [word, ..] if word.text == "reverse" => Sense::Reverse,
        [word, ..] => {
            surplus(word, "`reverse`", diagnostics);
            Sense::Straight
        }
    };
    number(value, most, diagnostics).map_or(default, |value| Weight { value, sense })
}

/// Reads a weight from `-most` to `most`. As with keepalived, a weight that is out of range by 1 is limited to the range.
fn number(word: &Word, most: i16, diagnostics: &mut Vec<Diagnostic>) -> Option<i16> {
    let value = word.text.parse::<i16>().ok();
    let within = value.filter(|value| (-most..=most).contains(value));
    if within.is_none() {
        let near = value.filter(|value| value.unsigned_abs() == most.unsigned_abs() + 1);
        let near = near.map(|value| value.signum() * most);
        let instead = near.map_or("the default".to_owned(), |near| near.to_string());
        diagnostics.push(
            Diagnostic::warning(word.span, "bad weight")
                .label(format!("expected a whole number from -{most} to {most}; {instead} is used")),
        );
        return near;
    }
    within
}

fn surplus(word: &Word, expected: &str, diagnostics: &mut Vec<Diagnostic>) {
    let message = format!("unknown option `{}` of a weight", word.text);
    diagnostics.push(Diagnostic::warning(word.span, message).label(format!("expected {expected}; ignored")));
}
