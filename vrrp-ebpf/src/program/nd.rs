//! Neighbour discovery for the virtual addresses, as ARP.

use network_types::eth::{EthHdr, EtherType};
use network_types::ip::Ipv6Hdr;
use vrrp_ebpf::abi::Vip;
use vrrp_ebpf::advert::{Address, Family};
use vrrp_ebpf::frame::{self, Neighbour, NeighbourKind};
use vrrp_ebpf::nd::{self, Reply};

use super::lease::{defence_due, held, leased, vip};
use super::{Action, on_other};
use crate::ctx::packet::{Context, Packet};
use crate::maps;

/// The source address of a host that has no address yet.
const NOBODY: [u8; 16] = [0; 16];

#[inline(never)]
pub(super) fn on_icmpv6<C: Context>(ctx: &C) -> Action {
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
