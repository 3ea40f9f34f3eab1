//! ARP for the virtual addresses: questions are answered or swallowed, and claims of other hosts are answered with our own.

use network_types::arp::ArpHdr;
use network_types::eth::{EthHdr, EtherType};
use vrrp_ebpf::abi::{Vip, VipUse};
use vrrp_ebpf::advert::{Address, Family};
use vrrp_ebpf::{arp, frame};

use super::Action;
use super::lease::{defence_due, held, leased, vip};
use crate::ctx::packet::{Context, Packet};
use crate::maps;

#[inline(never)]
pub(super) fn on_arp<C: Context>(ctx: &C) -> Action {
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
