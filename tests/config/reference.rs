//! keepalived's reading of files: by its `-t`, and then by a real start with the file.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use vrrp_tests::lab::run;

/// The number of keepalived processes that run at the same time, each in a network namespace of its own.
const AT_ONCE: usize = 4;

/// keepalived's messages about a file, and the instances that it makes of the file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Judgement {
    /// The exit code of `-t`.
    pub(crate) code: i32,
    /// The output of `-t`.
    pub(crate) said: String,
    /// True if keepalived goes on running with the file.
    pub(crate) runs: bool,
    /// The instances that keepalived runs.
    pub(crate) instances: Vec<Instance>,
}

/// The addresses that an instance holds, its peers, and other facts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Instance {
    pub(crate) name: String,
    /// The virtual addresses with their prefix lengths, each once.
    pub(crate) addresses: Vec<String>,
    pub(crate) peers: Vec<String>,
    /// The other values that are compared, as keepalived writes them.
    pub(crate) facts: Vec<String>,
}

/// The beginnings of the lines of an instance that are compared.
const FACTS: &[&str] = &[
    "VRRP Version =",
    "Virtual Router ID =",
    "Priority =",
    "Advert interval =",
    "Accept =",
    "Preempt =",
    "Authentication type =",
    "Multicast address",
    "Down timer adverts =",
    "Send advert after receive lower priority advert =",
];

impl Instance {
    /// Brings the addresses and facts into an order that does not depend on the file's, and keeps each address once, as a host
    /// holds it.
    pub(crate) fn settled(mut self) -> Self {
        let mut seen: Vec<String> = Vec::new();
        self.addresses.retain(|address| {
            let address = address.split('/').next().unwrap_or_default().to_owned();
            let is_new = !seen.contains(&address);
            seen.push(address);
            is_new
        });
        self.addresses.sort();
        self.facts.sort();
        self
    }
}

/// The ways to try a file with keepalived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trial {
    /// Only `-t`.
    Test,
    /// `-t`, and then a start.
    Start,
}

/// Has keepalived judge every `*.conf` of a directory, in network namespaces with `eth0` and `eth1`.
pub(crate) fn judge(directory: &Path, trial: Trial) -> Result<BTreeMap<String, Judgement>> {
    // The scripts of the examples, which are put where the examples say.
    const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/scripts");
    let mut names: Vec<String> = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.retain(|name| name.ends_with(".conf"));
    names.sort();
    let share = names.len().div_ceil(AT_ONCE).max(1);
    std::thread::scope(|scope| {
        let shards: Vec<_> = names
            .chunks(share)
            .map(|names| {
                scope.spawn(move || {
                    let mut command = Command::new("unshare");
                    command.args(["-n", "-m", "--propagation", "private", "sh", "-c", SCRIPT, "sh", SCRIPTS]);
                    command.arg(if trial == Trial::Start { "start" } else { "test" });
                    run(command.args(names).current_dir(directory))
                })
            })
            .collect();
        let mut judgements = BTreeMap::new();
        for shard in shards {
            let output = shard.join().expect("no panic")?;
            for line in output.lines() {
                let [name, code, runs] = line.split(' ').collect::<Vec<&str>>()[..] else {
                    anyhow::bail!("no judgement: {line}");
                };
                let said = std::fs::read(directory.join(format!("{name}.said")))?;
                let dump = std::fs::read(directory.join(format!("{name}.dump"))).unwrap_or_default();
                let judgement = Judgement {
                    code: code.parse().context("an exit code")?,
                    said: String::from_utf8_lossy(&said).into_owned(),
                    runs: runs == "runs",
                    instances: instances(&String::from_utf8_lossy(&dump)),
                };
                judgements.insert(name.to_owned(), judgement);
            }
        }
        Ok(judgements)
    })
}

/// Prints a line for each file: its name, the exit code of `-t`, and whether keepalived runs with it.
const SCRIPT: &str = r#"set -e
scripts=$1 trial=$2
shift 2
mount -t tmpfs tmpfs /etc/keepalived; cp $scripts/* /etc/keepalived/; chmod 755 /etc/keepalived/*
mount -t tmpfs tmpfs /run
ip link set lo up
for i in 0 1; do
  ip link add eth$i type veth peer name peer$i
  echo 0 >/proc/sys/net/ipv6/conf/eth$i/accept_dad
  ip address add 192.168.$((i + 1)).1/24 dev eth$i
  ip link set eth$i up; ip link set peer$i up
done
for f in "$@"; do
  code=0; keepalived -t -f $PWD/$f >$f.said 2>&1 || code=$?
  runs=unknown
  if [ $trial = start ]; then
    keepalived -n -l -d -f $PWD/$f -p /run/parent -r /run/vrrp >$f.dump 2>&1 & parent=$!
    runs=ends
    for i in $(seq 500); do
      if grep -q -e 'Startup complete' -e 'no configuration to run' $f.dump; then runs=runs; break; fi
      kill -0 $parent 2>/dev/null || break
      sleep 0.02
    done
    # The dump comes after that.
    for i in $(seq 500); do
      grep -q 'Startup complete' $f.dump || break
      grep -q -e '------< Interfaces' $f.dump && break
      sleep 0.02
    done
    vrrp=$(cat /run/vrrp 2>/dev/null || true)
    kill -9 $parent $vrrp 2>/dev/null || true
    wait $parent 2>/dev/null || true
    rm -f /run/parent /run/vrrp
  fi
  echo $f $code $runs
done"#;

/// The instances in a dump of keepalived's configuration.
fn instances(dump: &str) -> Vec<Instance> {
    // The time stands before each line: `Thu Nov 26 23:55:52 2026: `.
    let lines = dump.lines().map(|line| line.get(26..).unwrap_or_default());
    let lines = lines.skip_while(|line| !line.contains("------< VRRP Topology")).skip(1);
    let mut instances: Vec<Instance> = Vec::new();
    let mut list = List::None;
    for line in lines.take_while(|line| !line.contains("------<")) {
        let text = line.trim();
        if let Some(name) = text.strip_prefix("VRRP Instance = ") {
            instances.push(Instance { name: name.to_owned(), ..Instance::default() });
            list = List::None;
        } else if text.starts_with("Virtual IP") {
            list = List::Addresses;
        } else if text.starts_with("Unicast Peer") {
            list = List::Peers;
        } else if let (Some(instance), true) =
            (instances.last_mut(), FACTS.iter().any(|fact| text.starts_with(fact)))
        {
            // For an IPv6 group keepalived prints the interface's number too.
            instance.facts.push(text.split(", ifindex").next().unwrap_or_default().to_owned());
            list = List::None;
        } else if let (Some(instance), Some(word)) = (instances.last_mut(), text.split(' ').next()) {
            match (list, word.split('/').next().is_some_and(|a| a.parse::<std::net::IpAddr>().is_ok())) {
                (List::Addresses, true) => instance.addresses.push(with_prefix(word)),
                (List::Peers, true) => instance.peers.push(word.to_owned()),
                (_, false) | (List::None, true) => list = List::None,
            }
        }
    }
    instances.into_iter().map(Instance::settled).collect()
}

/// The list of an instance that is being read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum List {
    None,
    Addresses,
    Peers,
}

/// Adds the prefix length, which keepalived leaves out if it covers the whole address.
fn with_prefix(word: &str) -> String {
    match (word.contains('/'), word.contains(':')) {
        (true, _) => word.to_owned(),
        (false, true) => format!("{word}/128"),
        (false, false) => format!("{word}/32"),
    }
}
