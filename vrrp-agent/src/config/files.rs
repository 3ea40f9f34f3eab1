//! Where the texts come from: the file system, or a map in memory for tests and the fuzzer.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::{self, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::encoding;

/// No configuration file is larger: 255 instances with 20 addresses each are about 200 kB.
const SIZE_MAX: usize = 16 * 1024 * 1024;

/// No more files are read, so no more need to be found.
pub(super) const FILES_MAX: usize = 1000;

/// As libc's `glob` does: `*` matches neither a `/` nor the dot of a hidden file.
const MATCHING: glob::MatchOptions = glob::MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: true,
};

/// Why a file could not be read at all.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The system refused.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// Something that is not a text file of reasonable size.
    #[error("{path}: {what}")]
    NotText {
        /// The file.
        path: String,
        /// What it is instead.
        what: String,
    },
}

impl ReadError {
    pub(super) fn not_text(path: &Path, what: String) -> Self {
        Self::NotText { path: path.display().to_string(), what }
    }

    /// Whether there is no such file.
    pub(super) fn is_missing(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

/// What can be read. Nothing is read but through this.
pub trait Files {
    /// The bytes of a file.
    ///
    /// # Errors
    /// [`ReadError`], with the path.
    fn bytes(&self, path: &Path) -> Result<Vec<u8>, ReadError>;

    /// The text of a file, whatever is odd about its bytes.
    ///
    /// # Errors
    /// [`ReadError`], with the path.
    fn read(&self, path: &Path) -> Result<String, ReadError> {
        let decoded = encoding::decode(&self.bytes(path)?);
        decoded.map(|decoded| decoded.text).map_err(|what| ReadError::not_text(path, what))
    }

    /// The files that a pattern with `*`, `?` and `[…]` matches, sorted.
    ///
    /// # Errors
    /// What is wrong with the pattern, or with a directory on the way.
    fn glob(&self, pattern: &str) -> Result<Vec<PathBuf>, String>;
}

/// The file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct Disk;

impl Files for Disk {
    fn bytes(&self, path: &Path) -> Result<Vec<u8>, ReadError> {
        let io = |source| ReadError::Io { path: path.display().to_string(), source };
        let not_text = |what: String| ReadError::not_text(path, what);
        // Before it is opened: to open a device can have an effect.
        suitable(&fs::metadata(path).map_err(io)?).map_err(not_text)?;
        // Without waiting, and looked at again: another file may have taken its place meanwhile.
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
        // To libc's `glob`, which keepalived calls, `**` is no more than `*`; here it would walk the whole tree.
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

/// What keepalived takes for a configuration file.
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
    "larger than 16 MiB, which no configuration is".to_owned()
}

/// Files in memory, which remember what was read of them.
#[derive(Debug, Default)]
pub struct Memory {
    files: BTreeMap<PathBuf, String>,
    asked: RefCell<Vec<PathBuf>>,
}

impl Memory {
    /// Files by path and text.
    pub fn new<P: Into<PathBuf>, T: Into<String>>(files: impl IntoIterator<Item = (P, T)>) -> Self {
        let files = files.into_iter().map(|(path, text)| (path.into(), text.into())).collect();
        Self { files, asked: RefCell::default() }
    }

    /// The paths that [`Files::read`] was asked for, in that order.
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

    /// keepalived 2.2.7, observed: "is not a regular non-executable file - skipping", for the main file too.
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
