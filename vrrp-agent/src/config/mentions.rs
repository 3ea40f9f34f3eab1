//! The interfaces and scripts of the host that a file names, with their places, so that a caller can check whether they exist.
//! The file itself can be read on any host.

use super::sources::Span;
use super::syntax::{Statement, Word};

/// An interface or a script of the host that a file names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mention {
    /// The name of the interface or of the `vrrp_script`.
    pub name: String,
    /// The place where the file names it.
    pub span: Span,
    /// The purpose of the interface or script.
    pub purpose: Purpose,
}

/// The purpose that the file names an interface or a script for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// An interface that adverts are sent on, or that an address is set on.
    Interface,
    /// An interface that is tracked.
    TrackedInterface,
    /// An interface that a route is set on.
    RouteInterface,
    /// The program of a `vrrp_script`.
    Script,
}

/// Returns all mentions, in the order of the file.
pub(super) fn mentions(statements: &[Statement]) -> Vec<Mention> {
    let mut mentions = Vec::new();
    for statement in statements {
        let block = statement.block.as_deref().unwrap_or_default();
        match statement.keyword().text.as_str() {
            "vrrp_instance" | "vrrp_sync_group" => block.iter().for_each(|line| of_line(line, &mut mentions)),
            "static_ipaddress" => devs(block, Purpose::Interface, &mut mentions),
            "static_routes" => devs(block, Purpose::RouteInterface, &mut mentions),
            "vrrp_script" => {
                let script = block.iter().find(|line| line.keyword().text == "script");
                if let (Some(name), Some(script)) = (statement.arguments().first(), script) {
                    let (name, span) = (name.text.clone(), script.span());
                    mentions.push(Mention { name, span, purpose: Purpose::Script });
                }
            }
            _ => {}
        }
    }
    mentions
}

fn of_line(line: &Statement, mentions: &mut Vec<Mention>) {
    let block = line.block.as_deref().unwrap_or_default();
    match line.keyword().text.as_str() {
        "interface" => {
            mentions.extend(line.arguments().first().map(|word| mention(word, Purpose::Interface)));
        }
        "track_interface" => {
            mentions.extend(block.iter().map(|line| mention(line.keyword(), Purpose::TrackedInterface)));
        }
        "virtual_ipaddress" | "virtual_ipaddress_excluded" => devs(block, Purpose::Interface, mentions),
        "virtual_routes" => devs(block, Purpose::RouteInterface, mentions),
        _ => {}
    }
}

/// Adds the words behind `dev`.
fn devs(block: &[Statement], purpose: Purpose, mentions: &mut Vec<Mention>) {
    for line in block {
        for pair in line.words.windows(2) {
            if pair[0].text == "dev" {
                mentions.push(mention(&pair[1], purpose));
            }
        }
    }
}

fn mention(word: &Word, purpose: Purpose) -> Mention {
    Mention { name: word.text.clone(), span: word.span, purpose }
}
