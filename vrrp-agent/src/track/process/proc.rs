//! `/proc`: the processes that run, by name and command line. Zombies do not run.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::Seen;

/// The most bytes to read of a file in /proc/PID that has one line: much more than it has.
const STAT_MAX: u64 = 4096;

/// The longest command line that can be compared here, in bytes.
const COMMAND_MAX: u64 = 32 * 1024;

/// The way to look at `/proc`.
#[derive(Clone, Debug)]
pub(super) struct Scan {
    root: PathBuf,
    commands: bool,
}

impl Scan {
    /// Command lines are read only if they are asked for: they may have to be fetched from swap.
    pub(super) fn new(commands: bool) -> Self {
        Self { root: PathBuf::from("/proc"), commands }
    }

    /// Returns all processes that run.
    pub(super) fn all(&self) -> io::Result<Vec<(u32, Seen)>> {
        let mut all = Vec::new();
        for entry in std::fs::read_dir(&self.root)? {
            let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            // Processes may have ended meanwhile.
            all.extend(self.one(pid).map(|seen| (pid, seen)));
        }
        Ok(all)
    }

    /// Returns one process, if it runs.
    pub(super) fn one(&self, pid: u32) -> Option<Seen> {
        let directory = self.root.join(pid.to_string());
        let name = running_name(&read(&directory.join("stat"), STAT_MAX).ok()?)?;
        let command =
            if self.commands { read(&directory.join("cmdline"), COMMAND_MAX).ok()? } else { Vec::new() };
        Some(Seen { name, command: words(&command) })
    }
}

fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Returns the name in `PID (NAME) STATE …`, which may have brackets itself, unless its process has ended.
fn running_name(stat: &[u8]) -> Option<Vec<u8>> {
    let open = stat.iter().position(|&byte| byte == b'(')?;
    let close = stat.iter().rposition(|&byte| byte == b')')?;
    let state = stat.get(close + 2)?;
    if matches!(state, b'Z' | b'X' | b'x') {
        return None;
    }
    Some(stat.get(open + 1..close)?.to_vec())
}

/// Splits a command line into words, each of which ends with a zero byte.
fn words(command: &[u8]) -> Vec<Vec<u8>> {
    let mut words: Vec<Vec<u8>> = command.split(|&byte| byte == 0).map(<[u8]>::to_vec).collect();
    // Nothing stands behind the last zero byte.
    words.pop_if(|last| last.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_states() {
        for (stat, name) in [
            ("42 (nginx) S 1 42", Some("nginx")),
            ("42 (Web Content) R 1", Some("Web Content")),
            ("42 (a) Z (b)) S 1", Some("a) Z (b)")),
            ("42 (nginx) Z 1", None),
            ("42 (nginx", None),
            ("", None),
        ] {
            assert_eq!(running_name(stat.as_bytes()).as_deref(), name.map(str::as_bytes), "{stat}");
        }
    }

    #[test]
    fn command_lines() {
        for (line, expected) in [
            ("/bin/sleep\x00100\0", &["/bin/sleep", "100"][..]),
            ("a\0\0b\0", &["a", "", "b"]),
            ("a\0\0", &["a", ""]),
            ("nginx: master process", &["nginx: master process"]),
            ("", &[]),
        ] {
            let expected: Vec<&[u8]> = expected.iter().map(|word: &&str| word.as_bytes()).collect();
            assert_eq!(words(line.as_bytes()), expected, "{line:?}");
        }
    }

    #[test]
    fn this_process_runs() {
        let pid = std::process::id();
        let all = Scan::new(true).all().expect("/proc");
        let (_, seen) = all.iter().find(|(found, _)| *found == pid).expect("this one");
        assert_eq!(Scan::new(true).one(pid).as_ref(), Some(seen));
        assert!(!seen.name.is_empty() && !seen.command.is_empty(), "{seen:?}");
        assert_eq!(Scan::new(true).one(u32::MAX), None);
    }
}
