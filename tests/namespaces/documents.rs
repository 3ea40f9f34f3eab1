//! The commands that the documents give are run: those of the agent and of bpftool on a host with an agent, those of `cargo xtask`
//! as far as their options, and for the others it is checked that what they name is there.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use vrrp_tests::lab::{BPFFS, agent};

use crate::common::{Config, HIGH, Pair, TIMEOUT, VIP};

const DOCUMENTS: [&str; 7] = [
    "README.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "config/README.md",
    "docs/benchmarks.md",
    "docs/from-keepalived.md",
    "docs/operations.md",
];

/// Commands that are not run here, and why.
const ELSEWHERE: [(&str, &str); 3] = [
    ("systemctl", "there is no systemd in a network namespace; `service_manager::` runs the unit file"),
    ("bpftool map update pinned", "needs a program of the reader's own; `coexistence::` has one"),
    (
        "ls /sys/fs/bpf",
        "the directory of a lab's host is another one; `restart::` looks that nothing is left",
    ),
];

const PROGRAMS: [&str; 7] = ["cargo", "vrrp-agent", "bpftool", "install", "systemctl", "ip", "ls"];

/// A command in a document.
#[derive(Debug)]
struct Documented {
    place: String,
    words: Vec<String>,
}

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the tests are in a directory of the project")
        .to_owned()
}

/// Reads the commands of a document: indented lines that begin with a program's name, after the prompt of root if there is one.
fn commands(document: &str) -> Result<Vec<Documented>> {
    let text = std::fs::read_to_string(project().join(document)).with_context(|| document.to_owned())?;
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let Some(line) = line.strip_prefix("    ") else { continue };
        let line = line.strip_prefix("# ").unwrap_or(line);
        let line = line.split_once("  #").map_or(line, |(command, _comment)| command).trim();
        let known = line.split_whitespace().next().is_some_and(|program| PROGRAMS.contains(&program));
        if !known || line.starts_with(' ') {
            continue;
        }
        for command in line.split(" && ") {
            let place = format!("{document}:{}", number + 1);
            // What is optional is tried both ways.
            let without: String = command.split(['[', ']']).step_by(2).collect();
            let with = command.replace(['[', ']'], "");
            let mut ways = vec![without, with];
            ways.dedup();
            for way in ways {
                let words = way.split_whitespace().map(str::to_owned).collect();
                found.push(Documented { place: place.clone(), words });
            }
        }
    }
    Ok(found)
}

#[test]
fn every_command_in_a_document_can_be_run() -> Result<()> {
    let pair = Pair::start(&[])?;
    pair.h1.wait_for_address(VIP, true, TIMEOUT)?;
    let file = pair.lab.write("documented.conf", &Config::priority(HIGH).text())?;
    let (mut run, mut elsewhere) = (0, 0);
    for document in DOCUMENTS {
        for Documented { place, words } in commands(document)? {
            let command = words.join(" ");
            if ELSEWHERE.iter().any(|(begin, _why)| command.starts_with(begin)) {
                elsewhere += 1;
                continue;
            }
            try_command(&pair, &file, &words).with_context(|| format!("{place}: {command}"))?;
            run += 1;
        }
    }
    println!("{run} commands of {} documents tried, {elsewhere} are tried elsewhere", DOCUMENTS.len());
    assert!(run > 25, "only {run} commands were found");
    Ok(())
}

fn try_command(pair: &Pair, file: &Path, words: &[String]) -> Result<()> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["cargo", "xtask", options @ ..] => {
            let xtask = agent()?.with_file_name("xtask");
            // Wrong options are reported before the help is shown.
            succeeds(Command::new(&xtask).args(options).arg("--help"))
        }
        ["cargo", "test", options @ ..] => {
            let named = options.iter().zip(options.iter().skip(1)).find(|(option, _)| **option == "--test");
            match named {
                Some((_, test)) => is_there(&project().join("tests").join(test).join("main.rs")),
                None => Ok(()),
            }
        }
        ["cargo", "+nightly", "fuzz", "run", target, ..] => {
            is_there(&project().join(format!("tests/fuzz/fuzz_targets/{target}.rs")))
        }
        ["install", options @ ..] => {
            let [.., source, _target] = options else { bail!("no source and target") };
            // What is built is not there; all else is in the project or in its directory of examples.
            let built = source.ends_with("vrrp-agent");
            let there = [project().join(source), project().join("config").join(source)];
            if built || there.iter().any(|path| path.is_file()) { Ok(()) } else { bail!("no file {source}") }
        }
        ["vrrp-agent", options @ ..] => {
            let file = file.display().to_string();
            let mut options: Vec<&str> =
                options.iter().map(|word| if *word == "FILE" { file.as_str() } else { *word }).collect();
            if !options.contains(&"-f") && ["check", "show-config"].contains(&options[0]) {
                options.extend(["-f", &file]);
            }
            succeeds(pair.h1.command(agent()?).args(options))
        }
        ["bpftool", options @ ..] => {
            let pins = pair.h1.pin("leases")?;
            let pins = pins.parent().context("a directory of pins")?.display().to_string();
            assert!(pins.starts_with(BPFFS), "{pins}");
            let options = options.iter().map(|word| word.replace("/sys/fs/bpf/vrrp-agent", &pins));
            succeeds(pair.h1.command("bpftool").args(options))
        }
        ["ip", options @ ..] => pair.h1.ip(options).map(drop),
        [program, ..] => bail!("{program}: the test does not know how to try it"),
        [] => bail!("no command"),
    }
}

fn is_there(path: &Path) -> Result<()> {
    if path.is_file() { Ok(()) } else { bail!("no file {}", path.display()) }
}

fn succeeds(command: &mut Command) -> Result<()> {
    let output = command.output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        bail!("{}: {said}{}", output.status, String::from_utf8_lossy(&output.stdout));
    }
    Ok(())
}
