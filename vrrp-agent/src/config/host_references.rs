//! The interfaces and scripts of this host that a configuration file refers to, each with its place in the file, so that a caller can
//! check that it exists. Parsing does not look at the host, so a file can be parsed on any machine.
//!
//! Interfaces in rules (`iif`, `oif`) are not among them: the kernel takes a rule for an interface that does not exist yet.

use super::sources::Span;
use super::syntax::{Statement, Word};

/// A reference to an interface or a script of this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostReference {
    /// The name of the interface or of the `vrrp_script`.
    pub name: String,
    /// The place of the interface's name; for a script, of its command.
    pub span: Span,
    /// The use of the interface or script.
    pub kind: ReferenceKind,
}

/// The use of an interface or a script in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReferenceKind {
    /// The interface of an instance or of an address.
    AddressInterface,
    /// An interface that is tracked.
    TrackedInterface,
    /// An interface that a route is set on.
    RouteInterface,
    /// The program of a `vrrp_script`.
    Script,
}

/// Returns the references in the order of the file; the same interface may be there several times.
pub(super) fn collect(statements: &[Statement]) -> Vec<HostReference> {
    let mut found = Vec::new();
    for statement in statements {
        let block = statement.block.as_deref().unwrap_or_default();
        match statement.keyword().text.as_str() {
            "vrrp_instance" => block.iter().for_each(|child| collect_from_instance(child, &mut found)),
            "vrrp_sync_group" => block.iter().for_each(|child| collect_tracked(child, &mut found)),
            "static_ipaddress" => collect_devs(block, ReferenceKind::AddressInterface, &mut found),
            "static_routes" => collect_devs(block, ReferenceKind::RouteInterface, &mut found),
            "vrrp_script" => {
                let command = block.iter().find(|child| child.keyword().text == "script");
                if let (Some(name), Some(command)) = (statement.arguments().first(), command) {
                    let (name, span) = (name.text.clone(), command.span());
                    found.push(HostReference { name, span, kind: ReferenceKind::Script });
                }
            }
            _ => {}
        }
    }
    found
}

/// Collects from a line of a `vrrp_instance`.
fn collect_from_instance(child: &Statement, found: &mut Vec<HostReference>) {
    let block = child.block.as_deref().unwrap_or_default();
    match child.keyword().text.as_str() {
        "interface" => {
            let name = child.arguments().first();
            found.extend(name.map(|word| HostReference::from_word(word, ReferenceKind::AddressInterface)));
        }
        "virtual_ipaddress" | "virtual_ipaddress_excluded" => {
            collect_devs(block, ReferenceKind::AddressInterface, found);
        }
        "virtual_routes" => collect_devs(block, ReferenceKind::RouteInterface, found),
        _ => collect_tracked(child, found),
    }
}

/// Collects the tracked interfaces from a line of a `vrrp_instance` or a `vrrp_sync_group`.
fn collect_tracked(child: &Statement, found: &mut Vec<HostReference>) {
    if child.keyword().text == "track_interface" {
        let names = child.block.iter().flatten().map(Statement::keyword);
        found.extend(names.map(|word| HostReference::from_word(word, ReferenceKind::TrackedInterface)));
    }
}

/// Collects the NAME of each `dev NAME` in the lines of a block.
fn collect_devs(block: &[Statement], kind: ReferenceKind, found: &mut Vec<HostReference>) {
    for pair in block.iter().flat_map(|line| line.words.windows(2)) {
        if pair[0].text == "dev" {
            found.push(HostReference::from_word(&pair[1], kind));
        }
    }
}

impl HostReference {
    fn from_word(word: &Word, kind: ReferenceKind) -> Self {
        Self { name: word.text.clone(), span: word.span, kind }
    }
}
