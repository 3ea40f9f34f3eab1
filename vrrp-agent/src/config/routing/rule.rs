//! A rule, as the configuration has it, and how it is read.

use vrrp_ebpf::advert::Family;

use super::tables::Tables;
use super::words::{BadWord, Families, Range, Words, decimal, mark, range, unknown};
use super::{PROTOCOL, Prefix};

/// What becomes of a packet that a rule is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// A table is looked up.
    Table(u32),
    /// The rules go on at a later one, which has this preference.
    Goto(u32),
    /// Nothing; others may go to it.
    Nop,
    /// It is dropped.
    Blackhole,
    /// It is dropped, and the sender told that there is no way.
    Unreachable,
    /// It is dropped, and the sender told that it may not.
    Prohibit,
}

/// The marks that a rule is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Mark {
    /// The mark.
    pub value: u32,
    /// The bits of it that count; none given is all.
    pub mask: Option<u32>,
}

/// A line of `virtual_rules` or `static_rules`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Rule {
    /// Its family.
    pub family: Family,
    /// Whether it is for all packets but those that it describes.
    pub not: bool,
    /// Where they come from.
    pub from: Option<Prefix>,
    /// Where they go to.
    pub to: Option<Prefix>,
    /// The interface that they came in by; `lo` is what the host itself sends.
    pub iif: Option<String>,
    /// The interface that the socket of the sender is bound to.
    pub oif: Option<String>,
    /// Their mark.
    pub fwmark: Option<Mark>,
    /// Their type of service; 0 is any.
    pub tos: u8,
    /// The lesser, the earlier; none is to be numbered by [`Preferences`].
    pub preference: Option<u32>,
    /// What becomes of them.
    pub action: Action,
    /// Routes of the table that are no longer than this do not count (`suppress_prefixlength`).
    pub suppress_prefix_length: Option<u32>,
    /// Who has put it there.
    pub protocol: u8,
    /// Whether its loss is nobody's concern.
    pub no_track: bool,
    /// Whose concern its loss is; static rules only.
    pub track_group: Option<String>,
}

impl Rule {
    /// A rule for all packets of a family.
    #[must_use]
    pub fn new(family: Family, action: Action) -> Self {
        Self {
            family,
            not: false,
            from: None,
            to: None,
            iif: None,
            oif: None,
            fwmark: None,
            tos: 0,
            preference: None,
            action,
            suppress_prefix_length: None,
            protocol: PROTOCOL,
            no_track: false,
            track_group: None,
        }
    }
}

/// How keepalived numbers the rules that have no `preference`: from 16384 down, in the order of the file.
#[derive(Clone, Debug)]
pub(in crate::config) struct Preferences {
    next: u32,
}

impl Default for Preferences {
    fn default() -> Self {
        Self { next: 16_384 }
    }
}

impl Preferences {
    /// Numbers a rule that has no number. True if it had none, which keepalived warns of.
    pub(in crate::config) fn number(&mut self, rule: &mut Rule) -> bool {
        if rule.preference.is_some() {
            return false;
        }
        rule.preference = Some(self.next);
        self.next = self.next.saturating_sub(1);
        true
    }
}

/// Words of iproute2's or keepalived's grammar for rules that do not work here.
pub(super) const UNSUPPORTED_IN_RULES: &[(&str, &str)] = &[
    ("dport", ""),
    ("ip_proto", ""),
    ("ipproto", ""),
    ("l3mdev", ""),
    ("nat", ""),
    ("realms", ""),
    ("sport", ""),
    ("suppress_ifgroup", ""),
    ("tun_id", ""),
    ("uidrange", ""),
];

/// Reads a line of `virtual_rules` or `static_rules`.
///
/// # Errors
/// If a word of it cannot be used.
pub(in crate::config) fn rule(words: &[&str], tables: &Tables<'_>) -> Result<Rule, BadWord> {
    let mut rule = Rule::new(Family::V4, Action::Nop);
    let mut said = Families(Vec::new());
    let mut suppresses = None;
    let mut action: Option<(usize, Action)> = None;
    let mut words = Words::new(words, tables);
    while let Some((index, word)) = words.next() {
        let mut found = None;
        match word {
            "not" => rule.not = true,
            "inet6" => said.note(index, Some(Family::V6)),
            "inet" => said.note(index, Some(Family::V4)),
            "from" => rule.from = selector(&mut words, &mut said)?,
            "to" => rule.to = selector(&mut words, &mut said)?,
            "iif" | "dev" => rule.iif = Some(words.interface()?),
            "oif" => rule.oif = Some(words.interface()?),
            "fwmark" => rule.fwmark = Some(words.read("`MARK` or `MARK/MASK`", mark)?),
            "tos" | "dsfield" => rule.tos = words.tos()?,
            "priority" | "preference" | "pref" | "order" => {
                rule.preference = Some(words.read("a number", decimal)?);
            }
            "proto" | "protocol" => rule.protocol = words.protocol()?,
            "suppress_prefixlength" => {
                suppresses = Some(index);
                let length = words.read("a number up to 128", |word| decimal(word).filter(|n| *n <= 128))?;
                rule.suppress_prefix_length = Some(length);
            }
            "no_track" => rule.no_track = true,
            "track_group" => rule.track_group = Some(words.value()?.1.to_owned()),
            "table" | "lookup" => {
                let table = words.table()?;
                if table == 0 {
                    return Err(BadWord::new(index + 1, "0 is not a table"));
                }
                found = Some(Action::Table(table));
            }
            "goto" => found = Some(Action::Goto(words.read("the preference of a rule", decimal)?)),
            "nop" => found = Some(Action::Nop),
            "blackhole" => found = Some(Action::Blackhole),
            "unreachable" => found = Some(Action::Unreachable),
            "prohibit" => found = Some(Action::Prohibit),
            word => return Err(unknown(index, word, "rule", UNSUPPORTED_IN_RULES)),
        }
        if let Some(found) = found
            && action.replace((index, found)).is_some()
        {
            return Err(BadWord::new(index, "a rule does one thing"));
        }
    }
    let Some((index, action)) = action else {
        let message = "a rule needs `table`, `goto`, `blackhole`, `unreachable`, `prohibit` or `nop`";
        return Err(BadWord::new(0, message));
    };
    if let Action::Goto(target) = action
        && rule.preference.is_none_or(|preference| preference >= target)
    {
        return Err(BadWord::new(
            index,
            "`goto` leads to a later rule: it needs a `preference` below its target",
        ));
    }
    if let (
        Some(index),
        Action::Goto(_) | Action::Nop | Action::Blackhole | Action::Unreachable | Action::Prohibit,
    ) = (suppresses, action)
    {
        return Err(BadWord::new(index, "`suppress_prefixlength` needs `table`"));
    }
    (rule.family, rule.action) = (said.agreed()?, action);
    Ok(rule)
}

/// The value of `from` or `to` of a rule; all addresses are none.
fn selector(words: &mut Words<'_>, said: &mut Families) -> Result<Option<Prefix>, BadWord> {
    let (index, word) = words.value()?;
    let range = range(index, word)?;
    said.note(index, range.family());
    match range {
        Range::Only(prefix) => Ok(Some(prefix)),
        Range::All | Range::AllV6 => Ok(None),
    }
}
