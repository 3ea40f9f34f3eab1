//! Definitions: `$NAME=value`, used as `$NAME` or `${NAME}`. A value is expanded where it is used, not where it is defined, so
//! it can contain names that are defined later.

use std::collections::{HashMap, HashSet};
use std::ops::RangeInclusive;
use std::rc::Rc;

use super::diagnostic::Diagnostic;
use super::sources::Span;
use super::text::{Text, is_space};

/// The values of the host that a configuration can use. The parser takes nothing from the process itself.
pub struct Context {
    /// The name that `@id` is compared with: the value of `-i`, or the host name up to the first dot.
    pub id: String,
    /// Returns a random number of the range, for `${_RANDOM}`.
    pub random: Box<dyn FnMut(RangeInclusive<u32>) -> u32>,
    /// Returns an environment variable, for `${_ENV NAME}`.
    pub environment: Environment,
    /// The treatment of an `include` that finds nothing.
    pub includes: Includes,
}

/// The treatment of an `include` that finds nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Includes {
    /// The file decides (`include_check`, and the keywords of the `include` family). Without such a check it is not an error.
    #[default]
    AsWritten,
    /// It is an error (command line option `-e`).
    AllOfThem,
}

/// Returns the value of an environment variable, if it is set.
pub type Environment = Box<dyn Fn(&str) -> Option<String>>;

/// Largest depth of values within values. Without this limit, a name whose value contains the name itself would never end.
const NESTED_MAX: usize = 64;

/// Largest expansion of one reference, in bytes.
const VALUE_MAX: usize = 1024 * 1024;

/// Largest number of replacements in all. Without this limit, names that double each other would reach any number.
const REPLACED_MAX: usize = 10_000_000;

/// Largest length of the arguments in `${_RANDOM 1 2}` or `${_ENV NAME}`, in bytes.
const ARGUMENTS_MAX: usize = 256;

/// The text that a name is replaced with.
#[derive(Clone, Debug)]
pub(super) enum Definition {
    /// A part of a line.
    Value(Rc<str>),
    /// Several lines, each with its place in the definition.
    Lines(Rc<[Text]>),
}

/// A reference, `$NAME` or `${NAME}`, in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reference<'t> {
    pub(super) name: &'t str,
    /// The text behind the name, within the braces.
    pub(super) arguments: &'t str,
    /// Length of the whole reference, in bytes.
    pub(super) length: usize,
}

/// Returns the length in bytes of the name at the beginning of a text. A name has letters, digits and `_`, and does not begin
/// with a digit.
fn name_length(text: &str) -> usize {
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return 0;
    }
    text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len())
}

/// Returns the reference at the beginning of a text. Without braces, white space, `,`, `)` or the end of the line must follow;
/// `following` is the character behind the text.
pub(super) fn reference(text: &str, following: Option<char>) -> Option<Reference<'_>> {
    let rest = text.strip_prefix('$')?;
    let Some(inner) = rest.strip_prefix('{') else {
        let length = name_length(rest);
        let next = rest[length..].chars().next().or(following);
        let ends = next.is_none_or(|c| is_space(c) || matches!(c, ',' | ')'));
        let reference = Reference { name: &rest[..length], arguments: "", length: 1 + length };
        return (length > 0 && ends).then_some(reference);
    };
    let length = name_length(inner);
    let behind = &inner[length..];
    let close = behind.bytes().take(ARGUMENTS_MAX).position(|byte| byte == b'}')?;
    if length == 0 || (close > 0 && !behind.starts_with(is_space)) {
        return None;
    }
    let arguments = behind[..close].trim_matches(is_space);
    Some(Reference { name: &inner[..length], arguments, length: 2 + length + close + 1 })
}

/// Returns the name that a line defines, and the offset of its value. There must be no white space before the `=`.
pub(super) fn definition(line: &str) -> Option<(&str, usize)> {
    let rest = line.strip_prefix('$')?;
    let length = name_length(rest);
    (length > 0 && rest[length..].starts_with('=')).then_some((&rest[..length], 1 + length + 1))
}

/// The place of a line, for the lookup of references.
pub(super) struct Place<'p> {
    /// The value of `${_PWD}`.
    pub(super) directory: &'p str,
    pub(super) context: &'p mut Context,
}

/// The result of a lookup.
enum Found {
    Value(Rc<str>),
    Lines,
    Nothing,
}

/// All names that have been defined.
#[derive(Default)]
pub(super) struct Definitions {
    values: HashMap<String, Definition>,
    /// The undefined names that have already been reported.
    unknown: HashSet<String>,
    replaced: usize,
}

impl Definitions {
    pub(super) fn set(&mut self, name: &str, definition: Definition) {
        self.values.insert(name.to_owned(), definition);
    }

    pub(super) fn get(&self, name: &str) -> Option<&Definition> {
        self.values.get(name)
    }

    /// Replaces the references of a line with their values. An undefined reference stays unchanged, with a warning. Returns
    /// `None`, with an error, if an expansion is too long or does not end.
    pub(super) fn expand(
        &mut self,
        line: &Text,
        place: &mut Place<'_>,
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Option<Text> {
        let source = line.as_str();
        let mut expanded = line.nothing_of();
        let mut at = 0;
        while let Some(found) = source[at..].find('$') {
            expanded.push_part(line, at..at + found);
            at += found;
            let Some(reference) = reference(&source[at..], None) else {
                expanded.push_part(line, at..at + 1);
                at += 1;
                continue;
            };
            let behind = at + reference.length;
            let span = line.span(at..behind);
            match self.look_up(reference, place) {
                Found::Value(value) => {
                    let following = source[behind..].chars().next();
                    match self.expand_value(&value, following, place) {
                        Ok(value) => expanded.push_replaced(&value, span),
                        Err(message) => {
                            let message = format!("`{}` {message}", &source[at..behind]);
                            diagnostics.push(Diagnostic::error(span, message).label("used here"));
                            return None;
                        }
                    }
                }
                Found::Lines => {
                    let name = reference.name;
                    let message = format!("`${name}` has several lines and is used within a line");
                    diagnostics.push(
                        Diagnostic::warning(span, message)
                            .label("not replaced")
                            .help("use it on a line of its own"),
                    );
                    expanded.push_part(line, at..behind);
                }
                Found::Nothing => {
                    if self.unknown.insert(reference.name.to_owned()) {
                        diagnostics.push(undefined(reference, span));
                    }
                    expanded.push_part(line, at..behind);
                }
            }
            at = behind;
        }
        expanded.push_part(line, at..source.len());
        Some(expanded)
    }

    /// Replaces the references within a value. There is no recursion, so that a configuration cannot overflow the stack.
    fn expand_value(
        &mut self,
        value: &Rc<str>,
        following: Option<char>,
        place: &mut Place<'_>,
    ) -> Result<String, &'static str> {
        let mut expanded = String::new();
        // The values that are being read, each within the one before, with the offset reached.
        let mut open: Vec<(Rc<str>, usize)> = vec![(Rc::clone(value), 0)];
        while let Some((value, at)) = open.pop() {
            self.replaced += 1;
            if self.replaced > REPLACED_MAX {
                return Err("exceeds the number of replacements that a configuration may have");
            }
            let rest = &value[at..];
            let plain = rest.find('$').unwrap_or(rest.len());
            expanded.push_str(&rest[..plain]);
            if expanded.len() > VALUE_MAX {
                return Err("has a value longer than 1 MiB");
            }
            let rest = &rest[plain..];
            if rest.is_empty() {
                continue;
            }
            let behind_all = |open: &[(Rc<str>, usize)]| {
                open.iter().rev().find_map(|(outer, at)| outer[*at..].chars().next()).or(following)
            };
            let reference = reference(rest, behind_all(&open));
            let length = reference.map_or(1, |reference| reference.length);
            let found = reference.map_or(Found::Nothing, |reference| self.look_up(reference, place));
            if !matches!(found, Found::Value(_)) {
                expanded.push_str(&rest[..length]);
            }
            let behind = at + plain + length;
            open.push((Rc::clone(&value), behind));
            if let Found::Value(inner) = found {
                if open.len() == NESTED_MAX {
                    return Err("refers to itself, or is nested too deeply");
                }
                open.push((inner, 0));
            }
        }
        Ok(expanded)
    }

    fn look_up(&self, reference: Reference<'_>, place: &mut Place<'_>) -> Found {
        let built_in = match (reference.name, reference.arguments) {
            ("_PWD", "") => Some(place.directory.to_owned()),
            ("_INSTANCE", "") => Some(place.context.id.clone()),
            ("_HASH", "") => Some("#".to_owned()),
            ("_BANG", "") => Some("!".to_owned()),
            ("_RANDOM", arguments) => random(arguments, place.context),
            ("_ENV", name) if !name.is_empty() => (place.context.environment)(name),
            _ => None,
        };
        match (built_in, self.get(reference.name)) {
            (Some(value), _) => Found::Value(value.into()),
            (None, Some(Definition::Value(value))) if reference.arguments.is_empty() => {
                Found::Value(Rc::clone(value))
            }
            (None, Some(Definition::Lines(_))) if reference.arguments.is_empty() => Found::Lines,
            (None, _) => Found::Nothing,
        }
    }
}

/// Returns the value of `${_RANDOM [MIN [MAX]]}`.
fn random(arguments: &str, context: &mut Context) -> Option<String> {
    let mut numbers = arguments.split(is_space).filter(|word| !word.is_empty());
    let mut number = |default: u32| numbers.next().map_or(Some(default), |word| word.parse().ok());
    let (min, max) = (number(0)?, number(32767)?);
    (min <= max).then(|| (context.random)(min..=max).to_string())
}

fn undefined(reference: Reference<'_>, span: Span) -> Diagnostic {
    let message = format!("`${}` is not defined", reference.name);
    Diagnostic::warning(span, message).label("not replaced, here and below")
}

#[cfg(test)]
mod tests {
    use super::super::sources::FileId;
    use super::*;

    fn context() -> Context {
        Context {
            id: "bar".to_owned(),
            random: Box::new(|range| *range.end()),
            environment: Box::new(|name| (name == "HOME").then(|| "/root".to_owned())),
            includes: Includes::AsWritten,
        }
    }

    fn expand(definitions: &[(&str, &str)], line: &str) -> (Option<String>, Vec<Diagnostic>) {
        let mut all = Definitions::default();
        for (name, value) in definitions {
            all.set(name, Definition::Value((*value).into()));
        }
        let mut diagnostics = Vec::new();
        let mut context = context();
        let mut place = Place { directory: "/etc/k", context: &mut context };
        let line = Text::without_comment(FileId::MAIN, line, 0);
        let expanded = all.expand(&line, &mut place, &mut diagnostics);
        (expanded.map(|text| text.as_str().to_owned()), diagnostics)
    }

    /// Observed with keepalived 2.2.7 by means of `notification_email` and `-d`.
    #[test]
    fn as_keepalived_substitutes() {
        let definitions =
            [("A", "10.0"), ("B", "${A}.0"), ("Q", "5"), ("E", "a$Q"), ("I", ""), ("P", "${Q}")];
        for (line, expected) in [
            ("${A} $A $A.1 ${B}.1 $B", "10.0 10.0 $A.1 10.0.0.1 10.0.0"),
            ("i $I i j ${I}k", "i  i j k"),
            ("\"a${Q}\" \"$Q \" \"$Q\"", "\"a5\" \"5 \" \"$Q\""),
            ("\\$Q \\${Q}", "\\5 \\5"),
            ("$Q)a $Q,b $Q} $Q;", "5)a 5,b $Q} $Q;"),
            ("$E $$Q $${Q} $", "a5 $5 $5 $"),
            ("${P}${P} p${_PWD} i${_INSTANCE}", "55 p/etc/k ibar"),
            ("\"${_HASH} ${_BANG}x\" y", "\"# !x\" y"),
        ] {
            assert_eq!(expand(&definitions, line), (Some(expected.to_owned()), Vec::new()), "{line}");
        }
    }

    /// Worked out by hand from keepalived.conf(5). (keepalived 2.2.7 leaves the `}` of `${_RANDOM 5 6}` in the text and has no
    /// `_ENV`.)
    #[test]
    fn built_in_names() {
        let expanded = expand(&[], "${_RANDOM} $_RANDOM ${_RANDOM 5} ${_RANDOM 5 6} ${_ENV HOME}");
        assert_eq!(expanded, (Some("32767 32767 32767 6 /root".to_owned()), Vec::new()));
        for line in ["${_RANDOM 6 5}", "${_RANDOM x}", "${_ENV NONE}", "${_ENV}", "${_PWD x}"] {
            let (expanded, diagnostics) = expand(&[], line);
            assert_eq!((expanded.as_deref(), diagnostics.len()), (Some(line), 1), "{line}");
        }
    }

    #[test]
    fn what_is_not_defined_stays_and_is_told_once() {
        let (expanded, diagnostics) = expand(&[("A", "1")], "${U} $U ${A B} ${1} ${ A} ${A");
        assert_eq!(expanded.as_deref(), Some("${U} $U ${A B} ${1} ${ A} ${A"));
        let messages: Vec<&str> = diagnostics.iter().map(|diagnostic| diagnostic.message.as_str()).collect();
        assert_eq!(messages, ["`$U` is not defined", "`$A` is not defined"]);
        assert_eq!((diagnostics[0].span.start, diagnostics[0].span.end), (0, 4));
    }

    #[test]
    fn what_does_not_end_is_an_error() {
        let doubled: Vec<(String, String)> = (0..60)
            .map(|level| (format!("D{level}"), format!("${{D{}}}${{D{}}}", level + 1, level + 1)))
            .collect();
        let mut doubled: Vec<(&str, &str)> =
            doubled.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        doubled.push(("D60", "x"));
        for (definitions, line) in
            [(vec![("A", "${A}x")], "${A}"), (vec![("A", "$B "), ("B", "$A ")], "$A"), (doubled, "$D0")]
        {
            let (expanded, diagnostics) = expand(&definitions, line);
            assert_eq!((expanded, diagnostics.len()), (None, 1), "{line}");
        }
    }

    #[test]
    fn a_line_that_defines() {
        assert_eq!(definition("$A=b"), Some(("A", 3)));
        assert_eq!(definition("$_x1="), Some(("_x1", 5)));
        for none in ["$1X=bad", "$G =x", "A=b", "$=x", "${A}=x", ""] {
            assert_eq!(definition(none), None, "{none}");
        }
    }
}
