//! BPF programs of a few instructions, by hand: they come from no object file, and are nobody's but the test's.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use nix::libc;

const PROG_LOAD: libc::c_long = 5;
const OBJ_PIN: libc::c_long = 6;
const OBJ_GET: libc::c_long = 7;
const PROG_TYPE_XDP: u32 = 6;
const ATTACH_XDP: u32 = 37;

/// `return XDP_PASS`.
pub const PASS: [u64; 2] = [instruction(0xb7, 0, 0, 2), instruction(0x95, 0, 0, 0)];

/// An instruction: operation, destination, source, immediate.
#[must_use]
pub const fn instruction(operation: u8, destination: u8, source: u8, immediate: u32) -> u64 {
    let registers = (source << 4 | destination) as u64;
    (immediate as u64) << 32 | registers << 8 | operation as u64
}

/// Calls the program in an entry of an array; passes what nobody is there for.
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
    let mut attributes = Load {
        kind: PROG_TYPE_XDP,
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
        // As every loader says; programs that call each other must agree about it.
        attach_type: ATTACH_XDP,
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

/// Opens what is pinned.
///
/// # Errors
/// If nothing is.
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
/// What the kernel says.
///
/// # Safety
/// The attributes are the command's, and what they point to lives through the call.
pub unsafe fn call<T>(command: libc::c_long, attributes: &mut T) -> io::Result<i32> {
    let size = size_of::<T>() as libc::c_uint;
    // SAFETY: the caller's promise; the kernel reads and writes as many bytes as said.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attributes), size) };
    i32::try_from(result).ok().filter(|result| *result >= 0).ok_or_else(io::Error::last_os_error)
}
