//! The pins of attachments: their names, and the removal of a pin with what it stands for.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use aya::maps::{Map, MapData, ProgramArray};
use aya::programs::TcAttachType;
use aya::programs::links::{FdLink, PinnedLink};
use aya::programs::tc::{SchedClassifierLink, TcHandle};

use super::error::{EbpfError, pin_error};

/// The beginning of the pins of attachments for frames that arrive; the interface's name follows, as [`pin_name`] writes it.
pub(super) const LINK: &str = "link-";
/// The beginning of the pins of attachments for frames that leave.
pub(super) const OUT: &str = "out-";
/// The beginning of the pins that say on which interfaces our filters of tc are.
pub(super) const FILTERS: &str = "filters-";
/// The beginning of the pin of an operator's program array; the index of our entry follows.
pub(super) const ARRAY: &str = "array-";

/// The priority of our filters of tc: before all others.
pub(super) const FILTER_PRIORITY: u16 = 1;
/// The handle of our filters, by which a later run finds them.
pub(super) const FILTER_HANDLE: TcHandle = TcHandle::new(0x7672, 0x7270);

/// Writes a name of the host's as a bpffs takes it. A bpffs refuses dots: each is written `%2e`, and `%` is written `%25`.
/// Interfaces of VLANs have names like `eth0.100`.
pub(super) fn pin_name(name: &str) -> String {
    name.replace('%', "%25").replace('.', "%2e")
}

/// Returns the name that [`pin_name`] has written.
pub(super) fn unpin_name(name: &str) -> String {
    name.replace("%2e", ".").replace("%25", "%")
}

/// True for the name of a pin that holds an attachment.
pub(super) fn is_link_pin(name: &str) -> bool {
    name.starts_with(LINK) || name.starts_with(OUT)
}

/// Returns the number of the interface that a pinned attachment is on, 0 if that interface is gone; `None` if it cannot be
/// told.
pub(super) fn ifindex_of_link(pin: &Path) -> Option<u32> {
    let link = FdLink::from(PinnedLink::from_pin(pin).ok()?);
    let of_link = format!("link_id:\t{}\n", link.info().ok()?.id());
    // The kernel describes our descriptors here. Among them is that of `link`, which does not tell its own number, so its id is
    // searched for.
    let descriptors = fs::read_dir("/proc/self/fdinfo").ok()?.flatten();
    let mut texts = descriptors.filter_map(|descriptor| fs::read_to_string(descriptor.path()).ok());
    let text = texts.find(|text| text.contains(&of_link))?;
    text.lines().find_map(|line| line.strip_prefix("ifindex:")?.trim().parse().ok())
}

/// The filter of an earlier run, if there is one.
pub(super) fn earlier_filter(interface: &str, direction: TcAttachType) -> io::Result<SchedClassifierLink> {
    SchedClassifierLink::attached(interface, direction, FILTER_PRIORITY, FILTER_HANDLE, None)
}

/// Removes our filters of tc from an interface if `path` is the pin that says that they are there.
pub(super) fn remove_filters(path: &Path) {
    let name = path.file_name().and_then(|name| name.to_str()?.strip_prefix(FILTERS));
    let Some(interface) = name.map(unpin_name) else { return };
    for direction in [TcAttachType::Ingress, TcAttachType::Egress] {
        if let Ok(filter) = earlier_filter(&interface, direction) {
            // There may be no filter on one of the sides.
            let _none = aya::programs::links::Link::detach(filter);
        }
    }
}

/// Takes the programs off an interface.
pub(super) fn detach(pins: &Path, interface: &str) {
    for prefix in [LINK, OUT, FILTERS] {
        let path = pin_of(pins, prefix, interface);
        remove_filters(&path);
        let _none = fs::remove_file(path);
    }
}

/// The interface that a pin is of, as [`pin_name`] writes it; `None` if it is another pin.
pub(super) fn interface_of(pin: &str) -> Option<&str> {
    [LINK, OUT, FILTERS].into_iter().find_map(|prefix| pin.strip_prefix(prefix))
}

/// Takes our program out of the array that is pinned at `path`, if that is the pin of an array.
pub(super) fn leave_array(path: &Path) {
    let index = path.file_name().and_then(|name| name.to_str()?.strip_prefix(ARRAY)?.parse::<u32>().ok());
    let Some(index) = index else { return };
    let map = MapData::from_pin(path).and_then(Map::from_map_data);
    if let Ok(mut array) = map.and_then(ProgramArray::try_from) {
        // The entry may be empty already.
        let _empty = array.clear_index(&index);
    }
}

/// Returns the path of the pin of an attachment to an interface.
pub(super) fn pin_of(pins: &Path, prefix: &str, interface: &str) -> PathBuf {
    pins.join(format!("{prefix}{}", pin_name(interface)))
}

/// Removes a pin, if it is there.
pub(super) fn unpin(path: &Path) -> Result<(), EbpfError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(pin_error(path, &error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::{pin_name, unpin_name};

    #[test]
    fn r1_a_name_with_a_dot_is_written_so_that_a_bpffs_takes_it() {
        assert_eq!(pin_name("eth0"), "eth0");
        assert_eq!(pin_name("eth0.100"), "eth0%2e100");
        assert_eq!(pin_name("a%2e.b"), "a%252e%2eb");
        for name in ["eth0.100", "a%2e.b", "a%252e"] {
            assert_eq!(unpin_name(&pin_name(name)), name);
        }
    }
}
