//! The lines of a file, and the syntax of their beginnings and ends.

use super::super::text::is_space;

/// The lines of a file, with the offsets of their beginnings.
pub(super) struct Lines<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Lines<'t> {
    pub(super) fn of(text: &'t str) -> Self {
        Self { text, at: 0 }
    }
}

impl<'t> Iterator for Lines<'t> {
    type Item = (&'t str, usize);

    fn next(&mut self) -> Option<Self::Item> {
        let rest = &self.text[self.at..];
        if rest.is_empty() {
            return None;
        }
        let length = rest.find('\n').map_or(rest.len(), |at| at + 1);
        let start = self.at;
        self.at += length;
        Some((&rest[..length], start))
    }
}

/// Returns a line without the `\` at its end, or `None` if it has no `\` there.
pub(super) fn continued(line: &str) -> Option<&str> {
    line.trim_end_matches(is_space).strip_suffix('\\')
}

/// Reads the conditions at the beginning of a line. Returns the offset behind them, and behind the white space that follows,
/// and true if all conditions hold.
pub(super) fn conditions(line: &str, id: &str) -> (usize, bool) {
    let mut at = 0;
    let mut hold = true;
    loop {
        let rest = &line[at..];
        at += rest.len() - rest.trim_start_matches(is_space).len();
        let Some(condition) = line[at..].strip_prefix('@') else { return (at, hold) };
        let word = condition.split(is_space).next().unwrap_or("");
        let (is, name) = word.strip_prefix('^').map_or((true, word), |name| (false, name));
        hold &= (name == id) == is;
        at += 1 + word.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_their_places() {
        let lines: Vec<(&str, usize)> = Lines::of("a\n\nbc").collect();
        assert_eq!(lines, [("a\n", 0), ("\n", 2), ("bc", 3)]);
    }

    #[test]
    fn a_backslash_ends_a_line_that_goes_on() {
        assert_eq!(continued("a \\ \r\n"), Some("a "));
        assert_eq!(continued("a \\ b\n"), None);
    }

    /// Observed with keepalived 2.2.7, except for the last case, which is worked out by hand.
    #[test]
    fn conditions_are_compared_with_the_id() {
        for (line, expected) in [
            ("a", (0, true)),
            ("  a", (2, true)),
            ("@bar a", (5, true)),
            ("@^bar a", (6, false)),
            ("@foo a", (5, false)),
            ("@^foo a", (6, true)),
            ("@ a", (2, false)),
            ("@^ a", (3, true)),
            ("@bar", (4, true)),
            ("@bar @^foo a", (11, true)),
        ] {
            assert_eq!(conditions(line, "bar"), expected, "{line}");
        }
    }
}
