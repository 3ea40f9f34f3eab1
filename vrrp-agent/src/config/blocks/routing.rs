//! `virtual_routes`, `virtual_rules`, and their static counterparts. As with keepalived, a line that cannot be used is left out
//! with a warning.

use super::super::diagnostic::Diagnostic;
use super::super::model::{Config, TrackGroup};
use super::super::routing::{self, BadWord, PreferenceNumbering, Route, Rule, Tables};
use super::super::syntax::Statement;
use super::super::value;
use super::globals::Globals;
use super::{block, track_group};

/// Reads a block of routes. For virtual routes `groups` is empty.
pub(super) fn routes(
    statement: &Statement,
    tables: &Tables<'_>,
    groups: &[TrackGroup],
    routes: &mut Vec<Route>,
    diagnostics: &mut Vec<Diagnostic>,
) {
    for statement in block(statement, diagnostics) {
        match routing::route(&words(statement), tables) {
            Ok(mut route) => {
                track_group::check(statement, &mut route.track_group, groups, diagnostics);
                routes.push(route);
            }
            Err(bad) => diagnostics.push(complaint(statement, bad, "this route is not set")),
        }
    }
}

/// Reads a block of rules. For virtual rules `groups` is empty.
pub(super) fn rules(
    statement: &Statement,
    tables: &Tables<'_>,
    groups: &[TrackGroup],
    preferences: &mut PreferenceNumbering,
    rules: &mut Vec<Rule>,
    diagnostics: &mut Vec<Diagnostic>,
) {
    for statement in block(statement, diagnostics) {
        match routing::parse_rule(&words(statement), tables) {
            Ok(mut rule) => {
                track_group::check(statement, &mut rule.track_group, groups, diagnostics);
                if preferences.set_if_missing(&mut rule) {
                    let number = rule.preference.unwrap_or_default();
                    diagnostics.push(
                        Diagnostic::warning(statement.span(), "a rule without `preference`")
                            .label(format!("{number} is used"))
                            .help("rules without one are numbered down from 16384, in the order of the file"),
                    );
                }
                rules.push(rule);
            }
            Err(bad) => diagnostics.push(complaint(statement, bad, "this rule is not set")),
        }
    }
}

/// Reads `static_ipaddress`.
pub(super) fn fixed_addresses(
    statement: &Statement,
    globals: &Globals,
    config: &mut Config,
    diagnostics: &mut Vec<Diagnostic>,
) {
    for statement in block(statement, diagnostics) {
        let Some(mut address) = value::vip(statement, diagnostics) else { continue };
        address.dev.get_or_insert_with(|| globals.default_interface.clone());
        track_group::check(statement, &mut address.track_group, &config.track_groups, diagnostics);
        config.statics.addresses.push(address);
    }
}

fn words(statement: &Statement) -> Vec<&str> {
    statement.words.iter().map(|word| word.text.as_str()).collect()
}

fn complaint(statement: &Statement, bad: BadWord, label: &str) -> Diagnostic {
    let BadWord { index, message } = bad;
    let word = statement.words.get(index).unwrap_or(statement.keyword());
    Diagnostic::warning(word.span, message).label(label)
}
