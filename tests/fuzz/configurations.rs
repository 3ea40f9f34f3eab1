//! What must hold of every configuration: nothing panics, no complaint is about a place that is not there, and nothing is read but
//! what the files name. The input is files, each behind a byte of zero: the first is read, the others can be included.

use std::path::{Path, PathBuf};

use vrrp_agent::config::{Context, Includes, Memory, Secrets, Severity, load, show};

/// Longer ones show nothing new, and slowly.
const LENGTH_MAX: usize = 16 * 1024;

const MAIN: &str = "/k/main.conf";

/// Judges an input.
pub(crate) fn judge(input: &[u8]) {
    let text = String::from_utf8_lossy(&input[..input.len().min(LENGTH_MAX)]);
    let (first, others) = text.split_once('\0').unwrap_or((&text, ""));
    let main = (PathBuf::from(MAIN), first.to_owned());
    let others = others.split('\0').enumerate();
    let others = others.map(|(number, text)| (PathBuf::from(format!("/k/{number}.conf")), text.to_owned()));
    let files = Memory::new(std::iter::once(main).chain(others));
    let mut context = Context {
        id: "host".to_owned(),
        random: Box::new(|range| *range.start()),
        environment: Box::new(|_name| None),
        includes: Includes::AsWritten,
    };
    let reading = load(Path::new(MAIN), &mut context, &files);
    let asked = files.asked();
    assert_eq!(asked.iter().filter(|path| **path == Path::new(MAIN)).take(1).count(), 1);
    if !text.contains("include") {
        // `include` may be put together from definitions, and its letters then stand in the text all the same.
        assert!(asked.len() == 1 || text.contains('$'), "{asked:?}");
    }
    for diagnostic in &reading.diagnostics {
        let (line, column) = diagnostic.position(&reading.sources);
        assert!(line >= 1 && column >= 1);
        assert!(!diagnostic.render(&reading.sources, false).is_empty());
    }
    assert_eq!(
        reading.config.is_none(),
        reading.count(Severity::Error) > 0,
        "an error, and only that, is fatal"
    );
    if let Some(config) = &reading.config {
        // What is shown is for people, and never longer than a person could have meant.
        assert!(!show(config, Secrets::Hidden).is_empty());
    }
}
