//! The meaning of an `include` line: the files to read, and the cases that are errors. The module `preprocess` reads the files.

use std::collections::BTreeSet;

use super::files::FILES_MAX;
use super::text::is_space;

/// The cases in which an `include` that does not find or read all its files is an error. In other cases it is a warning, a
/// note, or not reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Check {
    /// Every file that matches must be readable. All other checks include this one.
    Readable,
    /// A name without wildcards must match a file.
    Match,
    /// A pattern with wildcards must match a file too.
    WildcardMatch,
    /// Each alternative in braces must match a file.
    BraceMatch,
}

pub(super) const ALL: [Check; 4] = [Check::Readable, Check::Match, Check::WildcardMatch, Check::BraceMatch];

/// The longest possible path, in bytes.
const PATTERN_MAX: usize = 4096;

/// Returns the checks that a keyword adds, or `None` if the keyword is not in the `include` family.
pub(super) fn keyword(word: &str) -> Option<BTreeSet<Check>> {
    let checks: &[Check] = match word {
        "include" => &[],
        "includer" => &[Check::Readable],
        "includem" => &[Check::Match],
        "includew" => &[Check::WildcardMatch],
        "includeb" => &[Check::BraceMatch],
        "includea" => &ALL,
        _ => return None,
    };
    Some(checks.iter().copied().collect())
}

/// Applies `include_check [[+|-]OPTION…]` of `global_defs` to the current checks. Unknown options are ignored here.
pub(super) fn change(checks: &mut BTreeSet<Check>, options: &str) {
    let options: Vec<&str> = options.split(is_space).filter(|word| !word.is_empty()).collect();
    if options.is_empty() {
        checks.extend(ALL);
    } else if !options[0].starts_with(['+', '-']) {
        checks.clear();
    }
    let mut removes = false;
    for option in options {
        let name = match (option.strip_prefix('+'), option.strip_prefix('-')) {
            (Some(name), _) => {
                removes = false;
                name
            }
            (None, Some(name)) => {
                removes = true;
                name
            }
            (None, None) => option,
        };
        let check = match name {
            "readable" => Check::Readable,
            "match" => Check::Match,
            "wildcard_match" => Check::WildcardMatch,
            "brace_match" => Check::BraceMatch,
            _ => continue,
        };
        if removes {
            checks.remove(&check);
        } else {
            checks.insert(check);
        }
    }
}

/// Returns true if the name contains wildcards.
pub(super) fn is_wildcard(pattern: &str) -> bool {
    pattern.contains(['*', '?', '['])
}

/// Returns all names of a pattern with `{a,b}` as in csh, in order. The braces may be nested.
pub(super) fn alternatives(pattern: &str) -> Result<Vec<String>, &'static str> {
    if pattern.len() > PATTERN_MAX {
        return Err("its pattern is longer than any path");
    }
    let mut names = Vec::new();
    // The patterns that still have to be expanded, the next one last.
    let mut open = vec![pattern.to_owned()];
    while let Some(pattern) = open.pop() {
        let Some((start, end)) = group(&pattern) else {
            names.push(pattern);
            if names.len() > FILES_MAX {
                return Err("its pattern has more alternatives than files that can be read");
            }
            continue;
        };
        if open.len() > FILES_MAX {
            return Err("its pattern has more alternatives than files that can be read");
        }
        let (before, behind) = (&pattern[..start], &pattern[end + 1..]);
        for choice in choices(&pattern[start + 1..end]).into_iter().rev() {
            open.push(format!("{before}{choice}{behind}"));
        }
    }
    Ok(names)
}

/// Returns the first outermost pair of matching braces. `{}` stands for itself and does not count.
fn group(pattern: &str) -> Option<(usize, usize)> {
    let mut open = Vec::new();
    let mut outermost: Option<(usize, usize)> = None;
    for (at, byte) in pattern.bytes().enumerate() {
        match byte {
            b'{' => open.push(at),
            b'}' => {
                if let Some(start) = open.pop()
                    && at > start + 1
                    && outermost.is_none_or(|(first, _)| start < first)
                {
                    outermost = Some((start, at));
                }
            }
            _ => {}
        }
    }
    outermost
}

/// Splits the text within braces at the commas that are not within inner braces.
fn choices(inner: &str) -> Vec<&str> {
    let mut choices = Vec::new();
    let mut depth = 0_usize;
    let mut start = 0;
    for (at, byte) in inner.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth = depth.saturating_sub(1),
            b',' if depth == 0 => {
                choices.push(&inner[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    choices.push(&inner[start..]);
    choices
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Worked out by hand from the rules of csh; the first case is the example of keepalived.conf(5).
    #[test]
    fn braces_are_alternatives() {
        for (pattern, names) in [
            ("{foo/{,cat,dog},bar}", &["foo/", "foo/cat", "foo/dog", "bar"][..]),
            ("inc/{c,zz,a}.conf", &["inc/c.conf", "inc/zz.conf", "inc/a.conf"]),
            ("{a,b}{1,2}", &["a1", "a2", "b1", "b2"]),
            ("a{b", &["a{b"]),
            ("a}b", &["a}b"]),
            ("a{}b", &["a{}b"]),
            ("{é,x}", &["é", "x"]),
            ("plain", &["plain"]),
        ] {
            assert_eq!(alternatives(pattern).expect("few"), names, "{pattern}");
        }
        assert!(alternatives(&"{a,b}".repeat(20)).is_err());
        assert!(alternatives(&"{".repeat(4096)).is_ok());
        assert!(alternatives(&"x".repeat(5000)).is_err());
    }

    /// Worked out by hand from keepalived.conf(5).
    #[test]
    fn checks_are_added_and_removed() {
        let mut checks = BTreeSet::new();
        let mut changed = |options| {
            change(&mut checks, options);
            checks.iter().copied().collect::<Vec<Check>>()
        };
        assert_eq!(changed("+match -wildcard_match"), [Check::Match]);
        assert_eq!(changed(""), ALL);
        assert_eq!(changed("- brace_match nonsense"), [Check::Readable, Check::Match, Check::WildcardMatch]);
        assert_eq!(changed("readable"), [Check::Readable]);
        assert_eq!(keyword("includea").expect("a keyword").len(), 4);
        assert!(keyword("include").expect("a keyword").is_empty());
        assert_eq!(keyword("includeme"), None);
    }
}
