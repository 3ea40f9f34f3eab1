//! What is static: there in every state as long as the daemon runs, as with keepalived; put back when somebody removes it.

use std::collections::BTreeSet;

use rtnetlink::Handle;

use crate::config::{Fixtures, Vip};
use crate::net::{NetError, addresses, routes, rules};

/// Puts there what is not, and returns the track groups of what cannot be. That is an error in the log too; other virtual routers
/// do not depend on it.
pub(super) async fn set(handle: &Handle, fixtures: &Fixtures) -> BTreeSet<String> {
    let mut missing = BTreeSet::new();
    let mut report = |result: Result<(), NetError>, group: Option<&String>| {
        if let Err(error) = result {
            tracing::error!("static: {error}");
            missing.extend(group.cloned());
        }
    };
    for address in &fixtures.addresses {
        let result = match index_of(address) {
            Ok(index) => addresses::add(handle, index, address).await,
            Err(error) => Err(error),
        };
        report(result, address.track_group.as_ref());
    }
    for route in &fixtures.routes {
        report(routes::add(handle, route).await, route.track_group.as_ref());
    }
    for rule in &fixtures.rules {
        report(rules::add(handle, rule).await, rule.track_group.as_ref());
    }
    missing
}

/// Takes away what another configuration does not have any more.
pub(super) async fn remove_others(handle: &Handle, before: &Fixtures, now: &Fixtures) {
    for rule in before.rules.iter().filter(|rule| !now.rules.contains(rule)) {
        report(rules::remove(handle, rule).await);
    }
    for route in before.routes.iter().filter(|route| !now.routes.contains(route)) {
        report(routes::remove(handle, route).await);
    }
    for address in before.addresses.iter().filter(|address| !now.addresses.contains(address)) {
        // Where the interface is gone, its addresses are.
        if let Ok(index) = index_of(address) {
            report(addresses::remove(handle, index, address).await);
        }
    }
}

fn index_of(address: &Vip) -> Result<u32, NetError> {
    let dev = address.dev.as_deref().unwrap_or_default();
    nix::net::if_::if_nametoindex(dev).map_err(|error| {
        let Vip { address, prefix, .. } = address;
        NetError::system(format!("add {address}/{prefix}: find interface `{dev}`"), error)
    })
}

fn report(result: Result<(), NetError>) {
    if let Err(error) = result {
        tracing::error!("static: {error}");
    }
}
