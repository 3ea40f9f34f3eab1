//! Static addresses, routes and rules: there in every state as long as the daemon runs, as with keepalived; put back when
//! another program removes them.

use std::collections::BTreeSet;

use rtnetlink::Handle;

use super::table::Table;
use crate::config::{StaticResources, Vip};
use crate::daemon::master_resources::InterfaceAddress;
use crate::net::{NetError, routes, rules};

/// The static things that are not there, though they should be.
#[derive(Debug, Default)]
pub(super) struct Lacking {
    /// The reasons.
    pub(super) complaints: BTreeSet<String>,
    /// The track groups that need them.
    pub(super) groups: BTreeSet<String>,
}

/// Sets what is not there.
pub(super) async fn set(handle: &Handle, table: &mut Table, statics: &StaticResources) -> Lacking {
    let mut lacking = Lacking::default();
    let mut note = |result: Result<(), NetError>, group: Option<&String>| {
        if let Err(error) = result {
            lacking.complaints.insert(error.to_string());
            lacking.groups.extend(group.cloned());
        }
    };
    if !statics.addresses.is_empty() {
        note(table.refresh().await, None);
    }
    for address in &statics.addresses {
        let result = match index_of(address) {
            Ok(ifindex) => table.set(&InterfaceAddress { vip: address.clone(), ifindex }).await,
            Err(error) => Err(error),
        };
        note(result, address.track_group.as_ref());
    }
    for route in &statics.routes {
        note(routes::add(handle, route).await, route.track_group.as_ref());
    }
    for rule in &statics.rules {
        note(rules::add(handle, rule).await, rule.track_group.as_ref());
    }
    lacking
}

fn index_of(address: &Vip) -> Result<u32, NetError> {
    let dev = address.dev.as_deref().unwrap_or_default();
    nix::net::if_::if_nametoindex(dev).map_err(|error| {
        let Vip { address, prefix, .. } = address;
        NetError::system(format!("add {address}/{prefix}: find interface `{dev}`"), error)
    })
}
