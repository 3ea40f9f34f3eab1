//! Builds the BPF object with the compiler that `cargo xtask setup` has found or installed.

use std::path::Path;

use anyhow::{Context as _, bail};
use aya_build::{Package, Toolchain};

#[path = "../xtask/src/toolchain.rs"]
mod toolchain;

use toolchain::Compiler;

fn main() -> anyhow::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../vrrp-ebpf");
    let root = root.to_str().context("the path of the checkout is not UTF-8")?;
    let toolchain = match toolchain::find() {
        Some(Compiler::Nightly) => Toolchain::Nightly,
        Some(Compiler::Distribution) => {
            // SAFETY: a build script's main thread, before any other is started.
            unsafe { std::env::set_var("RUSTC_BOOTSTRAP", "1") };
            Toolchain::Custom(toolchain::LINKED)
        }
        None => bail!("no compiler for the eBPF half; run `cargo xtask setup`, which installs one"),
    };
    aya_build::build_ebpf(
        [Package { name: "vrrp-ebpf", root_dir: root, no_default_features: false, features: &[] }],
        toolchain,
    )
}
