//! The entry: from a frame to an XDP action.

use aya_ebpf::bindings::xdp_action::{XDP_DROP, XDP_PASS, XDP_TX};
use aya_ebpf::macros::xdp;
use aya_ebpf::programs::XdpContext;
use aya_log_ebpf::warn;
use network_types::arp::ArpHdr;
use network_types::eth::{EthHdr, EtherType};
use vrrp_ebpf::abi::{Event, EventKind, Instance, InstanceKey, Role, Vip, VipKey, Watchdog};
use vrrp_ebpf::advert::{self, Address, Advert, Datagram, Family};
use vrrp_ebpf::arp::{self, Concern};
use vrrp_ebpf::election::{AtBackup, AtMaster};
use vrrp_ebpf::frame::{self, Carrier, Class};

use crate::ctx::{self, Packet};
use crate::maps;
use crate::watchdog;

/// As master, events about rivals are at least this far apart: what a flood of adverts costs the agent is bounded.
const RIVAL_INTERVAL_NS: u64 = 10_000_000;

#[xdp]
pub(crate) fn vrrp(ctx: XdpContext) -> u32 {
    match frame::classify(&Packet(&ctx)) {
        Class::Other => XDP_PASS,
        Class::Vrrp(carrier) => on_vrrp(&ctx, &carrier),
        Class::Arp(packet) => on_arp(&ctx, &packet),
    }
}

#[inline(always)]
fn on_vrrp(ctx: &XdpContext, carrier: &Carrier) -> u32 {
    let Some(payload) = Packet(ctx).message(carrier.offset, carrier.length) else { return XDP_PASS };
    let Some(vrid) = advert::vrid(payload) else { return XDP_PASS };
    let key =
        InstanceKey { ifindex: ctx.ingress_ifindex() as u32, family: carrier.family, vrid: vrid.into() };
    let Some(instance) = maps::instance(&key) else {
        maps::count(|c| &mut c.advert_not_ours);
        return XDP_PASS;
    };
    let Some(watchdog) = maps::watchdog(instance.slot) else { return XDP_PASS };
    let datagram = Datagram {
        family: carrier.family,
        source: carrier.source,
        destination: carrier.destination,
        ttl: carrier.ttl,
        payload,
    };
    match advert::accept(&datagram, &instance.rules) {
        Err(reject) => maps::count(|c| c.rejected(reject)),
        Ok(advert) => match instance.role {
            Role::Idle => maps::count(|c| &mut c.advert_idle),
            Role::Backup => {
                maps::count(|c| &mut c.advert_accepted);
                at_backup(&key, &instance, watchdog, &advert);
            }
            Role::Master => {
                maps::count(|c| &mut c.advert_accepted);
                at_master(&instance, watchdog, &advert);
            }
        },
    }
    XDP_DROP
}

#[inline(always)]
fn at_backup(key: &InstanceKey, instance: &Instance, watchdog: *mut Watchdog, advert: &Advert) {
    let now_ns = ctx::now_ns();
    let (kind, deadline_ns) = match instance.candidate.at_backup(advert) {
        AtBackup::Alive { down_ns } => (EventKind::MasterSeen, now_ns + down_ns),
        AtBackup::Resigned { skew_ns } => (EventKind::Resigned, now_ns + skew_ns),
        AtBackup::Outranked => {
            report_rival(EventKind::Outranked, instance, watchdog, advert, now_ns);
            return;
        }
    };
    let unchanged = ctx::with(watchdog, |w| {
        let unchanged = w.epoch == instance.epoch
            && w.master.same(&advert.source)
            && w.master_priority == u32::from(advert.priority)
            && w.master_interval_ns == advert.interval_ns;
        w.key = *key;
        w.epoch = instance.epoch;
        w.master = advert.source;
        w.master_priority = advert.priority.into();
        w.master_interval_ns = advert.interval_ns;
        w.last_advert_ns = now_ns;
        w.adverts += 1;
        unchanged
    });
    watchdog::expect_by(watchdog, now_ns, deadline_ns);
    if !unchanged {
        maps::send(event(kind, instance, advert, now_ns, deadline_ns));
    }
}

#[inline(always)]
fn at_master(instance: &Instance, watchdog: *mut Watchdog, advert: &Advert) {
    let now_ns = ctx::now_ns();
    match instance.candidate.at_master(advert) {
        AtMaster::Echo => {}
        AtMaster::Superior { .. } => {
            // No more answers in this epoch, before the agent has woken.
            ctx::with(watchdog, |w| {
                w.fenced_epoch = instance.epoch;
                w.master = advert.source;
                w.master_priority = advert.priority.into();
                w.master_interval_ns = advert.interval_ns;
                w.last_advert_ns = now_ns;
            });
            report_rival(EventKind::Rival, instance, watchdog, advert, now_ns);
        }
        AtMaster::Resigned | AtMaster::Inferior => {
            report_rival(EventKind::Rival, instance, watchdog, advert, now_ns);
        }
    }
}

#[inline(always)]
fn report_rival(kind: EventKind, instance: &Instance, watchdog: *mut Watchdog, advert: &Advert, now_ns: u64) {
    let due = ctx::with(watchdog, |w| {
        let due = now_ns - w.last_rival_ns >= RIVAL_INTERVAL_NS;
        if due {
            w.last_rival_ns = now_ns;
        }
        due
    });
    if due {
        maps::send(event(kind, instance, advert, now_ns, 0));
    }
}

#[inline(always)]
fn event(kind: EventKind, instance: &Instance, advert: &Advert, time_ns: u64, deadline_ns: u64) -> Event {
    Event {
        kind,
        slot: instance.slot,
        epoch: instance.epoch,
        time_ns,
        deadline_ns,
        interval_ns: advert.interval_ns,
        address: advert.source,
        priority: advert.priority.into(),
        count: advert.count.into(),
        mac: [0; 6],
        reserved: 0,
    }
}

#[inline(always)]
fn on_arp(ctx: &XdpContext, packet: &ArpHdr) -> u32 {
    let Some(concern) = arp::concern(packet) else { return XDP_PASS };
    let (Concern::Asked(address) | Concern::Claimed(address)) = concern;
    let address = Address::v4(address);
    let key = VipKey { ifindex: ctx.ingress_ifindex() as u32, family: Family::V4, address };
    let Some(vip) = maps::vip(&key) else { return XDP_PASS };
    let held = held(&vip);
    match concern {
        Concern::Asked(_) if held => {
            let reply = arp::answer(packet, vip.mac);
            let destination = reply.tha;
            if send_back(ctx, destination, &reply) {
                maps::count(|c| &mut c.arp_answered);
                return XDP_TX;
            }
            XDP_DROP
        }
        // The address may still be on the interface of an agent that died: the stack must not answer for it.
        Concern::Asked(_) => {
            maps::count(|c| &mut c.arp_swallowed);
            XDP_DROP
        }
        Concern::Claimed(claimed) if held && packet.sha != vip.mac => defend(ctx, &vip, claimed, packet.sha),
        // The new master's announcement: the stack's neighbour table wants it.
        Concern::Claimed(_) => XDP_PASS,
    }
}

/// Whether a virtual address may be answered for now: its lease lasts, and no better claim was heard in its epoch.
#[inline(always)]
fn held(vip: &Vip) -> bool {
    let Some(lease) = maps::lease(vip.slot) else { return false };
    let Some(watchdog) = maps::watchdog(vip.slot) else { return false };
    ctx::now_ns() < lease.until_ns && ctx::with(watchdog, |w| w.fenced_epoch) != lease.epoch
}

/// Answers another host's claim to an address that we hold with our own, and reports it.
#[inline(always)]
fn defend(ctx: &XdpContext, vip: &Vip, address: [u8; 4], mac: [u8; 6]) -> u32 {
    let Some(watchdog) = maps::watchdog(vip.slot) else { return XDP_PASS };
    let Some(lease) = maps::lease(vip.slot) else { return XDP_PASS };
    let now_ns = ctx::now_ns();
    let due = ctx::with(watchdog, |w| {
        let due = now_ns - w.last_defence_ns >= arp::DEFENCE_INTERVAL_NS;
        if due {
            w.last_defence_ns = now_ns;
        }
        due
    });
    if !due {
        maps::count(|c| &mut c.arp_defence_limited);
        return XDP_DROP;
    }
    maps::send(Event {
        kind: EventKind::Conflict,
        slot: vip.slot,
        epoch: lease.epoch,
        time_ns: now_ns,
        deadline_ns: 0,
        interval_ns: 0,
        address: Address::v4(address),
        priority: 0,
        count: 0,
        mac,
        reserved: 0,
    });
    warn!(
        ctx,
        "{:i} is claimed by {:mac} too; answered with our own claim",
        u32::from_be_bytes(address),
        mac
    );
    if send_back(ctx, arp::BROADCAST, &arp::gratuitous(address, vip.mac)) {
        maps::count(|c| &mut c.arp_defended);
        return XDP_TX;
    }
    XDP_DROP
}

/// Overwrites the frame with an ARP packet of ours.
#[inline(always)]
fn send_back(ctx: &XdpContext, destination: [u8; 6], packet: &ArpHdr) -> bool {
    let ethernet = EthHdr::new(destination, packet.sha, EtherType::Arp);
    Packet(ctx).store(0, &ethernet) && Packet(ctx).store(EthHdr::LEN, packet)
}

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

// The timer helpers are for programs under a licence that the kernel calls compatible with the GPL.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
