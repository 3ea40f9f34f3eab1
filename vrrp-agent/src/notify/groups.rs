//! Changes of sync groups: a group is where all its members are, and is told of after the last of them.

use super::Event;
use crate::config::{Config, Slot};

/// The states of groups and their members that were last told.
#[derive(Clone, Debug, Default)]
pub struct Groups {
    members: Vec<Option<Event>>,
    groups: Vec<Group>,
}

#[derive(Clone, Debug)]
struct Group {
    name: String,
    members: Vec<Slot>,
    told: Option<Event>,
}

impl Groups {
    /// The groups of a configuration, of which nothing was told yet.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let group = |group: &crate::config::Group| Group {
            name: group.name.clone(),
            members: group.members.clone(),
            told: None,
        };
        Self {
            members: vec![None; config.instances.len()],
            groups: config.groups.iter().map(group).collect(),
        }
    }

    /// Follows another configuration; `was` gives for each member its slot in the one before.
    pub fn change(&mut self, config: &Config, was: &[Option<Slot>]) {
        let before = std::mem::replace(self, Self::new(config));
        self.members = was.iter().map(|was| was.and_then(|slot| before.members[slot])).collect();
        for group in &mut self.groups {
            group.told =
                before.groups.iter().find(|other| other.name == group.name).and_then(|other| other.told);
        }
    }

    /// Notes that an instance has changed its state. Returns the name of its group if with this all its members have.
    pub fn note(&mut self, slot: Slot, event: Event) -> Option<&str> {
        let Self { members, groups } = self;
        *members.get_mut(slot)? = Some(event);
        let group = groups.iter_mut().find(|group| group.members.contains(&slot))?;
        let together = group.members.iter().all(|&member| members[member] == Some(event));
        (together && group.told.replace(event) != Some(event)).then_some(group.name.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(names: &[&str]) -> Config {
        let instance = |(number, name): (usize, &&str)| {
            let number = number + 1;
            format!(
                "vrrp_instance {name} {{\ninterface eth0\nvirtual_router_id {number}\n\
                 virtual_ipaddress {{\n192.0.2.{number}\n}}\n}}\n"
            )
        };
        let instances: String = names.iter().enumerate().map(instance).collect();
        let text = instances + "vrrp_sync_group G {\ngroup {\nB\nC\n}\n}\n";
        crate::config::parse(&text).config.expect("a valid file")
    }

    #[test]
    fn told_once_after_the_last_member() {
        let mut groups = Groups::new(&config(&["A", "B", "C"]));
        assert_eq!(groups.note(0, Event::Master), None);
        assert_eq!(groups.note(1, Event::Master), None);
        assert_eq!(groups.note(2, Event::Master), Some("G"));
        assert_eq!(groups.note(2, Event::Master), None);
        assert_eq!(groups.note(2, Event::Fault), None);
        assert_eq!(groups.note(1, Event::Fault), Some("G"));
        assert_eq!(groups.note(1, Event::Stop), None);
        assert_eq!(groups.note(2, Event::Stop), Some("G"));
    }

    #[test]
    fn a_reload_moves_members_and_says_nothing_twice() {
        let mut groups = Groups::new(&config(&["A", "B", "C"]));
        groups.note(1, Event::Master);
        groups.note(2, Event::Master);
        groups.change(&config(&["B", "C"]), &[Some(1), Some(2)]);
        assert_eq!(groups.note(0, Event::Master), None);
        assert_eq!(groups.note(0, Event::Backup), None);
        assert_eq!(groups.note(1, Event::Backup), Some("G"));
    }
}
