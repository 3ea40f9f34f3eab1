//! A line that records the origin of each of its bytes, although comments are removed and values are substituted.

use std::ops::Range;

use super::sources::{FileId, Span};

/// Returns true if the character separates words. The characters are those of C's `isspace`; as with keepalived, a no-break
/// space is part of a word.
pub(super) fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c')
}

/// The origin of a run of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// Copied from the file, byte for byte.
    Copied,
    /// Substituted for a reference that ends at this offset of the file.
    Replaced { end: usize },
}

/// Bytes of the same origin, up to the next run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    /// The offset of the run in the line.
    at: usize,
    /// The offset of its origin in the file.
    start: usize,
    origin: Origin,
}

/// A line, or a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Text {
    file: FileId,
    text: String,
    /// The runs, ordered by offset, without gaps. Empty for an empty text.
    runs: Vec<Run>,
}

impl Text {
    pub(super) fn new(file: FileId) -> Self {
        Self { file, text: String::new(), runs: Vec::new() }
    }

    /// Returns a line of a file without its comment and without trailing white space. `#` and `!` begin a comment outside
    /// quotes; `\#` and `\!` stand for `#` and `!`. A `\` before another character stays.
    pub(super) fn without_comment(file: FileId, line: &str, start: usize) -> Self {
        let mut text = Self::new(file);
        let mut quoted = false;
        // The offset of the text that is kept but not yet copied.
        let mut from = 0;
        let mut end = line.len();
        let mut chars = line.char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '\\' => {
                    if let Some((next, '#' | '!')) = chars.next()
                        && !quoted
                    {
                        text.push_copied(&line[from..at], start + from);
                        from = next;
                    }
                }
                '"' => quoted = !quoted,
                '#' | '!' if !quoted => {
                    end = at;
                    break;
                }
                _ => {}
            }
        }
        text.push_copied(&line[from..end], start + from);
        let kept = text.as_str().trim_end_matches(is_space).len();
        if kept < text.len() { text.part(0..kept) } else { text }
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    pub(super) fn len(&self) -> usize {
        self.text.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Returns an empty text of the same file.
    pub(super) fn nothing_of(&self) -> Self {
        Self::new(self.file)
    }

    /// Appends text that stands in the file at the offset `start`.
    pub(super) fn push_copied(&mut self, text: &str, start: usize) {
        if text.is_empty() {
            return;
        }
        let length = self.text.len();
        let continues = self
            .runs
            .last()
            .is_some_and(|run| run.origin == Origin::Copied && run.start + (length - run.at) == start);
        if !continues {
            self.runs.push(Run { at: length, start, origin: Origin::Copied });
        }
        self.text.push_str(text);
    }

    /// Appends text that replaces `span`.
    pub(super) fn push_replaced(&mut self, text: &str, span: Span) {
        if text.is_empty() {
            return;
        }
        let run = Run { at: self.text.len(), start: span.start, origin: Origin::Replaced { end: span.end } };
        let continues =
            self.runs.last().is_some_and(|last| last.start == run.start && last.origin == run.origin);
        if !continues {
            self.runs.push(run);
        }
        self.text.push_str(text);
    }

    /// Appends a part of a line of the same file.
    pub(super) fn push_part(&mut self, other: &Self, range: Range<usize>) {
        let mut at = range.start;
        let mut index = other.run_at(at);
        while at < range.end {
            let Some(run) = other.runs.get(index) else { return };
            let next = other.runs.get(index + 1).map_or(other.text.len(), |next| next.at);
            let until = next.min(range.end);
            let piece = &other.text[at..until];
            match run.origin {
                Origin::Copied => self.push_copied(piece, run.start + (at - run.at)),
                Origin::Replaced { end } => {
                    self.push_replaced(piece, Span { file: self.file, start: run.start, end });
                }
            }
            at = until;
            index += 1;
        }
    }

    /// Returns a part of the line.
    pub(super) fn part(&self, range: Range<usize>) -> Self {
        let mut part = self.nothing_of();
        part.push_part(self, range);
        part
    }

    /// Returns the place of a part of the line in the file.
    pub(super) fn span(&self, range: Range<usize>) -> Span {
        let (start, first_end) = self.origin_of(range.start);
        if range.is_empty() {
            // The place is behind the last byte of the line, or before the byte at this offset.
            let at = if range.start >= self.len() { first_end } else { start };
            return Span { file: self.file, start: at, end: at };
        }
        let (_, end) = self.origin_of(range.end - 1);
        Span { file: self.file, start, end: end.max(start) }
    }

    /// Returns the place of the whole line in the file.
    pub(super) fn whole(&self) -> Span {
        self.span(0..self.len())
    }

    /// Returns the start and end of the origin of a byte. An offset behind the last byte gives the origin of the last byte.
    fn origin_of(&self, at: usize) -> (usize, usize) {
        let at = at.min(self.len().saturating_sub(1));
        match self.runs.get(self.run_at(at)) {
            Some(Run { at: run, start, origin: Origin::Copied }) => {
                let byte = start + (at - run);
                (byte, byte + 1)
            }
            Some(Run { start, origin: Origin::Replaced { end }, .. }) => (*start, *end),
            None => (0, 0),
        }
    }

    /// Returns the index of the run that contains a byte.
    fn run_at(&self, at: usize) -> usize {
        self.runs.partition_point(|run| run.at <= at).saturating_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Text {
        Text::without_comment(FileId::MAIN, line, 100)
    }

    /// Observed with keepalived 2.2.7 by means of `notification_email` and `-d`.
    #[test]
    fn comments_end_a_line_outside_quotes() {
        for (line, text) in [
            ("a # b", "a"),
            ("a ! b", "a"),
            ("n#o", "n"),
            ("# all\n", ""),
            ("\"q r # s\"@x y", "\"q r # s\"@x y"),
            ("a\\#b \\!c # d", "a#b !c"),
            ("\\\\#foo", "\\\\"),
            ("\"a\\#b\" \\#", "\"a\\#b\" #"),
            ("'a # b' c", "'a"),
            ("r\\\\s l\\ m", "r\\\\s l\\ m"),
            ("x \"y \\\" # z\"", "x \"y \\\" # z\""),
            ("end\r\n", "end"),
            ("\\", "\\"),
            ("é\\é#", "é\\é"),
        ] {
            assert_eq!(read(line).as_str(), text, "{line:?}");
        }
    }

    /// Worked out by hand: the `\` of `\#` is removed from the text, but counts in the place.
    #[test]
    fn places_are_those_of_the_file() {
        let text = read("ab\\#cd  # x");
        assert_eq!(text.as_str(), "ab#cd");
        let place = |range| {
            let span = text.span(range);
            (span.start, span.end)
        };
        assert_eq!(place(0..2), (100, 102));
        assert_eq!(place(2..3), (103, 104));
        assert_eq!(place(0..5), (100, 106));
        assert_eq!(place(3..3), (104, 104));
        assert_eq!(place(5..5), (106, 106));
    }

    /// Worked out by hand: `x$A.y` with a value of five bytes for `$A`.
    #[test]
    fn a_replaced_part_stands_where_its_reference_stood() {
        let line = read("x$A.y");
        let mut text = line.nothing_of();
        text.push_part(&line, 0..1);
        text.push_replaced("value", line.span(1..3));
        text.push_part(&line, 3..5);
        assert_eq!(text.as_str(), "xvalue.y");
        let place = |text: &Text, range| {
            let span = text.span(range);
            (span.start, span.end)
        };
        assert_eq!(place(&text, 0..1), (100, 101));
        assert_eq!(place(&text, 2..4), (101, 103));
        assert_eq!(place(&text, 0..8), (100, 105));
        let part = text.part(3..8);
        assert_eq!(part.as_str(), "lue.y");
        assert_eq!(place(&part, 0..1), (101, 103));
        assert_eq!(place(&part, 3..5), (103, 105));
        assert_eq!(place(&text.nothing_of(), 0..0), (0, 0));
    }
}
