//! A real web server on a host, with a page that names the host.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::{Host, Lab, run};

/// nginx on a host, as a daemon of its own: a check script may restart it.
#[derive(Clone, Debug)]
pub struct Nginx {
    config: PathBuf,
    pid: PathBuf,
}

impl Nginx {
    /// Configures and starts it.
    ///
    /// # Errors
    /// If it does not start.
    pub fn start(lab: &Lab, host: &Host) -> Result<Self> {
        let directory = lab.directory().join(format!("nginx-{}", host.name()));
        std::fs::create_dir_all(&directory)?;
        let path = directory.display();
        let text = format!(
            "pid {path}/pid;\nerror_log {path}/error.log;\nworker_processes 1;\nevents {{}}\n\
             http {{\naccess_log off;\nclient_body_temp_path {path}/t1;\nproxy_temp_path {path}/t2;\n\
             fastcgi_temp_path {path}/t3;\nuwsgi_temp_path {path}/t4;\nscgi_temp_path {path}/t5;\n\
             server {{\nlisten 80;\nlocation / {{\nreturn 200 'this is {}';\n}}\n}}\n}}\n",
            host.name()
        );
        let config = lab.write(&format!("nginx-{}.conf", host.name()), &text)?;
        let nginx = Self { config, pid: directory.join("pid") };
        run(host.command("nginx").arg("-c").arg(&nginx.config))?;
        Ok(nginx)
    }

    /// Its configuration file.
    #[must_use]
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// The file with its pid, there while it runs.
    #[must_use]
    pub fn pid_file(&self) -> &Path {
        &self.pid
    }

    /// Stops it, as an operator would.
    ///
    /// # Errors
    /// If it does not stop.
    pub fn stop(&self, host: &Host) -> Result<()> {
        run(host.command("nginx").arg("-c").arg(&self.config).args(["-s", "stop"]))
            .with_context(|| format!("stop nginx on {}", host.name()))
            .map(drop)
    }
}
