//! Routing rules. "Already there" and "already gone" are success.

use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::route::{RouteHeader, RouteProtocol};
use netlink_packet_route::rule::{RuleAction, RuleAttribute, RuleFlags, RuleHeader, RuleMessage};
use nix::libc;
use rtnetlink::Handle;
use rtnetlink::packet_core::{NLM_F_CREATE, NLM_F_EXCL};

use super::NetError;
use super::routes::{address_family, ignoring, request, table_parts};
use crate::config::routing::{Action, Mark, Rule};

/// Puts a rule among the others.
///
/// # Errors
/// If the kernel refuses.
pub async fn add(handle: &Handle, rule: &Rule) -> Result<(), NetError> {
    // Without NLM_F_EXCL the kernel would add the same rule twice, and a removal would leave one of the two.
    let new = RouteNetlinkMessage::NewRule(message(rule));
    let request = request(handle, new, NLM_F_CREATE | NLM_F_EXCL);
    ignoring(request, &[libc::EEXIST], || format!("add rule {rule}")).await
}

/// Takes a rule away.
///
/// # Errors
/// If the kernel refuses.
pub async fn remove(handle: &Handle, rule: &Rule) -> Result<(), NetError> {
    let request = request(handle, RouteNetlinkMessage::DelRule(message(rule)), 0);
    ignoring(request, &[libc::ENOENT], || format!("remove rule {rule}")).await
}

fn message(rule: &Rule) -> RuleMessage {
    let (table, large_table) = match rule.action {
        Action::Table(table) => table_parts(table),
        Action::Goto(_) | Action::Nop | Action::Blackhole | Action::Unreachable | Action::Prohibit => {
            (RouteHeader::RT_TABLE_UNSPEC, None)
        }
    };
    let mut message = RuleMessage::default();
    message.header = RuleHeader {
        family: address_family(rule.family),
        dst_len: rule.to.map_or(0, |to| to.length),
        src_len: rule.from.map_or(0, |from| from.length),
        tos: rule.tos,
        table,
        action: action(rule.action),
        flags: if rule.not { RuleFlags::Invert } else { RuleFlags::empty() },
    };
    let attributes = &mut message.attributes;
    // A prefix of length 0 means all addresses; the kernel takes no address with it.
    let to = rule.to.filter(|to| to.length > 0);
    attributes.extend(to.map(|to| RuleAttribute::Destination(to.address)));
    let from = rule.from.filter(|from| from.length > 0);
    attributes.extend(from.map(|from| RuleAttribute::Source(from.address)));
    attributes.extend(rule.iif.clone().map(RuleAttribute::Iifname));
    attributes.extend(rule.oif.clone().map(RuleAttribute::Oifname));
    if let Some(Mark { value, mask }) = rule.fwmark {
        attributes.push(RuleAttribute::FwMark(value));
        attributes.extend(mask.map(RuleAttribute::FwMask));
    }
    attributes.extend(rule.preference.map(RuleAttribute::Priority));
    attributes.extend(large_table.map(RuleAttribute::Table));
    if let Action::Goto(target) = rule.action {
        attributes.push(RuleAttribute::Goto(target));
    }
    attributes.extend(rule.suppress_prefix_length.map(RuleAttribute::SuppressPrefixLen));
    attributes.push(RuleAttribute::Protocol(RouteProtocol::from(rule.protocol)));
    message
}

fn action(action: Action) -> RuleAction {
    match action {
        Action::Table(_) => RuleAction::ToTable,
        Action::Goto(_) => RuleAction::Goto,
        Action::Nop => RuleAction::Nop,
        Action::Blackhole => RuleAction::Blackhole,
        Action::Unreachable => RuleAction::Unreachable,
        Action::Prohibit => RuleAction::Prohibit,
    }
}

#[cfg(test)]
mod tests {
    use netlink_packet_route::AddressFamily;
    use vrrp_ebpf::advert::Family;

    use super::*;
    use crate::config::routing::Prefix;

    fn plain() -> Rule {
        Rule {
            from: Some(Prefix { address: [192, 168, 2, 0].into(), length: 24 }),
            preference: Some(100),
            ..Rule::new(Family::V4, Action::Table(7))
        }
    }

    #[test]
    fn a_rule_for_a_source() {
        let message = message(&plain());
        assert_eq!((message.header.family, message.header.table), (AddressFamily::Inet, 7));
        assert_eq!((message.header.src_len, message.header.dst_len), (24, 0));
        assert_eq!(message.header.action, RuleAction::ToTable);
        let expected = [
            RuleAttribute::Source([192, 168, 2, 0].into()),
            RuleAttribute::Priority(100),
            RuleAttribute::Protocol(RouteProtocol::KeepAlived),
        ];
        assert_eq!(message.attributes, expected);
    }

    #[test]
    fn marks_large_tables_and_what_is_not() {
        let fwmark = Some(Mark { value: 16, mask: Some(255) });
        let rule = Rule { fwmark, not: true, action: Action::Table(70_000), from: None, ..plain() };
        let message = message(&rule);
        assert_eq!((message.header.table, message.header.flags), (0, RuleFlags::Invert));
        let expected = [
            RuleAttribute::FwMark(16),
            RuleAttribute::FwMask(255),
            RuleAttribute::Priority(100),
            RuleAttribute::Table(70_000),
            RuleAttribute::Protocol(RouteProtocol::KeepAlived),
        ];
        assert_eq!(message.attributes, expected);
    }

    #[test]
    fn a_rule_that_leads_to_another() {
        let message = message(&Rule { action: Action::Goto(200), ..plain() });
        assert_eq!((message.header.table, message.header.action), (0, RuleAction::Goto));
        assert!(message.attributes.contains(&RuleAttribute::Goto(200)));
    }
}
