//! The files that were read, and places in them. A place always refers to the text that the user wrote, so that a diagnostic
//! about a substituted value shows the line with the `$NAME`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The index of a file of [`Sources`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(u32);

impl FileId {
    /// The main file; all other files are included from it.
    pub const MAIN: Self = Self(0);
}

/// A place in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The file.
    pub file: FileId,
    /// The offset of the first byte.
    pub start: usize,
    /// The offset behind the last byte.
    pub end: usize,
}

impl Span {
    /// The beginning of the main file, for diagnostics that belong to no line.
    pub const BEGINNING: Self = Self { file: FileId::MAIN, start: 0, end: 0 };

    /// Returns the span from the beginning of this one to the end of another span on the same line.
    pub(super) fn to(self, last: Self) -> Self {
        if last.file == self.file { Self { end: last.end.max(self.end), ..self } } else { self }
    }
}

/// A file that was read.
#[derive(Debug)]
struct Source {
    path: PathBuf,
    text: Arc<str>,
}

/// All files that were read, the main file first. A file that is included twice is contained twice.
#[derive(Debug, Default)]
pub struct Sources {
    files: Vec<Source>,
}

impl Sources {
    /// Adds a file.
    pub(super) fn add(&mut self, path: &Path, text: String) -> FileId {
        // The preprocessor reads at most 1000 files.
        let id = FileId(u32::try_from(self.files.len()).unwrap_or(u32::MAX));
        self.files.push(Source { path: path.to_path_buf(), text: text.into() });
        id
    }

    /// Returns the number of files.
    #[must_use]
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Returns true if no file was read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Returns the paths, in the order of reading.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(|source| source.path.as_path())
    }

    /// Returns the size of all files together, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.files.iter().map(|source| source.text.len()).sum()
    }

    /// Returns the path of a file.
    #[must_use]
    pub fn path(&self, file: FileId) -> &Path {
        self.source(file).map_or(Path::new(""), |source| source.path.as_path())
    }

    /// Returns the text of a file.
    #[must_use]
    pub fn text(&self, file: FileId) -> &str {
        self.source(file).map_or("", |source| &*source.text)
    }

    /// Returns the text of a file in a form that can be kept while other files are added.
    pub(super) fn shared_text(&self, file: FileId) -> Arc<str> {
        self.source(file).map_or_else(|| Arc::from(""), |source| Arc::clone(&source.text))
    }

    /// Returns line and column of the beginning of a span, counted from 1; the column counts characters.
    #[must_use]
    pub fn position(&self, span: Span) -> (usize, usize) {
        let before = before(self.text(span.file), span.start);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let line = before.bytes().filter(|&byte| byte == b'\n').count() + 1;
        (line, before[line_start..].chars().count() + 1)
    }

    /// Returns the lines that a span touches, without the last line end, and their offset in the file.
    pub(super) fn lines(&self, span: Span) -> (&str, usize) {
        let text = self.text(span.file);
        let start = before(text, span.start).rfind('\n').map_or(0, |at| at + 1);
        let end = before(text, span.end).len().max(start);
        let end = text[end..].find('\n').map_or(text.len(), |at| end + at);
        (&text[start..end], start)
    }

    fn source(&self, file: FileId) -> Option<&Source> {
        self.files.get(usize::try_from(file.0).ok()?)
    }
}

/// Returns the text before an offset. An invalid offset is reduced to a valid one, because showing a diagnostic must not fail.
fn before(text: &str, place: usize) -> &str {
    let mut place = place.min(text.len());
    while !text.is_char_boundary(place) {
        place -= 1;
    }
    &text[..place]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(file: FileId, start: usize, end: usize) -> Span {
        Span { file, start, end }
    }

    /// Worked out by hand: `é` has two bytes and counts as one column.
    #[test]
    fn a_place_has_line_and_column() {
        let mut sources = Sources::default();
        let main = sources.add(Path::new("/etc/k.conf"), "ab\né x\n".to_owned());
        let other = sources.add(Path::new("/etc/o.conf"), String::new());
        assert_eq!((main, sources.len(), sources.bytes()), (FileId::MAIN, 2, 8));
        assert_eq!(sources.position(span(main, 0, 1)), (1, 1));
        assert_eq!(sources.position(span(main, 6, 7)), (2, 3));
        assert_eq!(sources.position(span(main, 4, 5)), (2, 1), "inside `é`");
        assert_eq!(sources.position(span(main, 99, 100)), (3, 1));
        assert_eq!(sources.position(span(other, 0, 0)), (1, 1));
        assert_eq!(sources.path(other), Path::new("/etc/o.conf"));
    }

    #[test]
    fn the_lines_of_a_span() {
        let mut sources = Sources::default();
        let main = sources.add(Path::new("k"), "one\ntwo\nthree\n".to_owned());
        assert_eq!(sources.lines(span(main, 5, 6)), ("two", 4));
        assert_eq!(sources.lines(span(main, 5, 9)), ("two\nthree", 4));
        assert_eq!(sources.lines(span(main, 3, 4)), ("one\ntwo", 0));
        assert_eq!(sources.lines(span(main, 14, 14)), ("", 14));
        assert_eq!(sources.lines(span(main, 99, 99)), ("", 14));
    }

    #[test]
    fn a_span_reaches_to_another_of_its_file() {
        let (a, b) = (span(FileId(0), 3, 5), span(FileId(0), 8, 9));
        assert_eq!(a.to(b), span(FileId(0), 3, 9));
        assert_eq!(a.to(span(FileId(1), 8, 9)), a);
    }
}
