//! `garp_group`: one or more interfaces with their own interval between announcements. Several interfaces of a group share the
//! interval.

use super::super::diagnostic::Diagnostic;
use super::super::keywords::Block;
use super::super::model::{PacedTogether, Spacing};
use super::super::syntax::Statement;
use super::super::value;
use super::{block, unrecognised};

/// Reads a group. As with keepalived, an interval that the group does not set is 0, not the interval of `global_defs`.
pub(super) fn read(
    statement: &Statement,
    others: &[PacedTogether],
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<PacedTogether> {
    let (mut interfaces, mut spacing) = (Vec::new(), Spacing::default());
    for statement in block(statement, diagnostics) {
        let seconds =
            |diagnostics: &mut Vec<Diagnostic>| value::seconds(Block::GarpGroup, statement, diagnostics);
        match statement.keyword().text.as_str() {
            "garp_interval" => spacing.arp = seconds(diagnostics).unwrap_or(spacing.arp),
            "gna_interval" => spacing.na = seconds(diagnostics).unwrap_or(spacing.na),
            "interface" => interfaces.extend(value::argument(statement, diagnostics)),
            "interfaces" => {
                interfaces.extend(block(statement, diagnostics).iter().flat_map(|line| &line.words));
            }
            _ => unrecognised(Block::GarpGroup, statement, diagnostics),
        }
    }
    interfaces.retain(|word| {
        let taken = others.iter().any(|other| other.interfaces.contains(&word.text));
        if taken {
            let message = format!("`{}` is in another garp_group", word.text);
            diagnostics.push(Diagnostic::warning(word.span, message).label("ignored here"));
        }
        !taken
    });
    let interfaces: Vec<String> = interfaces.into_iter().map(|word| word.text.clone()).collect();
    if spacing == Spacing::default() {
        diagnostics
            .push(Diagnostic::warning(statement.span(), "a garp_group without an interval").label("ignored"));
        return None;
    }
    (!interfaces.is_empty()).then_some(PacedTogether { interfaces, spacing })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::{Reading, parse};

    fn read(groups: &str) -> Reading {
        parse(&format!(
            "{groups}\nvrrp_instance V {{\ninterface eth0\nvirtual_router_id 1\nvirtual_ipaddress {{\n192.0.2.1\n}}\n}}\n"
        ))
    }

    #[test]
    fn alone_or_together() {
        let reading = read(
            "garp_group {\ninterface eth0\ngarp_interval 0.5\n}\n\
             garp_group {\ninterfaces {\neth1 eth2\neth3\n}\ngna_interval 2\n}\n",
        );
        assert!(reading.diagnostics.is_empty(), "{:?}", reading.diagnostics);
        let [one, many] = &reading.config.expect("a valid file").paced_together[..] else {
            panic!("two groups")
        };
        assert_eq!(one.interfaces, ["eth0"]);
        assert_eq!(one.spacing, Spacing { arp: Duration::from_millis(500), na: Duration::ZERO });
        assert_eq!(many.interfaces, ["eth1", "eth2", "eth3"]);
        assert_eq!(many.spacing, Spacing { arp: Duration::ZERO, na: Duration::from_secs(2) });
    }

    /// Observed with keepalived 2.2.7. Unlike in `global_defs`, neither 0 nor more than a minute is a warning here.
    #[test]
    fn complaints_are_keepaliveds() {
        let twice = "garp_group {\ninterface eth0\ngarp_interval 1\n}\n";
        for (text, complaints, groups) in [
            ("garp_group {\ninterface eth0\n}", 1, 0),
            ("garp_group {\ngarp_interval 1\n}", 0, 0),
            ("garp_group {\ninterface eth0\ngarp_interval x\ngna_interval 1\n}", 1, 1),
            ("garp_group {\ninterface eth0\ngarp_interval 61\n}", 0, 1),
            (twice.repeat(2).as_str(), 1, 1),
        ] {
            let reading = read(text);
            assert_eq!(reading.diagnostics.len(), complaints, "{text}: {:?}", reading.diagnostics);
            assert_eq!(reading.config.expect("usable").paced_together.len(), groups, "{text}");
        }
    }
}
