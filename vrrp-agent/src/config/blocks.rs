//! From statements to the model, in the order of the file: as with keepalived, a default set in `global_defs` holds for
//! the instances below it, and a script must stand above the instance that tracks it.

mod authentication;
mod complete;
mod globals;
mod group;
mod instance;
mod script;

use super::diagnostic::Diagnostic;
use super::model::{Config, Spacing};
use super::syntax::{Statement, Word};
use globals::Globals;

/// Blocks of keepalived's other halves: whole subsystems that this daemon does not have.
const OTHER_SUBSYSTEMS: [&str; 4] = ["virtual_server", "virtual_server_group", "SSL", "bfd_instance"];

/// Builds the model, and complains. The result is only to be used if no complaint is an error.
pub(super) fn build(statements: &[Statement<'_>], diagnostics: &mut Vec<Diagnostic>) -> Config {
    refuse_substitution(statements, diagnostics);
    let mut globals = Globals::default();
    let mut config = Config {
        router_id: None,
        scripts: Vec::new(),
        instances: Vec::new(),
        groups: Vec::new(),
        spacing: Spacing::default(),
    };
    // keepalived resolves this one at the end, so it holds for instances above it too.
    globals::read_version(statements, &mut globals, diagnostics);
    for statement in statements {
        let keyword = statement.keyword();
        match keyword.text {
            "global_defs" => globals::read(block(statement, diagnostics), &mut globals, diagnostics),
            "vrrp_script" => {
                let script = script::read(statement, &globals, diagnostics);
                config.scripts.extend(script);
            }
            "vrrp_instance" => {
                let instance = instance::read(statement, &globals, &config, diagnostics);
                config.instances.extend(instance);
            }
            // Read below, when all instances are known.
            "vrrp_sync_group" => {}
            other if OTHER_SUBSYSTEMS.contains(&other) => {
                let message = format!("`{other}` belongs to another subsystem of keepalived");
                diagnostics
                    .push(Diagnostic::warning(statement.span(), message).label("the whole block is skipped"));
            }
            _ => diagnostics.push(unknown(keyword)),
        }
    }
    group::read_all(statements, &mut config, diagnostics);
    config.router_id = globals.router_id;
    config.spacing = globals.spacing;
    if config.instances.is_empty() && diagnostics.iter().all(|d| d.severity != super::Severity::Error) {
        diagnostics.push(
            Diagnostic::error(0..0, "no vrrp_instance")
                .help("there is nothing to run without at least one instance"),
        );
    }
    config
}

/// What changes the meaning of the text itself: read over, it would leave another configuration than the user has.
fn refuse_substitution(statements: &[Statement<'_>], diagnostics: &mut Vec<Diagnostic>) {
    for statement in statements {
        let keyword = statement.keyword();
        let include = ["include", "includer", "includem", "includew", "includeb", "includea"];
        let substitution =
            statement.words.iter().find(|word| !word.quoted() && word.text.starts_with(['$', '~', '@']));
        if include.contains(&keyword.text) {
            let message = format!("`{}` is not supported yet", keyword.text);
            diagnostics.push(Diagnostic::error(statement.span(), message).help("put all into one file"));
        } else if let Some(word) = substitution {
            diagnostics.push(
                Diagnostic::error(
                    word.span.clone(),
                    "definitions, sequences and conditions are not supported yet",
                )
                .help("write the value itself; a quoted word is taken as it stands"),
            );
        }
        refuse_substitution(statement.block.as_deref().unwrap_or_default(), diagnostics);
    }
}

/// A keyword of keepalived's that, read over, would keep the routers of one VRID from hearing each other.
fn changes_who_is_heard(statement: &Statement<'_>, keyword: &str) -> Diagnostic {
    Diagnostic::error(statement.keyword().span.clone(), format!("`{keyword}` is not supported yet"))
        .label("without it the routers would not hear each other, and each would become master")
}

/// The statements of a block; a missing one is complained of.
fn block<'s, 't>(statement: &'s Statement<'t>, diagnostics: &mut Vec<Diagnostic>) -> &'s [Statement<'t>] {
    statement.block.as_deref().unwrap_or_else(|| {
        let message = format!("`{}` needs a block", statement.keyword().text);
        diagnostics
            .push(Diagnostic::warning(statement.span(), message).label("expected `{` … `}` behind it"));
        &[]
    })
}

/// The name of a named block; a missing one is an error.
fn name<'s>(statement: &'s Statement<'_>, diagnostics: &mut Vec<Diagnostic>) -> Option<&'s str> {
    let name = statement.arguments().first().map(|word| word.text);
    if name.is_none() {
        let keyword = statement.keyword();
        let message = format!("a `{}` without a name", keyword.text);
        let help = format!("write `{} NAME {{`", keyword.text);
        diagnostics.push(Diagnostic::error(keyword.span.clone(), message).help(help));
    }
    name
}

fn unknown(keyword: &Word<'_>) -> Diagnostic {
    let message = format!("unknown keyword `{}`", keyword.text);
    Diagnostic::warning(keyword.span.clone(), message).label("ignored, with its block if it has one")
}

/// A keyword of keepalived's that is read over without harm to the election.
fn not_yet(statement: &Statement<'_>) -> Diagnostic {
    let message = format!("`{}` is not supported yet", statement.keyword().text);
    Diagnostic::warning(statement.span(), message).label("ignored")
}
