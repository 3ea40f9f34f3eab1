//! The program for outgoing frames of an interface, in tc: without a lease no frame leaves that claims a virtual address or
//! comes from one.
//!
//! It is not enough to leave requests unanswered. If the agent stalls, the stack of its host still has the address: it asks for
//! its neighbours by unicast ARP with the address as sender, and each receiver learns the address from that.

use aya_ebpf::bindings::{TC_ACT_SHOT, TC_ACT_UNSPEC};
use aya_ebpf::macros::classifier;
use aya_ebpf::programs::TcContext;
use aya_log_ebpf::info;
use network_types::arp::ArpHdr;
use network_types::eth::EthHdr;
use network_types::ip::{Ipv4Hdr, Ipv6Hdr};
use vrrp_ebpf::advert::{Address, Family, PROTOCOL};
use vrrp_ebpf::frame::{ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_IPV6, Frame as _};
use vrrp_ebpf::nd;

use crate::ctx::packet::{Context as _, Packet, pull_for_reading};
use crate::maps;
use crate::program::lease::{held, report_due, vip};

/// Protocol number of the authentication header, which may enclose adverts of version 2.
const AH: u8 = 51;

/// The entry point of the program.
#[classifier]
pub(crate) fn vrrp_out(ctx: TcContext) -> i32 {
    // In a VLAN the address belongs to another network.
    if ctx.is_of_other_vlan() {
        return TC_ACT_UNSPEC;
    }
    pull_for_reading(&ctx);
    if may_leave(&ctx) {
        return TC_ACT_UNSPEC;
    }
    maps::count(|c| &mut c.left_dropped);
    TC_ACT_SHOT
}

#[inline(always)]
fn may_leave(ctx: &TcContext) -> bool {
    let packet = Packet(ctx);
    let Some(ethernet) = packet.load::<EthHdr>(0) else { return true };
    match ethernet.ether_type {
        ETHERTYPE_IPV4 => ipv4_may_leave(ctx),
        ETHERTYPE_IPV6 => ipv6_may_leave(ctx),
        ETHERTYPE_ARP => {
            let Some(arp) = packet.load::<ArpHdr>(EthHdr::LEN) else { return true };
            address_may_leave(ctx, Family::V4, Address::v4(arp.spa))
        }
        _ => true,
    }
}

/// Returns true if an IPv4 packet may leave. An advert always may: it leaves before the lease that it renews, and an owner
/// sends it from a virtual address.
#[inline(always)]
fn ipv4_may_leave(ctx: &TcContext) -> bool {
    let Some(ip) = Packet(ctx).load::<Ipv4Hdr>(EthHdr::LEN) else { return true };
    matches!(ip.proto, PROTOCOL | AH) || address_may_leave(ctx, Family::V4, Address::v4(ip.src_addr))
}

#[inline(always)]
fn ipv6_may_leave(ctx: &TcContext) -> bool {
    let Some(ip) = Packet(ctx).load::<Ipv6Hdr>(EthHdr::LEN) else { return true };
    match ip.next_hdr {
        PROTOCOL => true,
        nd::ICMPV6 => match Packet(ctx).load::<nd::Message>(EthHdr::LEN + Ipv6Hdr::LEN) {
            // An advertisement may come from the interface's own address and still claim a virtual address.
            Some(message) if message.kind == nd::ADVERTISEMENT => {
                address_may_leave(ctx, Family::V6, Address::v6(message.target))
            }
            Some(_) | None => address_may_leave(ctx, Family::V6, Address::v6(ip.src_addr)),
        },
        _ => address_may_leave(ctx, Family::V6, Address::v6(ip.src_addr)),
    }
}

#[inline(never)]
fn address_may_leave(ctx: &TcContext, family: Family, address: Address) -> bool {
    let Some(vip) = vip(ctx, family, address) else { return true };
    if held(vip.slot) {
        return true;
    }
    if report_due(vip.slot) {
        // Apart from the counter, this log message is all that the agent learns from here.
        info!(
            ctx,
            "slot {}: this host was about to send as a virtual address without a lease; dropped", vip.slot
        );
    }
    false
}
