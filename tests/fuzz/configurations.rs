//! The properties of every configuration: nothing panics, no complaint is about a place that does not exist, and no file is
//! read that the files do not name. The input is several files, separated by zero bytes: the first is read, the others can be
//! included.

use std::path::{Path, PathBuf};

use vrrp_agent::config::{Context, Includes, Memory, Secrets, Severity, load, show};

/// The most bytes of an input that are used: longer inputs show nothing new, and are slow.
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
        // The word `include` may be put together from definitions, which need a `$`.
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
        // The text that is shown to people is never empty.
        assert!(!show(config, Secrets::Hidden).is_empty());
    }
}
