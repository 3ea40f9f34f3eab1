//! The RFC as a table: rules of RFC 9568 sections 5 to 8 (and of RFC 3768 and keepalived where they differ), each with a
//! case that satisfies it and one that violates it. Expectations are from the text, by hand.
//!
//! The rules for the kernel half (ARP and ND in each state, 6.4.2, 6.4.3, 8.1.2, 8.2.2; `Accept_Mode`, 6.1; virtual hardware
//! addresses, 7.3) have their table in `tests/kernel/ownership.rs`. The daemon does not have: router advertisements (8.2.3),
//! both versions at once (8.4), and forwarding (6.4.3), which the host does.

mod announcements;
mod keepalived;
mod reception;
mod states;
mod table;

use std::cell::RefCell;

/// A rule: its section, what it says, and two cases that must come out as said.
pub(crate) struct Row {
    pub(crate) section: &'static str,
    pub(crate) rule: &'static str,
    /// Must be true.
    pub(crate) satisfied: fn() -> bool,
    /// Must be false; none if everything that can be sent satisfies the rule.
    pub(crate) violated: Option<fn() -> bool>,
}

thread_local! {
    /// The inputs and outputs of the case that is being checked.
    static TRACE: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Notes something that happens in a case: an input with its state, or outputs. A failure shows the notes of its case.
pub(crate) fn trace(what: String) {
    TRACE.with_borrow_mut(|trace| trace.push(what));
}

/// Checks every row, names all that do not hold, and shows what happened in them.
pub(crate) fn check(rows: &[Row]) {
    let mut wrong = Vec::new();
    let happened = || TRACE.take().iter().map(|line| format!("\n    {line}")).collect::<String>();
    for Row { section, rule, satisfied, violated } in rows {
        TRACE.take();
        if !satisfied() {
            wrong.push(format!("{section}: {rule}: expected to hold, and does not:{}", happened()));
        }
        TRACE.take();
        if violated.is_some_and(|violated| violated()) {
            wrong.push(format!("{section}: {rule}: expected to be violated, and is not:{}", happened()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    println!("{} rules hold", rows.len());
}
