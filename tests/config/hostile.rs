//! Files that are not a configuration, or would become one without an end: the agent says so within seconds and in bounded
//! memory.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use vrrp_tests::lab::{agent, run};

/// The most memory that the agent may map, in bytes. The agent's own code is some hundred megabytes of that, without
/// optimization.
const MEMORY: u64 = 1 << 30;
const TIMEOUT: Duration = Duration::from_secs(10);

const GOOD: &str =
    "vrrp_instance V {\ninterface eth0\nvirtual_router_id 1\nvirtual_ipaddress {\n10.0.0.1\n}\n}\n";

/// A directory that is removed when this value is dropped.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Result<Self> {
        let path = std::env::temp_dir().join(format!("vrrp-hostile-{}-{name}", std::process::id()));
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> Result<()> {
        Ok(fs::write(self.0.join(name), bytes)?)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _already_gone = fs::remove_dir_all(&self.0);
    }
}

/// Runs `check` on `main.conf` and returns its exit code and its complaints.
fn check(directory: &Path) -> Result<(i32, String)> {
    let begin = Instant::now();
    let output = Command::new("timeout")
        .args(["-s", "KILL", &(2 * TIMEOUT).as_secs().to_string(), "prlimit", &format!("--as={MEMORY}")])
        .arg(agent()?)
        .args(["check", "-f"])
        .arg(directory.join("main.conf"))
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    anyhow::ensure!(begin.elapsed() < TIMEOUT, "{:?}: {}", begin.elapsed(), shortened(&said));
    let code = output.status.code().with_context(|| format!("{}: {}", output.status, shortened(&said)))?;
    Ok((code, said))
}

fn shortened(text: &str) -> String {
    text.chars().take(500).collect()
}

/// Makes a file with a name in a directory.
type Make = fn(&Directory, &str) -> Result<()>;

/// Files that are not text: a name, the function that makes the file, and the message about it.
const NO_TEXTS: [(&str, Make, &str); 7] = [
    ("executable", executable, "executable, which keepalived refuses"),
    ("directory", |d, name| Ok(fs::create_dir(d.0.join(name))?), "not a regular file"),
    ("fifo", |d, name| run(Command::new("mkfifo").arg(d.0.join(name))).map(drop), "not a regular file"),
    ("symlinks", |d, name| Ok(symlink(name, d.0.join(name))?), "Too many levels of symbolic links"),
    ("gigabyte", |d, name| Ok(File::create(d.0.join(name))?.set_len(1 << 30)?), "larger than 16 MiB"),
    ("utf16", |d, name| d.write(name, b"\xff\xfeg\0l\0o\0"), "UTF-16 text"),
    ("missing", |_, _| Ok(()), "No such file or directory"),
];

fn executable(directory: &Directory, name: &str) -> Result<()> {
    directory.write(name, GOOD)?;
    Ok(fs::set_permissions(directory.0.join(name), Permissions::from_mode(0o755))?)
}

#[test]
fn what_is_no_text_file_is_refused() -> Result<()> {
    for (name, make, message) in NO_TEXTS {
        let directory = Directory::new(name)?;
        make(&directory, "main.conf").context(name)?;
        let (code, said) = check(&directory.0).context(name)?;
        assert!(code == 1 && said.contains(message), "{name}: {code}\n{}", shortened(&said));
    }
    Ok(())
}

/// If such a file is included, that is a warning as with keepalived, unless the keyword asks for a check (`includea`).
#[test]
fn an_include_of_what_is_no_text_file_is_told() -> Result<()> {
    for (name, make, message) in NO_TEXTS {
        let message = if name == "missing" { "there is no file" } else { message };
        let directory = Directory::new(&format!("include-{name}"))?;
        make(&directory, "other.conf").context(name)?;
        for (keyword, expected) in [("include", 0), ("includea", 1)] {
            directory.write("main.conf", format!("{keyword} other.conf\n{GOOD}"))?;
            let (code, said) = check(&directory.0).context(name)?;
            let missing = name == "missing" && expected == 1;
            let message = if missing { "no file matches" } else { message };
            assert!(code == expected && said.contains(message), "{keyword} {name}: {code}\n{said}");
        }
    }
    Ok(())
}

/// Texts that would grow without an end: a name, the text, and the message about it.
fn endless() -> Vec<(&'static str, String, &'static str)> {
    let doubled =
        |n: u8| format!("${}= \\\n${} \\\n${}\n", char::from(n), char::from(n + 1), char::from(n + 1));
    let doubling: String = (b'A'..b'Y').map(doubled).collect();
    let instances = |n| (0..n).map(|n| GOOD.replace(" V", &format!(" V{n}"))).collect::<String>();
    vec![
        ("loop", format!("include main.conf\n{GOOD}"), "does this one include itself?"),
        ("many", format!("include many/*.conf\n{GOOD}"), "more than 1000 files"),
        ("alternatives", format!("include {}\n", "{a,b}".repeat(25)), "more alternatives than files"),
        ("braces", "a {\n".repeat(1_000_000) + &"}\n".repeat(1_000_000), "nested deeper than 32"),
        ("braces in a line", "{".repeat(1_000_000), "a line of 1000000 bytes"),
        ("a long line", "x".repeat(15 << 20), "a line of 15728640 bytes"),
        ("sequence", "~SEQ(A,1,1000000) ~SEQ(B,1,1000000) x\n".to_owned(), "more than 1000000 lines"),
        ("definitions", doubling + "$A\n", "more than 1000000 lines"),
        ("itself", "$A=$A\n$A\n".to_owned(), ""),
        ("instances", instances(20_000), "has the virtual_router_id of"),
        ("zeros", format!("{GOOD}\0\0\0\n"), "unknown keyword"),
    ]
}

#[test]
fn what_has_no_end_is_cut_off() -> Result<()> {
    let directory = Directory::new("endless")?;
    fs::create_dir(directory.0.join("many"))?;
    for number in 0..5000 {
        directory.write(&format!("many/{number}.conf"), GOOD)?;
    }
    // A link to the directory itself: a pattern must not follow it for ever.
    symlink(".", directory.0.join("many/again.d"))?;
    for (name, text, message) in endless() {
        directory.write("main.conf", text)?;
        let (code, said) = check(&directory.0).context(name)?;
        assert!(matches!(code, 0 | 1) && said.contains(message), "{name}: {code}\n{}", shortened(&said));
        assert!(said.len() < 1 << 20, "{name}: {} bytes of complaints", said.len());
    }
    Ok(())
}
