//! Reads `vrrp_script`.

use std::time::Duration;

use super::super::diagnostic::Diagnostic;
use super::super::keywords::Block;
use super::super::model::{Program, Script, ScriptUser};
use super::super::syntax::Statement;
use super::super::value;
use super::track::{WEIGHT_MAX, weight};
use super::{block, name, unrecognised};
use crate::vrrp::Weight;

pub(super) fn read(
    statement: &Statement,
    default_user: Option<&ScriptUser>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Script> {
    let name = name(statement, diagnostics)?.to_owned();
    let mut script = Script {
        name,
        program: Program { command: Vec::new(), user: default_user.cloned() },
        interval: Duration::from_secs(1),
        timeout: Duration::ZERO,
        weight: Weight::NONE,
        rise: 1,
        fall: 1,
        init_fail: false,
    };
    for statement in block(statement, diagnostics) {
        match statement.keyword().text.as_str() {
            "script" => script.program.command = command(statement, diagnostics),
            "interval" => {
                if let Some(interval) = value::seconds(Block::Script, statement, diagnostics) {
                    script.interval = interval;
                }
            }
            "timeout" => {
                if let Some(timeout) = value::seconds(Block::Script, statement, diagnostics) {
                    script.timeout = timeout;
                }
            }
            "weight" => script.weight = weight(statement, WEIGHT_MAX, script.weight, diagnostics),
            "rise" => {
                script.rise = value::number(Block::Script, statement, diagnostics).unwrap_or(script.rise);
            }
            "fall" => {
                script.fall = value::number(Block::Script, statement, diagnostics).unwrap_or(script.fall);
            }
            "init_fail" => script.init_fail = true,
            "user" => script.program.user = user(statement, diagnostics),
            _ => unrecognised(Block::Script, statement, diagnostics),
        }
    }
    if script.timeout.is_zero() {
        script.timeout = script.interval;
    }
    if script.program.command.is_empty() {
        let message = format!("vrrp_script `{}` has no script", script.name);
        diagnostics.push(Diagnostic::warning(statement.span(), message).label("ignored"));
        return None;
    }
    Some(script)
}

/// Reads the command of a script: either one quoted string, which is split into words, or several words, which are used
/// unchanged.
fn command(statement: &Statement, diagnostics: &mut Vec<Diagnostic>) -> Vec<String> {
    let arguments = match statement.arguments() {
        [] => {
            value::argument(statement, diagnostics);
            return Vec::new();
        }
        [one] => value::command(&one.text),
        many => Some(many.iter().map(|word| word.text.to_owned()).collect()),
    };
    arguments.unwrap_or_else(|| {
        diagnostics.push(
            Diagnostic::warning(statement.span(), "a quote in the command is not closed").label("ignored"),
        );
        Vec::new()
    })
}

/// Reads `USER [GROUP]`.
pub(super) fn user(statement: &Statement, diagnostics: &mut Vec<Diagnostic>) -> Option<ScriptUser> {
    match statement.arguments() {
        [user] => Some(ScriptUser { user: user.text.to_owned(), group: None }),
        [user, group] => Some(ScriptUser { user: user.text.to_owned(), group: Some(group.text.to_owned()) }),
        _ => {
            let message = format!("`{}` needs a user, and may have a group", statement.keyword().text);
            diagnostics.push(Diagnostic::error(statement.span(), message));
            None
        }
    }
}
