//! The data plane without a kernel half: raw sockets hear all adverts, the same rule decides, and the state machine's own
//! timer watches the master. Slower, never wrong.

use std::collections::HashMap;
use std::os::fd::{AsFd as _, BorrowedFd};

use vrrp_ebpf::abi::{Counters, InstanceKey, Role};
use vrrp_ebpf::advert;

use super::{Desired, Signal};
use crate::net::NetError;
use crate::net::links::Link;
use crate::net::receive::Receiver;
use crate::vrrp::Watch;

/// A raw socket for each interface.
#[derive(Debug)]
pub struct SocketPlane {
    receivers: Vec<Receiver>,
    instances: HashMap<InstanceKey, Desired>,
    counters: Counters,
}

impl SocketPlane {
    /// Opens the sockets.
    ///
    /// # Errors
    /// Without `CAP_NET_RAW`, or if the kernel refuses.
    pub fn open(links: &[Link]) -> Result<Self, NetError> {
        let receivers = links.iter().map(Receiver::open).collect::<Result<_, _>>()?;
        Ok(Self { receivers, instances: HashMap::new(), counters: Counters::default() })
    }

    pub(super) fn apply(&mut self, desired: &Desired) {
        self.instances.insert(desired.key, *desired);
    }

    pub(super) fn next_signal(&mut self) -> Option<Signal> {
        let Self { receivers, instances, counters } = self;
        for receiver in receivers {
            let ifindex = receiver.ifindex();
            while let Some(datagram) = receiver.next_datagram() {
                let key = advert::vrid(datagram.payload).map(|vrid| InstanceKey {
                    ifindex,
                    family: datagram.family,
                    vrid: vrid.into(),
                });
                let Some(desired) = key.and_then(|key| instances.get(&key)) else {
                    counters.advert_not_ours += 1;
                    continue;
                };
                match advert::accept(&datagram, &desired.rules) {
                    Err(reject) => *counters.rejected(reject) += 1,
                    Ok(_) if desired.role == Role::Idle => counters.advert_idle += 1,
                    Ok(advert) => {
                        counters.advert_accepted += 1;
                        return Some(Signal::Advert { slot: desired.slot, advert, watch: Watch::Here });
                    }
                }
            }
        }
        None
    }

    pub(super) fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        self.receivers.iter().map(|receiver| receiver.as_fd()).collect()
    }

    pub(super) fn counters(&self) -> &Counters {
        &self.counters
    }
}
