//! The choice of the compiler for the eBPF half: one with the source of `core`, and with an LLVM that the linker understands.
//! Also used by the agent's build script, so that the build uses the compiler that was set up.

use std::path::PathBuf;
use std::process::Command;

/// The LLVM that bpf-linker is built with; bpf-linker cannot read object code of a newer LLVM.
pub(crate) const LLVM: u32 = 22;

/// The name under which `cargo xtask setup` links the distribution's compiler.
pub(crate) const LINKED: &str = "bpf";

/// A compiler for the eBPF half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compiler {
    /// rustup's nightly, with the component rust-src.
    Nightly,
    /// The distribution's, linked into rustup as [`LINKED`]; needs `RUSTC_BOOTSTRAP=1`.
    Distribution,
}

/// The first compiler that works.
pub(crate) fn find() -> Option<Compiler> {
    if works("nightly") {
        Some(Compiler::Nightly)
    } else if works(LINKED) {
        Some(Compiler::Distribution)
    } else {
        None
    }
}

fn works(toolchain: &str) -> bool {
    has_core_source(toolchain).unwrap_or(false) && llvm(toolchain).is_some_and(|llvm| llvm <= LLVM)
}

fn has_core_source(toolchain: &str) -> Option<bool> {
    let sysroot = PathBuf::from(rustc(toolchain, &["--print", "sysroot"])?.trim());
    Some(sysroot.join("lib/rustlib/src/rust/library/core/Cargo.toml").exists())
}

fn llvm(toolchain: &str) -> Option<u32> {
    let text = rustc(toolchain, &["--version", "--verbose"])?;
    text.lines().find_map(|line| line.strip_prefix("LLVM version: ")?.split('.').next()?.parse().ok())
}

fn rustc(toolchain: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new("rustup").args(["run", toolchain, "rustc"]).args(arguments).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}
