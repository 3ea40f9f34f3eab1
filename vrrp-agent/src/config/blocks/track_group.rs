//! `track_group`: instances that are in fault while a static address, route or rule cannot be set. The instances may stand
//! below the group, so the group is resolved at the end of the file. As with keepalived, a line that names the group must stand
//! below it.

use super::super::diagnostic::Diagnostic;
use super::super::keywords::Block;
use super::super::model::{Config, TrackGroup};
use super::super::syntax::{Statement, Word};
use super::{block, name, unrecognised};

/// Adds the group by its name, without members, so that the lines below can refer to it.
pub(super) fn declare(
    statement: &Statement,
    groups: &mut Vec<TrackGroup>,
    diagnostics: &mut Vec<Diagnostic>,
) {
    let Some(name) = name(statement, diagnostics) else { return };
    if groups.iter().any(|group| group.name == name) {
        let message = format!("a second track_group `{name}`");
        return diagnostics.push(Diagnostic::warning(statement.span(), message).label("ignored"));
    }
    groups.push(TrackGroup { name: name.to_owned(), members: Vec::new() });
}

/// Sets the members of all groups. Called when all instances have been read.
pub(super) fn resolve_all(statements: &[Statement], config: &mut Config, diagnostics: &mut Vec<Diagnostic>) {
    let mut resolved: Vec<&str> = Vec::new();
    for statement in statements.iter().filter(|statement| statement.keyword().text == "track_group") {
        // A group without a name has already been reported.
        let [name] = statement.arguments() else { continue };
        let name = name.text.as_str();
        if resolved.contains(&name) {
            continue;
        }
        resolved.push(name);
        let mut members = Vec::new();
        for statement in block(statement, diagnostics) {
            match statement.keyword().text.as_str() {
                "group" => {
                    let words = block(statement, diagnostics).iter().flat_map(|line| &line.words);
                    members.extend(words.filter_map(|word| member(word, config, diagnostics)));
                }
                _ => unrecognised(Block::TrackGroup, statement, diagnostics),
            }
        }
        members.sort_unstable();
        members.dedup();
        if let Some(group) = config.track_groups.iter_mut().find(|group| group.name == name) {
            group.members = members;
        }
    }
}

/// Finds a member by name. keepalived does not report an unknown name, so here it is only a note.
fn member(word: &Word, config: &Config, diagnostics: &mut Vec<Diagnostic>) -> Option<usize> {
    let index = config.instances.iter().position(|instance| instance.name == word.text);
    if index.is_none() {
        let message = format!("no vrrp_instance `{}`", word.text);
        diagnostics.push(Diagnostic::note(word.span, message).label("not a member"));
    }
    index
}

/// Checks the `track_group` of a static line. If no such group stands above the line, `said` is set to `None` with a warning.
pub(super) fn check(
    statement: &Statement,
    said: &mut Option<String>,
    groups: &[TrackGroup],
    diagnostics: &mut Vec<Diagnostic>,
) {
    if let Some(name) = said
        && groups.iter().all(|group| group.name != *name)
    {
        let message = format!("no track_group `{name}`");
        diagnostics.push(
            Diagnostic::warning(statement.span(), message)
                .label("no instance tracks it")
                .help("write the track_group above the line that names it"),
        );
        *said = None;
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{Reading, TrackGroup, parse};

    const GROUP: &str = "track_group G {\ngroup {\nV\n}\n}\n";
    const ADDRESS: &str = "static_ipaddress {\n192.0.2.9/32 dev eth0 track_group G\n}\n";

    fn read(above: &str) -> Reading {
        parse(&format!(
            "{above}\nvrrp_instance V {{\ninterface eth0\nvirtual_router_id 1\nvirtual_ipaddress {{\n192.0.2.1\n}}\n}}\n"
        ))
    }

    #[test]
    fn instances_may_stand_below() {
        let rest = "static_routes {\n192.0.3.0/24 dev eth0 track_group G\n}\n\
                    static_rules {\nfrom 192.0.3.0/24 table 7 preference 5 track_group G\n}\n";
        let reading = read(&format!("{GROUP}{ADDRESS}{rest}"));
        assert!(reading.diagnostics.is_empty(), "{:?}", reading.diagnostics);
        let config = reading.config.expect("a valid file");
        assert_eq!(config.track_groups, [TrackGroup { name: "G".to_owned(), members: vec![0] }]);
        assert_eq!(config.statics.addresses[0].track_group.as_deref(), Some("G"));
        assert_eq!(config.statics.routes[0].track_group.as_deref(), Some("G"));
        assert_eq!(config.statics.rules[0].track_group.as_deref(), Some("G"));
    }

    /// Observed with keepalived 2.2.7. An unknown instance is only a note here, and is not counted.
    #[test]
    fn complaints_are_keepaliveds() {
        use crate::config::Severity;
        for (above, warnings, tracked) in [
            (format!("{ADDRESS}{GROUP}"), 1, false),
            (ADDRESS.to_owned(), 1, false),
            (format!("{GROUP}{GROUP}{ADDRESS}"), 1, true),
            (format!("track_group {{\ngroup {{\nV\n}}\n}}\n{GROUP}{ADDRESS}"), 1, true),
            (format!("track_group G {{\ngroup {{\nV V nosuch\n}}\n}}\n{ADDRESS}"), 0, true),
            (format!("track_group G {{\n}}\n{ADDRESS}"), 0, true),
        ] {
            let reading = read(&above);
            assert_eq!(reading.count(Severity::Warning), warnings, "{above}: {:?}", reading.diagnostics);
            let config = reading.config.expect("usable");
            assert_eq!(config.statics.addresses[0].track_group.is_some(), tracked, "{above}");
        }
    }
}
