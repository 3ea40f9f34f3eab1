//! Expectations by hand from docs/vrrp.md, "Priorities and weights"; those of files and interfaces are also what keepalived
//! 2.2.7 advertises.

use super::*;
use crate::config;

fn parse(above: &str, track: &str) -> Config {
    let text = format!(
        "{above}\nvrrp_instance V {{\ninterface eth0\nvirtual_router_id 1\nvirtual_ipaddress {{\n10.0.0.1\n}}\n{track}\n}}\n"
    );
    config::parse(&text).config.expect("a valid file")
}

fn tracker(above: &str, track: &str) -> HealthTable {
    HealthTable::new(&parse(above, track), &[true])
}

fn scripted(script: &str, line: &str) -> HealthTable {
    tracker(
        &format!("vrrp_script s {{\nscript /bin/true\n{script}\n}}"),
        &format!("track_script {{\n{line}\n}}"),
    )
}

fn filed(weight: &str, line: &str) -> HealthTable {
    tracker(&format!("track_file f {{\nfile /run/f\n{weight}\n}}"), &format!("track_file {{\n{line}\n}}"))
}

fn health(contributions: i32, fault: Fault) -> Vec<(Slot, Health)> {
    vec![(0, Health { contributions, fault })]
}

#[test]
fn a_weighted_script_moves_the_priority_only() {
    let mut tracker = scripted("weight -20", "s");
    assert_eq!(tracker.changes(), health(0, Fault::None));
    tracker.hear(TrackEvent::Script(0, Condition::Down));
    assert_eq!(tracker.changes(), health(-20, Fault::None));
    assert_eq!(tracker.changes(), []);
    tracker.hear(TrackEvent::Script(0, Condition::Up));
    assert_eq!(tracker.changes(), health(0, Fault::None));
}

/// The sums that are added while the script is down and while it is up, as keepalived 2.2.7 advertises.
#[test]
fn the_instance_may_weigh_a_script_otherwise() {
    for (script, line, down, up) in [
        ("weight -20", "s weight 7", 0, 7),
        ("weight 5 reverse", "s", 0, -5),
        ("weight 5 reverse", "s weight 6", 0, -6),
        ("weight 5 reverse", "s weight 6 noreverse", 0, 6),
        ("weight 0 reverse", "s weight 7", 0, -7),
        ("weight -5", "s weight -6 reverse", 6, 0),
    ] {
        let mut tracker = scripted(script, line);
        tracker.hear(TrackEvent::Script(0, Condition::Down));
        assert_eq!(tracker.changes(), health(down, Fault::None), "{script}: {line}");
        tracker.hear(TrackEvent::Script(0, Condition::Up));
        assert_eq!(tracker.changes(), health(up, Fault::None), "{script}: {line}");
    }
}

#[test]
fn without_a_weight_it_is_a_fault_unless_it_is_up() {
    let mut tracker = scripted("", "s");
    assert_eq!(tracker.changes(), health(0, Fault::Undecided));
    tracker.hear(TrackEvent::Script(0, Condition::Up));
    assert_eq!(tracker.changes(), health(0, Fault::None));
    tracker.hear(TrackEvent::Script(0, Condition::Down));
    assert_eq!(tracker.changes(), health(0, Fault::Present));
}

#[test]
fn reversed_without_a_weight_it_is_a_fault_unless_it_is_down() {
    let mut tracker = scripted("weight 0 reverse", "s");
    assert_eq!(tracker.changes(), health(0, Fault::Undecided));
    tracker.hear(TrackEvent::Script(0, Condition::Down));
    assert_eq!(tracker.changes(), health(0, Fault::None));
    tracker.hear(TrackEvent::Script(0, Condition::Up));
    assert_eq!(tracker.changes(), health(0, Fault::Present));
}

#[test]
fn init_fail_counts_before_the_first_run() {
    assert_eq!(scripted("weight -20\ninit_fail", "s").changes(), health(-20, Fault::None));
}

#[test]
fn a_link_that_is_down_is_a_fault() {
    let mut tracker = scripted("weight -20", "s");
    tracker.set_link(0, false);
    assert_eq!(tracker.changes(), health(0, Fault::Present));
}

#[test]
fn an_interface_is_down_until_it_is_there() {
    for (line, down, up) in [
        ("eth1", (0, Fault::Present), (0, Fault::None)),
        ("eth1 weight 0 reverse", (0, Fault::None), (0, Fault::Present)),
        ("eth1 weight 5", (0, Fault::None), (5, Fault::None)),
        ("eth1 weight -5", (-5, Fault::None), (0, Fault::None)),
        ("eth1 weight 5 reverse", (0, Fault::None), (-5, Fault::None)),
    ] {
        let mut tracker = tracker("", &format!("track_interface {{\n{line}\n}}"));
        assert_eq!(tracker.changes(), health(down.0, down.1), "{line}");
        tracker.set_interfaces(|name| name == "eth1");
        let (contributions, fault) = up;
        assert_eq!(tracker.changes(), health(contributions, fault), "{line}");
    }
}

#[test]
fn the_number_of_a_file_is_multiplied() {
    for (weight, line, number, expected) in [
        ("", "f", 3, (3, Fault::None)),
        ("weight 1", "f weight 10", 3, (30, Fault::None)),
        ("weight 1 reverse", "f weight 10", 3, (-30, Fault::None)),
        ("weight 1 reverse", "f weight 10 noreverse", 3, (30, Fault::None)),
        ("", "f", -254, (0, Fault::Present)),
        ("weight 0", "f", 1, (0, Fault::Present)),
    ] {
        let mut tracker = filed(weight, line);
        tracker.hear(TrackEvent::File(0, number));
        let (contributions, fault) = expected;
        assert_eq!(tracker.changes(), health(contributions, fault), "{weight}: {line}: {number}");
    }
}

/// keepalived 2.2.7 advertises 203, 47 and 100 with priority 100.
#[test]
fn the_sum_has_no_bounds_but_each_file_has() {
    for (script, condition, number, sum) in [
        ("weight -150", Condition::Down, 1000, 103),
        ("weight 200", Condition::Up, -253, -53),
        ("weight 200", Condition::Up, -200, 0),
        ("weight 250", Condition::Up, 250, 500),
    ] {
        let above =
            format!("vrrp_script s {{\nscript /bin/true\n{script}\n}}\ntrack_file f {{\nfile /run/f\n}}");
        let mut tracker = tracker(&above, "track_script {\ns\n}\ntrack_file {\nf\n}");
        tracker.hear(TrackEvent::Script(0, condition));
        tracker.hear(TrackEvent::File(0, number));
        assert_eq!(tracker.changes(), health(sum, Fault::None), "{script} {number}");
    }
}

#[test]
fn processes_count_as_scripts_do() {
    let above = "vrrp_track_process p {\nprocess nginx\nweight 10\n}";
    let mut tracker = tracker(above, "track_process {\np\n}");
    assert_eq!(tracker.changes(), health(0, Fault::None));
    tracker.hear(TrackEvent::Process(0, Condition::Up));
    assert_eq!(tracker.changes(), health(10, Fault::None));
    tracker.hear(TrackEvent::Process(0, Condition::Down));
    assert_eq!(tracker.changes(), health(0, Fault::None));
}

#[test]
fn what_is_the_same_goes_on_over_a_reload() {
    let files = |names: &[&str]| -> String {
        names.iter().map(|name| format!("track_file {name} {{\nfile /run/{name}\n}}\n")).collect()
    };
    let mut before = tracker(&files(&["a", "b"]), "track_file {\na\nb\n}");
    before.hear(TrackEvent::File(1, 7));
    before.set_addresses(0, false);
    let mut after = tracker(&files(&["b", "c"]), "track_file {\nb\nc\n}");
    let carried = Carried { files: vec![(1, 0)], ..Carried::default() };
    after.inherit(&before, &carried, [(0, 0)].into_iter());
    assert_eq!(after.changes(), health(7, Fault::Present));
}
