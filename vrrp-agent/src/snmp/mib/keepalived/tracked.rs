//! The objects about what instances track: scripts, files, processes, interfaces.

use super::super::super::oid::Value;
use super::super::{Facts, Table, gauge, yes};
use super::vrrp;
use crate::config::{Arguments, InstanceConfig, ProcessName, Script, TrackFile, TrackProcess, TrackTarget};
use crate::vrrp::{Sense, Weight};

/// Adds the rows for all that an instance tracks, in the order of the file.
pub(super) fn by_instance(table: &mut Table, facts: &Facts<'_>, number: u32, config: &InstanceConfig) {
    let (mut scripts, mut files, mut processes) = (1.., 1.., 1..);
    for tracked in &config.tracked {
        let (kind, place, name) = match &tracked.target {
            TrackTarget::Script(index) => (5, scripts.next(), &facts.config.scripts[*index].name),
            TrackTarget::File(index) => (12, files.next(), &facts.config.files[*index].name),
            TrackTarget::Process(index) => (20, processes.next(), &facts.config.processes[*index].name),
            TrackTarget::Interface(name) => {
                // In this table the columns begin one earlier, since the row is the interface's number.
                let Some(interface) = (facts.interface)(name) else { continue };
                let [value, sense] = weight(tracked.weight);
                let columns = [(1, Value::text(name)), (2, value), (3, sense)];
                table.row(&vrrp().join(&[4, 1]), &[number, interface], columns);
                continue;
            }
        };
        let Some(place) = place else { continue };
        let [value, sense] = weight(tracked.weight);
        table.row(
            &vrrp().join(&[kind, 1]),
            &[number, place],
            [(2, Value::text(name)), (3, value), (4, sense)],
        );
    }
}

/// Adds the rows for all that there is to track.
pub(super) fn all(table: &mut Table, facts: &Facts<'_>) {
    let said = |name: &str| facts.snapshot.scripts.iter().find(|status| status.name == name);
    for (number, of) in (1..).zip(&facts.config.scripts) {
        script(table, number, of, said(&of.name).map_or("unknown", |status| &status.state));
    }
    for (number, TrackFile { name, path, weight: of, .. }) in (1..).zip(&facts.config.files) {
        let [value, sense] = weight(*of);
        let path = Value::text(&path.display().to_string());
        let columns = [(2, Value::text(name)), (3, path), (5, value), (6, sense)];
        table.row(&vrrp().join(&[13, 1]), &[number], columns);
    }
    for (number, of) in (1..).zip(&facts.config.processes) {
        process(table, number, of);
    }
}

fn script(table: &mut Table, number: u32, script: &Script, state: &str) {
    let [value, sense] = weight(script.weight);
    let result = match state {
        "up" => 3,
        "down" => 2,
        // Not known yet.
        _ => 1,
    };
    let columns = [
        (2, Value::text(&script.name)),
        (3, Value::text(&script.program.command.join(" "))),
        (4, Value::Integer(script.interval.as_secs().try_into().unwrap_or(i32::MAX))),
        (5, value),
        (6, Value::Integer(result)),
        (7, gauge(script.rise)),
        (8, gauge(script.fall)),
        (9, sense),
    ];
    table.row(&vrrp().join(&[9, 1]), &[number], columns);
}

fn process(table: &mut Table, number: u32, process: &TrackProcess) {
    let [value, sense] = weight(process.weight);
    let (arguments, how) = match &process.arguments {
        Arguments::Any => (String::new(), 0),
        Arguments::Exactly(words) => (words.join(" "), 1),
        Arguments::First(words) => (words.join(" "), 2),
        Arguments::Initial(words) => (words.join(" "), 3),
    };
    let most = match *process.quorum.end() {
        // There is no upper limit.
        u32::MAX => -1,
        most => i32::try_from(most).unwrap_or(i32::MAX),
    };
    let columns = [
        (2, Value::text(&process.name)),
        (3, Value::text(&process.program)),
        (4, Value::text(&arguments)),
        (5, Value::Integer(how)),
        (6, value),
        (7, sense),
        (8, gauge(*process.quorum.start())),
        (9, Value::Integer(most)),
        (10, gauge(process.fork_delay.as_micros())),
        (11, gauge(process.terminate_delay.as_micros())),
        (12, yes(process.known_by == ProcessName::Full)),
    ];
    table.row(&vrrp().join(&[21, 1]), &[number], columns);
}

fn weight(weight: Weight) -> [Value; 2] {
    [Value::Integer(weight.value.into()), yes(weight.sense == Sense::Reverse)]
}
