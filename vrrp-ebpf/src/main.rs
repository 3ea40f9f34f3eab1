//! The XDP program: the kernel half, which does the urgent work. It judges adverts, keeps the master-down timers and answers
//! ARP for the addresses held. On the host this is an empty program, so that the workspace builds with any compiler.
#![cfg_attr(target_arch = "bpf", no_std, no_main, feature(asm_experimental_arch))]

#[cfg(target_arch = "bpf")]
mod ctx;
#[cfg(target_arch = "bpf")]
mod leaving;
#[cfg(target_arch = "bpf")]
mod maps;
#[cfg(target_arch = "bpf")]
mod program;
#[cfg(target_arch = "bpf")]
mod watchdog;

#[cfg(not(target_arch = "bpf"))]
fn main() {}
