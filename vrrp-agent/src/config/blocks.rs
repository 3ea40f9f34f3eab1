//! Builds the model from the statements, in the order of the file. As with keepalived, a default set in `global_defs` holds for
//! the instances below it, and a script must stand above the instance that tracks it.

mod authentication;
mod dbus;
mod draft;
mod extra_refresh;
mod garp_group;
mod globals;
mod group;
mod host_settings;
mod inherited;
mod instance;
mod link_delays;
mod notify;
mod outlets;
mod routing;
mod script;
mod shape;
mod snmp;
mod sync_daemon;
mod track;
mod track_file;
mod track_group;
mod track_process;
pub(super) mod umask;
mod validate;

use std::collections::BTreeMap;

use super::diagnostic::{COMPLAINTS_MAX, Diagnostic};
use super::files::Files;
use super::host_settings::HostSettings;
use super::keywords::{self, Block, Support};
use super::model::{Config, MissingInterfaces, ScriptSecurity, Spacing, StartDelay, StaticResources};
use super::routing::Tables;
use super::snmp::Snmp;
use super::sources::Span;
use super::syntax::{Statement, Word};
use super::value;
use globals::Globals;

/// Builds the model and adds diagnostics. Use the result only if no diagnostic is an error.
#[expect(
    clippy::too_many_lines,
    reason = "one arm for each block, and one line for each value of the result"
)]
pub(super) fn build(
    statements: &[Statement],
    files: &dyn Files,
    diagnostics: &mut Vec<Diagnostic>,
) -> Config {
    let mut globals = Globals::default();
    let mut config = Config {
        router_id: None,
        scripts: Vec::new(),
        files: Vec::new(),
        processes: Vec::new(),
        instances: Vec::new(),
        groups: Vec::new(),
        script_security: ScriptSecurity::Off,
        fifos: Vec::new(),
        mail: None,
        snmp: Snmp::default(),
        dbus: None,
        sync_daemon: None,
        spacing: Spacing::default(),
        host: HostSettings::default(),
        paced_together: Vec::new(),
        link_delays: BTreeMap::new(),
        track_groups: Vec::new(),
        missing: MissingInterfaces::default(),
        start_delay: StartDelay::default(),
        statics: StaticResources::default(),
    };
    let mut group_tracked = Vec::new();
    // keepalived resolves these keywords at the end of the file, so they also hold for the instances above them.
    globals::read_ahead(statements, &mut globals, diagnostics);
    for statement in statements {
        let keyword = statement.keyword();
        if diagnostics.len() >= COMPLAINTS_MAX {
            let message = "too many problems: the rest of the file is not checked";
            diagnostics.push(Diagnostic::error(keyword.span, message));
            break;
        }
        match keyword.text.as_str() {
            "global_defs" => globals::read(block(statement, diagnostics), &mut globals, diagnostics),
            "vrrp_script" => {
                let script = script::read(statement, globals.script_user.as_ref(), diagnostics);
                config.scripts.extend(script);
            }
            "vrrp_instance" => {
                let instance = instance::read(statement, &mut globals, &config, files, diagnostics);
                config.instances.extend(instance);
            }
            "static_ipaddress" => routing::fixed_addresses(statement, &globals, &mut config, diagnostics),
            "static_routes" => {
                let tables = Tables::new(files, &globals.directories);
                let groups = &config.track_groups;
                routing::routes(statement, &tables, groups, &mut config.statics.routes, diagnostics);
            }
            "static_rules" => {
                let Globals { directories, preferences, .. } = &mut globals;
                let tables = Tables::new(files, directories);
                let (groups, rules) = (&config.track_groups, &mut config.statics.rules);
                routing::rules(statement, &tables, groups, preferences, rules, diagnostics);
            }
            "garp_group" => {
                let group = garp_group::read(statement, &config.paced_together, diagnostics);
                config.paced_together.extend(group);
            }
            "interface_up_down_delays" => {
                link_delays::read(statement, &mut config.link_delays, diagnostics);
            }
            "track_group" => track_group::declare(statement, &mut config.track_groups, diagnostics),
            _ if host_settings::read_root(statement, &mut globals.host, diagnostics) => {}
            "track_file" | "vrrp_track_file" => config.files.extend(track_file::read(statement, diagnostics)),
            "vrrp_track_process" => config.processes.extend(track_process::read(statement, diagnostics)),
            // The rest of the group is read below, when all instances are known. The things that the group tracks must stand
            // above it.
            "vrrp_sync_group" => group_tracked.push(group::tracked(statement, &config, diagnostics)),
            _ => unrecognised(Block::Root, statement, diagnostics),
        }
    }
    shape::check(Block::Root, statements, diagnostics);
    group::read_all(statements, &globals, group_tracked, &mut config, diagnostics);
    track_group::resolve_all(statements, &mut config, diagnostics);
    outlets::complain(statements, &globals.outlets, diagnostics);
    config.host = globals.host;
    config.missing = globals.missing;
    config.start_delay = globals.start_delay;
    config.script_security = globals.script_security;
    config.fifos = globals.outlets.fifos();
    config.mail = globals.outlets.mail();
    config.snmp = globals.snmp.finish();
    config.dbus = globals.dbus.finish();
    config.sync_daemon = globals.sync_daemon.finish(&config.instances, diagnostics);
    snmp::complain(statements, &config.snmp, diagnostics);
    config.router_id = globals.router_id;
    config.spacing = globals.spacing;
    if config.script_security == ScriptSecurity::Off
        && let Some(first) = statements.iter().find(|statement| runs_something(statement))
    {
        diagnostics.push(
            Diagnostic::note(first.keyword().span, "scripts run without `enable_script_security`")
                .label("a user who can write to such a script can run any program as root")
                .help("write `enable_script_security` and a `script_user` in global_defs"),
        );
    }
    if config.instances.is_empty() && diagnostics.iter().all(|d| d.severity != super::Severity::Error) {
        diagnostics.push(
            Diagnostic::note(Span::BEGINNING, "no vrrp_instance")
                .label("the daemon holds no address and waits for a reload, as keepalived does"),
        );
    }
    config
}

/// Returns true if a statement of the outermost level makes the daemon run programs.
fn runs_something(statement: &Statement) -> bool {
    let notifies = |statement: &Statement| {
        let keyword = &statement.keyword().text;
        let is_switch = keyword == "notify_priority_changes" || keyword.ends_with("notify_fifo");
        let is_errand = matches!(keyword.as_str(), "startup_script" | "shutdown_script");
        let notifies = keyword.starts_with("notify") || keyword.ends_with("notify_fifo_script");
        is_errand || (notifies && !is_switch)
    };
    match statement.keyword().text.as_str() {
        "vrrp_script" => true,
        "vrrp_instance" | "vrrp_sync_group" | "global_defs" => statement.block.iter().flatten().any(notifies),
        _ => false,
    }
}

/// Returns the statements of a block. A missing block is a warning.
fn block<'s>(statement: &'s Statement, diagnostics: &mut Vec<Diagnostic>) -> &'s [Statement] {
    statement.block.as_deref().unwrap_or_else(|| {
        let message = format!("`{}` needs a block", statement.keyword().text);
        diagnostics.push(Diagnostic::warning(statement.span(), message).label("expected `{` … `}` after it"));
        &[]
    })
}

/// Returns the name of a named block. As with keepalived, a missing name is an error. The exceptions are instances and groups:
/// without a name, or with more than one name, the block is ignored with a warning.
fn name<'s>(statement: &'s Statement, diagnostics: &mut Vec<Diagnostic>) -> Option<&'s str> {
    let keyword = statement.keyword();
    let left_out = matches!(keyword.text.as_str(), "vrrp_instance" | "vrrp_sync_group" | "track_group");
    let help = format!("write `{} NAME {{`, with a name of one word", keyword.text);
    let complaint = match (statement.arguments(), left_out) {
        ([name], _) | ([name, ..], false) => return Some(&name.text),
        ([], false) => Diagnostic::error(keyword.span, format!("a `{}` without a name", keyword.text)),
        ([], true) => Diagnostic::warning(keyword.span, format!("a `{}` without a name", keyword.text))
            .label("ignored, with its block"),
        ([first, ..], true) => {
            let message = format!("a `{}` with more than one name", keyword.text);
            Diagnostic::warning(first.span.to(statement.span()), message).label("ignored, with its block")
        }
    };
    diagnostics.push(complaint.help(help));
    None
}

/// Reports a keyword that no reader has accepted: with the text from the keyword table, or, if it is unknown there, with the
/// keyword that was probably meant.
fn unrecognised(block: Block, statement: &Statement, diagnostics: &mut Vec<Diagnostic>) {
    let keyword = statement.keyword();
    let name = &keyword.text;
    let Some(known) = keywords::lookup(block, name) else {
        return diagnostics.push(unknown(block, keyword));
    };
    value::check(block, statement, diagnostics);
    match known.support {
        Support::Works | Support::Accepted(_) => {}
        Support::Mistaken(instead) => diagnostics.push(unknown(block, keyword).help(instead)),
        Support::Warned(instead) => diagnostics.push(
            Diagnostic::note(statement.span(), format!("`{name}` has no effect ({})", known.what))
                .label("ignored")
                .help(instead),
        ),
    }
}

fn unknown(block: Block, keyword: &Word) -> Diagnostic {
    let message = format!("unknown keyword `{}`", keyword.text);
    let diagnostic =
        Diagnostic::warning(keyword.span, message).label("ignored, with its block if it has one");
    match (keywords::suggest(block, &keyword.text), keywords::elsewhere(&keyword.text)) {
        (Some(meant), _) => diagnostic.help(format!("did you mean `{meant}`?")),
        (None, Some(other)) => {
            diagnostic.help(format!("it belongs in {}, and has no effect here", other.name()))
        }
        (None, None) => diagnostic,
    }
}
