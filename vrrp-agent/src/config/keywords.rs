//! The table of all keywords that a keepalived.conf may contain: the block, the value and the support of each keyword. The
//! parser's diagnostics and the documentation both come from this table.

mod row;
mod table;

pub(crate) use table::KEYWORDS;

/// Largest edit distance that counts as a typing error.
const TYPO_MAX: usize = 2;
/// Longest name that gets a suggestion, in characters. No keyword is nearly as long, and comparing a megabyte with each keyword
/// would take seconds.
const NAME_MAX: usize = 64;

/// A keyword.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Keyword {
    /// The block that the keyword stands in.
    pub(crate) block: Block,
    /// The name of the keyword.
    pub(crate) name: &'static str,
    /// The value behind the keyword.
    pub(crate) value: Value,
    /// The value used without the keyword, as with keepalived. Empty if there is nothing to say.
    pub(crate) default: &'static str,
    /// The effect of the keyword in this daemon.
    pub(crate) support: Support,
    /// The purpose of the keyword.
    pub(crate) what: &'static str,
}

/// The blocks of the file, in the order of the documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Block {
    /// The outermost level, outside all blocks.
    Root,
    /// `global_defs`.
    Globals,
    /// `vrrp_instance`.
    Instance,
    /// `authentication` of an instance.
    Authentication,
    /// `auth_hmac` of an instance.
    AuthHmac,
    /// The options behind a peer on its line in `unicast_peer`.
    Peer,
    /// The options behind an address on its line.
    Address,
    /// The options behind a name on its line in `track_script` and similar blocks.
    Tracked,
    /// `vrrp_script`.
    Script,
    /// `vrrp_sync_group`.
    SyncGroup,
    /// `track_file`.
    TrackFile,
    /// `vrrp_track_process`.
    TrackProcess,
    /// `bfd_instance`.
    Bfd,
    /// `garp_group`.
    GarpGroup,
    /// `track_group`.
    TrackGroup,
}

impl Block {
    /// Returns the name of the block in diagnostics and in the documentation.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Root => "the outermost level",
            Self::Globals => "`global_defs`",
            Self::Instance => "`vrrp_instance`",
            Self::Authentication => "`authentication`",
            Self::AuthHmac => "`auth_hmac`",
            Self::Peer => "a line of `unicast_peer`",
            Self::Address => "a line of `virtual_ipaddress`",
            Self::Tracked => "a line of `track_script`, `track_interface`, `track_file` and `track_process`",
            Self::Script => "`vrrp_script`",
            Self::SyncGroup => "`vrrp_sync_group`",
            Self::TrackFile => "`track_file`",
            Self::TrackProcess => "`vrrp_track_process`",
            Self::Bfd => "`bfd_instance`",
            Self::GarpGroup => "`garp_group`",
            Self::TrackGroup => "`track_group`",
        }
    }
}

/// The kind of value behind a keyword.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    /// No value.
    Nothing,
    /// A boolean. No value means on.
    Switch,
    /// A whole number.
    Number { min: u32, max: u32 },
    /// A whole number that may be negative.
    Integer { min: i32, max: i32 },
    /// A whole number with a unit.
    Quantity { min: u32, max: u32, unit: &'static str },
    /// A change of priority, from `-most` to `most`.
    Weight { most: u32 },
    /// Seconds, with decimals.
    Seconds { min_ns: u64, max_ns: u64 },
    /// One word, or a text in quotes.
    Text,
    /// An IP address.
    Ip,
    /// A command and its arguments, as words or in quotes.
    Command,
    /// A command, in quotes if it has arguments, then optionally the user and the group that it runs as.
    CommandAs,
    /// One of several words.
    Choice(&'static [&'static str]),
    /// A block of keywords.
    Section(Block),
    /// A name, then a block of keywords.
    Named(Block),
    /// A block of lines in a free format, with a description of a line.
    Lines(&'static str),
    /// A value with its own grammar, with a description of it.
    Rest(&'static str),
}

impl Value {
    /// Returns unit and range as text for the user.
    pub(crate) fn describe(self) -> String {
        match self {
            Self::Nothing => "no value".to_owned(),
            Self::Switch => "on, true, yes, off, false or no; no value means on".to_owned(),
            Self::Number { min, max } => format!("whole number {}", range(min, max)),
            Self::Integer { min: i32::MIN, max: i32::MAX } => {
                "whole number, negative values allowed".to_owned()
            }
            Self::Integer { min, max } => format!("whole number from {min} to {max}"),
            Self::Quantity { min, max, unit } => format!("whole number of {unit} {}", range(min, max)),
            Self::Weight { most } => {
                format!("whole number from -{most} to {most}, optionally followed by `reverse`")
            }
            Self::Seconds { min_ns, max_ns } => {
                format!("seconds from {} to {}, decimals allowed", seconds(min_ns), seconds(max_ns))
            }
            Self::Text => "text".to_owned(),
            Self::Ip => "IP address".to_owned(),
            Self::Command => "command and its arguments, as words or in quotes".to_owned(),
            Self::CommandAs => "`COMMAND [USER [GROUP]]`, in quotes if it has arguments".to_owned(),
            Self::Choice(words) => {
                let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
                words.join(" or ")
            }
            Self::Section(block) => format!("block, see {}", block.name()),
            Self::Named(block) => format!("`NAME` and block, see {}", block.name()),
            Self::Lines(line) => format!("block of lines: {line}"),
            Self::Rest(grammar) => grammar.to_owned(),
        }
    }
}

fn range(min: u32, max: u32) -> String {
    if max == u32::MAX { format!("from {min}") } else { format!("from {min} to {max}") }
}

/// Returns nanoseconds as decimal seconds, exactly.
fn seconds(ns: u64) -> String {
    let (whole, rest) = (ns / 1_000_000_000, ns % 1_000_000_000);
    match rest {
        0 => whole.to_string(),
        _ => format!("{whole}.{rest:09}").trim_end_matches('0').to_owned(),
    }
}

/// The effect of a keyword in this daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Support {
    /// The keyword is read and used.
    Works,
    /// The keyword has no effect and needs none, so it is not reported. The text is the reason.
    Accepted(&'static str),
    /// The keyword is ignored with a warning. The text says which function is missing, and the alternative.
    Warned(&'static str),
    /// The word is not a keyword, in keepalived neither, but real files contain it. The text says what to write instead.
    Mistaken(&'static str),
}

impl Support {
    /// Returns the text for the documentation.
    pub(crate) fn describe(self) -> String {
        match self {
            Self::Works => "yes".to_owned(),
            Self::Accepted(why) => format!("no effect: {why}"),
            Self::Warned(instead) => format!("no effect, and a note says so: {instead}"),
            Self::Mistaken(instead) => format!("not a keyword; {instead}"),
        }
    }
}

/// Returns the keyword of this name in this block.
pub(crate) fn lookup(block: Block, name: &str) -> Option<&'static Keyword> {
    let index =
        KEYWORDS.binary_search_by(|keyword| (keyword.block, keyword.name).cmp(&(block, name))).ok()?;
    KEYWORDS.get(index)
}

/// Returns the keyword of this block that was probably meant by an unknown name, if one is similar enough.
pub(crate) fn suggest(block: Block, name: &str) -> Option<&'static str> {
    let length = name.chars().count();
    if length > NAME_MAX {
        return None;
    }
    KEYWORDS
        .iter()
        .filter(|keyword| keyword.block == block)
        .map(|keyword| (strsim::osa_distance(name, keyword.name), keyword))
        .filter(|(distance, _)| *distance <= TYPO_MAX && 2 * distance < length)
        // Of two keywords that are equally similar, one that has an effect is preferred.
        .min_by_key(|(distance, keyword)| (*distance, keyword.support != Support::Works))
        .map(|(_, keyword)| keyword.name)
}

/// Returns a block that has a keyword of this name.
pub(crate) fn elsewhere(name: &str) -> Option<Block> {
    KEYWORDS.iter().find(|keyword| keyword.name == name).map(|keyword| keyword.block)
}

/// Returns the whole table as documentation.
#[must_use]
pub fn markdown() -> String {
    let mut text = String::from(
        "# Keywords of keepalived.conf\n\nWritten by `vrrp-agent keywords`, from the table that the parser uses.\n",
    );
    for keywords in KEYWORDS.chunk_by(|a, b| a.block == b.block) {
        text += &format!("\n## {}\n\n", heading(keywords[0].block));
        text +=
            "| Keyword | Value, unit and range | Default | Supported | Meaning |\n|---|---|---|---|---|\n";
        for keyword in keywords {
            text += &row(keyword);
        }
    }
    text
}

fn heading(block: Block) -> String {
    let name = block.name();
    match name.strip_prefix("the ").or_else(|| name.strip_prefix("a ")) {
        Some(words) => format!("{}{}", words[..1].to_uppercase(), &words[1..]),
        None => name.to_owned(),
    }
}

fn row(keyword: &Keyword) -> String {
    // A `|` would end the cell, even within a code span.
    let cell = |text: &str| text.replace('|', "\\|");
    let default = if keyword.default.is_empty() { "–" } else { keyword.default };
    format!(
        "| `{}` | {} | {} | {} | {} |\n",
        keyword.name,
        cell(&keyword.value.describe()),
        cell(default),
        cell(&keyword.support.describe()),
        cell(keyword.what),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorted_without_duplicates() {
        for pair in KEYWORDS.windows(2) {
            let [a, b] = [pair[0], pair[1]].map(|keyword| (keyword.block, keyword.name));
            assert!(a < b, "{a:?} stands before {b:?}");
        }
    }

    #[test]
    fn each_is_found() {
        for keyword in KEYWORDS {
            assert_eq!(lookup(keyword.block, keyword.name), Some(keyword));
        }
        assert_eq!(lookup(Block::Instance, "router_id"), None);
    }

    #[test]
    fn each_says_enough() {
        for keyword in KEYWORDS {
            assert!(!keyword.what.is_empty(), "{}", keyword.name);
            assert!(!keyword.value.describe().is_empty(), "{}", keyword.name);
            if let Support::Accepted(text) | Support::Warned(text) | Support::Mistaken(text) = keyword.support
            {
                assert!(!text.is_empty(), "{}", keyword.name);
            }
            if let Value::Section(block) | Value::Named(block) = keyword.value {
                assert!(KEYWORDS.iter().any(|inner| inner.block == block), "{block:?} is empty");
            }
        }
    }

    #[test]
    fn ranges_are_not_empty() {
        for keyword in KEYWORDS {
            let good = match keyword.value {
                Value::Number { min, max } | Value::Quantity { min, max, .. } => min < max,
                Value::Integer { min, max } => min < max,
                Value::Seconds { min_ns, max_ns } => min_ns < max_ns,
                _ => true,
            };
            assert!(good, "{}", keyword.name);
        }
    }

    #[test]
    fn slips_of_the_pen() {
        assert_eq!(suggest(Block::Instance, "virtual_router_ip"), Some("virtual_router_id"));
        assert_eq!(suggest(Block::Instance, "prioirty"), Some("priority"));
        assert_eq!(suggest(Block::Instance, "advert_in"), Some("advert_int"));
        assert_eq!(suggest(Block::Root, "vrrp_instanc"), Some("vrrp_instance"));
        // One name is too short, one is too different, and one is not a keyword of this block.
        assert_eq!(suggest(Block::Script, "fa"), None);
        assert_eq!(suggest(Block::Instance, "completely_different"), None);
        assert_eq!(suggest(Block::Instance, "router_id"), None);
        assert_eq!(elsewhere("router_id"), Some(Block::Globals));
        assert_eq!(elsewhere("completely_different"), None);
    }

    #[test]
    fn values_as_people_read_them() {
        let describe = |block, name| lookup(block, name).unwrap().value.describe();
        assert_eq!(describe(Block::Instance, "advert_int"), "seconds from 0.01 to 255, decimals allowed");
        assert_eq!(describe(Block::Instance, "priority"), "whole number from 1 to 255");
        assert_eq!(describe(Block::Authentication, "auth_type"), "`PASS` or `AH`");
        assert_eq!(describe(Block::Root, "vrrp_script"), "`NAME` and block, see `vrrp_script`");
    }

    #[test]
    fn markdown_has_a_row_for_each() {
        let text = markdown();
        let rows = text.lines().filter(|line| line.starts_with("| `")).count();
        assert_eq!(rows, KEYWORDS.len());
        for keyword in KEYWORDS {
            assert!(text.contains(&row(keyword)), "{}", keyword.name);
        }
        // Each line has five cells, whatever their content is.
        for line in text.lines().filter(|line| line.starts_with('|')) {
            assert_eq!(line.replace("\\|", "").matches('|').count(), 6, "{line}");
        }
        assert!(text.contains("\n## Outermost level\n") && text.contains("\n## `vrrp_instance`\n"));
    }
}
