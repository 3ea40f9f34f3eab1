//! `interface_up_down_delays`.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::diagnostic::Diagnostic;
use super::super::model::LinkDelays;
use super::super::syntax::Statement;
use super::super::value;
use super::block;

const MOST: Duration = Duration::from_secs(255);

/// Reads lines of `INTERFACE DOWN_DELAY UP_DELAY`: how long, in seconds, the interface must be down or up before the change
/// counts. If two lines name the same interface, the last one counts.
pub(super) fn read(
    statement: &Statement,
    delays: &mut BTreeMap<String, LinkDelays>,
    diagnostics: &mut Vec<Diagnostic>,
) {
    for line in block(statement, diagnostics) {
        let mut of_interface = LinkDelays::default();
        let places = [&mut of_interface.down, &mut of_interface.up];
        for (word, place) in line.arguments().iter().zip(places) {
            match value::parse_seconds(&word.text).filter(|delay| *delay <= MOST) {
                Some(delay) => *place = delay,
                None => diagnostics.push(
                    Diagnostic::warning(word.span, "not a delay")
                        .label("expected: seconds from 0 to 255, decimals allowed; 0 is used"),
                ),
            }
        }
        delays.insert(line.keyword().text.clone(), of_interface);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;

    /// Observed with keepalived 2.2.7: a missing delay is 0, and surplus words are not reported.
    #[test]
    fn delays_of_interfaces() {
        let read = |lines: &str| {
            let text = format!(
                "interface_up_down_delays {{\n{lines}\n}}\nvrrp_instance V {{\ninterface eth0\nvirtual_router_id 1\n\
                 virtual_ipaddress {{\n192.0.2.1\n}}\n}}\n"
            );
            let reading = parse(&text);
            let complaints = reading.diagnostics.len();
            (reading.config.expect("usable").link_delays["eth0"], complaints)
        };
        let delays =
            |down, up| LinkDelays { down: Duration::from_millis(down), up: Duration::from_millis(up) };
        assert_eq!(read("eth0 1.5 0.25"), (delays(1500, 250), 0));
        assert_eq!(read("eth0 1"), (delays(1000, 0), 0));
        assert_eq!(read("eth0"), (delays(0, 0), 0));
        assert_eq!(read("eth0 1 2 3"), (delays(1000, 2000), 0));
        assert_eq!(read("eth0 1\neth0 2"), (delays(2000, 0), 0));
        for bad in ["eth0 256", "eth0 x", "eth0 -1"] {
            assert_eq!(read(bad), (delays(0, 0), 1), "{bad}");
        }
    }
}
