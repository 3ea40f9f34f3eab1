//! The examples in `config/`: we find nothing wrong with them, and neither does keepalived 2.2.7.

use std::path::Path;

use anyhow::Result;
use vrrp_agent::check::{Source, render, summary};
use vrrp_agent::config::{Includes, Severity};

use super::reference::{Judgement, Trial, judge};

#[test]
fn the_examples_are_right_for_both() -> Result<()> {
    let examples = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../config"));
    let directory = std::env::temp_dir().join(format!("vrrp-examples-{}", std::process::id()));
    std::fs::create_dir_all(&directory)?;
    let mut count = 0;
    for entry in std::fs::read_dir(examples)? {
        let path = entry?.path();
        // The reference pair is as its user wrote it: with a script that is not here, and `nopreempt` at the master. The files
        // for systemd and for D-Bus are in other languages.
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let others = ["reference", "vrrp-agent", "org."];
        if !name.ends_with(".conf") || others.iter().any(|other| name.starts_with(other)) {
            continue;
        }
        std::fs::copy(&path, directory.join(name))?;
        let reading =
            Source { file: path.clone(), id: Some("host".to_owned()), includes: Includes::AsWritten }.read();
        assert!(reading.config.is_some(), "{}", render(&reading, false));
        assert_eq!(
            reading.count(Severity::Warning),
            0,
            "{}\n{}",
            summary(&path, &reading),
            render(&reading, false)
        );
        count += 1;
    }
    for (name, Judgement { code, said, .. }) in judge(&directory, Trial::Test)? {
        assert_eq!(code, 0, "{name}: {said}");
    }
    std::fs::remove_dir_all(&directory)?;
    println!("{count} examples");
    assert!(count >= 7, "{count}");
    Ok(())
}
