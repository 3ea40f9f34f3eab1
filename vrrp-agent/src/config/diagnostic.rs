//! Diagnostics about the configuration, shown in the style of rustc.

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

use super::sources::{Sources, Span};

/// Largest number of diagnostics. Nobody reads more, and a hostile file could cause millions.
pub(super) const COMPLAINTS_MAX: usize = 200;

/// Longer messages are cut, in bytes: a message can quote text of several megabytes.
const MESSAGE_MAX: usize = 500;

/// Longest excerpt of a file that is shown, in bytes. Of a longer one, only the place is printed.
const SHOWN_MAX: usize = 8192;

/// The severity of a diagnostic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// keepalived does not report this, but the behaviour differs here, or is dangerous.
    Note,
    /// keepalived would report this and continue, and so does this daemon. The message says which value is used.
    Warning,
    /// The configuration is not used: nothing is started.
    Error,
}

/// A message with its place in the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// The severity.
    pub severity: Severity,
    /// The description of the problem.
    pub message: String,
    /// The place of the problem.
    pub span: Span,
    /// The description of the problem at this place.
    pub label: String,
    /// The suggestion how to solve it.
    pub help: Option<String>,
}

impl Diagnostic {
    pub(super) fn error(span: Span, message: impl Into<String>) -> Self {
        let message = cut(message.into());
        Self { severity: Severity::Error, message, span, label: String::new(), help: None }
    }

    pub(super) fn warning(span: Span, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(span, message) }
    }

    pub(super) fn note(span: Span, message: impl Into<String>) -> Self {
        Self { severity: Severity::Note, ..Self::error(span, message) }
    }

    pub(super) fn label(self, label: impl Into<String>) -> Self {
        Self { label: cut(label.into()), ..self }
    }

    pub(super) fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(cut(help.into())), ..self }
    }

    /// Returns line and column, counted from 1; the column counts characters.
    #[must_use]
    pub fn position(&self, sources: &Sources) -> (usize, usize) {
        sources.position(self.span)
    }

    /// Returns the diagnostic as text, with file, line, column, the source line and a caret.
    #[must_use]
    pub fn render(&self, sources: &Sources, color: bool) -> String {
        let level = match self.severity {
            Severity::Note => Level::NOTE,
            Severity::Warning => Level::WARNING,
            Severity::Error => Level::ERROR,
        };
        let path = sources.path(self.span.file).display().to_string();
        let (line, column) = self.position(sources);
        // Only the lines of the span are passed: the renderer would search the whole file for each diagnostic.
        let (shown, first) = sources.lines(self.span);
        let title = level.primary_title(self.message.as_str());
        let help = self.help.as_deref().map(|help| Level::HELP.message(help));
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        if shown.len() > SHOWN_MAX {
            let place = format!("{path}:{line}:{column} {}", self.label);
            let group = title.element(Level::NOTE.message(place.trim_end())).elements(help);
            return renderer.render(&[group]);
        }
        let start = self.span.start.saturating_sub(first).min(shown.len());
        let end = self.span.end.saturating_sub(first).clamp(start, shown.len());
        let annotation = AnnotationKind::Primary.span(start..end).label(self.label.as_str());
        let snippet = Snippet::source(shown).line_start(line).path(path.as_str()).annotation(annotation);
        renderer.render(&[title.element(snippet).elements(help)])
    }
}

fn cut(mut message: String) -> String {
    if message.len() > MESSAGE_MAX {
        let end = (0..=MESSAGE_MAX).rev().find(|&end| message.is_char_boundary(end)).unwrap_or(0);
        message.truncate(end);
        message.push('…');
    }
    message
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::sources::FileId;
    use super::*;

    fn diagnostic(file: FileId, start: usize, end: usize) -> Diagnostic {
        Diagnostic::error(Span { file, start, end }, "wrong").label("here").help("mend it")
    }

    #[test]
    fn a_complaint_names_its_own_file() {
        let mut sources = Sources::default();
        sources.add(Path::new("/etc/main.conf"), "include x\n".to_owned());
        let other = sources.add(Path::new("/etc/x.conf"), "one\ntwo three\n".to_owned());
        let rendered = diagnostic(other, 8, 13).render(&sources, false);
        for part in ["error: wrong", "/etc/x.conf:2:5", "2 | two three", "^^^^^ here", "mend it"] {
            assert!(rendered.contains(part), "{part}: {rendered}");
        }
    }

    #[test]
    fn any_place_can_be_shown() {
        let mut sources = Sources::default();
        let main = sources.add(Path::new("/k"), "é\nx".to_owned() + &"y".repeat(10_000));
        let empty = sources.add(Path::new("/e"), String::new());
        for (file, start, end) in
            [(main, 0, 2), (main, 2, 3), (main, 4, 9), (main, 99_999, 99_999), (empty, 0, 0)]
        {
            assert!(diagnostic(file, start, end).render(&sources, true).contains("wrong"));
        }
        assert!(diagnostic(main, 4, 9).render(&sources, false).contains("/k:2:2"));
    }
}
