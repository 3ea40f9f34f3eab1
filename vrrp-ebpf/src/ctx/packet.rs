//! Frames, and the two hooks at which the kernel passes them to a program: XDP, before anything else, and tc, where the stack
//! has made a packet (skb) of the frame.

use core::arch::asm;
use core::ffi::c_void;

use aya_ebpf::EbpfContext;
use aya_ebpf::helpers::{
    bpf_redirect, bpf_skb_change_tail, bpf_skb_change_type, bpf_skb_load_bytes, bpf_skb_pull_data,
    bpf_xdp_adjust_head, bpf_xdp_adjust_tail, bpf_xdp_get_buff_len, bpf_xdp_load_bytes,
};
use aya_ebpf::programs::{TcContext, XdpContext};
use vrrp_ebpf::advert::MESSAGE_MAX;
use vrrp_ebpf::frame::{Frame, Header, MACS, TAG, VLAN_ID};

use super::opaque;
use crate::maps::{self, SCRATCH_BYTES};

/// The context of a frame at one of the two hooks.
pub(crate) trait Context: EbpfContext {
    /// The address at which the frame's memory begins.
    fn start(&self) -> usize;
    /// The address at which the directly readable memory ends; a long frame may continue in other buffers.
    fn end(&self) -> usize;
    /// The length of the whole frame in bytes.
    fn length(&self) -> usize;
    /// The index of the frame's interface.
    fn interface(&self) -> u32;
    /// Returns true if the frame has the tag of a VLAN other than 0 that is no longer in its memory.
    fn is_of_other_vlan(&self) -> bool;
    /// Copies bytes of the frame, whichever buffer they are in. Returns false if that fails.
    ///
    /// # Safety
    /// There is room for `length` bytes at `to`.
    unsafe fn copy_bytes(&self, offset: u32, to: *mut c_void, length: u32) -> bool;
    /// Shortens or lengthens the frame; returns false if there is no room.
    fn resize(&self, length: usize) -> bool;
    /// True if bytes can be removed from the start of a frame.
    const CAN_ADJUST_HEAD: bool;
    /// Removes `bytes` bytes from the start of the frame; returns false if that is not possible.
    fn adjust_head(&self, bytes: usize) -> bool;
    /// Marks the frame as one for this host, whatever destination hardware address it had.
    fn set_host_type(&self);
}

impl Context for XdpContext {
    const CAN_ADJUST_HEAD: bool = true;

    #[inline(always)]
    fn start(&self) -> usize {
        self.data()
    }

    #[inline(always)]
    fn end(&self) -> usize {
        self.data_end()
    }

    #[inline(always)]
    fn length(&self) -> usize {
        // SAFETY: the context is this program's.
        unsafe { bpf_xdp_get_buff_len(self.ctx) as usize }
    }

    #[inline(always)]
    fn interface(&self) -> u32 {
        self.ingress_ifindex() as u32
    }

    #[inline(always)]
    fn is_of_other_vlan(&self) -> bool {
        false
    }

    #[inline(always)]
    unsafe fn copy_bytes(&self, offset: u32, to: *mut c_void, length: u32) -> bool {
        // SAFETY: the caller's promise.
        unsafe { bpf_xdp_load_bytes(self.ctx, offset, to, length) == 0 }
    }

    #[inline(always)]
    fn resize(&self, length: usize) -> bool {
        let now = self.length();
        // SAFETY: the context is this program's; its pointers are read anew after this.
        unsafe { bpf_xdp_adjust_tail(self.ctx, length as i32 - now as i32) == 0 }
    }

    #[inline(always)]
    fn adjust_head(&self, bytes: usize) -> bool {
        // SAFETY: as above.
        unsafe { bpf_xdp_adjust_head(self.ctx, bytes as i32) == 0 }
    }

    #[inline(always)]
    fn set_host_type(&self) {}
}

impl Context for TcContext {
    /// In tc a tag of VLAN 0 is no longer in the frame's memory; a tag that is there is a second one.
    const CAN_ADJUST_HEAD: bool = false;

    #[inline(always)]
    fn start(&self) -> usize {
        // Volatile, because otherwise the compiler loads the pointer before a function call and passes it as an argument, and
        // the verifier does not follow it there.
        // SAFETY: the context is this program's.
        unsafe { (&raw const (*self.skb.skb).data).read_volatile() as usize }
    }

    #[inline(always)]
    fn end(&self) -> usize {
        // SAFETY: as above.
        unsafe { (&raw const (*self.skb.skb).data_end).read_volatile() as usize }
    }

    #[inline(always)]
    fn length(&self) -> usize {
        self.len() as usize
    }

    #[inline(always)]
    fn interface(&self) -> u32 {
        // SAFETY: the context is this program's.
        unsafe { (*self.skb.skb).ifindex }
    }

    #[inline(always)]
    fn is_of_other_vlan(&self) -> bool {
        // SAFETY: as above.
        unsafe { (*self.skb.skb).vlan_present != 0 && (*self.skb.skb).vlan_tci as u16 & VLAN_ID != 0 }
    }

    #[inline(always)]
    unsafe fn copy_bytes(&self, offset: u32, to: *mut c_void, length: u32) -> bool {
        // SAFETY: the caller's promise.
        unsafe { bpf_skb_load_bytes(self.as_ptr(), offset, to, length) == 0 }
    }

    #[inline(always)]
    fn resize(&self, length: usize) -> bool {
        // SAFETY: the context is this program's; its pointers are read anew after this.
        unsafe { bpf_skb_change_tail(self.skb.skb, length as u32, 0) == 0 }
    }

    #[inline(always)]
    fn adjust_head(&self, _bytes: usize) -> bool {
        false
    }

    #[inline(always)]
    fn set_host_type(&self) {
        const HOST: u32 = 0; // PACKET_HOST
        // SAFETY: the context is this program's.
        unsafe { bpf_skb_change_type(self.skb.skb, HOST) };
    }
}

/// Makes the headers directly readable, if a driver has left them in another buffer.
#[inline(always)]
pub(crate) fn pull_headers(ctx: &TcContext) {
    const HEADERS: usize = 128;
    if ctx.start() + HEADERS > ctx.end() {
        let length = ctx.length();
        let length = if length < HEADERS { length } else { HEADERS };
        // SAFETY: the context is this program's; its pointers are read anew after this.
        unsafe { bpf_skb_pull_data(ctx.skb.skb, length as u32) };
    }
}

/// Makes the headers directly readable, for a program that changes nothing. Pulls them only if they are not readable yet, since
/// the memory of a packet that is being sent is shared, and pulling would copy it.
#[inline(always)]
pub(crate) fn pull_for_reading(ctx: &TcContext) {
    /// Ethernet, IPv6, and the fixed part of a neighbour advertisement.
    const HEADERS: usize = 14 + 40 + 24;
    let there = ctx.end() - ctx.start();
    let length = ctx.length();
    if there < HEADERS && there < length {
        let length = if length < HEADERS { length } else { HEADERS };
        // SAFETY: the context is this program's; its pointers are read anew after this.
        unsafe { bpf_skb_pull_data(ctx.skb.skb, length as u32) };
    }
}

/// Sends a frame back out of its interface; returns the tc action for that.
#[inline(always)]
pub(crate) fn send_back(ctx: &TcContext) -> i32 {
    // SAFETY: no pointers.
    unsafe { bpf_redirect(ctx.interface(), 0) as i32 }
}

/// Continues with the operator's own program, if there is one; in that case this function does not return.
#[inline(always)]
pub(crate) fn tail_call_next(ctx: &XdpContext) {
    // SAFETY: no value here needs to be dropped.
    unsafe { maps::NEXT.tail_call(ctx, 0) };
}

/// A frame in packet memory.
pub(crate) struct Packet<'c, C: Context>(pub(crate) &'c C);

impl<C: Context> Frame for Packet<'_, C> {
    #[inline(always)]
    fn load<T: Header>(&self, offset: usize) -> Option<T> {
        let at = self.0.start() + offset;
        if at + size_of::<T>() > self.0.end() {
            return None;
        }
        // SAFETY: within the packet, as just checked; T is valid for any bytes.
        Some(unsafe { (at as *const T).read_unaligned() })
    }

    #[inline(always)]
    fn load_word(&self, offset: usize) -> Option<u32> {
        let at = self.0.start() + offset;
        if at + size_of::<u32>() > self.0.end() {
            return None;
        }
        let word: u64;
        // SAFETY: within the packet, as just checked. In assembly, because Rust compiles an unaligned load to four byte loads,
        // and the kernel allows a load of the whole word on machines that support it.
        unsafe { asm!("{word} = *(u32 *)({at} + 0)", word = out(reg) word, at = in(reg) at) };
        Some(word as u32)
    }
}

impl<C: Context> Packet<'_, C> {
    /// Overwrites a header; returns false if the frame ends before the header does.
    #[inline(always)]
    pub(crate) fn store<T: Header>(&self, offset: usize, header: &T) -> bool {
        let at = self.0.start() + offset;
        if at + size_of::<T>() > self.0.end() {
            return false;
        }
        // SAFETY: within the packet, as just checked.
        unsafe { (at as *mut T).write_unaligned(*header) };
        true
    }

    /// Reads two bytes at a computed offset below 128, which is at most behind the longest IP header. Two, because for a single
    /// byte the verifier does not see that it is within the packet.
    #[inline(always)]
    pub(crate) fn pair(&self, offset: usize) -> Option<[u8; 2]> {
        self.load(opaque(offset) & 0x7f)
    }

    /// Removes a VLAN tag from the frame; returns false if that is not possible.
    #[inline(always)]
    pub(crate) fn untag(&self) -> bool {
        if !C::CAN_ADJUST_HEAD {
            return false;
        }
        let Some(macs) = self.load::<[u8; MACS]>(0) else { return false };
        self.store(TAG, &macs) && self.0.adjust_head(TAG)
    }

    /// Copies `length` bytes from an offset into the scratch buffer, where the verifier can follow an index. Returns `None` if
    /// the frame is shorter, or if `length` is zero or greater than [`MESSAGE_MAX`].
    #[inline(always)]
    pub(crate) fn message(&self, offset: usize, length: usize) -> Option<&'static [u8]> {
        let scratch = maps::scratch()?;
        if length == 0 || length > MESSAGE_MAX {
            return None;
        }
        let length = opaque(length);
        let length = (length.wrapping_sub(1) & (SCRATCH_BYTES - 1)) + 1;
        // SAFETY: the scratch buffer is this CPU's alone while the program runs, and has SCRATCH_BYTES bytes.
        unsafe {
            let copied = self.0.copy_bytes(offset as u32, scratch.cast(), length as u32);
            copied.then(|| core::slice::from_raw_parts(scratch.cast::<u8>(), length))
        }
    }
}
