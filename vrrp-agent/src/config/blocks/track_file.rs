//! Reads `track_file`, and its older name `vrrp_track_file`.

use super::super::diagnostic::Diagnostic;
use super::super::keywords::Block;
use super::super::model::{Existing, InitFile, TrackFile};
use super::super::syntax::Statement;
use super::super::value;
use super::track::{WEIGHT_MAX_NUMBER, weight};
use super::{block, name, unrecognised};
use crate::vrrp::Weight;

/// The numbers in a file that can be useful: a larger change is more than any priority.
const SENSIBLE: std::ops::RangeInclusive<i32> = -254..=254;

pub(super) fn read(statement: &Statement, diagnostics: &mut Vec<Diagnostic>) -> Option<TrackFile> {
    let name = name(statement, diagnostics)?.to_owned();
    let (mut path, mut init, mut weighed) = (None, None, Weight::straight(1));
    for statement in block(statement, diagnostics) {
        match statement.keyword().text.as_str() {
            "file" if path.is_some() => {
                let message = format!("a second file of track_file `{name}`");
                diagnostics
                    .push(Diagnostic::warning(statement.span(), message).label("ignored; the first counts"));
            }
            "file" => path = value::argument(statement, diagnostics).map(|word| word.text.clone().into()),
            "weight" => weighed = weight(statement, WEIGHT_MAX_NUMBER, weighed, diagnostics),
            "init_file" => init = Some(init_file(statement, diagnostics)),
            _ => unrecognised(Block::TrackFile, statement, diagnostics),
        }
    }
    if path.is_none() {
        let message = format!("track_file `{name}` has no file");
        diagnostics.push(Diagnostic::warning(statement.span(), message).label("ignored"));
    }
    Some(TrackFile { name, path: path?, weight: weighed, init })
}

/// Reads `init_file [VALUE] [overwrite]`; the words may stand in any order.
fn init_file(statement: &Statement, diagnostics: &mut Vec<Diagnostic>) -> InitFile {
    let mut init = InitFile { number: 0, existing: Existing::Kept };
    for word in statement.arguments() {
        match (word.text.as_str(), word.text.parse::<i32>()) {
            ("overwrite", _) => init.existing = Existing::Overwritten,
            (_, Ok(number)) if SENSIBLE.contains(&number) => init.number = number,
            (_, Ok(number)) => {
                let message = format!("{number} is more than any priority");
                diagnostics.push(Diagnostic::warning(word.span, message).label("expected -254 to 254"));
                init.number = number;
            }
            (_, Err(_)) => diagnostics.push(
                Diagnostic::warning(word.span, "bad value for `init_file`")
                    .label("expected a whole number, or `overwrite`; ignored"),
            ),
        }
    }
    init
}
