//! The table of keywords in the documentation is the one that the parser reads with.

#[test]
fn the_documented_keywords_are_those_of_the_table() {
    let documented = include_str!("../../config/KEYWORDS.md");
    assert!(
        documented == vrrp_agent::config::markdown(),
        "config/KEYWORDS.md is out of date: `cargo run -p vrrp-agent -- keywords > config/KEYWORDS.md`"
    );
}
