//! Names of routing tables, from iproute2's files. The files are read when a line first contains a table name, so that a
//! configuration with table numbers only does not need them.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::super::files::Files;
use super::{TABLE_DEFAULT, TABLE_LOCAL, TABLE_MAIN};

/// The directories of iproute2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) struct Directories {
    /// `iproute_etc_dir`: the files of the operator.
    pub(in crate::config) etc: PathBuf,
    /// `iproute_usr_dir`: the files of the distribution.
    pub(in crate::config) usr: PathBuf,
}

impl Default for Directories {
    fn default() -> Self {
        Self { etc: "/etc/iproute2".into(), usr: "/usr/share/iproute2".into() }
    }
}

/// The names of routing tables.
pub(in crate::config) struct Tables<'f> {
    files: &'f dyn Files,
    directories: &'f Directories,
    names: OnceCell<BTreeMap<String, u32>>,
}

impl<'f> Tables<'f> {
    /// Creates the map without reading a file.
    pub(in crate::config) fn new(files: &'f dyn Files, directories: &'f Directories) -> Self {
        Self { files, directories, names: OnceCell::new() }
    }

    /// Returns the number of a table. Three names are known without a file.
    pub(super) fn number(&self, word: &str) -> Option<u32> {
        match word {
            "main" => Some(TABLE_MAIN),
            "local" => Some(TABLE_LOCAL),
            "default" => Some(TABLE_DEFAULT),
            word => number(word).or_else(|| self.names.get_or_init(|| self.read()).get(word).copied()),
        }
    }

    /// Reads the names as iproute2 does: the operator's `rt_tables` replaces the distribution's, and the files of both
    /// `rt_tables.d` directories are added.
    fn read(&self) -> BTreeMap<String, u32> {
        let Directories { etc, usr } = self.directories;
        let mut names = BTreeMap::new();
        let mut take = |path: &Path| match self.files.read(path) {
            Ok(text) => {
                for (name, number) in text.lines().filter_map(line) {
                    names.entry(name).or_insert(number);
                }
                true
            }
            // The files are optional. A name that is not found is reported later.
            Err(_) => false,
        };
        let _one_of_them = take(&etc.join("rt_tables")) || take(&usr.join("rt_tables"));
        for directory in [etc, usr] {
            let pattern = directory.join("rt_tables.d/*.conf");
            for path in self.files.glob(&pattern.to_string_lossy()).unwrap_or_default() {
                take(&path);
            }
        }
        names
    }
}

/// Parses `NUMBER NAME`, optionally with a comment behind `#`.
fn line(line: &str) -> Option<(String, u32)> {
    let line = line.split_once('#').map_or(line, |(line, _comment)| line);
    let mut words = line.split_whitespace();
    let number = number(words.next()?)?;
    Some((words.next()?.to_owned(), number))
}

/// Parses a number in C notation: `16`, `0x10` or `020`.
pub(in crate::config) fn number(text: &str) -> Option<u32> {
    let (digits, radix) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None if text.len() > 1 && text.starts_with('0') => (&text[1..], 8),
        None => (text, 10),
    };
    let plain = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    plain.then(|| u32::from_str_radix(digits, radix).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::super::super::files::Memory;
    use super::*;

    fn files() -> Memory {
        Memory::new([
            (
                "/etc/iproute2/rt_tables",
                "# reserved\n254\tmain\n\n 100 small # ours\n0x65 hex\nbad line\n7\n100 same\n",
            ),
            ("/usr/share/iproute2/rt_tables", "200 hidden\n"),
            ("/etc/iproute2/rt_tables.d/site.conf", "300 site\n"),
            ("/etc/iproute2/rt_tables.d/README", "301 readme\n"),
            ("/usr/share/iproute2/rt_tables.d/vendor.conf", "400 vendor\n999 small\n"),
        ])
    }

    #[test]
    fn names_as_iproute2_has_them() {
        let (files, directories) = (files(), Directories::default());
        let tables = Tables::new(&files, &directories);
        for (word, number) in [
            ("small", Some(100)),
            ("same", Some(100)),
            ("hex", Some(101)),
            ("site", Some(300)),
            ("vendor", Some(400)),
            ("main", Some(254)),
            ("0x10", Some(16)),
            ("hidden", None),
            ("readme", None),
            ("nosuch", None),
        ] {
            assert_eq!(tables.number(word), number, "{word}");
        }
    }

    #[test]
    fn the_distributions_where_the_operator_has_none() {
        let files = files();
        let directories = Directories { etc: "/opt/iproute2".into(), ..Directories::default() };
        assert_eq!(Tables::new(&files, &directories).number("hidden"), Some(200));
    }

    #[test]
    fn numbers_need_no_files() {
        let (files, directories) = (files(), Directories::default());
        let tables = Tables::new(&files, &directories);
        assert_eq!((tables.number("42"), tables.number("local")), (Some(42), Some(255)));
        assert!(files.asked().is_empty());
    }
}
