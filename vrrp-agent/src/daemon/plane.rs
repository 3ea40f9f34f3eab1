//! Opening the data plane: the kernel half, or sockets.

use anyhow::{Context as _, bail};

use super::PlaneChoice;
use super::host_binding::HostBinding;
use super::network::Network;
use crate::config::Config;
use crate::dataplane::Hearing;
use crate::dataplane::bpffs::PinDirectory;
use crate::dataplane::{
    AttachPoint, DataPlane, EbpfPlane, KernelHalf, LoadOptions, MapSource, OnRefusal, PinnedState, Slot,
    SocketPlane, bpffs,
};
use crate::host::{self, Capability};
use crate::net::links::{Link, Purpose};
use crate::vrrp::{Resume, SavedState};

/// An open data plane.
pub(super) struct Opened {
    pub(super) plane: DataPlane,
    /// None with sockets.
    pub(super) kernel: Option<KernelHalf>,
    /// The state that an earlier run left of each instance to go on with; empty if there is none.
    pub(super) saved_states: Vec<SavedState>,
}

/// Opens the kernel half, or sockets: losing the kernel half costs speed, never correctness. What an earlier run left in the
/// kernel goes on, or is removed: its addresses first, then the fence before them.
pub(super) async fn open(
    config: &Config,
    host_binding: &HostBinding,
    network: &Network,
    left_behind: Option<PinDirectory>,
    choice: PlaneChoice,
    attach_point: &AttachPoint,
) -> anyhow::Result<Opened> {
    let on_refusal = match choice {
        PlaneChoice::Auto => OnRefusal::Sockets,
        PlaneChoice::Ebpf | PlaneChoice::Socket => OnRefusal::Fail,
    };
    if let (Some(pins), PlaneChoice::Auto | PlaneChoice::Ebpf) = (&left_behind, choice) {
        match PinnedState::look(pins, &host_binding.keys(config)) {
            PinnedState::Usable(saved_states) => {
                match open_kernel(config, host_binding, attach_point, on_refusal, MapSource::Pinned) {
                    Ok((plane, half)) => {
                        network.remove_leftovers(&held(&saved_states)).await?;
                        tracing::info!("going on with the programs and maps of an earlier run");
                        let plane = DataPlane::Ebpf(Box::new(plane));
                        return Ok(Opened { plane, kernel: Some(half), saved_states });
                    }
                    Err(error) => tracing::warn!("cannot go on with what an earlier run left: {error:#}"),
                }
            }
            PinnedState::Useless(why) => {
                tracing::warn!("the maps of an earlier run are replaced, because they {why}");
            }
        }
    }
    network.remove_leftovers(&[]).await?;
    if let Some(pins) = left_behind {
        pins.remove();
    }
    let sockets = || {
        warn_of_sockets(config);
        let plane = DataPlane::Socket(Box::new(SocketPlane::open(
            &host_binding.present(),
            host_binding.verifiers(config),
        )?));
        Ok(Opened { plane, kernel: None, saved_states: Vec::new() })
    };
    if choice == PlaneChoice::Socket {
        return sockets();
    }
    match open_kernel(config, host_binding, attach_point, on_refusal, MapSource::Fresh) {
        Ok((plane, half)) => {
            let plane = DataPlane::Ebpf(Box::new(plane));
            Ok(Opened { plane, kernel: Some(half), saved_states: Vec::new() })
        }
        Err(error) if choice == PlaneChoice::Ebpf => Err(error),
        Err(error) => {
            tracing::warn!("the kernel half cannot be used, so adverts go through sockets: {error:#}");
            sockets()
        }
    }
}

/// Returns the instances whose addresses are still theirs, because the lease of the earlier run lasts. (Should the lease end
/// before the state machine resumes, the state machine takes the addresses away.)
fn held(saved_states: &[SavedState]) -> Vec<Slot> {
    let now = host::now();
    let holds = |saved: &SavedState| match saved.resume {
        Resume::Holding { until } => now < until,
        Resume::Nothing | Resume::Watching { .. } => false,
    };
    (0..saved_states.len()).filter(|&slot| holds(&saved_states[slot])).collect()
}

/// Opens a second data plane of the kind of the first, for another configuration: it hears nothing until its kernel half is
/// published. Sockets hear at once.
pub(super) fn open_beside(
    config: &Config,
    host_binding: &HostBinding,
    kernel: Option<&KernelHalf>,
) -> anyhow::Result<(DataPlane, Option<KernelHalf>)> {
    match kernel {
        None => {
            warn_of_sockets(config);
            let plane = SocketPlane::open(&host_binding.present(), host_binding.verifiers(config))?;
            Ok((DataPlane::Socket(Box::new(plane)), None))
        }
        Some(kernel) => {
            let with = With {
                attach_point: kernel.attach_point(),
                on_refusal: kernel.on_refusal(),
                maps: MapSource::Staged,
            };
            let (plane, half) = load_kernel(config, host_binding, kernel.pins(), with, Some(kernel))?;
            Ok((DataPlane::Ebpf(Box::new(plane)), Some(half)))
        }
    }
}

fn warn_of_sockets(config: &Config) {
    for instance in config.instances.iter().filter(|i| i.vmac.is_some() || !i.accept) {
        let what = if instance.accept { "use_vmac" } else { "no_accept" };
        tracing::warn!("{}: {what} needs the kernel half and has no effect", instance.name);
    }
}

fn open_kernel(
    config: &Config,
    host_binding: &HostBinding,
    attach_point: &AttachPoint,
    on_refusal: OnRefusal,
    maps: MapSource,
) -> anyhow::Result<(EbpfPlane, KernelHalf)> {
    for capability in [Capability::Bpf, Capability::Perfmon] {
        if !capability.held() {
            bail!("{} is missing", capability.name());
        }
    }
    bpffs::sweep();
    let pins = bpffs::directory().context("cannot use a directory of pins")?;
    if !pins.lasting {
        tracing::warn!(
            "the bpffs at {} is private to this mount namespace: if the agent is killed, its fence goes with it; \
             mount one on the host (mount -t bpf bpf /sys/fs/bpf, or on /run/vrrp-agent/bpf for use in `ip netns exec`)",
            pins.path.display()
        );
    }
    load_kernel(config, host_binding, &pins, With { attach_point, on_refusal, maps }, None)
}

/// The options for loading a kernel half.
#[derive(Clone, Copy)]
struct With<'w> {
    attach_point: &'w AttachPoint,
    on_refusal: OnRefusal,
    maps: MapSource,
}

/// `before` is the kernel half that is to be replaced, where there is one.
fn load_kernel(
    config: &Config,
    host_binding: &HostBinding,
    pins: &PinDirectory,
    with: With<'_>,
    before: Option<&KernelHalf>,
) -> anyhow::Result<(EbpfPlane, KernelHalf)> {
    let listener = SocketPlane::open([], host_binding.verifiers(config))?;
    let (keys, links) = (host_binding.keys(config), host_binding.programmable());
    let options = LoadOptions {
        links: &links,
        keys: &keys,
        vips: host_binding.vips(config),
        vmacs: host_binding.vmacs(config),
        attach_point: with.attach_point.clone(),
        on_refusal: with.on_refusal,
        maps: with.maps,
    };
    let mut half = KernelHalf::load(&options, pins)?;
    log_messages(&mut half);
    let remove = |half: &KernelHalf| match with.maps {
        MapSource::Fresh | MapSource::Pinned => half.pins().remove(),
        MapSource::Staged => half.pins().staged().remove(),
    };
    if let Some(before) = before {
        half.inherit_refusals(before, &links);
        // A new interface may refuse the program; that is better found now than halfway through the reload.
        let is_new = |link: &&Link| !before.is_attached(link) && before.refusal(link).is_none();
        for (number, link) in links.iter().filter(is_new).enumerate() {
            match (half.attach(link), with.on_refusal, link.purpose) {
                (Ok(()), _, _) => {}
                (Err(error), OnRefusal::Sockets, _) | (Err(error), _, Purpose::Guard) => {
                    warn_of_refusal(link, &error.to_string());
                }
                (Err(error), OnRefusal::Fail, Purpose::Instances) => {
                    // The pins of these attachments are not with the other pins, so they would stay.
                    for attached in links.iter().filter(is_new).take(number) {
                        half.give_up(attached, "the reload has failed".to_owned());
                    }
                    remove(&half);
                    return Err(error.into());
                }
            }
        }
    } else {
        for link in &links {
            if let Some(why) = half.refusal(link) {
                warn_of_refusal(link, why);
            }
        }
    }
    // On a reload the program takes the place of the previous one when everything else is done.
    let will_be_attached = |link: &Link| before.is_some() && half.refusal(link).is_none();
    let by_program =
        |link: &Link| half.is_attached(link) || (link.can_have_program() && will_be_attached(link));
    let hearings: Result<Vec<Hearing>, _> = host_binding
        .present()
        .iter()
        .map(|link| host_binding.hearing(link, config, by_program(link)))
        .collect();
    let plane = hearings.map_err(anyhow::Error::from).and_then(|hearings| {
        EbpfPlane::new(&mut half, keys.len(), listener, hearings).map_err(anyhow::Error::from)
    });
    let plane = plane.inspect_err(|_| remove(&half))?;
    Ok((plane, half))
}

/// Warns of one interface that cannot have the program; the others keep theirs.
pub(super) fn warn_of_refusal(link: &Link, why: &str) {
    match link.purpose {
        Purpose::Instances => tracing::warn!(
            "{}: the program cannot be attached, so adverts on it go through sockets, and its addresses are not fenced: {why}",
            link.name
        ),
        Purpose::Guard => tracing::warn!(
            "{}: the program cannot be attached, so this host answers there for virtual addresses of its other interfaces also \
             while their lease is over (unless net.ipv4.conf.{}.arp_ignore is 1): {why}",
            link.name,
            link.name
        ),
    }
}

/// The XDP program's own messages go to the log.
fn log_messages(half: &mut KernelHalf) {
    let logger = half.logger().map_err(anyhow::Error::from);
    let logger = logger.and_then(|logger| {
        let interest = tokio::io::Interest::READABLE;
        // SAFETY: the logger owns its descriptor for as long as it lives.
        Ok(unsafe { tokio::io::unix::AsyncFd::register_with_interest(logger, interest) }?)
    });
    match logger {
        Ok(mut logger) => {
            let task = tokio::spawn(async move {
                while let Ok(mut ready) = logger.readable_mut().await {
                    ready.get_inner_mut().flush();
                    ready.clear_ready();
                }
            });
            half.end_with_it(task);
        }
        Err(error) => tracing::warn!("messages of the XDP program are not logged: {error}"),
    }
}
