//! The entry points: they decide what is done with a frame, in XDP or in tc.

mod advert;
mod arp;
pub(crate) mod lease;
mod nd;

use aya_ebpf::bindings::xdp_action::{XDP_DROP, XDP_PASS, XDP_TX};
use aya_ebpf::bindings::{TC_ACT_SHOT, TC_ACT_UNSPEC};
use aya_ebpf::macros::{classifier, xdp};
use aya_ebpf::programs::{TcContext, XdpContext};
use vrrp_ebpf::abi::{VipUse, VmacKey};
use vrrp_ebpf::frame::{self, Frame as _, Kind};

use advert::on_vrrp;
use arp::on_arp;
use lease::{held, vip};
use nd::on_icmpv6;

use crate::ctx::packet::{Context, Packet, pull_headers, send_back, tail_call_next};
use crate::maps;
use crate::watchdog;

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
    match if matches!(kind, Kind::Tagged) { untag(ctx) } else { Some(kind) } {
        Some(kind) => on_ours(ctx, kind),
        None => Action::Drop,
    }
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
        ctx.set_host_type();
        maps::count(|c| &mut c.vmac_admitted);
    } else {
        maps::count(|c| &mut c.vmac_dropped);
    }
    ours
}

/// Removes tags of VLAN 0 from a frame that this program judges. Any other frame is left to the stack; of two tags it may have
/// lost the outer one. A provider's tag may be in front of a customer's tag. Returns `None` if the frame must be dropped: in tc the
/// first tag is gone already and no further one can be removed here, but the stack would remove it and answer.
#[inline(never)]
fn untag<C: Context>(ctx: &C) -> Option<Kind> {
    let packet = Packet(ctx);
    let mut kind = frame::tagged(&packet);
    if matches!(kind, Kind::Tagged) && packet.untag() {
        kind = frame::tagged(&packet);
    }
    match kind {
        Kind::Other => Some(Kind::Other),
        _ if !C::CAN_ADJUST_HEAD => None,
        Kind::Tagged => Some(Kind::Other),
        kind if packet.untag() => Some(kind),
        _ => Some(Kind::Other),
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

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

// The timer helpers are for programs under a licence that the kernel calls compatible with the GPL.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
