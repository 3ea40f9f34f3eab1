//! `vrrp_garp_extra_if`, `garp_extra_if` and its older name `vmac_garp_intvl`: extra announcements that keep a hardware address
//! in the tables of switches. A hardware address that sends packets anyway needs no such announcements.

use std::time::Duration;

use super::super::diagnostic::Diagnostic;
use super::super::model::Vmac;
use super::super::syntax::Statement;
use crate::vrrp::GarpSchedule;

const DAY: u32 = 86_400;

/// The value of the keyword: `[all] SECONDS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ExtraRefresh {
    every: Duration,
    scope: Scope,
}

/// The addresses that are announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    /// Only the addresses with a virtual hardware address.
    Virtual,
    /// All addresses (`all`).
    All,
}

/// Reads one of these keywords. As with keepalived, the oldest keyword is a warning and has the same effect as the new one.
pub(super) fn read(statement: &Statement, diagnostics: &mut Vec<Diagnostic>) -> Option<ExtraRefresh> {
    let keyword = &statement.keyword().text;
    if keyword == "vmac_garp_intvl" {
        let message = "`vmac_garp_intvl` is the old name of `garp_extra_if`";
        diagnostics
            .push(Diagnostic::warning(statement.keyword().span, message).help("write `garp_extra_if`"));
    }
    let (scope, words) = match statement.arguments() {
        [all, words @ ..] if all.text == "all" => (Scope::All, words),
        words => (Scope::Virtual, words),
    };
    let seconds = words.first().and_then(|word| word.text.parse().ok());
    let Some(seconds) = seconds.filter(|seconds| (1..=DAY).contains(seconds)) else {
        // In an instance, 0 cancels the value from `global_defs`.
        let takes_back = keyword != "vrrp_garp_extra_if" && seconds == Some(0);
        if !takes_back {
            let message = format!("bad value for `{keyword}`");
            let label = "expected: `[all] SECONDS`, up to 86400; ignored";
            diagnostics.push(Diagnostic::warning(statement.span(), message).label(label));
        }
        return None;
    };
    Some(ExtraRefresh { every: Duration::from_secs(seconds.into()), scope })
}

impl ExtraRefresh {
    /// Adds a refresh to the schedule if switches would otherwise forget the hardware address. No refresh is needed if the
    /// adverts leave from the virtual hardware address, or if the addresses use the interface's own hardware address, which all
    /// packets of the host have.
    pub(super) fn fill(self, garp: &mut GarpSchedule, vmac: Option<Vmac>) {
        match (self.scope, vmac) {
            (Scope::All, _) | (Scope::Virtual, Some(Vmac::AddressesOnly)) => {
                garp.refresh.get_or_insert(self.every);
            }
            (Scope::Virtual, Some(Vmac::All) | None) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;

    fn refresh(global: &str, instance: &str) -> (Option<Duration>, usize) {
        let reading = parse(&format!(
            "global_defs {{\n{global}\n}}\nvrrp_instance V {{\ninterface eth0\nvirtual_router_id 1\n{instance}\n\
             virtual_ipaddress {{\n192.0.2.1\n}}\n}}\n"
        ));
        let complaints = reading.diagnostics.len();
        (reading.config.expect("usable").instances[0].garp.refresh, complaints)
    }

    const HUNDRED: Option<Duration> = Some(Duration::from_secs(100));

    #[test]
    fn what_would_be_forgotten_is_refreshed() {
        assert_eq!(refresh("", "garp_extra_if all 100"), (HUNDRED, 0));
        assert_eq!(refresh("vrrp_garp_extra_if all 100", ""), (HUNDRED, 0));
        assert_eq!(refresh("vrrp_garp_extra_if all 100", "garp_extra_if 0"), (None, 0));
        assert_eq!(refresh("", "garp_extra_if 100"), (None, 0));
        assert_eq!(refresh("", "garp_extra_if 100\nuse_vmac"), (None, 0));
        assert_eq!(refresh("", "garp_extra_if 100\nuse_vmac\nvmac_xmit_base"), (HUNDRED, 0));
        let own = "garp_extra_if all 100\ngarp_master_refresh 7";
        assert_eq!(refresh("", own), (Some(Duration::from_secs(7)), 0));
    }

    /// Observed with keepalived 2.2.7.
    #[test]
    fn complaints_are_keepaliveds() {
        for bad in [
            "vrrp_garp_extra_if",
            "vrrp_garp_extra_if all",
            "vrrp_garp_extra_if all 86401",
            "vrrp_garp_extra_if 0",
        ] {
            assert_eq!(refresh(bad, ""), (None, 1), "{bad}");
        }
        assert_eq!(refresh("", "vmac_garp_intvl all 100"), (HUNDRED, 1));
        assert_eq!(refresh("", "vmac_garp_intvl all"), (None, 2));
    }
}
