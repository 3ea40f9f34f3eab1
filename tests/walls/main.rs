//! The walls between the rooms of the project: which room may import which, what the protocol may not touch, and how long a file
//! may be. The table is the one that ARCHITECTURE.md draws.

mod sources;

use std::collections::{BTreeMap, BTreeSet};

use sources::{Source, agent, all};

/// The longest file, in lines.
const LINES_MAX: usize = 500;

/// Each room of the agent, and the rooms that it may import. `daemon` joins them all.
const ROOMS: [(&str, &[&str]); 14] = [
    ("vrrp", &[]),
    ("wire", &[]),
    ("readiness", &[]),
    ("blocking", &[]),
    ("host", &["vrrp"]),
    ("config", &["vrrp", "wire"]),
    ("process", &["config", "blocking"]),
    ("net", &["config", "wire", "host", "readiness"]),
    ("track", &["config", "vrrp", "net", "process", "readiness", "blocking"]),
    ("notify", &["config", "process", "host"]),
    ("control", &["host"]),
    ("dbus", &["config", "notify"]),
    ("snmp", &["config", "control", "notify", "vrrp"]),
    ("dataplane", &["config", "host", "net", "vrrp", "wire"]),
];

/// Modules that the protocol and the wire formats may not use: of a clock, a socket, a file, a thread, a program, or anything asynchronous.
const IMPURE: [&str; 10] = [
    "std::fs",
    "std::thread",
    "std::process",
    "std::os",
    "std::env",
    "std::sync",
    "tokio",
    "nix",
    "aya",
    "rand",
];

/// Types that read a clock or open a socket, in modules that are allowed otherwise.
const IMPURE_TYPES: [&str; 5] = ["Instant", "SystemTime", "UdpSocket", "TcpStream", "TcpListener"];

#[test]
fn a_room_imports_only_what_it_may() {
    let rooms: BTreeMap<&str, &[&str]> = ROOMS.into_iter().collect();
    let mut wrong = Vec::new();
    for source in agent() {
        let Some(allowed) = rooms.get(source.room()) else { continue };
        for path in &source.imports {
            let Some(room) = path.strip_prefix("crate::").map(|rest| rest.split("::").next().unwrap_or(rest))
            else {
                continue;
            };
            if room != source.room() && !allowed.contains(&room) {
                wrong.push(format!("{} imports {path}", source.name));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "a room may import only what the table in tests/walls says:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn the_protocol_and_the_wire_formats_use_no_clock_socket_thread_file_or_task() {
    let mut wrong = Vec::new();
    let pure = |source: &Source| {
        ["vrrp-agent/src/vrrp", "vrrp-agent/src/wire"].iter().any(|room| source.name.starts_with(room))
            || source.is_shared_library()
    };
    for source in all().filter(pure) {
        for path in &source.imports {
            let last = path.rsplit("::").next().unwrap_or(path);
            let module =
                IMPURE.iter().any(|impure| *path == **impure || path.starts_with(&format!("{impure}::")));
            if module || IMPURE_TYPES.contains(&last) {
                wrong.push(format!("{} uses {path}", source.name));
            }
        }
        if source.has_async {
            wrong.push(format!("{} has an async function", source.name));
        }
    }
    assert!(wrong.is_empty(), "time, network and randomness are arguments here:\n{}", wrong.join("\n"));
}

#[test]
fn no_file_is_too_long() {
    let long: Vec<String> = all()
        .filter(|source| source.lines > LINES_MAX)
        .map(|source| format!("{}: {} lines", source.name, source.lines))
        .collect();
    assert!(long.is_empty(), "a file has at most {LINES_MAX} lines; split these:\n{}", long.join("\n"));
}

/// A module and its children may know each other; other files that import each other in a circle are one file in pieces.
#[test]
fn no_files_import_each_other_in_a_circle() {
    let sources: Vec<Source> = agent().collect();
    let modules: BTreeMap<&str, &Source> =
        sources.iter().map(|source| (source.module.as_str(), source)).collect();
    let is_kin = |a: &str, b: &str| {
        let below = |of: &str, above: &str| of == above || of.starts_with(&format!("{above}::"));
        below(a, b) || below(b, a)
    };
    let mut edges: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for source in &sources {
        for path in &source.imports {
            // The longest beginning of the path that is a module.
            let parts: Vec<&str> = path.split("::").collect();
            let module = (1..=parts.len()).rev().find_map(|length| {
                let prefix = parts[..length].join("::");
                modules.get_key_value(prefix.as_str()).map(|(module, _)| *module)
            });
            let from = source.module.as_str();
            if let Some(to) = module.filter(|to| *to != "crate" && !is_kin(from, to)) {
                edges.entry(from).or_default().insert(to);
            }
        }
    }
    let mut circles = Vec::new();
    for &start in edges.keys() {
        if let Some(circle) = circle_through(start, &edges) {
            circles.push(circle.join(" -> "));
        }
    }
    assert!(circles.is_empty(), "files import each other in a circle:\n{}", circles.join("\n"));
}

/// Returns the shortest way from a module back to itself, if it is the first of its modules in the alphabet: each circle is told
/// once.
fn circle_through<'m>(start: &'m str, edges: &BTreeMap<&'m str, BTreeSet<&'m str>>) -> Option<Vec<&'m str>> {
    let mut ways = vec![vec![start]];
    let mut seen = BTreeSet::new();
    while !ways.is_empty() {
        let mut longer = Vec::new();
        for way in ways {
            let last = *way.last()?;
            for &next in edges.get(last).into_iter().flatten() {
                if next == start {
                    return way.iter().all(|module| *module >= start).then(|| [way, vec![start]].concat());
                }
                if seen.insert(next) {
                    longer.push([&way[..], &[next]].concat());
                }
            }
        }
        ways = longer;
    }
    None
}

/// A comment that begins with "What" or "Whether" is a noun without a sentence: it leaves to the reader what is said of it.
#[test]
fn no_doc_comment_begins_with_what_or_whether() {
    let mut wrong = Vec::new();
    for source in all() {
        for (number, line) in source.text.lines().enumerate() {
            let line = line.trim_start();
            let comment = line.strip_prefix("/// ").or_else(|| line.strip_prefix("//! "));
            if comment.is_some_and(|text| text.starts_with("What ") || text.starts_with("Whether ")) {
                wrong.push(format!("{}:{}: {line}", source.name, number + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "write a sentence with a subject and a verb:\n{}", wrong.join("\n"));
}
