//! Compares keepalived's reading of generated files with ours.

use std::path::{Path, PathBuf};

use anyhow::Result;
use vrrp_agent::check::{Source, exit_code, render};
use vrrp_agent::config::{Authentication, Includes, InstanceConfig, Reading};
use vrrp_agent::vrrp::OnLower;
use vrrp_ebpf::advert::Version;
use vrrp_ebpf::election::Preempt;
use vrrp_tests::random::Random;

use super::reference::{Instance, Judgement, Trial, judge};
use super::{generate, slips};

const FILES: u64 = 400;

/// A directory that is removed at the end.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Result<Self> {
        let path = std::env::temp_dir().join(format!("vrrp-config-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(&self.0);
    }
}

fn read(file: &Path) -> Reading {
    Source { file: file.to_owned(), id: Some("host".to_owned()), includes: Includes::AsWritten }.read()
}

/// The differences between keepalived's reading of a file and ours; none if there are no differences.
fn difference(file: &Path, theirs: &Judgement, trial: Trial) -> Option<String> {
    let reading = read(file);
    let (ours, runs) = (exit_code(&reading), reading.config.is_some());
    let mut differences = Vec::new();
    if (theirs.code == 0) != (ours == 0) {
        differences.push(format!("`-t`: keepalived {}, ours {ours}", theirs.code));
    }
    if trial == Trial::Start {
        if theirs.runs != runs {
            differences.push(format!("runs: keepalived {}, ours {runs}", theirs.runs));
        }
        let instances: Vec<Instance> =
            reading.config.iter().flat_map(|config| &config.instances).map(held).collect();
        if theirs.runs && runs && theirs.instances != instances {
            differences.push(format!("holds: keepalived {:?}, ours {instances:?}", theirs.instances));
        }
    }
    if differences.is_empty() {
        return None;
    }
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let complaints = render(&reading, false);
    let (differences, said) = (differences.join("\n"), &theirs.said);
    Some(format!("== {}: {differences}\n{text}-- keepalived:\n{said}-- ours:\n{complaints}", file.display()))
}

/// The addresses, peers and facts of one of our instances, in the form in which they are compared.
fn held(instance: &InstanceConfig) -> Instance {
    let addresses = instance.addresses().map(|vip| format!("{}/{}", vip.address, vip.prefix));
    Instance {
        name: instance.name.clone(),
        addresses: addresses.collect(),
        peers: instance.peers.iter().map(|peer| peer.address.to_string()).collect(),
        facts: facts(instance),
    }
    .settled()
}

/// The facts that keepalived's dump has, in its words.
fn facts(instance: &InstanceConfig) -> Vec<String> {
    let switch = |on: bool| if on { "enabled" } else { "disabled" };
    let mut facts = vec![
        format!("VRRP Version = {}", instance.version as u8),
        format!("Virtual Router ID = {}", instance.vrid),
        format!("Priority = {}", instance.priority),
        match instance.version {
            Version::V2 => format!("Advert interval = {} sec", instance.interval.as_secs()),
            Version::V3 => format!("Advert interval = {} milli-sec", instance.interval.as_millis()),
        },
        format!("Accept = {}", switch(instance.accept)),
        format!("Preempt = {}", switch(instance.preempt == Preempt::Yes)),
        format!("Down timer adverts = {}", instance.down_adverts),
        format!(
            "Send advert after receive lower priority advert = {}",
            instance.on_lower == OnLower::Advertise
        ),
    ];
    if instance.version == Version::V2 {
        let kind = match instance.authentication {
            Some(Authentication::Pass(_)) => "SIMPLE_PASSWORD",
            Some(Authentication::Ah(_)) => "IPSEC_AH",
            None => "none",
        };
        facts.push(format!("Authentication type = {kind}"));
    }
    if instance.peers.is_empty() {
        facts.push(format!("Multicast address {}", instance.group));
    }
    facts
}

/// The differences that are there again when keepalived judges these files once more. Two of its processes write one dump, and now
/// and then a line of one of them ends up inside a line of the other.
fn differences_that_stay(directory: &Path, names: &[&String], trial: Trial) -> Result<Vec<String>> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let again = directory.join("again");
    std::fs::create_dir(&again)?;
    for name in names {
        std::fs::copy(directory.join(name), again.join(name))?;
    }
    let theirs = judge(&again, trial)?;
    Ok(theirs.iter().filter_map(|(name, theirs)| difference(&again.join(name), theirs, trial)).collect())
}

fn compare(name: &str, seed: u64, trial: Trial, file: impl Fn(&mut Random) -> String) -> Result<()> {
    let directory = Directory::new(name)?;
    let mut random = Random::new(seed);
    for number in 0..FILES {
        std::fs::write(directory.0.join(format!("{number:04}.conf")), file(&mut random))?;
    }
    let theirs = judge(&directory.0, trial)?;
    assert_eq!(theirs.len() as u64, FILES);
    let fine = theirs.values().filter(|judgement| judgement.code == 0).count() as u64;
    let run = theirs.values().filter(|judgement| judgement.runs).count() as u64;
    let differs = |name: &&String| difference(&directory.0.join(name), &theirs[*name], trial).is_some();
    let differing: Vec<&String> = theirs.keys().filter(differs).collect();
    let differences = differences_that_stay(&directory.0, &differing, trial)?;
    println!(
        "{name}: {FILES} files, of which keepalived finds {fine} fine and runs {run}; {} judged differently",
        differences.len()
    );
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    assert!(fine > FILES / 20 && fine < FILES * 19 / 20, "{fine} of {FILES} are fine: nothing is compared");
    if trial == Trial::Start {
        assert!(run > FILES / 5 && run < FILES * 19 / 20, "{run} of {FILES} run: nothing is compared");
    }
    Ok(())
}

#[test]
fn what_keepalived_finds_fault_with_we_find_fault_with() -> Result<()> {
    compare("usual", 7, Trial::Test, generate::file)
}

#[test]
fn r10_what_keepalived_goes_on_with_we_go_on_with() -> Result<()> {
    compare("slips", 11, Trial::Start, slips::file)
}
