//! A rule of the configuration, and its parser.

use vrrp_ebpf::advert::Family;

use super::tables::Tables;
use super::words::{BadWord, Families, Mark, Range, Words, decimal, mark, range, unknown};
use super::{PROTOCOL, Prefix};

/// The treatment of a packet that matches the rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// The route is looked up in this table.
    Table(u32),
    /// The lookup continues at a later rule, which has this preference.
    Goto(u32),
    /// The rule does nothing; it can be the target of a `goto`.
    Nop,
    /// The packet is dropped.
    Blackhole,
    /// The packet is dropped, and the sender is told that the destination is unreachable.
    Unreachable,
    /// The packet is dropped, and the sender is told that the communication is prohibited.
    Prohibit,
}

/// A line of `virtual_rules` or `static_rules`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Rule {
    /// The address family.
    pub family: Family,
    /// True if the rule matches all packets except those that it describes.
    pub not: bool,
    /// The source of the packets; `None` means any.
    pub from: Option<Prefix>,
    /// The destination of the packets; `None` means any.
    pub to: Option<Prefix>,
    /// The interface that the packets arrived on; `lo` means packets that the host itself sends.
    pub iif: Option<String>,
    /// The interface that the sender's socket is bound to.
    pub oif: Option<String>,
    /// The mark of the packets.
    pub fwmark: Option<Mark>,
    /// The type of service of the packets; 0 means any.
    pub tos: u8,
    /// The preference: a rule with a smaller one is tried earlier. `None` until [`PreferenceNumbering`] sets it.
    pub preference: Option<u32>,
    /// The treatment of matching packets.
    pub action: Action,
    /// A route that is found in the table is not used if the length of its prefix is at most this; the next rule is tried then
    /// (`suppress_prefixlength`).
    pub suppress_prefix_length: Option<u32>,
    /// The origin of the rule (`FRA_PROTOCOL`), a number of `rt_protos`.
    pub protocol: u8,
    /// True if an instance stays as it is when the rule is deleted from the kernel.
    pub no_track: bool,
    /// The track group whose instances are in fault while the rule is missing; static rules only.
    pub track_group: Option<String>,
}

impl Rule {
    /// Creates a rule for all packets of a family.
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

/// keepalived's preferences for rules without `preference`: the first such rule of the file has 16384, the next 16383, and so on. So
/// a later line of the file is tried earlier.
#[derive(Clone, Debug)]
pub(in crate::config) struct PreferenceNumbering {
    next: u32,
}

impl Default for PreferenceNumbering {
    fn default() -> Self {
        Self { next: 16_384 }
    }
}

impl PreferenceNumbering {
    /// Sets the preference of a rule that has none. Returns true if it has set one, so that the caller can warn as keepalived does.
    pub(in crate::config) fn set_if_missing(&mut self, rule: &mut Rule) -> bool {
        if rule.preference.is_some() {
            return false;
        }
        rule.preference = Some(self.next);
        self.next = self.next.saturating_sub(1);
        true
    }
}

/// Keywords of iproute2 or keepalived in rules that this daemon refuses, each with the word to use instead, or nothing.
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
/// If a word of the line cannot be used.
pub(in crate::config) fn parse_rule(words: &[&str], tables: &Tables<'_>) -> Result<Rule, BadWord> {
    // Family and action are set at the end.
    let mut rule = Rule::new(Family::V4, Action::Nop);
    let mut families = Families(Vec::new());
    let mut suppress_index = None;
    let mut action: Option<(usize, Action)> = None;
    let mut words = Words::new(words, tables);
    while let Some((index, word)) = words.next() {
        let mut word_action = None;
        match word {
            "not" => rule.not = true,
            "inet6" => families.note(index, Some(Family::V6)),
            "inet" => families.note(index, Some(Family::V4)),
            "from" => rule.from = parse_selector(&mut words, &mut families)?,
            "to" => rule.to = parse_selector(&mut words, &mut families)?,
            "iif" | "dev" => rule.iif = Some(words.interface()?),
            "oif" => rule.oif = Some(words.interface()?),
            "fwmark" => rule.fwmark = Some(words.read("`MARK` or `MARK/MASK`", mark)?),
            "tos" | "dsfield" => rule.tos = words.tos()?,
            "priority" | "preference" | "pref" | "order" => {
                rule.preference = Some(words.read("a number", decimal)?);
            }
            "proto" | "protocol" => rule.protocol = words.protocol()?,
            "suppress_prefixlength" => {
                suppress_index = Some(index);
                let length = words.read("a number up to 128", |word| decimal(word).filter(|n| *n <= 128))?;
                rule.suppress_prefix_length = Some(length);
            }
            "no_track" => rule.no_track = true,
            "track_group" => rule.track_group = Some(words.value()?.1.to_owned()),
            "table" | "lookup" => {
                let table = words.table()?;
                if table == 0 {
                    return Err(BadWord::new(index + 1, "0 is not a number of a table"));
                }
                word_action = Some(Action::Table(table));
            }
            "goto" => word_action = Some(Action::Goto(words.read("the preference of a rule", decimal)?)),
            "nop" => word_action = Some(Action::Nop),
            "blackhole" => word_action = Some(Action::Blackhole),
            "unreachable" => word_action = Some(Action::Unreachable),
            "prohibit" => word_action = Some(Action::Prohibit),
            word => return Err(unknown(index, word, "rule", UNSUPPORTED_IN_RULES)),
        }
        if let Some(word_action) = word_action
            && action.replace((index, word_action)).is_some()
        {
            return Err(BadWord::new(index, "a rule can have only one action"));
        }
    }
    let Some((index, action)) = action else {
        let message = "a rule needs `table`, `goto`, `blackhole`, `unreachable`, `prohibit` or `nop`";
        return Err(BadWord::new(0, message));
    };
    // keepalived numbers rules downwards, so a rule without `preference` would lead backwards.
    if let Action::Goto(target) = action
        && rule.preference.is_none_or(|preference| preference >= target)
    {
        return Err(BadWord::new(
            index,
            "`goto` leads to a later rule: the rule needs a `preference` that is less than its target",
        ));
    }
    if let (
        Some(index),
        Action::Goto(_) | Action::Nop | Action::Blackhole | Action::Unreachable | Action::Prohibit,
    ) = (suppress_index, action)
    {
        return Err(BadWord::new(index, "`suppress_prefixlength` needs `table`"));
    }
    (rule.family, rule.action) = (families.agreed()?, action);
    Ok(rule)
}

/// Reads the value of `from` or `to` of a rule; `None` for a value that means every address (`all`, `default`).
fn parse_selector(words: &mut Words<'_>, families: &mut Families) -> Result<Option<Prefix>, BadWord> {
    let (index, word) = words.value()?;
    let range = range(index, word)?;
    families.note(index, range.family());
    match range {
        Range::Only(prefix) => Ok(Some(prefix)),
        Range::All | Range::AllV6 => Ok(None),
    }
}
