//! `vrrp_sync_group`. Its members may stand below it, so the group is resolved at the end of the file.

use super::super::diagnostic::Diagnostic;
use super::super::keywords::Block;
use super::super::model::{Config, Group, TrackTarget, Tracked};
use super::super::syntax::{Statement, Word};
use super::globals::Globals;
use super::{block, name, notify, track, unrecognised};

/// Reads every group of a file.
pub(super) fn read_all(
    statements: &[Statement],
    globals: &Globals,
    tracked: Vec<Vec<Tracked>>,
    config: &mut Config,
    diagnostics: &mut Vec<Diagnostic>,
) {
    let groups = statements.iter().filter(|statement| statement.keyword().text == "vrrp_sync_group");
    for (statement, tracked) in groups.zip(tracked) {
        let group = read(statement, globals, &tracked, config, diagnostics);
        config.groups.extend(group);
    }
}

fn read(
    statement: &Statement,
    globals: &Globals,
    tracked: &[Tracked],
    config: &mut Config,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Group> {
    let name = name(statement, diagnostics)?.to_owned();
    if config.groups.iter().any(|group| group.name == name) {
        let message = format!("a second vrrp_sync_group `{name}`");
        diagnostics.push(Diagnostic::warning(statement.span(), message).label("ignored"));
        return None;
    }
    let (mut members, mut weights, mut notify) = (Vec::new(), false, globals.outlets.defaults());
    for statement in block(statement, diagnostics) {
        match statement.keyword().text.as_str() {
            "group" => {
                let words = block(statement, diagnostics).iter().flat_map(|line| &line.words);
                for word in words {
                    let member = member(word, config, &members, diagnostics);
                    members.extend(member);
                }
            }
            "sync_group_tracking_weight" => weights = true,
            _ if notify::read(
                Block::SyncGroup,
                statement,
                &mut notify,
                globals.script_user.as_ref(),
                diagnostics,
            ) => {}
            // `tracked` has already read this block.
            _ if is_track(statement) => {}
            _ => unrecognised(Block::SyncGroup, statement, diagnostics),
        }
    }
    if !weights {
        drop_weights(&name, statement, &members, config, diagnostics);
    }
    track_together(&members, tracked, config);
    if members.len() < 2 {
        let message = format!("vrrp_sync_group `{name}` has fewer than two members");
        diagnostics.push(
            Diagnostic::warning(statement.span(), message)
                .label("a sync group keeps two or more instances together"),
        );
    }
    // As with keepalived, a group with one member still tracks and notifies.
    if members.is_empty() {
        return None;
    }
    one_rank(&name, statement, &members, config, diagnostics);
    Some(Group { name, members, notify })
}

/// Reads the tracking blocks of a group. They are read in the order of the file, because a tracked thing must stand above the
/// group.
pub(super) fn tracked(
    statement: &Statement,
    config: &Config,
    diagnostics: &mut Vec<Diagnostic>,
) -> Vec<Tracked> {
    let mut tracked = Vec::new();
    // `block` reports a missing block later.
    for statement in statement.block.iter().flatten() {
        if is_track(statement) {
            track::read(Block::SyncGroup, statement, config, &mut tracked, diagnostics);
        }
    }
    tracked
}

fn is_track(statement: &Statement) -> bool {
    matches!(
        statement.keyword().text.as_str(),
        "track_script" | "track_interface" | "track_file" | "track_process"
    )
}

/// Makes all members track the things of the group, with the weights of the group. They replace the member's own entries for
/// the same thing.
fn track_together(members: &[usize], tracked: &[Tracked], config: &mut Config) {
    for &member in members {
        let instance = &mut config.instances[member];
        instance.tracked.retain(|own| tracked.iter().all(|tracked| tracked.target != own.target));
        let own = TrackTarget::Interface(instance.interface.clone());
        instance.tracked.extend(tracked.iter().filter(|tracked| tracked.target != own).cloned());
    }
}

fn member(
    word: &Word,
    config: &Config,
    members: &[usize],
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<usize> {
    let Some(index) = config.instances.iter().position(|instance| instance.name == word.text) else {
        let message = format!("no vrrp_instance `{}`", word.text);
        diagnostics.push(Diagnostic::warning(word.span, message).label("not a member"));
        return None;
    };
    let mut others = config.groups.iter().filter(|group| group.members.contains(&index));
    if members.contains(&index) || others.next().is_some() {
        let message = format!("`{}` is a member of a group already", word.text);
        diagnostics.push(Diagnostic::warning(word.span, message).label("ignored here"));
        return None;
    }
    Some(index)
}

/// Removes the weights of the members, as keepalived does: members whose priorities change separately would never agree.
fn drop_weights(
    name: &str,
    statement: &Statement,
    members: &[usize],
    config: &mut Config,
    diagnostics: &mut Vec<Diagnostic>,
) {
    for &member in members {
        let instance = &mut config.instances[member];
        let mut changed = false;
        instance.tracked.retain_mut(|tracked| match tracked.target {
            _ if tracked.weight.value == 0 => true,
            TrackTarget::Script(_) => {
                changed = true;
                false
            }
            TrackTarget::Interface(_) | TrackTarget::File(_) => {
                changed = true;
                tracked.weight.value = 0;
                true
            }
            // keepalived keeps these weights.
            TrackTarget::Process(_) => true,
        });
        if changed {
            let message = format!("`{}` tracks with weights", instance.name);
            diagnostics.push(
                Diagnostic::warning(statement.span(), message)
                    .label(format!(
                        "the weights are ignored: the priority of a member of `{name}` must not change by itself"
                    ))
                    .help("write `weight 0`, let the group track it, or write `sync_group_tracking_weight`"),
            );
        }
    }
}

/// Reports members with different priorities: two routers could each win half of the group, and neither could be master of all.
fn one_rank(
    name: &str,
    statement: &Statement,
    members: &[usize],
    config: &Config,
    diagnostics: &mut Vec<Diagnostic>,
) {
    let rank = |member: &usize| config.instances[*member].priority;
    if members.iter().any(|member| rank(member) != rank(&members[0])) {
        let message = format!("the members of vrrp_sync_group `{name}` have different priorities");
        diagnostics.push(
            Diagnostic::note(statement.span(), message)
                .label("if each of two routers has the higher priority in one member, neither can be master of all members")
                .help("give all members on one router the same priority"),
        );
    }
}
