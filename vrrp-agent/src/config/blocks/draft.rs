//! A `vrrp_instance` while its block is read.

use std::net::IpAddr;
use std::time::Duration;

use vrrp_ebpf::advert::Family;

use super::super::model::{
    Authentication, InitialState, NotifyScripts, Peer, Primary, Secondaries, SourceNeed, Tracked, Vip,
};
use super::super::routing::{Route, Rule};
use super::super::sources::Span;
use super::authentication::Hmac;
use super::inherited::Inherited;

/// The default priority of a router that does not own the addresses.
pub(super) const PRIORITY_DEFAULT: u8 = 100;

/// The values of an instance read so far; required values may still be missing.
pub(super) struct Draft {
    /// The values of `global_defs`, and what the block has set instead.
    pub(super) inherited: Inherited,
    pub(super) interface: Option<String>,
    pub(super) vrid: Option<u8>,
    pub(super) priority: Option<u8>,
    pub(super) interval: Option<(Duration, Span)>,
    pub(super) hint: InitialState,
    /// True if the block contains `state`.
    pub(super) state_said: bool,
    pub(super) nopreempt: Option<Span>,
    pub(super) preempt_delay: Duration,
    pub(super) authentication: Option<Authentication>,
    /// The address family of the adverts: the family of the first virtual address, source address, peer or multicast group in
    /// the block.
    pub(super) family: Option<Family>,
    pub(super) source: Option<IpAddr>,
    pub(super) hmac: Option<Hmac>,
    pub(super) peers: Vec<Peer>,
    pub(super) group: Option<IpAddr>,
    /// The place of the first `unicast_src_ip` or similar keyword, which needs peers.
    pub(super) unicast: Option<Span>,
    pub(super) no_address: bool,
    pub(super) use_vmac: bool,
    pub(super) xmit_base: bool,
    pub(super) accept: bool,
    /// The place of `accept`, if the block contains it.
    pub(super) asks_to_accept: Option<Span>,
    pub(super) unicast_ttl: u8,
    pub(super) vips: Vec<Vip>,
    pub(super) excluded: Vec<Vip>,
    pub(super) routes: Vec<Route>,
    pub(super) rules: Vec<Rule>,
    pub(super) notify: NotifyScripts,
    pub(super) source_need: SourceNeed,
    pub(super) fault_without_peers: bool,
    pub(super) secondaries: Secondaries,
    pub(super) primary: Primary,
    pub(super) tracked: Vec<Tracked>,
}

impl Draft {
    /// Returns an instance of which nothing has been read yet.
    pub(super) fn new(inherited: Inherited, notify: NotifyScripts) -> Self {
        Self {
            inherited,
            interface: None,
            vrid: None,
            priority: None,
            interval: None,
            hint: InitialState::Backup,
            state_said: false,
            nopreempt: None,
            preempt_delay: Duration::ZERO,
            authentication: None,
            family: None,
            source: None,
            hmac: None,
            peers: Vec::new(),
            group: None,
            unicast: None,
            no_address: false,
            use_vmac: false,
            xmit_base: false,
            accept: true,
            asks_to_accept: None,
            unicast_ttl: 255,
            vips: Vec::new(),
            excluded: Vec::new(),
            routes: Vec::new(),
            rules: Vec::new(),
            notify,
            source_need: SourceNeed::Assumed,
            fault_without_peers: false,
            secondaries: Secondaries::AsTheyAre,
            primary: Primary::Tracked,
            tracked: Vec::new(),
        }
    }
}
