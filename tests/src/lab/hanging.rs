//! Things that hang: a file system whose server never answers, and a name service that waits for a flag to go away.

use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use nix::mount::{MntFlags, MsFlags, mount, umount2};

use super::{Host, Lab, run};

/// A directory below which every question waits for ever, as on a file server that is gone. The questions that wait are
/// released when this value is dropped.
#[derive(Debug)]
pub struct HangingDirectory {
    path: PathBuf,
    /// The server's end; when it is closed, every question is answered with an error.
    server: Option<File>,
}

impl HangingDirectory {
    /// A new hanging directory among the files of a lab.
    ///
    /// # Errors
    /// Without root, or without FUSE in the kernel.
    pub fn new(lab: &Lab, name: &str) -> Result<Self> {
        let path = lab.directory().join(name);
        std::fs::create_dir_all(&path)?;
        let server = OpenOptions::new().read(true).write(true).open("/dev/fuse").context("open /dev/fuse")?;
        let options = format!("fd={},rootmode=40000,user_id=0,group_id=0,allow_other", server.as_raw_fd());
        mount(Some("hanging"), &path, Some("fuse"), MsFlags::empty(), Some(options.as_str()))
            .context("mount a file system by FUSE")?;
        Ok(Self { path, server: Some(server) })
    }

    /// A path in the directory.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// From here on the directory answers, with errors.
    pub fn release(&mut self) {
        self.server = None;
    }
}

impl Drop for HangingDirectory {
    fn drop(&mut self) {
        self.release();
        let _gone = umount2(&self.path, MntFlags::MNT_DETACH);
    }
}

/// The source of a name service that knows no user, and does not answer while a file is there.
const NAME_SERVICE: &str = r#"
#include <nss.h>
#include <pwd.h>
#include <grp.h>
#include <unistd.h>

static enum nss_status answer(int *errnop) {
    while (access(FLAG, F_OK) == 0)
        usleep(50000);
    *errnop = 0;
    return NSS_STATUS_NOTFOUND;
}

enum nss_status _nss_hang_getpwnam_r(const char *n, struct passwd *p, char *b, size_t l, int *e) { return answer(e); }
enum nss_status _nss_hang_getpwuid_r(uid_t u, struct passwd *p, char *b, size_t l, int *e) { return answer(e); }
enum nss_status _nss_hang_getgrnam_r(const char *n, struct group *g, char *b, size_t l, int *e) { return answer(e); }
enum nss_status _nss_hang_getgrgid_r(gid_t g, struct group *p, char *b, size_t l, int *e) { return answer(e); }
"#;

/// A name service that can be made to hang.
#[derive(Debug)]
pub struct NameService {
    flag: PathBuf,
}

impl NameService {
    /// Has the programs of a host ask it for all users and groups that are not in files.
    ///
    /// # Errors
    /// Without a C compiler.
    pub fn install(lab: &Lab, host: &mut Host) -> Result<Self> {
        let flag = lab.directory().join("name-service-hangs");
        let source = lab.write("nss_hang.c", NAME_SERVICE)?;
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-w", "-o"]).arg(lab.directory().join("libnss_hang.so.2"));
        run(compiler.arg(format!("-DFLAG=\"{}\"", flag.display())).arg(source))?;
        host.set_environment("LD_LIBRARY_PATH", &lab.directory().display().to_string());
        let own = Path::new("/etc/netns").join(host.namespace());
        std::fs::create_dir_all(&own)?;
        std::fs::write(own.join("nsswitch.conf"), "passwd: files hang\ngroup: files hang\n")?;
        // The file over which another one is laid must exist.
        let _kept = OpenOptions::new().create(true).append(true).open("/etc/nsswitch.conf")?;
        Ok(Self { flag })
    }

    /// Makes the name service hang, or answer again.
    ///
    /// # Errors
    /// If its flag cannot be written.
    pub fn set_hanging(&self, hanging: bool) -> Result<()> {
        if hanging {
            std::fs::write(&self.flag, "")?;
        } else {
            std::fs::remove_file(&self.flag)?;
        }
        Ok(())
    }
}
