//! Reads the files that a line includes.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::super::diagnostic::{Diagnostic, Severity};
use super::super::files::FILES_MAX;
use super::super::include::{self, Check};
use super::super::sources::Span;
use super::{Here, Preprocessor, directory_of, odd, text_of};

/// Largest size of all files together, in bytes.
const BYTES_READ_MAX: usize = 64 * 1024 * 1024;

/// Largest depth of included files. A file that includes itself reaches this depth.
const INCLUDES_MAX: usize = 16;

/// The result of reading a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Read,
    /// The file exists but cannot be read. This has already been reported.
    Unreadable,
    Missing,
}

impl Preprocessor<'_> {
    /// Reads the files that match a pattern, in the order of its alternatives.
    pub(super) fn include(&mut self, pattern: &str, span: Span, checks: &BTreeSet<Check>, here: &Here) {
        if here.includes == INCLUDES_MAX {
            let message = format!(
                "files include each other more than {INCLUDES_MAX} deep: does this one include itself?"
            );
            self.stop(span, message);
            return;
        }
        let names = match include::alternatives(pattern) {
            Ok(names) => names,
            Err(message) => {
                self.complain(
                    Severity::Error,
                    span,
                    format!("cannot include the files of this line: {message}"),
                );
                return;
            }
        };
        let mut found = false;
        let mut missing = Vec::new();
        for name in &names {
            let mut matched = false;
            for path in self.matching(name, span, here) {
                if self.stopped {
                    return;
                }
                matched |= self.included(&path, span, checks, here) != Outcome::Missing;
            }
            found |= matched;
            if !matched {
                missing.push(name);
            }
        }
        if self.stopped {
            return;
        }
        let wildcard = include::is_wildcard(pattern);
        let required =
            checks.contains(&Check::WildcardMatch) || (!wildcard && checks.contains(&Check::Match));
        if !found && required {
            self.complain(Severity::Error, span, format!("no file matches `{pattern}`"));
            return;
        }
        for name in missing {
            if names.len() > 1 && checks.contains(&Check::BraceMatch) {
                self.complain(Severity::Error, span, format!("no file matches `{name}`"));
            } else if !include::is_wildcard(name) {
                // keepalived also logs this, but does not count it as a configuration error.
                self.complain(Severity::Note, span, format!("there is no file `{name}`"));
            }
        }
    }

    fn complain(&mut self, severity: Severity, span: Span, message: String) {
        self.diagnostics.push(Diagnostic { severity, ..Diagnostic::error(span, message) });
    }

    /// Returns the files that match a name. A name without wildcards is returned even if the file does not exist.
    fn matching(&mut self, name: &str, span: Span, here: &Here) -> Vec<PathBuf> {
        if !include::is_wildcard(name) {
            return vec![here.directory.join(name)];
        }
        let directory = here.directory.to_string_lossy();
        let pattern = if name.starts_with('/') || directory.is_empty() {
            name.to_owned()
        } else {
            format!("{}/{name}", glob::Pattern::escape(directory.trim_end_matches('/')))
        };
        match self.files.glob(&pattern) {
            Ok(paths) => paths,
            Err(message) => {
                self.complain(Severity::Error, span, format!("cannot include `{name}`: {message}"));
                Vec::new()
            }
        }
    }

    fn included(&mut self, path: &Path, span: Span, checks: &BTreeSet<Check>, here: &Here) -> Outcome {
        if self.sources.len() >= FILES_MAX {
            self.stop(span, format!("the configuration has more than {FILES_MAX} files"));
            return Outcome::Unreadable;
        }
        let decoded = match text_of(path, self.files) {
            Ok(decoded) => decoded,
            Err(error) if error.is_missing() => return Outcome::Missing,
            Err(error) => {
                // Each check includes `Check::Readable`.
                let severity = if checks.is_empty() { Severity::Warning } else { Severity::Error };
                self.complain(severity, span, format!("cannot include {error}"));
                return Outcome::Unreadable;
            }
        };
        if self.sources.bytes() + decoded.text.len() > BYTES_READ_MAX {
            self.stop(span, "the files of the configuration have more than 64 MiB together");
            return Outcome::Unreadable;
        }
        let file = self.sources.add(path, decoded.text);
        for oddity in decoded.oddities {
            self.diagnostics.push(odd(file, oddity, self.sources));
        }
        let within =
            Here { directory: directory_of(path), includes: here.includes + 1, depth: here.depth + 1 };
        // `include_check` in an included file holds for that file and for the files that it includes.
        let before = self.checks.clone();
        self.file(file, &within);
        self.checks = before;
        Outcome::Read
    }
}
