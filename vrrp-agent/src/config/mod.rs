//! Reading keepalived.conf: text to statements with their places, statements to a model that cannot be invalid, and
//! complaints that say where, what and how to mend it.

mod blocks;
mod diagnostic;
mod model;
mod syntax;
mod value;

use std::path::Path;

pub use diagnostic::{Diagnostic, Severity};
pub use model::{
    Authentication, Config, Group, Hint, HmacKey, HmacKeys, HmacMode, InstanceConfig, Peer, Replay, Script,
    ScriptIndex, ScriptUser, Sealing, Spacing, Tracked, Vip, Vmac,
};

/// No configuration is larger: 255 instances with 20 addresses each are about 200 kB.
const SIZE_MAX: u64 = 16 * 1024 * 1024;

/// What was read, and all that is to be said about it. `config` is there unless a complaint is an error.
#[derive(Debug)]
pub struct Reading {
    /// The configuration, if it can be run.
    pub config: Option<Config>,
    /// Complaints, in the order of the file.
    pub diagnostics: Vec<Diagnostic>,
}

/// Why a file could not be read at all.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The system refused.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// Something that is not a text file of reasonable size.
    #[error("{path}: {what}")]
    NotText {
        /// The file.
        path: String,
        /// What it is instead.
        what: &'static str,
    },
}

/// Reads the text of a file, if it is a regular file of text and of bounded size.
///
/// # Errors
/// [`ReadError`], with the path.
pub fn read(path: &Path) -> Result<String, ReadError> {
    let name = || path.display().to_string();
    let io = |source| ReadError::Io { path: name(), source };
    let not_text = |what| ReadError::NotText { path: name(), what };
    let metadata = std::fs::metadata(path).map_err(io)?;
    if !metadata.is_file() {
        return Err(not_text("not a regular file"));
    }
    if metadata.len() > SIZE_MAX {
        return Err(not_text("larger than 16 MiB, which no configuration is"));
    }
    let bytes = std::fs::read(path).map_err(io)?;
    String::from_utf8(bytes).map_err(|_invalid| not_text("not UTF-8 text"))
}

/// Reads a configuration from its text.
#[must_use]
pub fn parse(text: &str) -> Reading {
    let mut diagnostics = Vec::new();
    let statements = syntax::parse(text, &mut diagnostics);
    let config = blocks::build(&statements, &mut diagnostics);
    diagnostics.sort_by_key(|d| d.span.start);
    let failed = diagnostics.iter().any(|d| d.severity == Severity::Error);
    Reading { config: (!failed).then_some(config), diagnostics }
}

#[cfg(test)]
mod tests;
