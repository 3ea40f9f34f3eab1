//! A real load balancer on a host, which answers by itself with the name of the host.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::{Host, Lab, run};

/// HAProxy on a host, as a daemon of its own: a check script may restart it.
#[derive(Clone, Debug)]
pub struct Haproxy {
    config: PathBuf,
    pid: PathBuf,
}

impl Haproxy {
    /// Configures and starts it.
    ///
    /// # Errors
    /// If it does not start.
    pub fn start(lab: &Lab, host: &Host) -> Result<Self> {
        let text = format!(
            "global\n daemon\ndefaults\n mode http\n timeout client 5s\n timeout server 5s\n timeout connect 5s\n\
             frontend web\n bind :80\n http-request return status 200 content-type text/plain string 'this is {}'\n",
            host.name()
        );
        let config = lab.write(&format!("haproxy-{}.cfg", host.name()), &text)?;
        let pid = lab.directory().join(format!("haproxy-{}.pid", host.name()));
        run(host.command("haproxy").arg("-f").arg(&config).arg("-p").arg(&pid))?;
        Ok(Self { config, pid })
    }

    /// Its configuration file.
    #[must_use]
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// The file with its pid.
    #[must_use]
    pub fn pid_file(&self) -> &Path {
        &self.pid
    }
}
