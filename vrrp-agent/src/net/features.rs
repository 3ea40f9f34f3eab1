//! The features of a network card that decide where the tags of VLANs are when a program in the driver sees a frame.

use std::path::Path;

use ethtool::{EthtoolAttr, EthtoolFeatureAttr};
use futures_util::TryStreamExt as _;

/// Where the tag of a VLAN is when a frame reaches a program in the driver of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tags {
    /// In the frame's bytes: the card leaves tags where they are (`rx-vlan-offload` is off).
    InFrame,
    /// Nowhere: no tagged frame arrives, since the card drops frames of VLANs that no interface has asked for (`rx-vlan-filter`
    /// is on), this host has no VLAN interface in any network namespace, and the interface is not promiscuous.
    Absent,
    /// Beside the frame, where a program in the driver cannot see it, or it is not known where.
    MayBeHidden,
}

/// Reads the features of a card and says where its tags are. A card that does not answer counts as one that hides them.
pub(super) async fn tags(interface: &str, promiscuous: bool) -> Tags {
    let Some(active) = active(interface).await else { return Tags::MayBeHidden };
    let is_active = |name: &str| active.iter().any(|feature| feature == name);
    tags_of(is_active("rx-vlan-hw-parse"), is_active("rx-vlan-filter"), promiscuous, host_has_vlans())
}

fn tags_of(offloads: bool, filters: bool, promiscuous: bool, host_has_vlans: bool) -> Tags {
    match (offloads, filters && !promiscuous && !host_has_vlans) {
        (false, _) => Tags::InFrame,
        (true, true) => Tags::Absent,
        (true, false) => Tags::MayBeHidden,
    }
}

/// True if the kernel's VLAN code is loaded. A VLAN interface may then stand in another network namespace, where it cannot be
/// seen from here, and have the card let its frames in.
fn host_has_vlans() -> bool {
    Path::new("/proc/self/net/vlan").exists()
}

/// Returns the names of the features that are on, as the kernel has them; `None` if it does not say.
async fn active(interface: &str) -> Option<Vec<String>> {
    let (connection, mut handle, _) = ethtool::new_connection().ok()?;
    let connection = tokio::spawn(connection);
    let messages = async {
        let messages = handle.feature().get(Some(interface)).execute().await.ok()?;
        messages.try_collect::<Vec<_>>().await.ok()
    }
    .await;
    connection.abort();
    let mut names = None;
    for attribute in messages?.into_iter().flat_map(|message| message.payload.nlas) {
        if let EthtoolAttr::Feature(EthtoolFeatureAttr::Active(bits)) = attribute {
            names = Some(bits.into_iter().filter(|bit| bit.value).map(|bit| bit.name).collect());
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::{Tags, tags_of};

    #[test]
    fn a2_tags_are_in_the_frame_or_absent_only_where_that_is_certain() {
        for (offloads, filters, promiscuous, host_has_vlans, expected) in [
            (false, false, true, true, Tags::InFrame),
            (true, true, false, false, Tags::Absent),
            (true, true, true, false, Tags::MayBeHidden), // a running tcpdump
            (true, true, false, true, Tags::MayBeHidden), // eth0.100, perhaps in a container
            (true, false, false, false, Tags::MayBeHidden), // no filter
        ] {
            let tags = tags_of(offloads, filters, promiscuous, host_has_vlans);
            assert_eq!(tags, expected, "{offloads} {filters} {promiscuous} {host_has_vlans}");
        }
    }
}
