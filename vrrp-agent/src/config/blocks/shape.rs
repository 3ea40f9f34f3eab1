//! Reports a block behind a keyword that takes none, and words before the `{` of a block that has no name.

use super::super::diagnostic::Diagnostic;
use super::super::keywords::{self, Block, Value};
use super::super::syntax::Statement;

/// Reports all such places in this block and in the blocks within it.
pub(super) fn check(block: Block, statements: &[Statement], diagnostics: &mut Vec<Diagnostic>) {
    for statement in statements {
        // `unrecognised` reports unknown keywords.
        let Some(keyword) = keywords::lookup(block, &statement.keyword().text) else { continue };
        let within = statement.block.as_deref();
        match keyword.value {
            Value::Section(inner) => {
                nameless(block, statement, diagnostics);
                check(inner, within.unwrap_or_default(), diagnostics);
            }
            Value::Named(inner) => check(inner, within.unwrap_or_default(), diagnostics),
            Value::Lines(_) => nameless(block, statement, diagnostics),
            // A keyword with its own grammar may have a block.
            Value::Rest(_) => {}
            Value::Nothing
            | Value::Switch
            | Value::Number { .. }
            | Value::Integer { .. }
            | Value::Quantity { .. }
            | Value::Weight { .. }
            | Value::Seconds { .. }
            | Value::Text
            | Value::Ip
            | Value::Command
            | Value::CommandAs
            | Value::Choice(_) => {
                if within.is_some() {
                    let message = format!("`{}` has no block", keyword.name);
                    diagnostics.push(
                        Diagnostic::warning(statement.span(), message)
                            .label("its braces and the text between them are ignored")
                            .help("remove both braces: keepalived takes the `}` as the end of the block around it"),
                    );
                }
            }
        }
    }
}

/// Reports words between a keyword and its `{`. keepalived does not report them at the outermost level, so they are accepted
/// there.
fn nameless(block: Block, statement: &Statement, diagnostics: &mut Vec<Diagnostic>) {
    if let (true, [first, ..]) = (block != Block::Root && statement.block.is_some(), statement.arguments()) {
        let message = format!("the block `{}` has no name", statement.keyword().text);
        diagnostics.push(Diagnostic::warning(first.span.to(statement.span()), message).label("ignored"));
    }
}
