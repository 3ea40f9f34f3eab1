//! The maps as the agent handles them: values, and the opening of a map by its name.

use aya::Ebpf;
use aya::maps::{HashMap, Map, MapData, MapError};
use vrrp_ebpf::abi::AbiPod;

use super::Slot;
use super::error::{EbpfError, map_error};

/// A value of the maps. The crate that defines them knows nothing of aya, hence the wrapper.
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub struct PodValue<T>(pub T);

// SAFETY: AbiPod promises what Pod asks for.
unsafe impl<T: AbiPod> aya::Pod for PodValue<T> {}

/// Takes a map out of the loaded object.
pub(super) fn take(ebpf: &mut Ebpf, name: &'static str) -> Result<Map, EbpfError> {
    ebpf.take_map(name).ok_or(EbpfError::Missing(name))
}

/// Opens a map of the loaded object.
pub(super) fn open<'e, M: TryFrom<&'e mut Map, Error = MapError>>(
    ebpf: &'e mut Ebpf,
    name: &'static str,
) -> Result<M, EbpfError> {
    ebpf.map_mut(name).ok_or(EbpfError::Missing(name))?.try_into().map_err(map_error(name))
}

/// Returns a slot as the maps have it.
pub(super) fn slot_u32(slot: Slot) -> u32 {
    u32::try_from(slot).expect("at most 1024 instances")
}

/// Makes a map contain the wanted entries, and nothing else. The wanted entries are written before any others are removed: an
/// address is never without its fence.
pub(super) fn reconcile<K: AbiPod + PartialEq, V: AbiPod>(
    ebpf: &mut Ebpf,
    name: &'static str,
    wanted: impl Iterator<Item = (K, V)>,
) -> Result<(), EbpfError> {
    let mut map: HashMap<&mut MapData, PodValue<K>, PodValue<V>> = open(ebpf, name)?;
    let mut keys = Vec::new();
    for (key, value) in wanted {
        map.insert(PodValue(key), PodValue(value), 0).map_err(map_error(name))?;
        keys.push(key);
    }
    let there: Vec<K> = map
        .keys()
        .map(|key| key.map(|PodValue(key)| key))
        .collect::<Result<_, _>>()
        .map_err(map_error(name))?;
    for key in there.into_iter().filter(|key| !keys.contains(key)) {
        map.remove(&PodValue(key)).map_err(map_error(name))?;
    }
    Ok(())
}
