//! A slow name service: a module of the C library (NSS) that sleeps while a file exists, like a directory service that is asked
//! over a network that is down.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use vrrp_tests::lab::{Host, Lab, run};

const SOURCE: &str = r"
#include <nss.h>
#include <pwd.h>
#include <stddef.h>
#include <unistd.h>
enum nss_status _nss_slow_getpwnam_r(const char *name, struct passwd *result, char *buffer, size_t size, int *error) {
    (void)name; (void)result; (void)buffer; (void)size;
    for (int i = 0; i < 600 && access(SWITCH, F_OK) == 0; i++)
        usleep(50000);
    *error = 0;
    return NSS_STATUS_NOTFOUND;
}
";

/// The switch of a slow name service.
#[derive(Clone, Debug)]
pub(crate) struct SlowNames {
    switch: PathBuf,
}

impl SlowNames {
    /// Gives hosts a name service that can be slow.
    pub(crate) fn install(lab: &Lab, hosts: &mut [&mut Host]) -> Result<Self> {
        let switch = lab.directory().join("names-are-slow");
        let source = lab.write("nss.c", SOURCE)?;
        let library = lab.directory().join("libnss_slow.so.2");
        let define = format!("-DSWITCH=\"{}\"", switch.display());
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-O", &define, "-o"]).arg(&library).arg(&source);
        run(&mut compiler).context("build a module of the name service")?;
        let directory = lab.directory().to_str().context("a path that is text")?.to_owned();
        for host in hosts {
            let etc = Path::new("/etc/netns").join(host.namespace());
            std::fs::create_dir_all(&etc)?;
            std::fs::write(etc.join("nsswitch.conf"), "passwd: files slow\ngroup: files\nhosts: files\n")?;
            host.set_environment("LD_LIBRARY_PATH", &directory);
        }
        Ok(Self { switch })
    }

    /// Makes the name service slow, or quick again.
    pub(crate) fn set(&self, slow: bool) -> Result<()> {
        if slow {
            std::fs::write(&self.switch, "")?;
        } else if self.switch.exists() {
            std::fs::remove_file(&self.switch)?;
        }
        Ok(())
    }
}
