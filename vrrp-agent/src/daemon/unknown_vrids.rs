//! `log_unknown_vrids`: logs adverts of virtual routers that no instance of ours belongs to, each once. Only with this option
//! there is a socket for them. XDP passes on only what it does not know, so the socket hears nothing else, and the packet path
//! is as it was.

use std::collections::BTreeSet;
use std::net::IpAddr;

use tokio::io::Interest;
use tokio::task::JoinSet;
use vrrp_ebpf::abi::InstanceKey;
use vrrp_ebpf::advert;

use super::host_binding::HostBinding;
use crate::config::{Config, UnknownVrids};
use crate::net::links::Link;
use crate::net::receive::Receiver;
use crate::readiness;
use crate::wire::advert::ip;

/// The most unknown virtual routers that are logged for an interface, so that forged adverts cannot fill the memory or the log.
const STRANGERS_MAX: usize = 1000;

/// The most adverts that are heard in one turn.
const ROUND_MAX: usize = 256;

/// A virtual router, and the address that advertises it.
type Stranger = (u8, IpAddr);

/// The unknown virtual routers of an interface that were logged.
#[derive(Debug, Default)]
struct Strangers {
    told: BTreeSet<Stranger>,
}

/// The message to log, if any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Say {
    Nothing,
    ThisOne,
    NoMoreFromHere,
}

impl Strangers {
    fn note(&mut self, stranger: Stranger) -> Say {
        if self.told.len() > STRANGERS_MAX || !self.told.insert(stranger) {
            Say::Nothing
        } else if self.told.len() > STRANGERS_MAX {
            Say::NoMoreFromHere
        } else {
            Say::ThisOne
        }
    }
}

/// Listens on all interfaces, if the configuration asks for it, until the returned set is dropped.
pub(super) fn listen_for(config: &Config, host_binding: &HostBinding) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    match config.host.unknown_vrids {
        UnknownVrids::Unheard => {}
        UnknownVrids::Logged => {
            for link in host_binding.present() {
                tasks.spawn(listen(link, host_binding.keys(config)));
            }
        }
    }
    tasks
}

/// Listens on an interface for ever. `known` are the virtual routers that are ours.
async fn listen(link: Link, known: Vec<InstanceKey>) {
    let receiver = Receiver::open(&link).map_err(|error| error.to_string());
    let watched = receiver.and_then(|receiver| {
        readiness::watch(receiver, Interest::READABLE).map_err(|error| error.to_string())
    });
    let mut socket = match watched {
        Ok(socket) => socket,
        Err(error) => return tracing::warn!("log_unknown_vrids: {error}"),
    };
    let mut unknown_vrids = Strangers::default();
    loop {
        let Ok(mut ready) = socket.readable_mut().await else { return };
        for _ in 0..ROUND_MAX {
            let Some(heard) = ready.get_inner_mut().next_advert() else {
                ready.clear_ready();
                break;
            };
            let datagram = heard.datagram();
            let Some(vrid) = advert::vrid(datagram.payload) else { continue };
            let key = InstanceKey { ifindex: link.index, family: datagram.family, vrid: vrid.into() };
            if known.contains(&key) {
                continue;
            }
            say(&link.name, vrid, ip(datagram.family, &datagram.source), &mut unknown_vrids);
        }
        // Let other tasks have their turn, however much there is to hear.
        tokio::task::yield_now().await;
    }
}

fn say(interface: &str, vrid: u8, source: IpAddr, unknown_vrids: &mut Strangers) {
    match unknown_vrids.note((vrid, source)) {
        Say::Nothing => {}
        Say::ThisOne => {
            tracing::info!("{source} advertises virtual router {vrid} on {interface}, which is none of ours");
        }
        Say::NoMoreFromHere => {
            tracing::warn!(
                "more than {STRANGERS_MAX} unknown virtual routers on {interface}: no more are told of"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_told_of_once_and_not_too_many() {
        let mut unknown_vrids = Strangers::default();
        let from = |last: u32| IpAddr::from(last.to_be_bytes());
        assert_eq!(unknown_vrids.note((7, from(1))), Say::ThisOne);
        assert_eq!(unknown_vrids.note((7, from(1))), Say::Nothing);
        for other in [(8, from(1)), (7, from(2))] {
            assert_eq!(unknown_vrids.note(other), Say::ThisOne);
        }
        let said: Vec<Say> = (10..2000).map(|last| unknown_vrids.note((9, from(last)))).collect();
        let count = |say: Say| said.iter().filter(|said| **said == say).count();
        assert_eq!((count(Say::ThisOne), count(Say::NoMoreFromHere)), (STRANGERS_MAX - 3, 1));
        assert_eq!(unknown_vrids.told.len(), STRANGERS_MAX + 1);
    }
}
