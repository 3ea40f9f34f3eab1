//! The entry points: they decide what is done with a frame, in XDP or in tc.

use aya_ebpf::bindings::xdp_action::{XDP_DROP, XDP_PASS, XDP_TX};
use aya_ebpf::bindings::{TC_ACT_SHOT, TC_ACT_UNSPEC};
use aya_ebpf::macros::{classifier, xdp};
use aya_ebpf::programs::{TcContext, XdpContext};
use network_types::arp::ArpHdr;
use network_types::eth::{EthHdr, EtherType};
use network_types::ip::Ipv6Hdr;
use vrrp_ebpf::abi::{
    Event, EventKind, Instance, InstanceKey, Lease, Role, Vip, VipKey, VipUse, VmacKey, Watchdog,
};
use vrrp_ebpf::advert::{self, Address, Advert, Family, List, Reject, VerifiedBy};
use vrrp_ebpf::arp;
use vrrp_ebpf::election::{AtBackup, AtMaster};
use vrrp_ebpf::frame::{self, Frame as _, Kind, Neighbour, NeighbourKind};
use vrrp_ebpf::nd::{self, Reply};

use crate::ctx;
use crate::ctx::packet::{Context, Packet, pull_headers, send_back, tail_call_next};
use crate::maps::{self, Reader};
use crate::watchdog;

/// The least time between two events about rivals, in nanoseconds. It limits what a flood of adverts costs the agent.
const RIVAL_INTERVAL_NS: u64 = 10_000_000;
/// The source address of a host that has no address yet.
const NOBODY: [u8; 16] = [0; 16];

/// The action for a frame.
#[derive(Clone, Copy)]
#[repr(u32)]
enum Action {
    /// Pass the frame to the next program or to the stack.
    Pass,
    /// Drop the frame.
    Drop,
    /// Send the frame, which was rewritten, back out of its interface.
    Back,
}

// Each handler is a separate function, so that the BPF stack of 512 bytes holds only one of them at a time.
#[xdp]
pub(crate) fn vrrp(ctx: XdpContext) -> u32 {
    on_frame(&ctx)
}

/// The same program for interfaces whose frames may have more than one buffer. XDP programs with and without `frags` cannot
/// call each other, so both are needed.
#[xdp(frags)]
pub(crate) fn vrrp_frags(ctx: XdpContext) -> u32 {
    on_frame(&ctx)
}

#[inline(always)]
fn on_frame(ctx: &XdpContext) -> u32 {
    match classify_and_act(ctx) {
        Action::Pass => {
            // The operator's own program, for example a load balancer, gets every frame that is left to the stack.
            tail_call_next(ctx);
            XDP_PASS
        }
        Action::Drop => XDP_DROP,
        Action::Back => XDP_TX,
    }
}

/// The same program in tc, behind any XDP program; VLAN tags are still visible here.
#[classifier]
pub(crate) fn vrrp_tc(ctx: TcContext) -> i32 {
    if ctx.is_of_other_vlan() {
        return TC_ACT_UNSPEC;
    }
    pull_headers(&ctx);
    match classify_and_act(&ctx) {
        Action::Pass => TC_ACT_UNSPEC,
        Action::Drop => TC_ACT_SHOT,
        Action::Back => send_back(&ctx),
    }
}

#[inline(always)]
fn classify_and_act<C: Context>(ctx: &C) -> Action {
    if let Some(mac) = frame::to_virtual_router(&Packet(ctx))
        && !admit(ctx, mac)
    {
        return Action::Drop;
    }
    let kind = frame::kind(&Packet(ctx));
    if matches!(kind, Kind::Other) {
        return on_other(ctx);
    }
    // Each handler is called from one place only, because the verifier goes through it again for each call.
    on_ours(ctx, if matches!(kind, Kind::Tagged) { untag(ctx) } else { kind })
}

#[inline(never)]
fn on_ours<C: Context>(ctx: &C, kind: Kind) -> Action {
    match kind {
        Kind::Other | Kind::Tagged => Action::Pass,
        Kind::VrrpV4 | Kind::VrrpV6 => on_vrrp(ctx, kind),
        Kind::Arp => on_arp(ctx),
        Kind::Icmpv6 => on_icmpv6(ctx),
    }
}

/// Handles a frame to the hardware address of a virtual router (RFC 9568 sections 6.4.2 and 6.4.3). While this router is
/// master, the frame gets the interface's own address and goes to the stack; otherwise it is dropped. Returns false if the
/// frame must be dropped.
#[inline(never)]
fn admit<C: Context>(ctx: &C, mac: [u8; 6]) -> bool {
    let key = VmacKey { ifindex: ctx.interface(), mac, reserved: 0 };
    let Some(vmac) = maps::vmac(&key) else { return true };
    // In a VLAN the address belongs to another virtual router.
    if frame::is_of_other_vlan(&Packet(ctx)) {
        return true;
    }
    let ours = held(vmac.slot) && Packet(ctx).store(0, &vmac.mac);
    if ours {
        ctx.claim();
        maps::count(|c| &mut c.vmac_admitted);
    } else {
        maps::count(|c| &mut c.vmac_dropped);
    }
    ours
}

/// Removes tags of VLAN 0 from a frame that this program judges. Any other frame is left to the stack; of two tags it may have
/// lost the outer one. A provider's tag may be in front of a customer's tag.
#[inline(never)]
fn untag<C: Context>(ctx: &C) -> Kind {
    let packet = Packet(ctx);
    let mut kind = frame::tagged(&packet);
    if matches!(kind, Kind::Tagged) && packet.untag() {
        kind = frame::tagged(&packet);
    }
    match kind {
        Kind::Other | Kind::Tagged => Kind::Other,
        kind if packet.untag() => kind,
        _ => Kind::Other,
    }
}

/// Passes a frame that is neither VRRP nor about an address, unless its destination is an address with `no_accept`.
#[inline(always)]
fn on_other<C: Context>(ctx: &C) -> Action {
    if maps::no_accept_used() && refused(ctx) { Action::Drop } else { Action::Pass }
}

#[inline(never)]
fn refused<C: Context>(ctx: &C) -> bool {
    let Some((family, address)) = frame::destination(&Packet(ctx)) else { return false };
    let refused = vip(ctx, family, address).is_some_and(|vip| matches!(vip.usage, VipUse::NoAccept));
    if refused {
        maps::count(|c| &mut c.unaccepted);
    }
    refused
}

/// Initialises the timer of the slot whose number is at the start of the frame. The agent runs this program before it attaches
/// the program above, and repeats that until it succeeds, since a packet program cannot wait for memory.
#[xdp]
pub(crate) fn prepare(ctx: XdpContext) -> u32 {
    let Some(slot) = Packet(&ctx).load::<[u8; 4]>(0) else { return XDP_DROP };
    match maps::watchdog(u32::from_le_bytes(slot)) {
        Some(watchdog) if watchdog::prepare(watchdog) => XDP_PASS,
        Some(_) | None => XDP_DROP,
    }
}

#[inline(never)]
fn on_vrrp<C: Context>(ctx: &C, kind: Kind) -> Action {
    let family = if matches!(kind, Kind::VrrpV6) { Family::V6 } else { Family::V4 };
    let Some(carrier) = frame::carrier(&Packet(ctx), family) else { return Action::Pass };
    let whole = carrier.length >= 2 && carrier.offset + carrier.length <= ctx.length();
    let Some([_, vrid]) = Packet(ctx).pair(carrier.offset).filter(|_| whole) else { return Action::Pass };
    let key = InstanceKey { ifindex: ctx.interface(), family: carrier.family, vrid: vrid.into() };
    let Some(instance) = maps::instance(&key, Reader::Packet) else {
        maps::count(|c| &mut c.advert_not_ours);
        return Action::Pass;
    };
    match instance.rules.verified_by {
        VerifiedBy::Kernel => {}
        VerifiedBy::Agent => {
            maps::count(|c| &mut c.advert_to_agent);
            return Action::Pass;
        }
    }
    let Some(payload) = Packet(ctx).message(carrier.offset, carrier.length) else { return Action::Pass };
    let Some(watchdog) = maps::watchdog(instance.slot) else { return Action::Pass };
    match advert::accept_summed(&carrier.datagram(payload), &instance.rules, ctx::sum) {
        Err(reject) => {
            maps::count(|c| c.rejected(reject));
            // The packet may be on its way through this host to another one.
            if matches!(reject, Reject::Destination) {
                return Action::Pass;
            }
            report_refusal(instance, watchdog, carrier.source, reject);
        }
        Ok(advert) => match instance.role {
            Role::Idle => maps::count(|c| &mut c.advert_idle),
            Role::Backup => {
                count_believed(instance, &advert);
                at_backup(&key, instance, watchdog, &advert);
            }
            Role::Master => {
                count_believed(instance, &advert);
                at_master(instance, watchdog, &advert);
            }
        },
    }
    if maps::show_adverts() { Action::Pass } else { Action::Drop }
}

#[inline(always)]
fn count_believed(instance: &Instance, advert: &Advert) {
    maps::count(|c| &mut c.advert_accepted);
    if advert.source.same(&instance.candidate.address) {
        maps::count(|c| &mut c.own_address);
    }
    match advert.list {
        List::Same => {}
        List::Other => maps::count(|c| &mut c.other_addresses),
    }
}

#[inline(always)]
fn at_backup(key: &InstanceKey, instance: &Instance, watchdog: *mut Watchdog, advert: &Advert) {
    let now_ns = ctx::now_ns();
    let (watching, watched) = ctx::with(watchdog, |w| (w.epoch == instance.epoch, w.watched));
    let (kind, deadline_ns) = match instance.candidate.at_backup(advert, watching.then_some(&watched)) {
        AtBackup::Alive { master_down_ns } => (EventKind::MasterSeen, now_ns + master_down_ns),
        AtBackup::Resigned { skew_ns } if watching => (EventKind::Resigned, now_ns + skew_ns),
        AtBackup::Resigned { .. } => {
            // No master is watched in this epoch yet. The agent knows which router it heard before this epoch, and its own
            // timer runs.
            report_rival(EventKind::Unwatched, instance, watchdog, advert, now_ns);
            return;
        }
        AtBackup::Unrelated => return,
        AtBackup::Outranked => {
            ctx::with(watchdog, |w| {
                w.lower_router = advert.source;
                w.lower_router_ns = now_ns;
                w.lower_router_interval_ns = advert.interval_ns;
                w.lower_router_priority = advert.priority.into();
                w.lower_router_epoch = instance.epoch;
            });
            watchdog::yield_to_advert(watchdog);
            report_rival(EventKind::Outranked, instance, watchdog, advert, now_ns);
            return;
        }
    };
    let watched = watchdog::expect_by(watchdog, now_ns, deadline_ns);
    watchdog::yield_to_advert(watchdog);
    let news = ctx::with(watchdog, |w| {
        let first = w.epoch != instance.epoch;
        let changed = !w.master.same(&advert.source)
            || w.master_priority != u32::from(advert.priority)
            || w.master_interval_ns != advert.interval_ns;
        w.last_advert_ns = now_ns;
        w.watched = advert.source;
        w.adverts += 1;
        // The first advert of an epoch is always reported, because it hands the watch over to the kernel half. A change that
        // follows another one too soon is not stored either, so that the next advert is still news.
        let news =
            first || w.event_pending != 0 || (changed && now_ns - w.last_rival_ns >= RIVAL_INTERVAL_NS);
        if news {
            w.key = *key;
            w.master = advert.source;
            w.master_priority = advert.priority.into();
            w.master_interval_ns = advert.interval_ns;
            w.master_list = advert.list as u32;
            w.last_rival_ns = now_ns;
            w.epoch = instance.epoch;
        }
        news
    });
    if !watched {
        // Then each advert is reported to the agent, whose own timer watches: slower, but the loss of a master is always
        // noticed.
        maps::send(event(EventKind::Unwatched, instance, advert, now_ns, deadline_ns));
    } else if news {
        let told = maps::send(event(kind, instance, advert, now_ns, deadline_ns));
        ctx::with(watchdog, |w| w.event_pending = u32::from(!told));
    }
}

#[inline(always)]
fn at_master(instance: &Instance, watchdog: *mut Watchdog, advert: &Advert) {
    let now_ns = ctx::now_ns();
    match instance.candidate.at_master(advert) {
        // Another router with our address, or a loop: no election, but the operator is told.
        AtMaster::Echo => report_rival(EventKind::Rival, instance, watchdog, advert, now_ns),
        AtMaster::Superior { .. } => {
            // The fence stops all answers in this epoch, before the agent has woken. The first such advert is reported whatever
            // the limit, because it ends a mastership.
            let first = ctx::with(watchdog, |w| {
                let first = w.fenced_epoch != instance.epoch;
                w.master = advert.source;
                w.master_priority = advert.priority.into();
                w.master_interval_ns = advert.interval_ns;
                w.last_advert_ns = now_ns;
                w.fenced_epoch = instance.epoch;
                first
            });
            if first {
                maps::send(event(EventKind::Superior, instance, advert, now_ns, 0));
            } else {
                report_rival(EventKind::Superior, instance, watchdog, advert, now_ns);
            }
        }
        AtMaster::Resigned | AtMaster::Inferior => {
            report_rival(EventKind::Rival, instance, watchdog, advert, now_ns);
        }
    }
}

#[inline(always)]
fn report_rival(kind: EventKind, instance: &Instance, watchdog: *mut Watchdog, advert: &Advert, now_ns: u64) {
    if ctx::with(watchdog, |w| due(&mut w.last_rival_ns, now_ns, RIVAL_INTERVAL_NS)) {
        maps::send(event(kind, instance, advert, now_ns, 0));
    }
}

/// Reports a rejected advert of this virtual router, so that the agent can log its sender and the reason: two routers that
/// reject each other's adverts are both master.
#[inline(always)]
fn report_refusal(instance: &Instance, watchdog: *mut Watchdog, source: Address, reject: Reject) {
    /// The least time between two such events. It limits what a flood of them costs the agent.
    const INTERVAL_NS: u64 = 1_000_000_000;
    let now_ns = ctx::now_ns();
    if ctx::with(watchdog, |w| due(&mut w.last_refusal_ns, now_ns, INTERVAL_NS)) {
        maps::send(Event {
            kind: EventKind::Refused,
            slot: instance.slot,
            epoch: instance.epoch,
            time_ns: now_ns,
            deadline_ns: 0,
            interval_ns: 0,
            address: source,
            priority: 0,
            list: List::Same,
            mac: [0; 6],
            refusal: reject.code(),
        });
    }
}

/// Returns true if a rate-limited action may be done again; it then counts as done now.
#[inline(always)]
fn due(last_ns: &mut u64, now_ns: u64, interval_ns: u64) -> bool {
    let due = now_ns - *last_ns >= interval_ns;
    if due {
        *last_ns = now_ns;
    }
    due
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
        list: advert.list,
        mac: [0; 6],
        refusal: 0,
    }
}

#[inline(never)]
fn on_arp<C: Context>(ctx: &C) -> Action {
    let Some(packet) = frame::arp(&Packet(ctx)) else { return Action::Pass };
    let claimed = arp::claimed(&packet);
    if let Some(claimed) = claimed
        && let Some(vip) = vip(ctx, Family::V4, Address::v4(claimed))
        && !matches!(vip.usage, VipUse::Elsewhere)
        && packet.sha != vip.mac
        && leased(vip.slot)
        && let Some(action) = on_claim(ctx, &packet, claimed, &vip)
    {
        return action;
    }
    let Some(asked) = arp::asked(&packet) else { return Action::Pass };
    // A gratuitous request, for example the announcement of a new master, which the stack's neighbour table needs. A request
    // for another address of ours never reaches the stack, whichever host asks.
    if claimed == Some(asked) {
        return Action::Pass;
    }
    let Some(vip) = vip(ctx, Family::V4, Address::v4(asked)) else { return Action::Pass };
    if held(vip.slot) {
        if matches!(vip.usage, VipUse::Elsewhere) {
            return Action::Pass;
        }
        let reply = arp::answer(&packet, vip.mac);
        maps::count(|c| &mut c.arp_answered);
        return send_arp(ctx, reply.tha, &reply);
    }
    // The address may still be on the interface if an agent died: the stack must not answer for it.
    maps::count(|c| &mut c.arp_swallowed);
    Action::Drop
}

/// Handles another host's claim to an address that this router holds: answers with our own claim. If another claim was answered
/// just before, this one is dropped, or `None` is returned if the packet also asks for an address.
#[inline(always)]
fn on_claim<C: Context>(ctx: &C, packet: &ArpHdr, claimed: [u8; 4], vip: &Vip) -> Option<Action> {
    if !defence_due(vip, Address::v4(claimed), packet.sha) {
        maps::count(|c| &mut c.arp_defence_limited);
        let asks = arp::asked(packet).is_some_and(|asked| asked != claimed);
        return if asks { None } else { Some(Action::Drop) };
    }
    maps::count(|c| &mut c.arp_defended);
    Some(send_arp(ctx, arp::BROADCAST, &arp::gratuitous(claimed, vip.mac)))
}

#[inline(never)]
fn on_icmpv6<C: Context>(ctx: &C) -> Action {
    // Solicitations and advertisements are never refused (RFC 9568 section 6.1).
    let Some(message) = frame::neighbour(&Packet(ctx)) else { return on_other(ctx) };
    let address = Address::v6(message.target);
    let Some(vip) = vip(ctx, Family::V6, address) else { return Action::Pass };
    match message.kind {
        NeighbourKind::Solicitation if held(vip.slot) => {
            // A host that asks without an address is about to take ours: the answer goes to all nodes.
            let reply = match message.source {
                NOBODY => Reply::Unsolicited,
                asker => Reply::Solicited(asker),
            };
            maps::count(|c| &mut c.nd_answered);
            send_nd(ctx, &message, &vip, reply)
        }
        NeighbourKind::Solicitation => {
            maps::count(|c| &mut c.nd_swallowed);
            Action::Drop
        }
        NeighbourKind::Advertisement if message.mac != vip.mac && leased(vip.slot) => {
            if !defence_due(&vip, address, message.mac) {
                maps::count(|c| &mut c.nd_defence_limited);
                return Action::Drop;
            }
            maps::count(|c| &mut c.nd_defended);
            send_nd(ctx, &message, &vip, Reply::Unsolicited)
        }
        NeighbourKind::Advertisement => Action::Pass,
    }
}

#[inline(always)]
pub(crate) fn vip<C: Context>(ctx: &C, family: Family, address: Address) -> Option<Vip> {
    maps::vip(&VipKey { ifindex: ctx.interface(), family, address })
}

/// Returns true if the addresses of an instance may be answered for now: its lease lasts, and no better claim was heard in its
/// epoch; or the kernel half has seen its master lost, and the agent runs and has not yet decided about the
/// takeover.
#[inline(always)]
pub(crate) fn held(slot: u32) -> bool {
    let Some(lease) = maps::lease(slot) else { return false };
    let Some(watchdog) = maps::watchdog(slot) else { return false };
    lasts(&lease, watchdog) || is_taken_over(&lease, watchdog)
}

#[inline(always)]
fn is_taken_over(lease: &Lease, watchdog: *mut Watchdog) -> bool {
    let (until_ns, epoch) = ctx::with(watchdog, |w| (w.takeover_until_ns, w.epoch));
    if until_ns == 0 || epoch != lease.epoch {
        return false;
    }
    let now_ns = ctx::now_ns();
    now_ns < until_ns && maps::agent_runs(now_ns)
}

/// Returns true if this router defends the addresses of an instance against any claim, as a master with a lease does.
#[inline(always)]
fn leased(slot: u32) -> bool {
    let Some(lease) = maps::lease(slot) else { return false };
    let Some(watchdog) = maps::watchdog(slot) else { return false };
    lasts(&lease, watchdog)
}

#[inline(always)]
fn lasts(lease: &Lease, watchdog: *mut Watchdog) -> bool {
    ctx::boot_ns() < lease.until_boot_ns && ctx::with(watchdog, |w| w.fenced_epoch) != lease.epoch
}

/// Returns true if a dropped outgoing frame may be reported now. Claims are not answered without a lease, so the time of the
/// last defence is free to limit these reports.
#[inline(always)]
pub(crate) fn report_due(slot: u32) -> bool {
    const INTERVAL_NS: u64 = 10_000_000_000;
    let Some(watchdog) = maps::watchdog(slot) else { return false };
    let now_ns = ctx::now_ns();
    ctx::with(watchdog, |w| due(&mut w.last_defence_ns, now_ns, INTERVAL_NS))
}

/// Returns true if another host's claim to an address that this router holds must be answered now; it is then also reported.
#[inline(always)]
fn defence_due(vip: &Vip, address: Address, mac: [u8; 6]) -> bool {
    let Some(watchdog) = maps::watchdog(vip.slot) else { return false };
    let Some(lease) = maps::lease(vip.slot) else { return false };
    let now_ns = ctx::now_ns();
    let due = ctx::with(watchdog, |w| due(&mut w.last_defence_ns, now_ns, arp::DEFENCE_INTERVAL_NS));
    if due {
        maps::send(Event {
            kind: EventKind::Conflict,
            slot: vip.slot,
            epoch: lease.epoch,
            time_ns: now_ns,
            deadline_ns: 0,
            interval_ns: 0,
            address,
            priority: 0,
            list: List::Same,
            mac,
            refusal: 0,
        });
    }
    due
}

/// Overwrites the frame with an ARP packet of ours and sends it back.
#[inline(always)]
fn send_arp<C: Context>(ctx: &C, destination: [u8; 6], packet: &ArpHdr) -> Action {
    let ethernet = EthHdr::new(destination, packet.sha, EtherType::Arp);
    if Packet(ctx).store(0, &ethernet) && Packet(ctx).store(EthHdr::LEN, packet) {
        Action::Back
    } else {
        Action::Drop
    }
}

/// Overwrites the frame with a neighbour advertisement of ours and sends it back.
#[inline(always)]
fn send_nd<C: Context>(ctx: &C, question: &Neighbour, vip: &Vip, reply: Reply) -> Action {
    let (advertisement, destination) = nd::advertisement(question.target, vip.mac, reply);
    let mac = match reply {
        Reply::Solicited(_) => question.mac,
        Reply::Unsolicited => nd::ALL_NODES_MAC,
    };
    let ethernet = EthHdr::new(mac, vip.mac, EtherType::Ipv6);
    let ip = Ipv6Hdr {
        vcf: [0x60, 0, 0, 0],
        payload_len: (nd::ADVERTISEMENT_BYTES as u16).to_be_bytes(),
        next_hdr: nd::ICMPV6,
        hop_limit: nd::HOP_LIMIT,
        src_addr: question.target,
        dst_addr: destination,
    };
    const MESSAGE: usize = EthHdr::LEN + Ipv6Hdr::LEN;
    let packet = Packet(ctx);
    if ctx.resize(MESSAGE + nd::ADVERTISEMENT_BYTES)
        && packet.store(0, &ethernet)
        && packet.store(EthHdr::LEN, &ip)
        && packet.store(MESSAGE, &advertisement)
    {
        Action::Back
    } else {
        Action::Drop
    }
}

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

// The timer helpers are for programs under a licence that the kernel calls compatible with the GPL.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
