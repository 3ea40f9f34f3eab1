//! Writes the tracked things, and the lists of tracked things of an instance.

use super::super::command::quoted;
use super::super::model::{
    Arguments, Config, Existing, InitFile, ProcessName, Script, TrackFile, TrackProcess, TrackTarget, Tracked,
};
use super::programs::user;
use super::{Lines, seconds};
use crate::vrrp::{Sense, Weight};

pub(super) fn show_script(lines: &mut Lines, script: &Script) {
    lines.open(&format!("vrrp_script {}", script.name));
    lines.add(format_args!("script {}", quoted(&script.program.command)));
    lines.add(format_args!("interval {}", seconds(script.interval)));
    lines.add(format_args!("timeout {}", seconds(script.timeout)));
    lines.add(format_args!("{}", weight(script.weight)));
    lines.add(format_args!("rise {}", script.rise));
    lines.add(format_args!("fall {}", script.fall));
    lines.flag("init_fail", script.init_fail);
    if let Some(of) = &script.program.user {
        lines.add(format_args!("user{}", user(of)));
    }
    lines.close();
}

/// Returns `weight N [reverse]`.
fn weight(weight: Weight) -> String {
    let sense = match weight.sense {
        Sense::Straight => "",
        Sense::Reverse => " reverse",
    };
    format!("weight {}{sense}", weight.value)
}

/// Writes words as the parser reads them: in quotes, without escapes.
pub(super) fn show_file(lines: &mut Lines, file: &TrackFile) {
    lines.open(&format!("track_file {}", file.name));
    lines.add(format_args!("file \"{}\"", file.path.display()));
    lines.add(format_args!("{}", weight(file.weight)));
    if let Some(InitFile { number, existing }) = file.init {
        let overwrite = match existing {
            Existing::Kept => "",
            Existing::Overwritten => " overwrite",
        };
        lines.add(format_args!("init_file {number}{overwrite}"));
    }
    lines.close();
}

pub(super) fn show_process(lines: &mut Lines, process: &TrackProcess) {
    let TrackProcess { name, program, known_by, arguments, quorum, fork_delay, terminate_delay, .. } =
        process;
    lines.open(&format!("vrrp_track_process {name}"));
    let (words, compared) = match arguments {
        Arguments::Any => (&[][..], None),
        Arguments::Exactly(words) => (&words[..], Some("param_match")),
        Arguments::First(words) => (&words[..], Some("param_match partial")),
        Arguments::Initial(words) => (&words[..], Some("param_match initial")),
    };
    let words: String = words.iter().map(|word| format!(" \"{word}\"")).collect();
    lines.add(format_args!("process \"{program}\"{words}"));
    lines.flag("full_command", *known_by == ProcessName::Full);
    lines.flag(compared.unwrap_or_default(), compared.is_some());
    lines.add(format_args!("{}", weight(process.weight)));
    match (*quorum.start(), *quorum.end()) {
        // `quorum` and `quorum_max` would contradict each other.
        (0, 0) => lines.flag("quorum_max 0", true),
        (least, u32::MAX) => lines.add(format_args!("quorum {least}")),
        (least, most) => {
            lines.add(format_args!("quorum {least}"));
            lines.add(format_args!("quorum_max {most}"));
        }
    }
    for (keyword, delay) in [("fork_delay", fork_delay), ("terminate_delay", terminate_delay)] {
        if !delay.is_zero() {
            lines.add(format_args!("{keyword} {}", seconds(*delay)));
        }
    }
    lines.close();
}

pub(super) fn show_tracked(lines: &mut Lines, config: &Config, tracked: &[Tracked]) {
    for block in ["track_script", "track_interface", "track_file", "track_process"] {
        let named = |tracked: &Tracked| {
            let (of, name) = match &tracked.target {
                TrackTarget::Script(script) => ("track_script", &config.scripts[*script].name),
                TrackTarget::Interface(name) => ("track_interface", name),
                TrackTarget::File(file) => ("track_file", &config.files[*file].name),
                TrackTarget::Process(process) => ("track_process", &config.processes[*process].name),
            };
            (of == block).then(|| (name.clone(), tracked.weight))
        };
        let named: Vec<(String, Weight)> = tracked.iter().filter_map(named).collect();
        if named.is_empty() {
            continue;
        }
        lines.open(block);
        for (name, of) in named {
            // A line without `reverse` or `noreverse` takes the direction from the definition of the tracked thing.
            let straight = of.sense == Sense::Straight && block != "track_interface";
            let straight = if straight { " noreverse" } else { "" };
            lines.add(format_args!("{name} {}{straight}", weight(of)));
        }
        lines.close();
    }
}
