//! `cargo xtask kernels`: tests on kernels of Debian's, which are older than this machine's or have features that it has not.
//! Each runs in a virtual machine that sees this machine's files and writes into its own memory. The machine is emulated: slow,
//! and the same everywhere.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{build, setup};

/// Debian 12's own kernel, on which its keepalived runs.
pub(crate) const OLDEST: &str = "linux-image-amd64";

/// Debian 12's backport of a newer kernel.
const NEWER: &str = "linux-image-6.12-amd64";

/// The namespace tests that are worth their time on that kernel, each time.
pub(crate) const CHOSEN: [&str; 3] =
    ["election::the_higher_priority", "election::on_sigterm", "keepalived::our_master_its_backup_version_3"];

/// The modules that the virtual machine needs to see this machine's files.
const MODULES: [&str; 4] = ["virtio_pci", "9pnet_virtio", "9p", "overlay"];

/// Scenes wait more than they work, so that two can run at once.
const SCENES_AT_ONCE: &str = "--test-threads=2";

/// A virtual machine that hangs is ended after this time.
const TIMEOUT_SECONDS: &str = "1800";

/// The first program: mounts this machine's files, with memory above them, and goes on with `INSIDE`.
const INIT: &str = r#"#!/bin/busybox sh
set -e
b=/bin/busybox
$b mount -t proc proc /proc
$b mount -t sysfs sys /sys
$b mount -t devtmpfs dev /dev
for module in /modules/*; do $b insmod $module; done
$b mount -t 9p -o trans=virtio,version=9p2000.L,ro,msize=500000,cache=loose host /lower
$b mount -t tmpfs memory /memory
$b mkdir /memory/upper /memory/work
$b mount -t overlay -o lowerdir=/lower,upperdir=/memory/upper,workdir=/memory/work root /root
for directory in proc sys dev; do $b mount --move /$directory /root/$directory; done
$b cp /inside /root/inside
exec $b switch_root /root /bin/bash /inside
"#;

/// The script that then runs. The variables are set above it.
const INSIDE: &str = r#"
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
mkdir -p /lib/modules/$(uname -r) /dev/pts /dev/shm
mount --bind "$modules" /lib/modules/$(uname -r)
mount -t tmpfs run /run
mount -t devpts pts /dev/pts
mount -t tmpfs shm /dev/shm
mount -t bpf bpf /sys/fs/bpf
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir /run/netns
ip link set lo up
# Programs that find no syslog speak to the console.
/bin/busybox syslogd -O /dev/null
cd "$directory"
echo "== Linux $(uname -r)"
status=0
for test in "${tests[@]}"; do eval "$test" || status=1; done
echo "== status $status"
sync
echo o > /proc/sysrq-trigger
sleep 10
"#;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Debian packages that contain a kernel, or depend on one that does
    #[arg(default_values = [OLDEST, NEWER])]
    packages: Vec<String>,
    /// Namespace tests to run in addition to the tests of the kernel half; a filter as for `cargo test`
    #[arg(long, value_name = "FILTER")]
    tests: Vec<String>,
    /// Run only the namespace tests whose names contain this, and no others
    #[arg(long, value_name = "FILTER", conflicts_with = "tests")]
    only: Vec<String>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    setup::ensure()?;
    build::run(&build::Arguments::default())?;
    for package in &arguments.packages {
        let result = if arguments.only.is_empty() {
            let filters: Vec<&str> = arguments.tests.iter().map(String::as_str).collect();
            test_on(package, &filters)
        } else {
            only_on(package, &arguments.only)
        };
        result.with_context(|| package.clone())?;
    }
    Ok(())
}

/// Runs the tests of the kernel half, the tests that need features that only such a kernel has, and the namespace tests that
/// are named, on the kernel of a package.
pub(crate) fn test_on(package: &str, filters: &[&str]) -> Result<()> {
    ensure!(
        cfg!(target_arch = "x86_64"),
        "the kernels are Debian's for amd64, and this machine is not amd64"
    );
    setup::ensure_machine()?;
    let kernel = Kernel::fetch(package)?;
    let (of_kernel, of_namespaces) = (executable("kernel")?, executable("namespaces")?);
    // The cost of a program for the verifier is on record for one kernel only.
    let mut tests = vec![
        format!("{} --skip budget:: --test-threads=2 --color never", of_kernel.display()),
        format!("{} --ignored {SCENES_AT_ONCE} --color never", of_namespaces.display()),
    ];
    if !filters.is_empty() {
        let filters = filters.join(" ");
        tests.push(format!("{} {filters} --test-threads=1 --color never", of_namespaces.display()));
    }
    kernel.boot(&tests)
}

/// Runs some namespace tests on the kernel of a package.
fn only_on(package: &str, filters: &[String]) -> Result<()> {
    ensure!(
        cfg!(target_arch = "x86_64"),
        "the kernels are Debian's for amd64, and this machine is not amd64"
    );
    setup::ensure_machine()?;
    let tests = executable("namespaces")?;
    let filters = filters.join(" ");
    let test = format!("{} {filters} --include-ignored {SCENES_AT_ONCE} --color never", tests.display());
    Kernel::fetch(package)?.boot(&[test])
}

/// An unpacked kernel.
struct Kernel {
    directory: PathBuf,
    image: PathBuf,
    /// Its directory of modules.
    modules: PathBuf,
    release: String,
}

impl Kernel {
    fn fetch(package: &str) -> Result<Self> {
        let package = resolve(package)?;
        let kernels = build::target().join("kernels");
        let directory = kernels.join(&package);
        if !directory.exists() {
            println!("kernels: fetching {package}");
            // The directory appears complete, or not at all.
            let partial = kernels.join("partial");
            let _none = fs::remove_dir_all(&partial);
            fs::create_dir_all(&partial)?;
            let mut download = Command::new("apt-get");
            setup::run_command(download.args(["-q", "download", &package]).current_dir(&partial))?;
            let archive = only_entry(&partial)?;
            let unpacked = partial.join("unpacked");
            setup::run_command(Command::new("dpkg-deb").arg("-x").arg(&archive).arg(&unpacked))?;
            let modules = only_entry(&unpacked.join("lib/modules"))?;
            let release = modules.file_name().context("the directory of kernel modules has no name")?;
            setup::run_command(Command::new("depmod").arg("-b").arg(&unpacked).arg(release))?;
            fs::rename(&unpacked, &directory)?;
            fs::remove_dir_all(&partial)?;
        }
        let modules = only_entry(&directory.join("lib/modules"))?;
        let release = modules
            .file_name()
            .context("the directory of kernel modules has no name")?
            .to_string_lossy()
            .into_owned();
        Ok(Self { image: directory.join(format!("boot/vmlinuz-{release}")), directory, modules, release })
    }

    /// The files of [`MODULES`] and of the modules that they need, in that order.
    fn needed_modules(&self) -> Result<Vec<PathBuf>> {
        let mut files: Vec<PathBuf> = Vec::new();
        for module in MODULES {
            let mut modprobe = Command::new("modprobe");
            modprobe.arg("-d").arg(&self.directory).args(["-S", &self.release, "--show-depends", module]);
            let output = modprobe.stderr(Stdio::null()).output()?;
            for line in String::from_utf8_lossy(&output.stdout).lines() {
                // The other modules are built in.
                if let Some(file) = line.strip_prefix("insmod ") {
                    let file = PathBuf::from(file.trim());
                    if !files.contains(&file) {
                        files.push(file);
                    }
                }
            }
        }
        Ok(files)
    }

    /// Makes the archive from which the kernel boots, and returns its path.
    fn pack(&self, tests: &[String]) -> Result<PathBuf> {
        let root = self.directory.join("first");
        let _none = fs::remove_dir_all(&root);
        for directory in ["bin", "modules", "proc", "sys", "dev", "lower", "memory", "root"] {
            fs::create_dir_all(root.join(directory))?;
        }
        fs::copy("/bin/busybox", root.join("bin/busybox"))?;
        for (number, module) in self.needed_modules()?.iter().enumerate() {
            let to = File::create(root.join(format!("modules/{number:02}.ko")))?;
            let packed = module.extension().is_some_and(|extension| extension == "xz");
            let mut reader = Command::new(if packed { "xzcat" } else { "cat" });
            setup::run_command(reader.arg(module).stdout(to))?;
        }
        fs::write(root.join("init"), INIT)?;
        setup::run_command(Command::new("chmod").arg("755").arg(root.join("init")))?;
        let tests: Vec<String> = tests.iter().map(|test| format!("'{test}'")).collect();
        let inside = format!(
            "modules='{}'\ndirectory='{}'\ntests=({})\n{INSIDE}",
            self.modules.display(),
            build::workspace().join("tests").display(),
            tests.join(" ")
        );
        fs::write(root.join("inside"), inside)?;
        let archive = self.directory.join("first.cpio");
        let mut cpio = Command::new("cpio");
        cpio.args(["--quiet", "-o", "-H", "newc"]).current_dir(&root);
        let mut cpio = cpio.stdin(Stdio::piped()).stdout(File::create(&archive)?).spawn()?;
        let mut names = String::new();
        list(&root, &root, &mut names)?;
        cpio.stdin.take().context("cpio has no standard input")?.write_all(names.as_bytes())?;
        ensure!(cpio.wait()?.success(), "cpio failed");
        Ok(archive)
    }

    /// Boots the kernel, shows its output, and fails if a test does.
    fn boot(&self, tests: &[String]) -> Result<()> {
        let archive = self.pack(tests)?;
        let mut machine = Command::new("timeout");
        machine
            .args([TIMEOUT_SECONDS, "qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max"])
            .args(["-smp", "2", "-m", "3G", "-nographic", "-nodefaults", "-no-reboot", "-serial", "stdio"])
            .args(["-append", "console=ttyS0 quiet loglevel=3 panic=-1"])
            .args(["-virtfs", "local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap"])
            .arg("-kernel")
            .arg(&self.image)
            .arg("-initrd")
            .arg(archive)
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let mut machine = machine.spawn().context("cannot start qemu")?;
        let mut status = None;
        for line in BufReader::new(machine.stdout.take().context("qemu has no standard output")?).split(b'\n')
        {
            let line = String::from_utf8_lossy(&line?).trim_end().to_owned();
            println!("{line}");
            if let Some(said) = line.strip_prefix("== status ") {
                status = said.parse::<u8>().ok();
            }
        }
        let ended = machine.wait()?;
        match status {
            Some(0) => Ok(()),
            Some(_) => bail!("a test failed on Linux {}", self.release),
            None => bail!(
                "the virtual machine with Linux {} ended before its tests ended ({ended})",
                self.release
            ),
        }
    }
}

/// The package with the kernel: the package itself, or the one on which it depends.
fn resolve(package: &str) -> Result<String> {
    let output = Command::new("apt-cache").args(["depends", package]).output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success() && !text.is_empty(), "Debian has no package {package}");
    let mut depends = text.lines().filter_map(|line| line.trim().strip_prefix("Depends: "));
    let kernel = depends.find(|name| name.starts_with("linux-image-"));
    Ok(kernel.unwrap_or(package).to_owned())
}

fn only_entry(directory: &Path) -> Result<PathBuf> {
    let mut entries = fs::read_dir(directory).with_context(|| directory.display().to_string())?;
    let entry = entries.next().with_context(|| format!("the directory {} is empty", directory.display()))?;
    Ok(entry?.path())
}

/// The names of all files below a directory, as cpio wants them.
fn list(root: &Path, directory: &Path, names: &mut String) -> Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        names.push_str(&format!("{}\n", path.strip_prefix(root)?.display()));
        if path.is_dir() {
            list(root, &path, names)?;
        }
    }
    Ok(())
}

/// Builds a test of the package `vrrp-tests`, and returns its path.
fn executable(test: &str) -> Result<PathBuf> {
    let mut command = Command::new("cargo");
    command.args([
        "test",
        "--locked",
        "--package",
        "vrrp-tests",
        "--no-run",
        "--message-format=json",
        "--test",
        test,
    ]);
    let output = command.stderr(Stdio::inherit()).output()?;
    ensure!(output.status.success(), "the test {test} cannot be built");
    let messages = String::from_utf8(output.stdout)?;
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let mut found = messages.filter(|message| message["target"]["name"] == test);
    let found = found.find_map(|message| message["executable"].as_str().map(PathBuf::from));
    found.with_context(|| format!("the output of cargo does not name the executable of the test {test}"))
}
