//! `interface_up_down_delays`: a change of a link that does not last does not count. Pure: the time is an argument.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::config::{Config, LinkDelays};
use crate::vrrp::Time;

/// The believed states of the links that have delays. Any other link is believed as reported.
#[derive(Clone, Debug, Default)]
pub struct Debounce {
    links: BTreeMap<String, Link>,
}

#[derive(Clone, Debug)]
struct Link {
    delays: LinkDelays,
    /// `None` before the first report, which is believed at once.
    believed: Option<bool>,
    /// The time since which the opposite is reported.
    doubted: Option<Time>,
}

impl Link {
    /// Returns the time at which the present report will be believed.
    fn turns(&self) -> Option<Time> {
        let delay = if self.believed? { self.delays.down } else { self.delays.up };
        Some(self.doubted? + delay)
    }
}

impl Debounce {
    /// Takes the delays of a configuration, cut to what its instances can bear.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let link = |(name, delays): (&String, &LinkDelays)| {
            let bearable = longest(config, name);
            let used = LinkDelays { down: delays.down.min(bearable), up: delays.up.min(bearable) };
            if used != *delays {
                tracing::warn!(
                    "interface_up_down_delays of {name} are cut to {} s: within a longer delay a backup would count its master as lost",
                    bearable.as_secs_f64()
                );
            }
            (name.clone(), Link { delays: used, believed: None, doubted: None })
        };
        Self { links: config.link_delays.iter().map(link).collect() }
    }

    /// Takes over the states of the same links from an earlier configuration.
    pub fn inherit(&mut self, earlier: &Self) {
        for (name, link) in &mut self.links {
            if let Some(earlier) = earlier.links.get(name) {
                (link.believed, link.doubted) = (earlier.believed, earlier.doubted);
            }
        }
    }

    /// Takes a report about a link; returns true if the link is to count as one that can carry frames.
    pub fn believe(&mut self, now: Time, name: &str, running: bool) -> bool {
        let Some(link) = self.links.get_mut(name) else { return running };
        if *link.believed.get_or_insert(running) == running {
            link.doubted = None;
            return running;
        }
        link.doubted.get_or_insert(now);
        if link.turns().is_some_and(|at| at <= now) {
            (link.believed, link.doubted) = (Some(running), None);
            return running;
        }
        !running
    }

    /// Returns the time at which to look again.
    #[must_use]
    pub fn next(&self) -> Option<Time> {
        self.links.values().filter_map(Link::turns).min()
    }
}

/// Returns keepalived's bound: an advert and a little shorter than the time after which any instance on the interface counts
/// its master as lost.
fn longest(config: &Config, name: &str) -> Duration {
    const A_LITTLE: Duration = Duration::from_nanos(1_000_000_000 / 256);
    let instances = config.instances.iter().filter(|instance| instance.interface == name);
    let patience = instances.map(|instance| instance.interval * instance.down_adverts.saturating_sub(1));
    patience.min().map_or(Duration::MAX, |patience| patience.saturating_sub(A_LITTLE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;

    fn debounce(delays: &str) -> Debounce {
        let text = format!(
            "interface_up_down_delays {{\n{delays}\n}}\nvrrp_instance V {{\ninterface eth0\nvirtual_router_id 1\n\
             virtual_ipaddress {{\n192.0.2.1\n}}\n}}\n"
        );
        Debounce::new(&parse(&text).config.expect("a valid file"))
    }

    fn at(millis: u64) -> Time {
        Time::since_start(Duration::from_millis(millis))
    }

    #[test]
    fn without_a_delay_a_change_counts_at_once() {
        let mut links = debounce("eth1 1 1");
        assert!(links.believe(at(0), "eth0", true) && !links.believe(at(0), "eth0", false));
        assert_eq!(links.next(), None);
    }

    #[test]
    fn what_does_not_last_never_was() {
        let mut links = debounce("eth0 1 0.5");
        assert!(links.believe(at(0), "eth0", true));
        assert!(links.believe(at(100), "eth0", false));
        assert_eq!(links.next(), Some(at(1100)));
        assert!(links.believe(at(600), "eth0", true));
        assert_eq!(links.next(), None);
        // Each change counts from its own beginning.
        assert!(links.believe(at(700), "eth0", false) && links.believe(at(1699), "eth0", false));
        assert!(!links.believe(at(1700), "eth0", false));
        assert!(!links.believe(at(1800), "eth0", true) && !links.believe(at(2299), "eth0", true));
        assert!(links.believe(at(2300), "eth0", true));
    }

    #[test]
    fn the_first_look_is_believed() {
        let mut links = debounce("eth0 1 1");
        assert!(!links.believe(at(0), "eth0", false));
        assert_eq!(links.next(), None);
    }

    /// keepalived 2.2.7, observed: 5 s become 1.996094 with an interval of 1 s; an `up` that is not said is none.
    #[test]
    fn a_delay_is_shorter_than_the_patience_of_an_instance() {
        let mut links = debounce("eth0 5");
        assert!(links.believe(at(0), "eth0", true) && links.believe(at(1000), "eth0", false));
        assert_eq!(links.next().map(|at| (at - self::at(1000)).as_micros()), Some(1_996_093));
        assert!(!links.believe(at(3000), "eth0", false));
        assert!(links.believe(at(3001), "eth0", true));
    }
}
