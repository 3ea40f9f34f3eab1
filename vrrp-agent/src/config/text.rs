//! A line that remembers where each of its bytes came from, through comments that are taken out and values put in.

use std::ops::Range;

use super::sources::{FileId, Span};

/// What separates words: as in C's `isspace`, so that a no-break space is part of a word, as it is for keepalived.
pub(super) fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c')
}

/// How a run of bytes came into the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// Byte for byte from the file.
    Copied,
    /// In place of a reference that ends here in the file.
    Replaced { end: usize },
}

/// Bytes of one origin, up to the next run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    /// Where in the line it begins.
    at: usize,
    /// Where in the file it comes from.
    start: usize,
    origin: Origin,
}

/// A line, or a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Text {
    file: FileId,
    text: String,
    /// By place, without gaps; none for an empty text.
    runs: Vec<Run>,
}

impl Text {
    pub(super) fn new(file: FileId) -> Self {
        Self { file, text: String::new(), runs: Vec::new() }
    }

    /// A line of a file without its comment and its trailing white space. `#` and `!` begin a comment outside quotes;
    /// `\#` and `\!` stand for themselves. A `\` before anything else stays.
    pub(super) fn without_comment(file: FileId, line: &str, start: usize) -> Self {
        let mut text = Self::new(file);
        let mut quoted = false;
        // What is kept but not yet copied begins here.
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

    /// Nothing, of the same file.
    pub(super) fn nothing_of(&self) -> Self {
        Self::new(self.file)
    }

    /// Appends what stands in the file at `start`.
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

    /// Appends what stands in place of `span`.
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

    /// A part of it.
    pub(super) fn part(&self, range: Range<usize>) -> Self {
        let mut part = self.nothing_of();
        part.push_part(self, range);
        part
    }

    /// Where a part of it stands in the file.
    pub(super) fn span(&self, range: Range<usize>) -> Span {
        let (start, first_end) = self.origin_of(range.start);
        if range.is_empty() {
            // Behind the last byte, or before the byte there.
            let at = if range.start >= self.len() { first_end } else { start };
            return Span { file: self.file, start: at, end: at };
        }
        let (_, end) = self.origin_of(range.end - 1);
        Span { file: self.file, start, end: end.max(start) }
    }

    /// Where all of it stands in the file.
    pub(super) fn whole(&self) -> Span {
        self.span(0..self.len())
    }

    /// Where a byte came from; for a place behind the last byte, where the last one came from.
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

    /// The index of the run that a byte belongs to.
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

    /// keepalived 2.2.7, observed with `notification_email` and `-d`.
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

    /// By hand: the `\` of `\#` is gone from the text and counted in the place.
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

    /// By hand: `x$A.y` with a value of five bytes for `$A`.
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
