//! `cargo xtask setup`: installs what a build or the tests need and this machine lacks, and says what it does. Doing it
//! twice changes nothing.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::toolchain::{self, Compiler, LINKED, LLVM};

/// For building bpf-linker.
const LINKER_PACKAGES: [&str; 3] = ["llvm-22-dev", "libpolly-22-dev", "libzstd-dev"];

/// The compiler, where rustup has none with the source of `core`.
const COMPILER_PACKAGES: [&str; 3] = ["rustc-web", "cargo-web", "rust-web-src"];

/// Real programs for the tests and the demonstration: the package, and a file that shows that it is installed.
const TEST_PROGRAMS: [(&str, &str); 20] = [
    ("bpftool", "/usr/sbin/bpftool"),
    ("curl", "/usr/bin/curl"),
    ("dbus-bin", "/usr/bin/dbus-monitor"),
    ("dbus-daemon", "/usr/bin/dbus-daemon"),
    ("ethtool", "/usr/sbin/ethtool"),
    ("frr", "/usr/lib/frr/vrrpd"),
    ("haproxy", "/usr/sbin/haproxy"),
    ("iproute2", "/usr/sbin/ip"),
    ("iputils-arping", "/usr/bin/arping"),
    ("iputils-ping", "/usr/bin/ping"),
    ("keepalived", "/usr/sbin/keepalived"),
    ("ndisc6", "/usr/bin/ndisc6"),
    ("nginx-light", "/usr/sbin/nginx"),
    ("python3-aiosmtpd", "/usr/bin/aiosmtpd"),
    ("snmp", "/usr/bin/snmpwalk"),
    ("snmpd", "/usr/sbin/snmpd"),
    ("snmptrapd", "/usr/sbin/snmptrapd"),
    ("systemd", "/usr/bin/systemd-analyze"),
    ("tcpdump", "/usr/bin/tcpdump"),
    ("util-linux", "/usr/bin/setpriv"),
];

/// For the tests on other kernels.
const MACHINE_PROGRAMS: [(&str, &str); 6] = [
    ("busybox-static", "/bin/busybox"),
    ("cpio", "/usr/bin/cpio"),
    ("ipvsadm", "/usr/sbin/ipvsadm"),
    ("kmod", "/sbin/modprobe"),
    ("qemu-system-x86", "/usr/bin/qemu-system-x86_64"),
    ("xz-utils", "/usr/bin/xzcat"),
];

const LINKER_VERSION: &str = "0.13.0";

/// `rustup` asks the network; without a network it must not take for ever to say so.
const NETWORK_TIMEOUT_SECONDS: &str = "300";

pub(crate) fn run() -> Result<()> {
    ensure()?;
    println!("setup: all needed programs are installed");
    Ok(())
}

/// Installs what is missing; silent when nothing is.
pub(crate) fn ensure() -> Result<()> {
    ensure_compiler()?;
    ensure_linker()?;
    install("programs for the tests", &missing(&TEST_PROGRAMS))
}

/// Installs what a virtual machine needs.
pub(crate) fn ensure_machine() -> Result<()> {
    install("programs for virtual machines", &missing(&MACHINE_PROGRAMS))
}

fn missing(programs: &[(&'static str, &str)]) -> Vec<&'static str> {
    programs.iter().filter(|(_, path)| !Path::new(path).exists()).map(|(package, _)| *package).collect()
}

fn ensure_compiler() -> Result<()> {
    if toolchain::find().is_some() {
        return Ok(());
    }
    println!("setup: found no compiler with the source of `core`; asking rustup for nightly with rust-src");
    let nightly = Command::new("timeout")
        .args([NETWORK_TIMEOUT_SECONDS, "rustup", "toolchain", "install", "nightly"])
        .args(["--profile", "minimal", "--component", "rust-src"])
        .stdin(Stdio::null())
        .output()
        .context("rustup is needed; see https://rustup.rs")?;
    if toolchain::find() == Some(Compiler::Nightly) {
        println!("setup: the eBPF half is built with rustup's nightly");
        return Ok(());
    }
    let said = String::from_utf8_lossy(&nightly.stderr);
    let said = match nightly.status.success() {
        true => "its LLVM is too new for bpf-linker",
        false => said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("rustup failed"),
    };
    println!("setup: nightly cannot be used ({}); using Debian's compiler", said.trim());
    install("a compiler with the source of `core`", &COMPILER_PACKAGES)?;
    run_command(Command::new("rustup").args(["toolchain", "link", LINKED, "/usr"]))?;
    match toolchain::find() {
        Some(_) => {
            println!(
                "setup: the eBPF half is built with Debian's rustc-web, linked into rustup as `{LINKED}`"
            );
            Ok(())
        }
        None => bail!(
            "neither rustup's nightly nor Debian's rustc-web has the source of `core` and an LLVM of at most {LLVM}"
        ),
    }
}

fn ensure_linker() -> Result<()> {
    let present = Command::new("bpf-linker").arg("--version").output();
    if present.is_ok_and(|output| output.status.success()) {
        return Ok(());
    }
    install("LLVM for bpf-linker", &LINKER_PACKAGES)?;
    println!("setup: building bpf-linker {LINKER_VERSION} (about a minute)");
    run_command(
        Command::new("cargo")
            .args(["install", "bpf-linker", "--version", LINKER_VERSION, "--locked"])
            .args(["--no-default-features", "--features", &format!("llvm-{LLVM}")])
            // Without it the wrong library folder is found.
            .env("LLVM_PREFIX", format!("/usr/lib/llvm-{LLVM}"))
            // bpf-linker is a program for this machine, whatever this build is for.
            .env_remove("CARGO_TARGET_DIR"),
    )
}

/// Installs Debian packages, without starting the services in them.
fn install(what: &str, packages: &[&str]) -> Result<()> {
    let missing: Vec<&str> = packages.iter().copied().filter(|package| !installed(package)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let list = missing.join(" ");
    if !nix::unistd::geteuid().is_root() {
        bail!("missing: {what}; run as root: apt-get update && apt-get install {list}");
    }
    println!("setup: installing {what}: {list}");
    let _no_services = NoServices::begin()?;
    let apt = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command
            .args(["-q", "-y"])
            .args(arguments)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .stdout(Stdio::null());
        run_command(&mut command)
    };
    apt(&["update"]).context(
        "cargo xtask setup knows only Debian's packages; on another system install the same programs by hand",
    )?;
    apt(&[&["install", "--no-install-recommends"], &missing[..]].concat())
}

fn installed(package: &str) -> bool {
    let output = Command::new("dpkg-query").args(["-W", "-f", "${db:Status-Status}", package]).output();
    output.is_ok_and(|output| output.stdout == b"installed")
}

/// As long as this value lives, packages do not start their services: a developer's machine gets no web server from us.
struct NoServices {
    ours: bool,
}

const POLICY: &str = "/usr/sbin/policy-rc.d";

impl NoServices {
    fn begin() -> Result<Self> {
        use std::os::unix::fs::PermissionsExt as _;
        let ours = !Path::new(POLICY).exists();
        if ours {
            fs::write(POLICY, "#!/bin/sh\nexit 101\n")?;
            fs::set_permissions(POLICY, fs::Permissions::from_mode(0o755))?;
        }
        Ok(Self { ours })
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if self.ours {
            let _already_gone = fs::remove_file(POLICY);
        }
    }
}

/// Runs a command to its end with its output shown.
pub(crate) fn run_command(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("{command:?}"))?;
    if !status.success() {
        bail!("{command:?}: {status}");
    }
    Ok(())
}
