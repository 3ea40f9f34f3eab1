//! What the instances track: their interfaces, scripts, files and processes. Pure arithmetic here; [`script`], [`file`] and
//! [`process`] watch.

pub mod debounce;
pub mod file;
pub mod interface;
pub mod process;
pub mod script;

use std::collections::BTreeMap;

use crate::config::{Config, FileIndex, InstanceConfig, ProcessIndex, ScriptIndex, Standing, Thing, Tracked};
use crate::dataplane::Slot;
use crate::vrrp::{Bearing, Condition, Fault};

/// What tracking says of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Health {
    /// Added to the priority.
    pub contributions: i32,
    /// Whether something that it needs is gone.
    pub fault: Fault,
}

/// Word of something tracked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// A script is up or down.
    Script(ScriptIndex, Condition),
    /// A file says this.
    File(FileIndex, i32),
    /// There are enough of a process, or not.
    Process(ProcessIndex, Condition),
}

/// What is known of everything tracked.
#[derive(Clone, Debug)]
pub struct Tracker {
    instances: Vec<Instance>,
    scripts: Vec<Condition>,
    /// Tracked interfaces by name. One that is not there is down.
    interfaces: BTreeMap<String, Condition>,
    /// A file that is not there says 0.
    files: Vec<i32>,
    processes: Vec<Condition>,
}

#[derive(Clone, Debug)]
struct Instance {
    link_running: bool,
    addresses_fit: bool,
    fixtures_fit: bool,
    standing: Standing,
    tracked: Vec<Tracked>,
    told: Option<Health>,
}

/// What goes on over a reload: pairs of the index there and here.
#[derive(Clone, Debug, Default)]
pub struct GoingOn {
    /// Scripts.
    pub scripts: Vec<(ScriptIndex, ScriptIndex)>,
    /// Files.
    pub files: Vec<(FileIndex, FileIndex)>,
    /// Processes.
    pub processes: Vec<(ProcessIndex, ProcessIndex)>,
}

impl Tracker {
    /// A tracker that knows of the instances' own interfaces (`link_running`, by slot) and of nothing else.
    #[must_use]
    pub fn new(config: &Config, link_running: &[bool]) -> Self {
        let unknown = |script: &crate::config::Script| {
            if script.init_fail { Condition::Down } else { Condition::Unknown }
        };
        let instance = |(instance, &link_running): (&InstanceConfig, &bool)| Instance {
            link_running,
            addresses_fit: true,
            fixtures_fit: true,
            standing: instance.standing,
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

    /// What an earlier configuration's tracker knew of what is in this one too. `slots` are pairs of there and here.
    pub fn inherit(&mut self, earlier: &Self, going_on: &GoingOn, slots: impl Iterator<Item = (Slot, Slot)>) {
        for &(there, here) in &going_on.scripts {
            self.scripts[here] = earlier.scripts[there];
        }
        for &(there, here) in &going_on.files {
            self.files[here] = earlier.files[there];
        }
        for &(there, here) in &going_on.processes {
            self.processes[here] = earlier.processes[there];
        }
        for (there, here) in slots {
            let earlier = &earlier.instances[there];
            self.instances[here].addresses_fit = earlier.addresses_fit;
            self.instances[here].fixtures_fit = earlier.fixtures_fit;
        }
    }

    /// Something tracked has changed.
    pub fn hear(&mut self, news: News) {
        match news {
            News::Script(script, condition) => self.scripts[script] = condition,
            News::File(file, number) => self.files[file] = number,
            News::Process(process, condition) => self.processes[process] = condition,
        }
    }

    /// Which of the tracked interfaces can carry frames.
    pub fn set_interfaces(&mut self, mut running: impl FnMut(&str) -> bool) {
        for (name, condition) in &mut self.interfaces {
            *condition = if running(name) { Condition::Up } else { Condition::Down };
        }
    }

    /// Whether all interfaces of an instance can carry frames.
    pub fn set_link(&mut self, slot: Slot, running: bool) {
        self.instances[slot].link_running = running;
    }

    /// Whether the kernel takes an instance's addresses: a master without them would be none.
    pub fn set_addresses(&mut self, slot: Slot, fit: bool) {
        self.instances[slot].addresses_fit = fit;
    }

    /// Whether what is static and an instance needs is there.
    pub fn set_fixtures(&mut self, slot: Slot, there: bool) {
        self.instances[slot].fixtures_fit = there;
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
        let able = match instance.standing {
            Standing::Able => instance.link_running && instance.addresses_fit && instance.fixtures_fit,
            Standing::WithoutPeers => false,
        };
        let mut health = Health { contributions: 0, fault: if able { Fault::None } else { Fault::Present } };
        for Tracked { thing, weight } in &instance.tracked {
            let bearing = match thing {
                Thing::Script(script) => weight.of(self.scripts[*script]),
                Thing::Interface(name) => weight.of(self.interfaces[name]),
                Thing::File(file) => weight.of_number(self.files[*file]),
                Thing::Process(process) => weight.of(self.processes[*process]),
            };
            match bearing {
                Bearing::Adds(added) => health.contributions += added,
                Bearing::Undecided => health.fault = health.fault.max(Fault::Undecided),
                Bearing::Faults => health.fault = Fault::Present,
            }
        }
        health
    }
}

#[cfg(test)]
mod tests;
