//! Opening the data plane: the kernel half, or sockets.

use anyhow::{Context as _, bail};

use super::Choice;
use super::site::Site;
use crate::config::Config;
use crate::dataplane::bpffs::{self, PinDirectory};
use crate::dataplane::{Blueprint, DataPlane, EbpfPlane, Mode, SocketPlane};
use crate::host::Capability;

/// The kernel half, or sockets: losing it costs speed, never correctness.
pub(super) fn open(
    config: &Config,
    site: &Site,
    choice: Choice,
    mode: Option<Mode>,
) -> anyhow::Result<(DataPlane, Option<PinDirectory>)> {
    let sockets = || {
        for instance in config.instances.iter().filter(|i| i.vmac.is_some() || !i.accept) {
            let what = if instance.accept { "use_vmac" } else { "no_accept" };
            tracing::warn!("{}: {what} needs the kernel half and has no effect", instance.name);
        }
        let plane = SocketPlane::open(&site.links, site.judges(config))?;
        Ok((DataPlane::Socket(Box::new(plane)), None))
    };
    if choice == Choice::Socket {
        return sockets();
    }
    match open_ebpf(config, site, mode) {
        Ok((plane, pins)) => Ok((DataPlane::Ebpf(Box::new(plane)), Some(pins))),
        Err(error) if choice == Choice::Ebpf => Err(error),
        Err(error) => {
            tracing::warn!("the kernel half cannot be used, so adverts go through sockets: {error:#}");
            sockets()
        }
    }
}

fn open_ebpf(config: &Config, site: &Site, mode: Option<Mode>) -> anyhow::Result<(EbpfPlane, PinDirectory)> {
    if !Capability::Bpf.held() {
        bail!("{} is missing", Capability::Bpf.name());
    }
    if let Some(link) = site.links.iter().find(|link| link.has_vlans) {
        bail!(
            "VLAN interfaces stand on {}, and their frames reach its XDP program without their tag: it could not tell \
             their virtual routers from its own",
            link.name
        );
    }
    let pins = bpffs::directory().context("no bpffs to pin to")?;
    if !pins.lasting {
        tracing::warn!(
            "the bpffs at {} is private to this mount namespace: if the agent is killed, its fence goes with it; \
             mount one on the host (mount -t bpf bpf /sys/fs/bpf, or on /run/vrrp-agent/bpf for use in `ip netns exec`)",
            pins.path.display()
        );
    }
    let listener = SocketPlane::open(site.links_judged_here(config), site.judges(config))?;
    let blueprint = Blueprint {
        links: &site.links,
        slots: config.instances.len(),
        vips: site.vips(config),
        vmacs: site.vmacs(config),
        mode,
    };
    let plane = EbpfPlane::load(&blueprint, &pins, listener)?;
    Ok((plane, pins))
}

/// The XDP program's own messages go to the log.
pub(super) fn log_messages(plane: &mut DataPlane) {
    let DataPlane::Ebpf(plane) = plane else { return };
    let logger = plane.logger().map_err(anyhow::Error::from);
    let logger = logger.and_then(|logger| {
        let interest = tokio::io::Interest::READABLE;
        // SAFETY: the logger owns its descriptor for as long as it lives.
        Ok(unsafe { tokio::io::unix::AsyncFd::register_with_interest(logger, interest) }?)
    });
    match logger {
        Ok(mut logger) => {
            tokio::spawn(async move {
                while let Ok(mut ready) = logger.readable_mut().await {
                    ready.get_inner_mut().flush();
                    ready.clear_ready();
                }
            });
        }
        Err(error) => tracing::warn!("messages of the XDP program are not logged: {error}"),
    }
}
