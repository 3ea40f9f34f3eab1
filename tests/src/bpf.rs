//! BPF programs of a few instructions, written by hand: they come from no object file, and belong to the test only.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use nix::libc;

const PROG_LOAD: libc::c_long = 5;
const OBJ_PIN: libc::c_long = 6;
const OBJ_GET: libc::c_long = 7;
const PROG_TYPE_CLASSIFIER: u32 = 3;
const PROG_TYPE_XDP: u32 = 6;
const ATTACH_XDP: u32 = 37;

/// `return XDP_PASS`.
pub const PASS: [u64; 2] = [instruction(0xb7, 0, 0, 2), instruction(0x95, 0, 0, 0)];

/// For a classifier: puts the tag of a VLAN on, beside the frame where the device can carry it there, and lets the frame go.
#[must_use]
pub const fn push_tag(vlan: u16) -> [u64; 5] {
    const VLAN_PUSH: u32 = 18;
    let ethertype = instruction(0xb7, 2, 0, 0x8100_u16.to_be() as u32);
    let identifier = instruction(0xb7, 3, 0, vlan as u32);
    // Register 1 is the frame; 0 is TC_ACT_OK.
    [
        ethertype,
        identifier,
        instruction(0x85, 0, 0, VLAN_PUSH),
        instruction(0xb7, 0, 0, 0),
        instruction(0x95, 0, 0, 0),
    ]
}

/// The side of an interface on which a doubled frame comes again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// The frame comes as if it had been received again.
    Received,
    /// The frame is sent again.
    Sent,
}

/// For a classifier: loses so many frames in a hundred, and doubles so many of the others.
#[must_use]
pub fn lose_and_double(lost: u32, doubled: u32, again: Again) -> Vec<u64> {
    const RANDOM: u32 = 7;
    const CLONE_REDIRECT: u32 = 13;
    /// The offset of `ifindex` in the context.
    const IFINDEX: u64 = 40;
    // Random numbers of 31 bits, so that the number with which they are compared is not negative.
    let threshold = |percent: u32| percent.min(100) * (i32::MAX.cast_unsigned() / 100);
    let jump =
        |operation: u8, immediate: u32, over: u64| instruction(operation, 0, 0, immediate) | over << 16;
    let (not_below, right_shift, call) = (0x35, 0x77, 0x85);
    let random = [instruction(call, 0, 0, RANDOM), instruction(right_shift, 0, 0, 1)];
    let flags = match again {
        Again::Received => 1,
        Again::Sent => 0,
    };
    let keep_context = instruction(0xbf, 6, 1, 0);
    let drop = [instruction(0xb7, 0, 0, 2), instruction(0x95, 0, 0, 0)];
    let double = [
        instruction(0xbf, 1, 6, 0),
        instruction(0x61, 2, 6, 0) | IFINDEX << 16,
        instruction(0xb7, 3, 0, flags),
        instruction(call, 0, 0, CLONE_REDIRECT),
    ];
    let pass = [instruction(0xb7, 0, 0, 0), instruction(0x95, 0, 0, 0)];
    let mut all = vec![keep_context];
    all.extend(random);
    all.push(jump(not_below, threshold(lost), drop.len() as u64));
    all.extend(drop);
    all.extend(random);
    all.push(jump(not_below, threshold(doubled), double.len() as u64));
    all.extend(double);
    all.extend(pass);
    all
}

/// An instruction: operation, destination, source, immediate.
#[must_use]
pub const fn instruction(operation: u8, destination: u8, source: u8, immediate: u32) -> u64 {
    let registers = (source << 4 | destination) as u64;
    (immediate as u64) << 32 | registers << 8 | operation as u64
}

/// Calls the program in an entry of an array; passes the frame if the entry is empty.
#[must_use]
pub fn call_entry(array: &OwnedFd, index: u32) -> Vec<u64> {
    let map = instruction(0x18, 2, 1, array.as_raw_fd().cast_unsigned());
    let call = [map, 0, instruction(0xb7, 3, 0, index), instruction(0x85, 0, 0, 12)];
    [&call[..], &PASS].concat()
}

/// The beginning of `union bpf_attr` for `BPF_PROG_LOAD`.
#[repr(C)]
struct Load {
    kind: u32,
    instructions: u32,
    code: u64,
    licence: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; 16],
    ifindex: u32,
    attach_type: u32,
}

/// The beginning of `union bpf_attr` for `BPF_OBJ_PIN` and `BPF_OBJ_GET`.
#[repr(C)]
struct Object {
    path: u64,
    fd: u32,
    flags: u32,
}

/// Loads a program for XDP.
///
/// # Errors
/// Without root, or if the verifier refuses it.
pub fn load_xdp(instructions: &[u64]) -> io::Result<OwnedFd> {
    // The attach type that every loader gives; programs that call each other must have the same.
    load(instructions, PROG_TYPE_XDP, ATTACH_XDP)
}

/// Loads a program for `tc filter`.
///
/// # Errors
/// Without root, or if the verifier refuses it.
pub fn load_classifier(instructions: &[u64]) -> io::Result<OwnedFd> {
    load(instructions, PROG_TYPE_CLASSIFIER, 0)
}

fn load(instructions: &[u64], kind: u32, attach_type: u32) -> io::Result<OwnedFd> {
    let mut attributes = Load {
        kind,
        instructions: instructions.len() as u32,
        code: instructions.as_ptr() as u64,
        licence: c"GPL".as_ptr() as u64,
        log_level: 0,
        log_size: 0,
        log: 0,
        kernel_version: 0,
        flags: 0,
        name: *b"by_hand\0\0\0\0\0\0\0\0\0",
        ifindex: 0,
        attach_type,
    };
    // SAFETY: what the attributes point to lives through the call.
    unsafe { descriptor(PROG_LOAD, &mut attributes) }
}

/// Pins a program or a map.
///
/// # Errors
/// If the kernel refuses.
pub fn pin(fd: &OwnedFd, path: &Path) -> io::Result<()> {
    let name = CString::new(path.as_os_str().as_bytes())?;
    let mut attributes = Object { path: name.as_ptr() as u64, fd: fd.as_raw_fd().cast_unsigned(), flags: 0 };
    // SAFETY: as above.
    unsafe { call(OBJ_PIN, &mut attributes) }.map(drop)
}

/// Opens a program or a map that is pinned.
///
/// # Errors
/// If nothing is pinned there.
pub fn open(path: &Path) -> io::Result<OwnedFd> {
    let name = CString::new(path.as_os_str().as_bytes())?;
    let mut attributes = Object { path: name.as_ptr() as u64, fd: 0, flags: 0 };
    // SAFETY: as above.
    unsafe { descriptor(OBJ_GET, &mut attributes) }
}

/// # Safety
/// The attributes are the command's, and what they point to lives through the call.
unsafe fn descriptor<T>(command: libc::c_long, attributes: &mut T) -> io::Result<OwnedFd> {
    // SAFETY: the caller's promise; the kernel has just given us the descriptor.
    unsafe { call(command, attributes).map(|fd| OwnedFd::from_raw_fd(fd)) }
}

/// The system call `bpf`.
///
/// # Errors
/// The kernel's error.
///
/// # Safety
/// The attributes are the command's, and what they point to lives through the call.
pub unsafe fn call<T>(command: libc::c_long, attributes: &mut T) -> io::Result<i32> {
    let size = size_of::<T>() as libc::c_uint;
    // SAFETY: the caller's promise; the kernel reads and writes as many bytes as said.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attributes), size) };
    i32::try_from(result).ok().filter(|result| *result >= 0).ok_or_else(io::Error::last_os_error)
}
