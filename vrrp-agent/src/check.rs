//! Saying what a configuration file means, without touching the system: `check`, `show-config`, and keepalived's `-t`.

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::config::{
    self, Config, Context, Diagnostic, Disk, Includes, Reading, Script, ScriptSecurity, Severity,
};
use crate::{host, process};

/// A configuration file, and how to read it.
#[derive(Clone, Debug)]
pub struct Source {
    /// The file.
    pub file: PathBuf,
    /// The value that `@id` conditions are compared with; if `None`, the host's short name.
    pub id: Option<String>,
    /// The policy for an `include` that finds nothing.
    pub includes: Includes,
}

/// keepalived's exit code for a configuration with faults.
pub const FAULTY: u8 = 5;
/// keepalived's exit code for a configuration that cannot even be tried: here, a file that cannot be read.
pub const UNREADABLE: u8 = 4;

impl Source {
    /// Reads the file, and the files that it includes.
    #[must_use]
    pub fn read(&self) -> Reading {
        let mut context = Context {
            id: self.id.clone().unwrap_or_else(host::short_name),
            random: Box::new(host::random),
            environment: Box::new(|name| std::env::var(name).ok()),
            includes: self.includes,
        };
        // The directory of a file is `${_PWD}`.
        let file = std::path::absolute(&self.file).unwrap_or_else(|_| self.file.clone());
        config::load(&file, &mut context, &Disk)
    }
}

/// Adds complaints about interfaces and programs of scripts that the file names and this host does not have. Does nothing if
/// the file is for another network namespace.
pub fn look_at_host(reading: &mut Reading) {
    if reading.config.as_ref().is_some_and(|config| config.host.place.net_namespace.is_some()) {
        return;
    }
    let is_there = |name: &str| nix::net::if_::if_nametoindex(name).is_ok();
    let cannot_run = |config: &Config, script: &Script| {
        process::examine(&script.program, config.script_security).err().map(|error| error.to_string())
    };
    reading.look_at_host(is_there, cannot_run);
}

/// Returns all complaints about a file, in the style of rustc.
#[must_use]
pub fn render(reading: &Reading, color: bool) -> String {
    reading.diagnostics.iter().map(|diagnostic| diagnostic.render(&reading.sources, color) + "\n\n").collect()
}

/// Returns one line that sums up the complaints.
#[must_use]
pub fn summary(file: &Path, reading: &Reading) -> String {
    let (errors, warnings) = (reading.count(Severity::Error), reading.count(Severity::Warning));
    let notes = reading.diagnostics.len() - warnings;
    let warnings = warnings - errors;
    let verdict = if errors > 0 { "cannot be used" } else { "can be used" };
    let count = |number: usize, noun: &str| format!("{number} {noun}{}", if number == 1 { "" } else { "s" });
    format!(
        "{} {verdict}: {}, {}, {}",
        file.display(),
        count(errors, "error"),
        count(warnings, "warning"),
        count(notes, "note")
    )
}

/// A complaint, in the form for programs.
#[derive(Serialize)]
struct Complaint<'d> {
    severity: Severity,
    message: &'d str,
    file: String,
    line: usize,
    column: usize,
    label: &'d str,
    help: Option<&'d str>,
}

/// The output of `check --json`.
#[derive(Serialize)]
struct Report<'d> {
    file: String,
    usable: bool,
    complaints: Vec<Complaint<'d>>,
}

/// Returns all complaints about a file in the form for programs (JSON).
///
/// # Errors
/// Never, unless there is no memory.
pub fn json(file: &Path, reading: &Reading) -> serde_json::Result<String> {
    let complaint = |diagnostic: &'_ Diagnostic| {
        let (line, column) = diagnostic.position(&reading.sources);
        (line, column, reading.sources.path(diagnostic.span.file).display().to_string())
    };
    let complaints = reading.diagnostics.iter().map(|diagnostic| {
        let (line, column, file) = complaint(diagnostic);
        let Diagnostic { severity, message, label, help, .. } = diagnostic;
        Complaint { severity: *severity, message, file, line, column, label, help: help.as_deref() }
    });
    let complaints = complaints.collect();
    let report = Report { file: file.display().to_string(), usable: reading.config.is_some(), complaints };
    serde_json::to_string_pretty(&report).map(|text| text + "\n")
}

/// Prints complaints on the standard error output.
pub fn complain(reading: &Reading) {
    let text = render(reading, std::io::stderr().is_terminal());
    // A closed output is ignored: nobody reads it.
    let _closed = std::io::stderr().write_all(text.as_bytes());
}

/// keepalived's exit code for scripts without `enable_script_security`.
pub const INSECURE: u8 = 6;

/// Returns the exit code of keepalived's `-t`: 0 if keepalived would return 0 too, that is, if it would have no complaint.
#[must_use]
pub fn exit_code(reading: &Reading) -> u8 {
    if !reading.readable {
        UNREADABLE
    } else if reading.count(Severity::Warning) > 0 {
        FAULTY
    } else if reading.config.as_ref().is_some_and(runs_insecurely) {
        INSECURE
    } else {
        0
    }
}

fn runs_insecurely(config: &Config) -> bool {
    config.script_security == ScriptSecurity::Off && config.runs_programs()
}
