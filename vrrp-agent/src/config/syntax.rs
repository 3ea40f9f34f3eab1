//! From text to statements. keepalived's language is made of lines: a statement is a line of words, and only `{` and `}`
//! split a line. `#` and `!` begin a comment outside quotes.

use std::ops::Range;

use super::diagnostic::Diagnostic;

/// No real file nests deeper than four.
const DEPTH_MAX: usize = 32;

/// A word, with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word<'t> {
    /// The word without its quotes.
    pub(super) text: &'t str,
    /// Where it stands, quotes included.
    pub(super) span: Range<usize>,
}

impl Word<'_> {
    /// Whether it stood in quotes.
    pub(super) fn quoted(&self) -> bool {
        self.span.len() > self.text.len()
    }
}

/// A line of words, never none, and the block behind it if there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Statement<'t> {
    pub(super) words: Vec<Word<'t>>,
    pub(super) block: Option<Vec<Statement<'t>>>,
}

impl<'t> Statement<'t> {
    pub(super) fn keyword(&self) -> &Word<'t> {
        &self.words[0]
    }

    pub(super) fn arguments(&self) -> &[Word<'t>] {
        &self.words[1..]
    }

    /// From the first word to the last.
    pub(super) fn span(&self) -> Range<usize> {
        self.keyword().span.start..self.words[self.words.len() - 1].span.end
    }
}

enum Token<'t> {
    Word(Word<'t>),
    Open(usize),
    Close(usize),
    EndOfLine,
}

/// The blocks that are open, the innermost last, and the line being read.
struct Open<'t> {
    blocks: Vec<(Vec<Word<'t>>, Vec<Statement<'t>>, usize)>,
    outermost: Vec<Statement<'t>>,
    line: Vec<Word<'t>>,
}

impl<'t> Open<'t> {
    fn statements(&mut self) -> &mut Vec<Statement<'t>> {
        self.blocks.last_mut().map_or(&mut self.outermost, |(_, statements, _)| statements)
    }

    fn end_line(&mut self) {
        if !self.line.is_empty() {
            let words = std::mem::take(&mut self.line);
            self.statements().push(Statement { words, block: None });
        }
    }

    /// The words that a `{` belongs to: before it on the line, or the line before it.
    fn head(&mut self) -> Vec<Word<'t>> {
        if !self.line.is_empty() {
            return std::mem::take(&mut self.line);
        }
        match self.statements().last() {
            Some(Statement { block: None, .. }) => self.statements().pop().map_or_else(Vec::new, |s| s.words),
            Some(_) | None => Vec::new(),
        }
    }

    fn close(&mut self) {
        if let Some((words, statements, _)) = self.blocks.pop()
            && !words.is_empty()
        {
            self.statements().push(Statement { words, block: Some(statements) });
        }
    }
}

/// Reads all statements. What cannot be read is complained of and skipped.
pub(super) fn parse<'t>(text: &'t str, diagnostics: &mut Vec<Diagnostic>) -> Vec<Statement<'t>> {
    let mut open = Open { blocks: Vec::new(), outermost: Vec::new(), line: Vec::new() };
    for token in tokens(text, diagnostics) {
        match token {
            Token::Word(word) => open.line.push(word),
            Token::EndOfLine => open.end_line(),
            Token::Open(at) => {
                let head = open.head();
                if head.is_empty() {
                    diagnostics.push(
                        Diagnostic::error(at..at + 1, "a block without a name")
                            .label("what does this block belong to?")
                            .help("write the keyword before the brace, as in `vrrp_instance VI_1 {`"),
                    );
                }
                if open.blocks.len() == DEPTH_MAX {
                    let message = format!("blocks are nested deeper than {DEPTH_MAX}");
                    diagnostics.push(Diagnostic::error(at..at + 1, message));
                    return Vec::new();
                }
                open.blocks.push((head, Vec::new(), at));
            }
            Token::Close(at) => {
                open.end_line();
                if open.blocks.is_empty() {
                    diagnostics.push(
                        Diagnostic::error(at..at + 1, "a closing brace without an open block")
                            .help("remove it, or look for the block that was closed too early above"),
                    );
                }
                open.close();
            }
        }
    }
    open.end_line();
    while let Some((_, _, at)) = open.blocks.last() {
        diagnostics.push(
            Diagnostic::error(*at..at + 1, "a block that is never closed")
                .label("opened here")
                .help("add the missing `}`"),
        );
        open.close();
    }
    open.outermost
}

fn tokens<'t>(text: &'t str, diagnostics: &mut Vec<Diagnostic>) -> Vec<Token<'t>> {
    let mut tokens = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        line_tokens(line, start, &mut tokens, diagnostics);
        tokens.push(Token::EndOfLine);
        start += line.len();
    }
    tokens
}

fn line_tokens<'t>(
    line: &'t str,
    start: usize,
    tokens: &mut Vec<Token<'t>>,
    diagnostics: &mut Vec<Diagnostic>,
) {
    let mut rest = line.char_indices().peekable();
    while let Some((at, c)) = rest.next() {
        match c {
            '#' | '!' => return,
            '{' => tokens.push(Token::Open(start + at)),
            '}' => tokens.push(Token::Close(start + at)),
            c if c.is_whitespace() => {}
            '"' => {
                let end = rest.find(|&(_, c)| c == '"' || c == '\n').map_or(line.len(), |(end, _)| end);
                let closed = line[end..].starts_with('"');
                if !closed {
                    diagnostics.push(
                        Diagnostic::error(
                            start + at..start + end,
                            "a quoted string that does not end on its line",
                        )
                        .help("add the closing `\"`"),
                    );
                }
                let span = start + at..start + end + usize::from(closed);
                tokens.push(Token::Word(Word { text: &line[at + 1..end], span }));
            }
            _ => {
                let mut end = at + c.len_utf8();
                while let Some((next, c)) =
                    rest.next_if(|&(_, c)| !c.is_whitespace() && !matches!(c, '{' | '}' | '"' | '#' | '!'))
                {
                    end = next + c.len_utf8();
                }
                tokens.push(Token::Word(Word { text: &line[at..end], span: start + at..start + end }));
            }
        }
    }
}
