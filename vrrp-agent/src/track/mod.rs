//! The things that instances track: their interfaces, scripts, files and processes. Pure arithmetic here; [`script`], [`file`]
//! and [`process`] watch.

pub mod debounce;
pub mod file;
pub mod interface;
pub mod process;
pub mod script;

use std::collections::BTreeMap;

use crate::config::Slot;
use crate::config::{
    Config, FileIndex, InstanceConfig, ProcessIndex, ScriptIndex, TrackTarget, Tracked, Usability,
};
use crate::vrrp::{Condition, Fault, Sense, WeightEffect};

/// The result of tracking for an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Health {
    /// The number that is added to the priority.
    pub contributions: i32,
    /// Says if something that the instance needs is gone.
    pub fault: Fault,
}

/// Something that an instance lacks: the reason why it is in fault, or waits. Plain data, of which the daemon makes sentences.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lack {
    /// One of its own interfaces is missing, carries no frames, or has no address to send from.
    Link,
    /// The kernel refused its addresses.
    Addresses,
    /// Something static that the instance needs is not there.
    StaticResources,
    /// It has no peers (`unicast_fault_no_peer`).
    Peers,
    /// Something that it tracks has failed, or is not known yet.
    Tracked {
        /// The tracked thing.
        target: TrackTarget,
        /// The sense in which it counts.
        sense: Sense,
        /// The state in which it was last seen.
        seen: Seen,
    },
}

/// The state in which something tracked was last seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// The condition of a script, an interface or a process.
    Condition(Condition),
    /// The number in a file.
    Number(i32),
}

/// A change of something tracked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrackEvent {
    /// A script is up or down.
    Script(ScriptIndex, Condition),
    /// A file has this number now.
    File(FileIndex, i32),
    /// There are as many of a process as there should be, or not.
    Process(ProcessIndex, Condition),
}

/// The known state of everything tracked.
#[derive(Clone, Debug)]
pub struct HealthTable {
    instances: Vec<Instance>,
    scripts: Vec<Condition>,
    /// The tracked interfaces by name. An interface that is not there is down.
    interfaces: BTreeMap<String, Condition>,
    /// The numbers in the files. A file that is not there counts as 0.
    files: Vec<i32>,
    processes: Vec<Condition>,
}

#[derive(Clone, Debug)]
struct Instance {
    link_running: bool,
    addresses_fit: bool,
    statics_fit: bool,
    usability: Usability,
    tracked: Vec<Tracked>,
    told: Option<Health>,
}

/// The tracked things that go on over a reload: pairs of the index before it and the index after it.
#[derive(Clone, Debug, Default)]
pub struct Carried {
    /// Scripts.
    pub scripts: Vec<(ScriptIndex, ScriptIndex)>,
    /// Files.
    pub files: Vec<(FileIndex, FileIndex)>,
    /// Processes.
    pub processes: Vec<(ProcessIndex, ProcessIndex)>,
}

impl HealthTable {
    /// A tracker that knows of the instances' own interfaces (`link_running`, by slot) and of nothing else.
    #[must_use]
    pub fn new(config: &Config, link_running: &[bool]) -> Self {
        let unknown = |script: &crate::config::Script| {
            if script.init_fail { Condition::Down } else { Condition::Unknown }
        };
        let instance = |(instance, &link_running): (&InstanceConfig, &bool)| Instance {
            link_running,
            addresses_fit: true,
            statics_fit: true,
            usability: instance.usability,
            tracked: instance.tracked.clone(),
            told: None,
        };
        let interfaces = config.tracked_interfaces().map(|name| (name.to_owned(), Condition::Down));
        Self {
            instances: config.instances.iter().zip(link_running).map(instance).collect(),
            scripts: config.scripts.iter().map(unknown).collect(),
            interfaces: interfaces.collect(),
            files: vec![0; config.files.len()],
            processes: vec![Condition::Unknown; config.processes.len()],
        }
    }

    /// Takes over from an earlier configuration's tracker the state of what is in this configuration too. `slots` are pairs of
    /// the slot there and the slot here.
    pub fn inherit(&mut self, earlier: &Self, carried: &Carried, slots: impl Iterator<Item = (Slot, Slot)>) {
        for &(there, here) in &carried.scripts {
            self.scripts[here] = earlier.scripts[there];
        }
        for &(there, here) in &carried.files {
            self.files[here] = earlier.files[there];
        }
        for &(there, here) in &carried.processes {
            self.processes[here] = earlier.processes[there];
        }
        for (there, here) in slots {
            let earlier = &earlier.instances[there];
            self.instances[here].addresses_fit = earlier.addresses_fit;
            self.instances[here].statics_fit = earlier.statics_fit;
        }
    }

    /// Takes note of a change.
    pub fn hear(&mut self, news: TrackEvent) {
        match news {
            TrackEvent::Script(script, condition) => self.scripts[script] = condition,
            TrackEvent::File(file, number) => self.files[file] = number,
            TrackEvent::Process(process, condition) => self.processes[process] = condition,
        }
    }

    /// Takes note of which tracked interfaces can carry frames.
    pub fn set_interfaces(&mut self, mut running: impl FnMut(&str) -> bool) {
        for (name, condition) in &mut self.interfaces {
            *condition = if running(name) { Condition::Up } else { Condition::Down };
        }
    }

    /// Takes note that all interfaces of an instance can carry frames, or not.
    pub fn set_link(&mut self, slot: Slot, running: bool) {
        self.instances[slot].link_running = running;
    }

    /// Takes note that the kernel takes an instance's addresses, or not: a master without addresses would be none.
    pub fn set_addresses(&mut self, slot: Slot, fit: bool) {
        self.instances[slot].addresses_fit = fit;
    }

    /// Takes note that all static things that an instance needs are there, or not.
    pub fn set_statics(&mut self, slot: Slot, there: bool) {
        self.instances[slot].statics_fit = there;
    }

    /// Returns the instances whose health has changed since the last call.
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
        let able = match instance.usability {
            Usability::Usable => instance.link_running && instance.addresses_fit && instance.statics_fit,
            Usability::NoPeers => false,
        };
        let mut health = Health { contributions: 0, fault: if able { Fault::None } else { Fault::Present } };
        for tracked in &instance.tracked {
            match self.bearing(tracked) {
                WeightEffect::Adds(added) => health.contributions += added,
                WeightEffect::Undecided => health.fault = health.fault.max(Fault::Undecided),
                WeightEffect::Faults => health.fault = Fault::Present,
            }
        }
        health
    }

    /// Returns all that an instance lacks; nothing if it is not in fault and does not wait.
    #[must_use]
    pub fn lacks(&self, slot: Slot) -> Vec<Lack> {
        let instance = &self.instances[slot];
        let mut lacks = Vec::new();
        match instance.usability {
            Usability::Usable => {}
            Usability::NoPeers => lacks.push(Lack::Peers),
        }
        for (there, lack) in [
            (instance.link_running, Lack::Link),
            (instance.addresses_fit, Lack::Addresses),
            (instance.statics_fit, Lack::StaticResources),
        ] {
            if !there {
                lacks.push(lack);
            }
        }
        for tracked in &instance.tracked {
            match self.bearing(tracked) {
                WeightEffect::Adds(_) => {}
                WeightEffect::Undecided | WeightEffect::Faults => lacks.push(Lack::Tracked {
                    target: tracked.target.clone(),
                    sense: tracked.weight.sense,
                    seen: self.seen(&tracked.target),
                }),
            }
        }
        lacks
    }

    fn seen(&self, target: &TrackTarget) -> Seen {
        match target {
            TrackTarget::Script(script) => Seen::Condition(self.scripts[*script]),
            TrackTarget::Interface(name) => Seen::Condition(self.interfaces[name]),
            TrackTarget::File(file) => Seen::Number(self.files[*file]),
            TrackTarget::Process(process) => Seen::Condition(self.processes[*process]),
        }
    }

    fn bearing(&self, tracked: &Tracked) -> WeightEffect {
        match self.seen(&tracked.target) {
            Seen::Condition(condition) => tracked.weight.of(condition),
            Seen::Number(number) => tracked.weight.of_number(number),
        }
    }
}

#[cfg(test)]
mod tests;
