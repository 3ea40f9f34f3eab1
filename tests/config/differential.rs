//! What `keepalived -t` says of generated files, beside what `vrrp-agent -t` says.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use vrrp_agent::check::{Source, exit_code};
use vrrp_agent::config::Includes;
use vrrp_tests::lab::run;
use vrrp_tests::random::Random;

use super::generate::file;

const FILES: u64 = 400;

/// Runs `keepalived -t` on every file of a directory, in a network namespace with `eth0` and `eth1`; exit code and complaints of
/// each.
pub(crate) fn keepalived(directory: &Path) -> Result<BTreeMap<String, (i32, String)>> {
    // What the examples run is where they say.
    const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/scripts");
    const SCRIPT: &str = "set -e
mount -t tmpfs tmpfs /etc/keepalived; cp $1/* /etc/keepalived/; chmod 755 /etc/keepalived/*
for i in 0 1; do
  ip link add eth$i type veth peer name peer$i
  ip address add 192.168.$((i + 1)).1/24 dev eth$i
  ip link set eth$i up; ip link set peer$i up
done
for f in *.conf; do
  code=0; keepalived -t -f $PWD/$f >$f.said 2>&1 || code=$?
  echo $f $code
done";
    let output = run(Command::new("unshare")
        .args(["-n", "-m", "sh", "-c", SCRIPT, "sh", SCRIPTS])
        .current_dir(directory))?;
    let mut results = BTreeMap::new();
    for line in output.lines() {
        let (name, code) = line.split_once(' ').context("a name and a code")?;
        let said = std::fs::read_to_string(directory.join(format!("{name}.said")))?;
        results.insert(name.to_owned(), (code.parse()?, said));
    }
    Ok(results)
}

#[test]
fn what_keepalived_finds_fault_with_we_find_fault_with() -> Result<()> {
    let directory = std::env::temp_dir().join(format!("vrrp-config-{}", std::process::id()));
    std::fs::create_dir_all(&directory)?;
    let mut random = Random::new(7);
    for number in 0..FILES {
        std::fs::write(directory.join(format!("{number:04}.conf")), file(&mut random))?;
    }
    let theirs = keepalived(&directory)?;
    assert_eq!(theirs.len() as u64, FILES);
    let (mut fine, mut differences) = (0, Vec::new());
    for (name, (code, said)) in &theirs {
        let reading =
            Source { file: directory.join(name), id: Some("host".to_owned()), includes: Includes::AsWritten }
                .read();
        let ours = exit_code(&reading);
        fine += u64::from(*code == 0);
        if (*code == 0) != (ours == 0) {
            let text = std::fs::read_to_string(directory.join(name))?;
            let complaints = vrrp_agent::check::render(&reading, false);
            differences.push(format!("== {name}: keepalived {code}, ours {ours}\n{text}-- keepalived:\n{said}-- ours:\n{complaints}"));
        }
    }
    std::fs::remove_dir_all(&directory)?;
    println!("{FILES} files, {fine} of them fine, {} judged differently", differences.len());
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    assert!(fine > FILES / 10 && fine < FILES * 9 / 10, "{fine} of {FILES} are fine: nothing is compared");
    Ok(())
}
