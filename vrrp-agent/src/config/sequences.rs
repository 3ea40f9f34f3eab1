//! `~SEQ`, `~SEQx` and `~LST`: the rest of the line is read several times, each time with other values.

/// The kind of sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Decimal numbers.
    Sequence,
    /// Hexadecimal numbers.
    Hexadecimal,
    /// A list of values.
    List,
}

/// A sequence at the beginning of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) kind: Kind,
    /// The offset of the arguments, behind the `(`.
    pub(super) arguments: usize,
    /// The offset of the `)`; `None` if it is missing.
    pub(super) close: Option<usize>,
}

/// Returns the sequence at the beginning of a line.
pub(super) fn head(line: &str) -> Option<Head> {
    let names = [("~SEQx", Kind::Hexadecimal), ("~SEQ", Kind::Sequence), ("~LST", Kind::List)];
    let (kind, name) =
        names.iter().find_map(|(name, kind)| line.starts_with(*name).then_some((*kind, *name)))?;
    let rest = &line[name.len()..];
    let spaces = rest.len() - rest.trim_start_matches([' ', '\t']).len();
    if !rest[spaces..].starts_with('(') {
        return None;
    }
    let arguments = name.len() + spaces + 1;
    let close = line[arguments..].find(')').map(|at| arguments + at);
    Some(Head { kind, arguments, close })
}

/// The values of the variables in each round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Rounds {
    /// One variable that counts up or down.
    Numbers { name: String, kind: Kind, start: i64, step: i64, count: u64 },
    /// Any number of variables, and a row of values for each round.
    Rows { names: Vec<String>, rows: Vec<Vec<String>> },
}

impl Rounds {
    /// Returns the number of rounds, at least one.
    pub(super) fn count(&self) -> u64 {
        match self {
            Self::Numbers { count, .. } => *count,
            Self::Rows { rows, .. } => rows.len() as u64,
        }
    }

    /// Returns the names and values of a round.
    pub(super) fn round(&self, index: u64) -> Vec<(&str, String)> {
        match self {
            Self::Numbers { name, kind, start, step, .. } => {
                let number = i128::from(*start) + i128::from(*step) * i128::from(index);
                let value = match kind {
                    Kind::Hexadecimal => format!("{number:x}"),
                    Kind::Sequence | Kind::List => number.to_string(),
                };
                vec![(name.as_str(), value)]
            }
            Self::Rows { names, rows } => {
                let row = usize::try_from(index).ok().and_then(|index| rows.get(index));
                let values = row.into_iter().flatten().cloned();
                names.iter().map(String::as_str).zip(values).collect()
            }
        }
    }
}

/// Parses the text within the parentheses, in which references have already been replaced.
pub(super) fn rounds(kind: Kind, arguments: &str) -> Result<Rounds, &'static str> {
    match kind {
        Kind::Sequence | Kind::Hexadecimal => numbers(kind, arguments),
        Kind::List => rows(arguments),
    }
}

fn numbers(kind: Kind, arguments: &str) -> Result<Rounds, &'static str> {
    let mut words = arguments.split(',').map(str::trim);
    let name = words
        .next()
        .filter(|name| is_name(name))
        .ok_or("the first argument must be the name of a variable")?;
    let numbers: Option<Vec<i64>> = words.take(4).map(number).collect();
    let numbers = numbers.ok_or("each argument after the name must be a whole number")?;
    let (start, step, end) = match numbers[..] {
        [end] => (if end < 0 { -1 } else { 1 }, None, end),
        [start, end] => (start, None, end),
        [start, step, end] => (start, Some(step), end),
        _ => return Err("it takes a variable and one, two or three numbers"),
    };
    let step = step.unwrap_or(if start <= end { 1 } else { -1 });
    let distance = i128::from(end) - i128::from(start);
    if step == 0 || (distance != 0 && (distance > 0) != (step > 0)) {
        return Err("the step never leads to the end");
    }
    if kind == Kind::Hexadecimal && (start < 0 || end < 0) {
        return Err("hexadecimal numbers cannot be negative");
    }
    let count = u64::try_from(distance / i128::from(step) + 1).unwrap_or(u64::MAX);
    Ok(Rounds::Numbers { name: name.to_owned(), kind, start, step, count })
}

/// Parses a number in C notation: `0x…` is hexadecimal, `0…` is octal.
fn number(word: &str) -> Option<i64> {
    let (negative, digits) = match word.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, word.strip_prefix('+').unwrap_or(word)),
    };
    let hexadecimal = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X"));
    let (digits, radix) = match hexadecimal {
        Some(digits) => (digits, 16),
        None if digits.len() > 1 && digits.starts_with('0') => (&digits[1..], 8),
        None => (digits, 10),
    };
    // `from_str_radix` would accept another sign.
    if !digits.starts_with(|c: char| c.is_ascii_hexdigit()) {
        return None;
    }
    let number = i64::from_str_radix(digits, radix).ok()?;
    Some(if negative { -number } else { number })
}

fn rows(arguments: &str) -> Result<Rounds, &'static str> {
    let mut items = items(arguments)?.into_iter();
    let names: Vec<String> = items.next().unwrap_or_default();
    if names.is_empty() || !names.iter().all(|name| is_name(name)) {
        return Err("the first argument must be the name of a variable, or several names in braces");
    }
    let mut rows = Vec::new();
    for mut row in items {
        if row.len() > names.len() {
            return Err("there are more values than variables");
        }
        row.resize(names.len(), String::new());
        rows.push(row);
    }
    if rows.is_empty() {
        return Err("there is no value");
    }
    Ok(Rounds::Rows { names, rows })
}

/// Parses `a,{b,c}` as `[[a], [b, c]]`.
fn items(arguments: &str) -> Result<Vec<Vec<String>>, &'static str> {
    let owned = |word: &str| word.trim().to_owned();
    let mut items = Vec::new();
    let mut rest = arguments.trim();
    loop {
        if let Some(inner) = rest.strip_prefix('{') {
            let close = inner.find('}').ok_or("a brace is not closed")?;
            if inner[..close].contains('{') {
                return Err("braces do not nest");
            }
            items.push(inner[..close].split(',').map(owned).collect());
            rest = inner[close + 1..].trim_start();
            if !rest.is_empty() && !rest.starts_with(',') {
                return Err("expected `,` after `}`");
            }
        } else {
            let end = rest.find(',').unwrap_or(rest.len());
            items.push(vec![owned(&rest[..end])]);
            rest = &rest[end..];
        }
        match rest.strip_prefix(',') {
            Some(behind) => rest = behind.trim_start(),
            None => return Ok(items),
        }
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(|c: char| c.is_ascii_digit())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(kind: Kind, arguments: &str) -> Vec<Vec<String>> {
        let rounds = rounds(kind, arguments).expect("a valid sequence");
        let values = |index| rounds.round(index).into_iter().map(|(_, value)| value).collect();
        (0..rounds.count()).map(values).collect()
    }

    /// Observed with keepalived 2.2.7 by means of `notification_email` and `-d`.
    #[test]
    fn numbers_count_as_in_keepalived() {
        for (kind, arguments, expected) in [
            (Kind::Sequence, "S, 0, 3", &["0", "1", "2", "3"][..]),
            (Kind::Sequence, "S2, 3", &["1", "2", "3"]),
            (Kind::Sequence, "S3,10,-3,0", &["10", "7", "4", "1"]),
            (Kind::Sequence, "A,-1", &["-1"]),
            (Kind::Sequence, "A,0", &["1", "0"]),
            (Kind::Sequence, "B,5,3", &["5", "4", "3"]),
            (Kind::Sequence, "C,-2,2", &["-2", "-1", "0", "1", "2"]),
            (Kind::Sequence, " M, +1 , 1 ", &["1"]),
            (Kind::Sequence, "S3,3,1,3", &["3"]),
            (Kind::Sequence, "R,010", &["1", "2", "3", "4", "5", "6", "7", "8"]),
            (Kind::Hexadecimal, "S4,0x9,0xc", &["9", "a", "b", "c"]),
            (Kind::Hexadecimal, "I,8,11", &["8", "9", "a", "b"]),
            (Kind::Hexadecimal, "L,144,16,192", &["90", "a0", "b0", "c0"]),
        ] {
            assert_eq!(all(kind, arguments).concat(), expected, "{arguments}");
        }
        for invalid in
            ["D,1,0,3", "E,1,-1,3", "F,5,1,3", "F", "G,x,3", "", "1,2", "A,1,2,3,4", "A,--1", "A,0x"]
        {
            assert!(rounds(Kind::Sequence, invalid).is_err(), "{invalid}");
        }
        assert!(rounds(Kind::Hexadecimal, "S1,-1,1").is_err());
    }

    /// Worked out by hand: neither the distance of the numbers nor their count fits into a signed integer of 64 bits.
    #[test]
    fn the_largest_sequence_is_only_long() {
        let text = format!("A,{},{}", i64::MIN + 1, i64::MAX);
        assert_eq!(rounds(Kind::Sequence, &text).expect("valid").count(), u64::MAX);
    }

    /// Observed with keepalived 2.2.7, except for values with white space inside: keepalived refuses them, and this parser
    /// accepts them.
    #[test]
    fn lists_go_row_by_row() {
        let rows = |arguments| all(Kind::List, arguments);
        assert_eq!(rows("L,a,b,c"), [["a"], ["b"], ["c"]]);
        assert_eq!(rows("{L1,L2},{a,b},{c,d}"), [["a", "b"], ["c", "d"]]);
        assert_eq!(rows("{IP, IP1}, {10,1},{20,4}"), [["10", "1"], ["20", "4"]]);
        assert_eq!(rows("{B1},{x},{y}"), [["x"], ["y"]]);
        assert_eq!(rows("C2, x , z"), [["x"], ["z"]]);
        assert_eq!(rows("C3,x,,z"), [["x"], [""], ["z"]]);
        assert_eq!(rows("{A,B},{1},{2,3}"), [["1", ""], ["2", "3"]]);
        assert_eq!(rows("C1,x y,z"), [["x y"], ["z"]]);
        for invalid in ["{A,B},{x},{y,z,w}", "{A,B},{x,{y}},{y,z}", "C", "", "{A", "{A}b,{c}", "1,2"] {
            assert!(rounds(Kind::List, invalid).is_err(), "{invalid}");
        }
    }

    #[test]
    fn a_line_begins_with_a_sequence() {
        let found = |line| head(line).map(|head| (head.kind, head.arguments, head.close));
        assert_eq!(found("~SEQ(A,1,2) x"), Some((Kind::Sequence, 5, Some(10))));
        assert_eq!(found("~SEQx (A,1)x"), Some((Kind::Hexadecimal, 7, Some(10))));
        assert_eq!(found("~LST(A,1"), Some((Kind::List, 5, None)));
        assert_eq!(found("~XYZ(a)"), None);
        assert_eq!(found("~SEQX(a,1)"), None);
        assert_eq!(found("x ~SEQ(A,1)"), None);
    }
}
