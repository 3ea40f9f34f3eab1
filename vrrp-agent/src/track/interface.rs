//! Tracked interfaces: which of them are there and can carry frames. Any kind will do, since nothing is sent on them.

use std::collections::BTreeMap;

use crate::net::changes::Change;
use crate::net::links::LinkState;

/// Some interfaces of a host, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interfaces {
    states: BTreeMap<String, Option<LinkState>>,
}

impl Interfaces {
    /// Interfaces of which nothing is known yet.
    #[must_use]
    pub fn new<'n>(names: impl Iterator<Item = &'n str>) -> Self {
        Self { states: names.map(|name| (name.to_owned(), None)).collect() }
    }

    /// Takes note of all interfaces that there are now.
    pub fn look(&mut self, links: &BTreeMap<String, LinkState>) {
        for (name, state) in &mut self.states {
            let now = links.get(name).copied();
            Self::say(name, *state, now);
            *state = now;
        }
    }

    /// Takes note of a change.
    pub fn note(&mut self, change: &Change) {
        match change {
            Change::Link { index, name, running, .. } => {
                for (other, state) in &mut self.states {
                    let now = LinkState { index: *index, running: *running };
                    // An interface that was renamed is no longer there under its old name.
                    let now = match state {
                        _ if other == name => Some(now),
                        Some(was) if was.index == *index => None,
                        Some(_) | None => continue,
                    };
                    Self::say(other, *state, now);
                    *state = now;
                }
            }
            Change::LinkGone { index } => {
                for (name, state) in &mut self.states {
                    if state.is_some_and(|was| was.index == *index) {
                        Self::say(name, *state, None);
                        *state = None;
                    }
                }
            }
            Change::AddressNew { .. } | Change::AddressGone { .. } | Change::Missed => {}
        }
    }

    /// Returns true if an interface is there and can carry frames.
    #[must_use]
    pub fn is_running(&self, name: &str) -> bool {
        self.states.get(name).copied().flatten().is_some_and(|state| state.running)
    }

    /// Returns each interface's name and state: `None` if it is not there, else true if it can carry frames.
    pub fn states(&self) -> impl Iterator<Item = (&str, Option<bool>)> {
        self.states.iter().map(|(name, state)| (name.as_str(), state.map(|state| state.running)))
    }

    fn say(name: &str, before: Option<LinkState>, now: Option<LinkState>) {
        let running = |state: Option<LinkState>| state.is_some_and(|state| state.running);
        match (running(before), running(now)) {
            (false, true) => tracing::info!("tracked interface {name} is up"),
            (true, false) => tracing::info!("tracked interface {name} is down"),
            (true, true) | (false, false) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(index: u32, name: &str, running: bool) -> Change {
        Change::Link { index, name: name.to_owned(), mac: None, running, below: None, controller: None }
    }

    #[test]
    fn interfaces_come_change_and_go() {
        let mut interfaces = Interfaces::new(["tun0"].into_iter());
        assert!(!interfaces.is_running("tun0") && !interfaces.is_running("other"));
        interfaces.note(&link(7, "tun0", true));
        assert!(interfaces.is_running("tun0"));
        interfaces.note(&link(7, "tun0", false));
        assert!(!interfaces.is_running("tun0"));
        interfaces.note(&link(7, "tun0", true));
        interfaces.note(&Change::LinkGone { index: 8 });
        assert!(interfaces.is_running("tun0"));
        interfaces.note(&Change::LinkGone { index: 7 });
        assert!(!interfaces.is_running("tun0"));
    }

    #[test]
    fn a_name_is_what_counts() {
        let mut interfaces = Interfaces::new(["a", "b"].into_iter());
        interfaces.note(&link(7, "a", true));
        interfaces.note(&link(7, "b", true));
        assert!(!interfaces.is_running("a") && interfaces.is_running("b"));
        // An old number that has another name by now takes nothing away.
        interfaces.note(&link(8, "b", true));
        interfaces.note(&Change::LinkGone { index: 7 });
        assert!(interfaces.is_running("b"));
    }

    #[test]
    fn after_a_gap_all_is_looked_up() {
        let mut interfaces = Interfaces::new(["a", "b"].into_iter());
        interfaces.note(&link(7, "a", true));
        interfaces.look(&BTreeMap::from([("b".to_owned(), LinkState { index: 9, running: true })]));
        assert!(!interfaces.is_running("a") && interfaces.is_running("b"));
    }
}
