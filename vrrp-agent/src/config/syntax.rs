//! Turns lines into statements. keepalived's language is line-oriented: a statement is a line of words, and only `{` and `}`
//! split a line.

use super::definitions;
use super::diagnostic::{COMPLAINTS_MAX, Diagnostic};
use super::sources::Span;
use super::text::{Text, is_space};

/// Largest depth of blocks. No real file has a depth of more than four.
const DEPTH_MAX: usize = 32;

/// Largest number of words. The largest example of keepalived.conf(5), with 65024 instances, has half as many.
const WORDS_MAX: usize = 4_000_000;

/// A word, with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word {
    /// The word without its quotes.
    pub(super) text: String,
    /// The place of the word, including its quotes. For a substituted value, it is the place of the reference.
    pub(super) span: Span,
    /// True if the word stood in quotes.
    pub(super) quoted: bool,
}

/// A line of at least one word, and the block behind it, if there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Statement {
    pub(super) words: Vec<Word>,
    pub(super) block: Option<Vec<Statement>>,
}

impl Statement {
    pub(super) fn keyword(&self) -> &Word {
        &self.words[0]
    }

    pub(super) fn arguments(&self) -> &[Word] {
        &self.words[1..]
    }

    /// Returns the span from the first word to the last.
    pub(super) fn span(&self) -> Span {
        self.keyword().span.to(self.words[self.words.len() - 1].span)
    }
}

enum Token {
    Word(Word),
    Open(Span),
    Close(Span),
}

/// A block that is not closed yet.
struct Block {
    words: Vec<Word>,
    statements: Vec<Statement>,
    opened: Span,
}

/// The open blocks, the innermost last, and the words of the current line.
#[derive(Default)]
struct Open {
    blocks: Vec<Block>,
    outermost: Vec<Statement>,
    line: Vec<Word>,
}

impl Open {
    fn statements(&mut self) -> &mut Vec<Statement> {
        self.blocks.last_mut().map_or(&mut self.outermost, |block| &mut block.statements)
    }

    fn end_line(&mut self) {
        if !self.line.is_empty() {
            let words = std::mem::take(&mut self.line);
            self.statements().push(Statement { words, block: None });
        }
    }

    /// Returns the words that a `{` belongs to: the words before it on the line, or the line before it.
    fn head(&mut self) -> Vec<Word> {
        if !self.line.is_empty() {
            return std::mem::take(&mut self.line);
        }
        match self.statements().last() {
            Some(Statement { block: None, .. }) => self.statements().pop().map_or_else(Vec::new, |s| s.words),
            Some(_) | None => Vec::new(),
        }
    }

    fn close(&mut self) {
        match self.blocks.pop() {
            Some(Block { words, statements, .. }) if words.is_empty() => self.statements().extend(statements),
            Some(Block { words, statements, .. }) => {
                self.statements().push(Statement { words, block: Some(statements) });
            }
            None => {}
        }
    }
}

/// Reads all statements. Text that cannot be read is reported and skipped.
pub(super) fn parse(lines: &[Text], diagnostics: &mut Vec<Diagnostic>) -> Vec<Statement> {
    let mut open = Open::default();
    let mut words_read = 0;
    for line in lines {
        let mut at = 0;
        while let Some(token) = next_token(line, &mut at, diagnostics) {
            match token {
                Token::Word(word) => {
                    words_read += 1;
                    if words_read > WORDS_MAX {
                        let message = format!("the configuration has more than {WORDS_MAX} words");
                        diagnostics.push(Diagnostic::error(word.span, message));
                        return Vec::new();
                    }
                    open.line.push(word);
                }
                Token::Open(at) => {
                    let words = open.head();
                    if words.is_empty() {
                        diagnostics.push(
                            Diagnostic::warning(at, "a block without a name")
                                .label("the braces are ignored; the statements between them are read as if there were no braces")
                                .help("write the keyword before the brace, as in `vrrp_instance VI_1 {`"),
                        );
                    }
                    if open.blocks.len() == DEPTH_MAX {
                        let message = format!("blocks are nested deeper than {DEPTH_MAX}");
                        diagnostics.push(Diagnostic::error(at, message));
                        return Vec::new();
                    }
                    open.blocks.push(Block { words, statements: Vec::new(), opened: at });
                }
                Token::Close(at) => {
                    open.end_line();
                    if open.blocks.is_empty() {
                        diagnostics.push(
                            Diagnostic::warning(at, "a closing brace without an open block")
                                .help("remove it, or look for the block that was closed too early above"),
                        );
                    }
                    open.close();
                }
            }
            if diagnostics.len() >= COMPLAINTS_MAX {
                let message = "too many problems: the rest of the file is not read";
                diagnostics.push(Diagnostic::error(line.whole(), message));
                return Vec::new();
            }
        }
        open.end_line();
    }
    while let Some(block) = open.blocks.last() {
        diagnostics.push(
            Diagnostic::warning(block.opened, "a block that is never closed")
                .label("opened here")
                .help("add the missing `}`"),
        );
        open.close();
    }
    open.outermost
}

/// Returns the next word or brace of a line. The tokens are read one at a time, because all tokens of a long line could fill
/// the memory.
fn next_token(line: &Text, at: &mut usize, diagnostics: &mut Vec<Diagnostic>) -> Option<Token> {
    let text = line.as_str();
    let rest = &text[*at..];
    let start = *at + (rest.len() - rest.trim_start_matches(is_space).len());
    let (token, end) = match text[start..].chars().next()? {
        '{' => (Token::Open(line.span(start..start + 1)), start + 1),
        '}' => (Token::Close(line.span(start..start + 1)), start + 1),
        '"' => {
            let inner = start + 1;
            let close = inner + quoted_length(&text[inner..]);
            if !text[close..].starts_with('"') {
                diagnostics.push(
                    Diagnostic::warning(
                        line.span(start..close),
                        "a quoted string that does not end on its line",
                    )
                    .label("ignored up to the end of the line")
                    .help("add the closing `\"`"),
                );
                *at = text.len();
                return None;
            }
            let end = close + 1;
            let span = line.span(start..end);
            (Token::Word(Word { text: text[inner..close].to_owned(), span, quoted: true }), end)
        }
        _ => {
            let end = start + word_length(&text[start..]);
            let span = line.span(start..end);
            (Token::Word(Word { text: text[start..end].to_owned(), span, quoted: false }), end)
        }
    };
    *at = end;
    Some(token)
}

/// Returns the length of a quoted string, in bytes. `\"` does not end it. Escapes are kept, because the parser of commands
/// reads them.
fn quoted_length(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'"' if !escaped => return at,
            _ => escaped = byte == b'\\' && !escaped,
        }
    }
    text.len()
}

/// Returns the length of a word outside quotes, at least one byte. The braces of an undefined `${NAME}` belong to the word.
fn word_length(text: &str) -> usize {
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let reference = if c == '$' { definitions::reference(&text[at..], None) } else { None };
        match (reference, c) {
            (Some(reference), _) => at += reference.length,
            (None, '\\') if text[at + 1..].starts_with('"') => at += 2,
            (None, '{' | '}' | '"') => break,
            (None, c) if is_space(c) => break,
            (None, c) => at += c.len_utf8(),
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use super::super::sources::FileId;
    use super::*;

    fn read(text: &str) -> (Vec<Statement>, Vec<Diagnostic>) {
        let mut lines = Vec::new();
        let mut start = 0;
        for line in text.split_inclusive('\n') {
            lines.push(Text::without_comment(FileId::MAIN, line, start));
            start += line.len();
        }
        let mut diagnostics = Vec::new();
        (parse(&lines, &mut diagnostics), diagnostics)
    }

    /// Returns the statements as one line, with words in `<…>`.
    fn shown(statements: &[Statement]) -> String {
        let mut shown = String::new();
        for statement in statements {
            for word in &statement.words {
                shown += &format!("<{}>", word.text);
            }
            if let Some(block) = &statement.block {
                shown += &format!("{{{}}}", self::shown(block));
            }
            shown += ";";
        }
        shown
    }

    /// Observed with keepalived 2.2.7 by means of `notification_email` and `-d`.
    #[test]
    fn lines_split_into_words() {
        for (line, words) in [
            ("\"q r # s\"@x y", "<q r # s><@x><y>;"),
            ("e\"f g\"h", "<e><f g><h>;"),
            ("'i j' k", "<'i><j'><k>;"),
            ("l\\ m", "<l\\><m>;"),
            ("r\\\\s", "<r\\\\s>;"),
            ("w$x$ $Y", "<w$x$><$Y>;"),
            ("\"a\\#b\" \\#", "<a\\#b><#>;"),
            ("\"\"  x\"\"y", "<><x><><y>;"),
            ("nbsp\u{a0}y\tz\x0bv\x0cw\r", "<nbsp\u{a0}y><z><v><w>;"),
        ] {
            assert_eq!(shown(&read(line).0), words, "{line}");
        }
    }

    /// Observed with keepalived 2.2.7, except for `${…}`, which keepalived splits at the braces.
    #[test]
    fn braces_split_a_line() {
        for (text, statements) in [
            ("one{two}three", "<one>{<two>;};<three>;"),
            ("virtual_ipaddress { 10.0.0.1 }", "<virtual_ipaddress>{<10.0.0.1>;};"),
            ("a\n{\nb c } d 7\n", "<a>{<b><c>;};<d><7>;"),
            ("a\n\n {\n}\n", "<a>{};"),
            ("a { b {\nc\n} }\n", "<a>{<b>{<c>;};};"),
            ("a \"{\" b", "<a><{><b>;"),
            ("x${UND}y ${_ENV NONE} z", "<x${UND}y><${_ENV NONE}><z>;"),
        ] {
            let (read, diagnostics) = read(text);
            assert_eq!((shown(&read).as_str(), diagnostics.len()), (statements, 0), "{text}");
        }
    }

    /// Worked out by hand. keepalived does this for the keywords that take a command.
    #[test]
    fn an_escaped_quote_ends_no_string() {
        assert_eq!(shown(&read("script \"a \\\"b c\\\" # d\" e").0), "<script><a \\\"b c\\\" # d><e>;");
        assert_eq!(shown(&read("a\\\"b c").0), "<a\\\"b><c>;");
        assert_eq!(shown(&read("\"a\\\\\" b").0), "<a\\\\><b>;");
    }

    #[test]
    fn words_and_statements_have_their_places() {
        let (statements, _) = read("a\n  b \"c d\" é\n");
        let place = |span: Span| (span.start, span.end);
        assert_eq!(place(statements[1].span()), (4, 14));
        assert_eq!(place(statements[1].arguments()[0].span), (6, 11));
        assert!(statements[1].arguments()[0].quoted && !statements[1].keyword().quoted);
    }

    #[test]
    fn what_cannot_be_read_is_complained_of() {
        for (text, start, message) in [
            ("a\n}\n", 2, "a closing brace without an open block"),
            ("a {\n b {\n }\n", 2, "a block that is never closed"),
            (" {\n}\n", 1, "a block without a name"),
            ("a { } {\n}\n", 6, "a block without a name"),
            ("a \"b\n", 2, "a quoted string that does not end on its line"),
        ] {
            let (_, diagnostics) = read(text);
            let [diagnostic] = &diagnostics[..] else { panic!("{text}: {diagnostics:?}") };
            assert_eq!((diagnostic.span.start, diagnostic.message.as_str()), (start, message), "{text}");
        }
    }

    /// A configuration must not be able to fill the stack or the memory.
    #[test]
    fn a_million_braces_are_one_complaint_more() {
        for text in ["a{".repeat(1_000_000), "}".repeat(1_000_000), "a{\n".repeat(1_000_000)] {
            let (statements, diagnostics) = read(&text);
            assert!(statements.is_empty());
            assert!((1..=COMPLAINTS_MAX + 1).contains(&diagnostics.len()), "{}", diagnostics.len());
        }
    }
}
