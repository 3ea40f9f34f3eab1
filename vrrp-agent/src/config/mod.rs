//! The parser of keepalived.conf. It turns files into lines, lines into statements with their places, and statements into a
//! model that cannot be invalid. Its diagnostics name the place, the problem and a solution.

mod blocks;
mod command;
mod definitions;
mod diagnostic;
mod encoding;
mod files;
mod host_references;
mod host_settings;
mod include;
mod keywords;
mod model;
mod preprocess;
pub mod routing;
mod sequences;
mod show;
mod snmp;
mod sources;
mod sync_daemon;
mod syntax;
mod text;
mod value;

use std::path::Path;

pub use definitions::{Context, Environment, Includes};
pub use diagnostic::{Diagnostic, Severity};
pub use files::{Disk, Files, Memory, ReadError};
pub use host_references::{HostReference, ReferenceKind};
pub use host_settings::{HostSettings, LifecycleScript, MemoryUse, Place, Scheduling, UnknownVrids};
pub use keywords::markdown;
pub use model::{
    AddressTrait, Arguments, Authentication, Config, Existing, Fifo, FileIndex, Group, HmacKey, HmacKeys,
    HmacMode, InitFile, InitialState, InstanceConfig, LinkDelays, Mail, MissingInterfaces, NotifyScripts,
    OnDelete, PacedTogether, Peer, Primary, ProcessIndex, ProcessName, Program, Replay, Script, ScriptIndex,
    ScriptSecurity, ScriptUser, Sealing, Secondaries, SourceNeed, Spacing, StartDelay, StaticResources,
    TrackFile, TrackGroup, TrackProcess, TrackTarget, Tracked, Usability, Vip, Vmac,
};
pub use show::{Secrets, show};
pub use snmp::{MasterAgent, Mib, NoMasterAgent, Snmp, Traps};
pub use sources::{FileId, Sources, Span};
pub use sync_daemon::SyncDaemon;

/// The result of reading a configuration. `config` is present unless a diagnostic is an error.
#[derive(Debug)]
pub struct Reading {
    /// The files that were read. They are needed to show diagnostics, and to watch the files for changes.
    pub sources: Sources,
    /// True if the main file could be read.
    pub readable: bool,
    /// The configuration, if it has no errors.
    pub config: Option<Config>,
    /// The diagnostics, ordered by file and place.
    pub diagnostics: Vec<Diagnostic>,
    /// The interfaces and scripts of the host that the file names.
    pub references: Vec<HostReference>,
}

impl Reading {
    /// Returns the number of diagnostics of at least this severity.
    #[must_use]
    pub fn count(&self, least: Severity) -> usize {
        self.diagnostics.iter().filter(|diagnostic| diagnostic.severity >= least).count()
    }

    /// Reports interfaces and scripts that are not usable on this host. `is_there` says whether an interface exists;
    /// `cannot_run` returns the reason why a script cannot run, if there is one. As with keepalived these are warnings; with
    /// `dynamic_interfaces`, a missing interface is only a note. The configuration stays usable in any case.
    pub fn look_at_host(
        &mut self,
        is_there: impl Fn(&str) -> bool,
        cannot_run: impl Fn(&Config, &Script) -> Option<String>,
    ) {
        let awaited = self.config.as_ref().is_some_and(|config| config.missing == MissingInterfaces::Awaited);
        for HostReference { name, span, kind } in &self.references {
            let message = format!("interface {name} does not exist on this host");
            let (message, label) = match kind {
                ReferenceKind::Script => {
                    let Some(config) = &self.config else { continue };
                    let scripts = config.scripts.iter().enumerate();
                    let tracked = |(index, script): &(usize, &Script)| {
                        script.name == *name && config.tracks(&TrackTarget::Script(*index))
                    };
                    let Some((_, script)) = scripts.into_iter().find(tracked) else { continue };
                    let Some(why) = cannot_run(config, script) else { continue };
                    (format!("script {name} cannot run on this host: {why}"), "the script counts as failed")
                }
                _ if is_there(name) => continue,
                ReferenceKind::AddressInterface if awaited => {
                    (message, "instances that need it are in fault until it exists")
                }
                ReferenceKind::AddressInterface => {
                    (message, "the daemon does not start without it, unless `dynamic_interfaces` is set")
                }
                ReferenceKind::TrackedInterface => (
                    message,
                    "until it exists, instances that track it are in fault, or have the priority of a failed interface",
                ),
                ReferenceKind::RouteInterface => {
                    (message, "the route cannot be set until the interface exists")
                }
            };
            let complaint = Diagnostic::warning(*span, message).label(label);
            let severity = match (kind, awaited) {
                (ReferenceKind::Script, _) | (_, false) => Severity::Warning,
                (_, true) => Severity::Note,
            };
            self.diagnostics.push(Diagnostic { severity, ..complaint });
        }
        self.diagnostics.sort_by_key(|diagnostic| (diagnostic.span.file, diagnostic.span.start));
    }
}

/// Reads a configuration from a file and the files that it includes. A file that cannot be read is reported as a diagnostic
/// too.
#[must_use]
pub fn load(path: &Path, context: &mut Context, files: &dyn Files) -> Reading {
    let mut sources = Sources::default();
    let mut diagnostics = Vec::new();
    let lines = preprocess::read(path, context, files, &mut sources, &mut diagnostics);
    let readable = lines.is_some();
    let lines = lines.unwrap_or_default();
    // If the lines are incomplete, the model is not built: it would report the missing part again.
    let complete = diagnostics.iter().all(|diagnostic| diagnostic.severity != Severity::Error);
    let statements = syntax::parse(&lines, &mut diagnostics);
    let references = host_references::collect(&statements);
    let config = if complete { Some(blocks::build(&statements, files, &mut diagnostics)) } else { None };
    diagnostics.sort_by_key(|diagnostic| (diagnostic.span.file, diagnostic.span.start));
    let failed = diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
    Reading { sources, readable, config: config.filter(|_| !failed), diagnostics, references }
}

/// Reads a configuration from its text, without includes and without values of the host: for tests and the fuzzer.
#[must_use]
pub fn parse(text: &str) -> Reading {
    let path = "/etc/keepalived/keepalived.conf";
    let mut context = Context {
        id: "host".to_owned(),
        random: Box::new(|range| *range.start()),
        environment: Box::new(|_name| None),
        includes: Includes::AsWritten,
    };
    load(Path::new(path), &mut context, &Memory::new([(path, text)]))
}

/// The number of an instance: its place in the order of the file. The maps `leases` and `watchdogs` are indexed by it.
pub type Slot = usize;

/// Parses a value of `umask`, the permissions that new files do not get: a number in C notation, or bits such as `IWGRP|IWOTH`.
#[must_use]
pub fn umask(text: &str) -> Option<u32> {
    blocks::umask::parse(text)
}

#[cfg(test)]
mod tests;
