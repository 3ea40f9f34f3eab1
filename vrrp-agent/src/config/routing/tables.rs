//! Names of routing tables, from iproute2's files. They are read when a line first has a name, so that whoever writes numbers
//! needs no files.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::super::files::Files;
use super::words::number;
use super::{TABLE_DEFAULT, TABLE_LOCAL, TABLE_MAIN};

/// Where iproute2 has its files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) struct Directories {
    /// `iproute_etc_dir`: what the operator has written.
    pub(in crate::config) etc: PathBuf,
    /// `iproute_usr_dir`: what the distribution has.
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
    /// Reads nothing yet.
    pub(in crate::config) fn new(files: &'f dyn Files, directories: &'f Directories) -> Self {
        Self { files, directories, names: OnceCell::new() }
    }

    /// The number of a table: three have a name everywhere.
    pub(super) fn number(&self, word: &str) -> Option<u32> {
        match word {
            "main" => Some(TABLE_MAIN),
            "local" => Some(TABLE_LOCAL),
            "default" => Some(TABLE_DEFAULT),
            word => number(word).or_else(|| self.names.get_or_init(|| self.read()).get(word).copied()),
        }
    }

    /// As iproute2: the operator's `rt_tables` instead of the distribution's, and what is in both `rt_tables.d` besides.
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
            // There need be none, and a name that is not found is complained of.
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

/// `NUMBER NAME`, and a comment behind `#`.
fn line(line: &str) -> Option<(String, u32)> {
    let line = line.split_once('#').map_or(line, |(line, _comment)| line);
    let mut words = line.split_whitespace();
    let number = number(words.next()?)?;
    Some((words.next()?.to_owned(), number))
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
