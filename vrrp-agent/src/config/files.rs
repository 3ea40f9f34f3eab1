//! The source of the texts: the file system, or a map in memory for tests and the fuzzer.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::{self, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::encoding;

/// Largest size of a file, in bytes. No configuration is larger: 255 instances with 20 addresses each are about 200 kB.
const SIZE_MAX: usize = 16 * 1024 * 1024;

/// Largest number of files that are read, and therefore also the largest number that a pattern needs to find.
pub(super) const FILES_MAX: usize = 1000;

/// Matching as in libc's `glob`: `*` matches neither a `/` nor the dot of a hidden file.
const MATCHING: glob::MatchOptions = glob::MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: true,
};

/// The reason why a file could not be read at all.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The operating system reported an error.
    #[error("{path}: {source}")]
    Io {
        /// The path of the file.
        path: String,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The path does not name a text file of reasonable size.
    #[error("{path}: {what}")]
    NotText {
        /// The path of the file.
        path: String,
        /// The kind of file or data that was found.
        what: String,
    },
}

impl ReadError {
    pub(super) fn not_text(path: &Path, what: String) -> Self {
        Self::NotText { path: path.display().to_string(), what }
    }

    /// Returns true if the file does not exist.
    pub(super) fn is_missing(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

/// Access to files. The parser reads files only through this trait.
pub trait Files {
    /// Returns the bytes of a file.
    ///
    /// # Errors
    /// [`ReadError`], with the path.
    fn bytes(&self, path: &Path) -> Result<Vec<u8>, ReadError>;

    /// Returns the text of a file, and ignores oddities of its bytes.
    ///
    /// # Errors
    /// [`ReadError`], with the path.
    fn read(&self, path: &Path) -> Result<String, ReadError> {
        let decoded = encoding::decode(&self.bytes(path)?);
        decoded.map(|decoded| decoded.text).map_err(|what| ReadError::not_text(path, what))
    }

    /// Returns the files that a pattern with `*`, `?` and `[…]` matches, sorted.
    ///
    /// # Errors
    /// A description of the problem with the pattern, or with a directory on the path.
    fn glob(&self, pattern: &str) -> Result<Vec<PathBuf>, String>;
}

/// The file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct Disk;

impl Files for Disk {
    fn bytes(&self, path: &Path) -> Result<Vec<u8>, ReadError> {
        let io = |source| ReadError::Io { path: path.display().to_string(), source };
        let not_text = |what: String| ReadError::not_text(path, what);
        // This check comes before `open`, because opening a device can have an effect.
        suitable(&fs::metadata(path).map_err(io)?).map_err(not_text)?;
        // Opens the file without waiting, and checks it again, because another file may have taken its place in the meantime.
        let file =
            OpenOptions::new().read(true).custom_flags(nix::libc::O_NONBLOCK).open(path).map_err(io)?;
        suitable(&file.metadata().map_err(io)?).map_err(not_text)?;
        let mut bytes = Vec::new();
        file.take(SIZE_MAX as u64 + 1).read_to_end(&mut bytes).map_err(io)?;
        if bytes.len() > SIZE_MAX {
            return Err(not_text(too_large()));
        }
        Ok(bytes)
    }

    fn glob(&self, pattern: &str) -> Result<Vec<PathBuf>, String> {
        // For libc's `glob`, which keepalived calls, `**` means the same as `*`; in the `glob` crate it would search the whole
        // tree.
        let mut pattern = pattern.to_owned();
        while pattern.contains("**") {
            pattern = pattern.replace("**", "*");
        }
        let found = glob::glob_with(&pattern, MATCHING).map_err(|error| error.to_string())?;
        let mut paths = Vec::new();
        for path in found.take(FILES_MAX + 1) {
            paths.push(path.map_err(|error| error.to_string())?);
        }
        paths.sort();
        Ok(paths)
    }
}

/// Checks that keepalived would accept this as a configuration file, and that the file is not too large.
fn suitable(metadata: &Metadata) -> Result<(), String> {
    if !metadata.is_file() {
        Err("not a regular file".to_owned())
    } else if metadata.permissions().mode() & 0o111 != 0 {
        Err("executable, which keepalived refuses to read as a configuration".to_owned())
    } else if metadata.len() > SIZE_MAX as u64 {
        Err(too_large())
    } else {
        Ok(())
    }
}

fn too_large() -> String {
    "larger than 16 MiB, the limit of a configuration file".to_owned()
}

/// Files in memory, with a record of the paths that were read.
#[derive(Debug, Default)]
pub struct Memory {
    files: BTreeMap<PathBuf, String>,
    asked: RefCell<Vec<PathBuf>>,
}

impl Memory {
    /// Creates the map from pairs of path and text.
    pub fn new<P: Into<PathBuf>, T: Into<String>>(files: impl IntoIterator<Item = (P, T)>) -> Self {
        let files = files.into_iter().map(|(path, text)| (path.into(), text.into())).collect();
        Self { files, asked: RefCell::default() }
    }

    /// Returns the paths that [`Files::bytes`] was called with, in order. [`Files::read`] calls it too.
    #[must_use]
    pub fn asked(&self) -> Vec<PathBuf> {
        self.asked.borrow().clone()
    }
}

impl Files for Memory {
    fn bytes(&self, path: &Path) -> Result<Vec<u8>, ReadError> {
        self.asked.borrow_mut().push(path.to_path_buf());
        let text = self.files.get(path).ok_or_else(|| ReadError::Io {
            path: path.display().to_string(),
            source: io::ErrorKind::NotFound.into(),
        })?;
        Ok(text.clone().into_bytes())
    }

    fn glob(&self, pattern: &str) -> Result<Vec<PathBuf>, String> {
        let pattern = glob::Pattern::new(pattern).map_err(|error| error.to_string())?;
        Ok(self.files.keys().filter(|path| pattern.matches_path_with(path, MATCHING)).cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Observed with keepalived 2.2.7, also for the main file: "is not a regular non-executable file - skipping".
    #[test]
    fn only_regular_files_without_an_execute_bit() {
        let directory = std::env::temp_dir().join(format!("vrrp-files-{}", std::process::id()));
        fs::create_dir_all(&directory).expect("a directory");
        let path = directory.join("k.conf");
        fs::write(&path, "a\n").expect("a file");
        assert_eq!(Disk.read(&path).expect("a text"), "a\n");
        assert_eq!(Disk.glob(&directory.join("*.conf").display().to_string()), Ok(vec![path.clone()]));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o744)).expect("permissions");
        assert!(Disk.read(&path).expect_err("executable").to_string().contains("executable"));
        assert!(Disk.read(&directory).expect_err("a directory").to_string().contains("not a regular file"));
        assert!(
            Disk.read(Path::new("/dev/null")).expect_err("a device").to_string().contains("not a regular")
        );
        assert!(Disk.read(&directory.join("none")).expect_err("nothing").is_missing());
        fs::remove_dir_all(&directory).expect("removed");
    }

    #[test]
    fn memory_tells_what_was_read() {
        let memory = Memory::new([("/a/1.conf", "x"), ("/a/2.conf", "y"), ("/a/b/3.conf", "z")]);
        assert_eq!(memory.glob("/a/*.conf"), Ok(vec!["/a/1.conf".into(), "/a/2.conf".into()]));
        assert_eq!(memory.read(Path::new("/a/2.conf")).expect("there"), "y");
        assert!(memory.read(Path::new("/a/4.conf")).expect_err("not there").is_missing());
        assert_eq!(memory.asked(), [PathBuf::from("/a/2.conf"), "/a/4.conf".into()]);
    }
}
