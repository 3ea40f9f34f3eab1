//! The snapshot as text.

use std::fmt::Write as _;

use super::{FileStatus, InstanceStatus, ProcessStatus, ScriptStatus, Snapshot, TrackedInterface};

/// The text of `vrrp-agent status`.
#[must_use]
pub fn render(snapshot: &Snapshot) -> String {
    let mut text = String::new();
    let mut line = |text_line: String| {
        // Writing to a String cannot fail.
        let _infallible = writeln!(text, "{text_line}");
    };
    let Snapshot { version, pid, dataplane, .. } = snapshot;
    line(format!("vrrp-agent {version}, pid {pid}, data plane {dataplane}"));
    if let Some(pins) = &snapshot.pins {
        line(format!("pinned under {pins}"));
    }
    for instance in &snapshot.instances {
        instance_lines(instance, &mut line);
    }
    let Snapshot { interfaces, files, processes, scripts, .. } = snapshot;
    if !(interfaces.is_empty() && files.is_empty() && processes.is_empty() && scripts.is_empty()) {
        line(String::new());
    }
    for TrackedInterface { name, state } in interfaces {
        line(format!("interface {name}: {}", state.to_uppercase()));
    }
    for FileStatus { name, path, number } in files {
        line(format!("file {name}: {path} says {number}"));
    }
    for ProcessStatus { name, state } in processes {
        line(format!("process {name}: {}", state.to_uppercase()));
    }
    for ScriptStatus { name, state, result, output } in scripts {
        let result = result.as_ref().map_or_else(String::new, |result| format!(" ({result})"));
        line(format!("script {name}: {}{result}", state.to_uppercase()));
        for said in output.lines() {
            // The output as it is, except control characters, which could move the cursor.
            let said: String = said.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
            line(format!("  | {said}"));
        }
    }
    if !snapshot.counters.is_empty() {
        let counters: Vec<String> =
            snapshot.counters.iter().map(|(name, count)| format!("{name} {count}")).collect();
        line(format!("\ncounters: {}", counters.join(", ")));
    }
    text
}

fn instance_lines(instance: &InstanceStatus, line: &mut impl FnMut(String)) {
    let InstanceStatus { name, state, for_seconds, cause, interface, vrid, version, .. } = instance;
    line(format!("\n{name}: {} for {for_seconds:.1} s ({cause})", state.to_uppercase()));
    line(format!(
        "  router     {vrid} on {interface}, version {version}, every {} s",
        instance.interval_seconds
    ));
    if state != "fault" {
        instance.lacks.iter().for_each(|lack| line(format!("  waits for  {lack}")));
    }
    let base = match instance.base_priority {
        base if base == instance.priority => String::new(),
        base => format!(" (base {base})"),
    };
    line(format!("  priority   {}{base}", instance.priority));
    if let Some(master) = &instance.master {
        let who = if master.is_self { ", this router" } else { "" };
        line(format!("  master     {} with priority {}{who}", master.address, master.priority));
    }
    if let Some(group) = &instance.group {
        let waits = if instance.waits_for_group { ", whose other members still hear a master" } else { "" };
        line(format!("  group      {group}{waits}"));
    }
    let vips: Vec<String> = instance.vips.iter().map(ToString::to_string).collect();
    line(format!("  addresses  {}", vips.join(", ")));
    if !instance.missing.is_empty() {
        let missing: Vec<String> = instance.missing.iter().map(ToString::to_string).collect();
        line(format!("  missing    {}: the kernel refuses them, see the log", missing.join(", ")));
    }
    if let Some(lease) = instance.lease_seconds {
        line(format!("  lease      {lease:.3} s left"));
    }
    if let (Some(down), Some(watch)) = (instance.master_down_seconds, &instance.watch) {
        line(format!("  watch      by the {watch}; master counts as lost in {down:.3} s"));
    }
    let InstanceStatus { adverts_sent, resignations_sent, became_master, .. } = instance;
    line(format!(
        "  sent       {}, {}; became master {}",
        counted(*adverts_sent, "advert"),
        counted(*resignations_sent, "resignation"),
        counted(*became_master, "time")
    ));
}

/// Formats a number with its noun.
fn counted(number: u64, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}
