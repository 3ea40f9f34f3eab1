//! What the instances track: their interface and their scripts. Pure arithmetic here; [`script`] runs the scripts.

pub mod script;

use crate::config::{Config, ScriptIndex};
use crate::dataplane::Slot;
use crate::vrrp::Fault;

/// What is known of a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScriptState {
    /// It has not finished once: weighted instances run unadjusted, others wait in fault.
    Unknown,
    /// Up.
    Up,
    /// Down.
    Down,
}

/// What tracking says of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Health {
    /// Added to the priority.
    pub contributions: i32,
    /// Whether something that it needs is gone.
    pub fault: Fault,
}

/// What is known of everything tracked.
#[derive(Clone, Debug)]
pub struct Tracker {
    instances: Vec<Instance>,
    scripts: Vec<ScriptState>,
}

#[derive(Clone, Debug)]
struct Instance {
    link_running: bool,
    addresses_fit: bool,
    tracked: Vec<crate::config::Tracked>,
    told: Option<Health>,
}

impl Tracker {
    /// A tracker that knows of the interfaces (`link_running`, by slot) and of no script.
    #[must_use]
    pub fn new(config: &Config, link_running: &[bool]) -> Self {
        let unknown = |script: &crate::config::Script| {
            if script.init_fail { ScriptState::Down } else { ScriptState::Unknown }
        };
        let instance = |(instance, &link_running): (&crate::config::InstanceConfig, &bool)| Instance {
            link_running,
            addresses_fit: true,
            tracked: instance.tracked.clone(),
            told: None,
        };
        Self {
            instances: config.instances.iter().zip(link_running).map(instance).collect(),
            scripts: config.scripts.iter().map(unknown).collect(),
        }
    }

    /// What an earlier configuration's tracker knew of what is in this one too: pairs of there and here.
    pub fn inherit(
        &mut self,
        earlier: &Self,
        scripts: impl Iterator<Item = (ScriptIndex, ScriptIndex)>,
        slots: impl Iterator<Item = (Slot, Slot)>,
    ) {
        for (there, here) in scripts {
            self.scripts[here] = earlier.scripts[there];
        }
        for (there, here) in slots {
            self.instances[here].addresses_fit = earlier.instances[there].addresses_fit;
        }
    }

    /// A script has changed.
    pub fn set_script(&mut self, script: ScriptIndex, state: ScriptState) {
        self.scripts[script] = state;
    }

    /// Whether all interfaces of an instance can carry frames.
    pub fn set_link(&mut self, slot: Slot, running: bool) {
        self.instances[slot].link_running = running;
    }

    /// Whether the kernel takes an instance's addresses: a master without them would be none.
    pub fn set_addresses(&mut self, slot: Slot, fit: bool) {
        self.instances[slot].addresses_fit = fit;
    }

    /// The instances whose health has changed since this was last asked.
    pub fn changes(&mut self) -> Vec<(Slot, Health)> {
        let mut changes = Vec::new();
        for slot in 0..self.instances.len() {
            let health = self.health(slot);
            if self.instances[slot].told.replace(health) != Some(health) {
                changes.push((slot, health));
            }
        }
        changes
    }

    fn health(&self, slot: Slot) -> Health {
        let instance = &self.instances[slot];
        let mut health = Health {
            contributions: 0,
            fault: if instance.link_running && instance.addresses_fit { Fault::None } else { Fault::Present },
        };
        for tracked in &instance.tracked {
            match (tracked.weight, self.scripts[tracked.script]) {
                (None, ScriptState::Up) | (Some(_), ScriptState::Unknown) => {}
                (None, ScriptState::Unknown | ScriptState::Down) => health.fault = Fault::Present,
                (Some(weight), ScriptState::Up) => health.contributions += weight.contribution(true),
                (Some(weight), ScriptState::Down) => health.contributions += weight.contribution(false),
            }
        }
        health
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    fn tracker(script: &str, track: &str) -> Tracker {
        let text = format!(
            "vrrp_script s {{\nscript /bin/true\n{script}\n}}\n\
             vrrp_instance V {{\ninterface eth0\nvirtual_router_id 1\ntrack_script {{\n{track}\n}}\n}}\n"
        );
        Tracker::new(&config::parse(&text).config.expect("a valid file"), &[true])
    }

    fn health(contributions: i32, fault: Fault) -> Vec<(Slot, Health)> {
        vec![(0, Health { contributions, fault })]
    }

    #[test]
    fn a_weighted_script_moves_the_priority_only() {
        let mut tracker = tracker("weight -20", "s");
        assert_eq!(tracker.changes(), health(0, Fault::None));
        tracker.set_script(0, ScriptState::Down);
        assert_eq!(tracker.changes(), health(-20, Fault::None));
        assert_eq!(tracker.changes(), []);
        tracker.set_script(0, ScriptState::Up);
        assert_eq!(tracker.changes(), health(0, Fault::None));
    }

    #[test]
    fn the_instance_may_weigh_a_script_otherwise() {
        let mut tracker = tracker("weight -20", "s weight 7");
        tracker.set_script(0, ScriptState::Up);
        assert_eq!(tracker.changes(), health(7, Fault::None));
    }

    #[test]
    fn without_a_weight_it_is_a_fault_until_it_is_up() {
        let mut tracker = tracker("", "s");
        assert_eq!(tracker.changes(), health(0, Fault::Present));
        tracker.set_script(0, ScriptState::Up);
        assert_eq!(tracker.changes(), health(0, Fault::None));
        tracker.set_script(0, ScriptState::Down);
        assert_eq!(tracker.changes(), health(0, Fault::Present));
    }

    #[test]
    fn init_fail_counts_before_the_first_run() {
        assert_eq!(tracker("weight -20\ninit_fail", "s").changes(), health(-20, Fault::None));
    }

    #[test]
    fn a_link_that_is_down_is_a_fault() {
        let mut tracker = tracker("weight -20", "s");
        tracker.set_link(0, false);
        assert_eq!(tracker.changes(), health(0, Fault::Present));
    }
}
