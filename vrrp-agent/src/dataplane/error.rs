//! The errors of the kernel half, and their texts.

use std::path::Path;

use aya::maps::MapError;
use aya::programs::ProgramError;

/// The reason why the kernel half cannot be used, or not be changed.
#[derive(Debug, thiserror::Error)]
pub enum EbpfError {
    /// The object lacks a part that this agent was built for.
    #[error("the eBPF object has no {0}")]
    Missing(&'static str),
    /// Loading failed: no BPF, no capability, or the verifier said no.
    #[error("cannot load the eBPF programs: {0}")]
    Load(#[from] aya::EbpfError),
    /// The verifier said no, or the program could not be handled.
    #[error("cannot load the eBPF program: {}", brief(.0))]
    Program(ProgramError),
    /// The interface did not take the program.
    #[error("cannot attach to {interface}: {why}")]
    Attach {
        /// The name of the interface.
        interface: String,
        /// The obstacle.
        why: String,
    },
    /// A map operation failed.
    #[error("cannot use the map `{map}`: {source}")]
    Map {
        /// The name of the map.
        map: &'static str,
        /// The kernel's error.
        source: MapError,
    },
    /// Pinning failed.
    #[error("cannot pin to {path}: {why}")]
    Pin {
        /// The path of the pin.
        path: String,
        /// The kernel's error.
        why: String,
    },
}

/// Returns what makes an error of an operation on a map.
pub(super) fn map_error(map: &'static str) -> impl Fn(MapError) -> EbpfError {
    move |source| EbpfError::Map { map, source }
}

/// Returns the error of a pin.
pub(super) fn pin_error(path: &Path, error: &dyn std::error::Error) -> EbpfError {
    EbpfError::Pin { path: path.display().to_string(), why: chain(error) }
}

/// Shortens a verifier's error to the end of its log, which says what is wrong; the whole log has thousands of lines.
pub(super) fn brief(error: &ProgramError) -> String {
    match error {
        ProgramError::LoadError { io_error, verifier_log } => {
            let log = verifier_log.to_string();
            let lines: Vec<&str> = log.lines().collect();
            format!(
                "{io_error}; the verifier's log ends with: {}",
                lines[lines.len().saturating_sub(6)..].join(" / ")
            )
        }
        other => other.to_string(),
    }
}

/// Returns an error's text, followed by the texts of its causes.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(&format!(": {error}"));
        source = error.source();
    }
    text
}
