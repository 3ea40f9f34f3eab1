//! `vrrp_script`.

use std::time::Duration;

use super::super::diagnostic::Diagnostic;
use super::super::keywords::Block;
use super::super::model::{Script, ScriptUser};
use super::super::syntax::{Statement, Word};
use super::super::value;
use super::globals::Globals;
use super::{block, name, unread};
use crate::vrrp::Weight;

pub(super) fn read(
    statement: &Statement,
    globals: &Globals,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Script> {
    let name = name(statement, diagnostics)?.to_owned();
    let mut script = Script {
        name,
        command: Vec::new(),
        interval: Duration::from_secs(1),
        timeout: Duration::ZERO,
        weight: None,
        rise: 1,
        fall: 1,
        init_fail: false,
        user: globals.script_user.clone(),
    };
    for statement in block(statement, diagnostics) {
        match statement.keyword().text.as_str() {
            "script" => script.command = command(statement, diagnostics),
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
            "weight" => {
                no_reverse(statement.arguments(), diagnostics);
                if let Some(weight) = value::argument(statement, diagnostics) {
                    script.weight = read_weight(weight, diagnostics);
                }
            }
            "rise" => {
                script.rise = value::number(Block::Script, statement, diagnostics).unwrap_or(script.rise);
            }
            "fall" => {
                script.fall = value::number(Block::Script, statement, diagnostics).unwrap_or(script.fall);
            }
            "init_fail" => script.init_fail = true,
            "user" => script.user = user(statement, diagnostics),
            _ => unread(Block::Script, statement, diagnostics),
        }
    }
    if script.timeout.is_zero() {
        script.timeout = script.interval;
    }
    if script.command.is_empty() {
        let message = format!("vrrp_script `{}` has no script", script.name);
        diagnostics.push(Diagnostic::warning(statement.span(), message).label("ignored"));
        return None;
    }
    Some(script)
}

/// Either one quoted string, which is split, or the words as they stand.
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

/// `USER [GROUP]`.
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

/// A weight that is read the wrong way round moves the address the wrong way.
pub(super) fn no_reverse(arguments: &[Word], diagnostics: &mut Vec<Diagnostic>) {
    if let Some(word) = arguments.iter().find(|word| word.text == "reverse") {
        let message = "`reverse` is not supported yet";
        let help = "change the sign of the weight and the meaning of the script";
        diagnostics.push(Diagnostic::error(word.span, message).help(help));
    }
}

/// A weight from -253 to 253; zero is none.
pub(super) fn read_weight(word: &Word, diagnostics: &mut Vec<Diagnostic>) -> Option<Weight> {
    match word.text.parse::<i16>() {
        Ok(0) => None,
        Ok(weight) if (-253..=253).contains(&weight) => Some(Weight(weight)),
        Ok(_) | Err(_) => {
            diagnostics.push(
                Diagnostic::warning(word.span, "bad weight")
                    .label("expected a whole number from -253 to 253; the default is used"),
            );
            None
        }
    }
}
