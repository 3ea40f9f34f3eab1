//! Turns files into the lines that are read as statements: it removes comments and resolves includes, `@` conditions, `$`
//! definitions and `~` sequences. The order is that of keepalived, so that each line sees the definitions above it.

mod including;
mod lines;

use std::collections::BTreeSet;
use std::path::Path;
use std::rc::Rc;

use super::definitions::{self, Context, Definition, Definitions, Includes, Place};
use super::diagnostic::{COMPLAINTS_MAX, Diagnostic};
use super::encoding::{self, Decoded, Oddity};
use super::files::{Files, ReadError};
use super::include::{self, Check};
use super::sequences::{self, Head};
use super::sources::{FileId, Sources, Span};
use super::text::{Text, is_space};
use lines::{Lines, conditions, continued};

/// Longest line, in bytes. keepalived reads a longer line as several lines.
const LINE_MAX: usize = 1023;

/// Largest depth of included files, sequences and definitions within each other.
const DEPTH_MAX: usize = 48;

/// Largest number of times that the beginning of a line is replaced before the line is read.
const REWRITES_MAX: usize = 16;

/// Largest number of lines, with all sequences and definitions. A line that is read twice counts twice.
const LINES_MAX: usize = 1_000_000;

/// Largest number of bytes of those lines: about [`LINES_MAX`] lines of usual length.
const BYTES_MAX: usize = 256 * 1024 * 1024;

/// Reads a file and all files that it includes. Reports files that cannot be read, and continues where keepalived would.
/// Returns `None` if the main file cannot be read.
pub(super) fn read(
    main: &Path,
    context: &mut Context,
    files: &dyn Files,
    sources: &mut Sources,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Vec<Text>> {
    let decoded = match text_of(main, files) {
        Ok(decoded) => decoded,
        Err(error) => {
            sources.add(main, String::new());
            diagnostics.push(Diagnostic::error(Span::BEGINNING, error.to_string()));
            return None;
        }
    };
    let file = sources.add(main, decoded.text);
    diagnostics.extend(decoded.oddities.iter().map(|oddity| odd(file, *oddity, sources)));
    let checks = match context.includes {
        Includes::AsWritten => BTreeSet::new(),
        Includes::AllOfThem => include::ALL.into(),
    };
    let mut preprocessor = Preprocessor {
        context,
        files,
        sources,
        diagnostics,
        definitions: Definitions::default(),
        checks,
        lines: Vec::new(),
        lines_spent: 0,
        bytes_spent: 0,
        stopped: false,
    };
    let here = Here { directory: directory_of(main), includes: 0, depth: 0 };
    preprocessor.file(file, &here);
    Some(preprocessor.lines)
}

/// Returns the text of a file, with the oddities of its bytes.
fn text_of(path: &Path, files: &dyn Files) -> Result<Decoded, ReadError> {
    encoding::decode(&files.bytes(path)?).map_err(|what| ReadError::not_text(path, what))
}

/// Returns the diagnostic for an oddity in the bytes of a file.
fn odd(file: FileId, oddity: Oddity, sources: &Sources) -> Diagnostic {
    match oddity {
        Oddity::ByteOrderMark => {
            let span = Span { file, start: 0, end: 0 };
            Diagnostic::note(span, "the file begins with a byte order mark")
                .label("ignored; keepalived takes it as a part of the first keyword")
                .help("save the file as UTF-8 without a byte order mark")
        }
        Oddity::Latin1 { line } => {
            let text = sources.shared_text(file);
            let mut lines = Lines::of(&text).skip(line - 1);
            let (start, length) = lines.next().map_or((0, 0), |(line, start)| (start, line.trim_end().len()));
            Diagnostic::note(Span { file, start, end: start + length }, "not UTF-8 text")
                .label("bytes that are not UTF-8 are read as Latin-1")
                .help(
                    "save the file as UTF-8; a password with such letters differs from the password that keepalived sends",
                )
        }
    }
}

/// The context in which a line is read.
#[derive(Clone)]
struct Here {
    /// The directory of the file that is being read. It is not the directory of the definition that a line comes from.
    directory: Rc<Path>,
    /// The depth of included files.
    includes: usize,
    /// The depth of included files, sequences and definitions within each other.
    depth: usize,
}

impl Here {
    fn deeper(&self) -> Self {
        Self { depth: self.depth + 1, ..self.clone() }
    }
}

fn directory_of(file: &Path) -> Rc<Path> {
    file.parent().unwrap_or(Path::new("")).into()
}

/// The kind of reference at the beginning of a line.
enum Leading {
    /// A definition of several lines, with nothing behind the reference.
    Lines(Rc<[Text]>),
    /// A value that may begin with a condition, a sequence or a reference, and the length of its reference in bytes.
    Value(Rc<str>, usize),
    Nothing,
}

struct Preprocessor<'a> {
    context: &'a mut Context,
    files: &'a dyn Files,
    sources: &'a mut Sources,
    diagnostics: &'a mut Vec<Diagnostic>,
    definitions: Definitions,
    /// `include_check`, for the file that is being read.
    checks: BTreeSet<Check>,
    lines: Vec<Text>,
    lines_spent: usize,
    bytes_spent: usize,
    /// True if a limit was exceeded. Then nothing more is read.
    stopped: bool,
}

impl Preprocessor<'_> {
    fn stop(&mut self, span: Span, message: impl Into<String>) {
        if !self.stopped {
            self.stopped = true;
            self.diagnostics.push(Diagnostic::error(span, message));
        }
    }

    /// Counts a line, and returns true if no limit is exceeded.
    fn spend(&mut self, line: &Text) -> bool {
        self.lines_spent += 1;
        self.bytes_spent += line.len();
        if self.lines_spent > LINES_MAX || self.bytes_spent > BYTES_MAX {
            let message = format!(
                "the configuration has more than {LINES_MAX} lines or 256 MiB, with all sequences and definitions"
            );
            self.stop(line.whole(), message);
        } else if self.diagnostics.len() >= COMPLAINTS_MAX {
            self.stop(line.whole(), "too many problems: the rest of the file is not read");
        }
        !self.stopped
    }

    fn file(&mut self, file: FileId, here: &Here) {
        let text = self.sources.shared_text(file);
        let mut lines = Lines::of(&text);
        while let Some((line, start)) = lines.next() {
            if self.stopped {
                return;
            }
            self.check_length(file, line, start);
            let stripped = Text::without_comment(file, line, start);
            if stripped.is_empty() {
                continue;
            }
            let (at, holds) = conditions(stripped.as_str(), &self.context.id);
            let defined = definitions::definition(&stripped.as_str()[at..]);
            if let Some(cut) = continued(line)
                && let Some((name, value)) = defined
            {
                let head = Text::without_comment(file, cut, start);
                let first = head.part((at + value).min(head.len())..head.len());
                let definition = self.body(file, &first, &mut lines);
                // A false condition removes the whole definition, not only its first line.
                if holds {
                    self.definitions.set(name, definition);
                }
            } else {
                let line = self.without_continuation(stripped);
                self.line(&line, here);
            }
        }
    }

    fn check_length(&mut self, file: FileId, line: &str, start: usize) {
        let length = line.trim_end_matches(['\r', '\n']).len();
        if length > LINE_MAX && self.diagnostics.len() < COMPLAINTS_MAX {
            let mut end = LINE_MAX;
            while !line.is_char_boundary(end) {
                end -= 1;
            }
            let span = Span { file, start, end: start + end };
            let message = format!("a line of {length} bytes");
            self.diagnostics.push(
                Diagnostic::warning(span, message)
                    .label(format!("keepalived would read the text after {LINE_MAX} bytes as another line")),
            );
        }
    }

    /// Removes a `\` at the end, which has a meaning in definitions only.
    fn without_continuation(&mut self, line: Text) -> Text {
        let Some(head) = line.as_str().strip_suffix('\\') else { return line };
        let kept = head.trim_end_matches(is_space).len();
        if kept == head.len() && kept > 0 {
            return line;
        }
        let span = line.span(head.len()..line.len());
        self.diagnostics.push(
            Diagnostic::warning(span, "a statement ends with its line")
                .label("ignored: only a definition continues on the next line after a `\\`")
                .help("write the whole statement on one line"),
        );
        line.part(0..kept)
    }

    /// Reads the lines of a definition: the lines that end in `\`, and the line after them.
    fn body(&mut self, file: FileId, first: &Text, lines: &mut Lines<'_>) -> Definition {
        let mut body = vec![first.clone()];
        for (line, start) in lines {
            self.check_length(file, line, start);
            let cut = continued(line);
            body.push(Text::without_comment(file, cut.unwrap_or(line), start));
            if cut.is_none() {
                break;
            }
        }
        body.retain(|line| !line.as_str().trim_matches(is_space).is_empty());
        match &body[..] {
            [] => Definition::Value("".into()),
            [line] => Definition::Value(line.as_str().trim_matches(is_space).into()),
            _ => Definition::Lines(body.into()),
        }
    }

    fn line(&mut self, line: &Text, here: &Here) {
        if here.depth > DEPTH_MAX {
            self.stop(
                line.whole(),
                "definitions and sequences are nested too deeply, perhaps without an end",
            );
            return;
        }
        let mut line = line.clone();
        for _ in 0..REWRITES_MAX {
            if !self.spend(&line) {
                return;
            }
            let (at, hold) = conditions(line.as_str(), &self.context.id);
            if !hold {
                return;
            }
            line = line.part(at..line.len());
            if let Some(head) = sequences::head(line.as_str()) {
                self.sequence(&line, head, here);
                return;
            }
            if let Some((name, value)) = definitions::definition(line.as_str()) {
                let value = line.as_str()[value..].trim_matches(is_space);
                self.definitions.set(name, Definition::Value(value.into()));
                return;
            }
            match self.leading(line.as_str()) {
                Leading::Lines(lines) => {
                    let deeper = here.deeper();
                    for line in &*lines {
                        self.line(line, &deeper);
                        if self.stopped {
                            return;
                        }
                    }
                    return;
                }
                Leading::Value(value, length) => {
                    let mut rewritten = line.nothing_of();
                    rewritten.push_replaced(&value, line.span(0..length));
                    rewritten.push_part(&line, length..line.len());
                    line = rewritten;
                }
                Leading::Nothing => {
                    if let Some(line) = self.expand(&line, here) {
                        self.statement(line, here);
                    }
                    return;
                }
            }
        }
        self.stop(line.whole(), "the value at the beginning of the line refers to itself");
    }

    fn leading(&self, line: &str) -> Leading {
        let Some(reference) = definitions::reference(line, None) else { return Leading::Nothing };
        if !reference.arguments.is_empty() {
            return Leading::Nothing;
        }
        let alone = line.trim_end_matches(is_space).len() == reference.length;
        match self.definitions.get(reference.name) {
            Some(Definition::Lines(lines)) if alone => Leading::Lines(Rc::clone(lines)),
            Some(Definition::Value(value)) if value.starts_with(['@', '~', '$']) => {
                Leading::Value(Rc::clone(value), reference.length)
            }
            Some(_) | None => Leading::Nothing,
        }
    }

    fn expand(&mut self, line: &Text, here: &Here) -> Option<Text> {
        let directory = here.directory.to_string_lossy();
        let directory = if directory.is_empty() { "." } else { &*directory };
        let mut place = Place { directory, context: &mut *self.context };
        self.definitions.expand(line, &mut place, self.diagnostics)
    }

    fn sequence(&mut self, line: &Text, head: Head, here: &Here) {
        let Some(close) = head.close else {
            let span = line.span(0..head.arguments);
            let message = "a sequence whose `(` is not closed";
            self.diagnostics.push(Diagnostic::error(span, message).help("add the `)`"));
            return;
        };
        let Some(arguments) = self.expand(&line.part(head.arguments..close), here) else { return };
        let rounds = match sequences::rounds(head.kind, arguments.as_str()) {
            Ok(rounds) => rounds,
            Err(message) => {
                let span = line.span(0..close + 1);
                self.diagnostics.push(
                    Diagnostic::error(span, "not a sequence")
                        .label(message)
                        .help("write `~SEQ(NAME, FIRST, STEP, LAST)` or `~LST(NAME, VALUE, VALUE)`"),
                );
                return;
            }
        };
        let rest = line.part(close + 1..line.len());
        let deeper = here.deeper();
        for index in 0..rounds.count() {
            for (name, value) in rounds.round(index) {
                self.definitions.set(name, Definition::Value(value.into()));
            }
            self.line(&rest, &deeper);
            if self.stopped {
                return;
            }
        }
    }

    /// Reads a line in which all references have been replaced.
    fn statement(&mut self, line: Text, here: &Here) {
        let source = line.as_str().trim_matches(is_space);
        let word = source.split(is_space).next().unwrap_or("");
        let rest = source[word.len()..].trim_start_matches(is_space);
        if word == "include_check" {
            include::change(&mut self.checks, rest);
        } else if let Some(own) = include::keyword(word)
            && !rest.is_empty()
        {
            let checks: BTreeSet<Check> = own.union(&self.checks).copied().collect();
            self.include(rest, line.whole(), &checks, here);
            return;
        }
        if !source.is_empty() {
            self.lines.push(line);
        }
    }
}

#[cfg(test)]
mod tests;
