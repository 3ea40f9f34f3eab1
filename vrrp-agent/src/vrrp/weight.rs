//! How tracked things move the priority (KEEPALIVED.md's "Weights": keepalived's man page, `track_script`).

use vrrp_ebpf::advert::PRIORITY_OWNER;

/// The weight of a tracked thing, -253 to 253 and not zero: a weight of zero does not move the priority but is a
/// [`super::Fault`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weight(pub i16);

impl Weight {
    /// What it adds while the thing is up, or down. A positive weight rewards up, a negative one punishes down.
    #[must_use]
    pub fn contribution(self, up: bool) -> i32 {
        match (self.0 > 0, up) {
            (true, true) | (false, false) => self.0.into(),
            (true, false) | (false, true) => 0,
        }
    }
}

/// The priority after all contributions: clamped to 1..=254, and the owner's 255 is never moved. The sum itself is not
/// clamped, so that the order in which things fail does not matter.
#[must_use]
pub fn effective_priority(base: u8, contributions: i32) -> u8 {
    if base == PRIORITY_OWNER {
        return PRIORITY_OWNER;
    }
    let clamped = (i32::from(base) + contributions).clamp(1, 254);
    u8::try_from(clamped).expect("clamped to 1..=254")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_positive_weight_rewards_and_a_negative_one_punishes() {
        assert_eq!(Weight(5).contribution(true), 5);
        assert_eq!(Weight(5).contribution(false), 0);
        assert_eq!(Weight(-5).contribution(true), 0);
        assert_eq!(Weight(-5).contribution(false), -5);
    }

    #[test]
    fn the_priority_is_clamped_and_the_owner_is_not_moved() {
        for (base, sum, expected) in
            [(100, -5, 95), (100, 0, 100), (100, 300, 254), (100, -300, 1), (255, -300, 255), (254, 1, 254)]
        {
            assert_eq!(effective_priority(base, sum), expected, "{base} {sum:+}");
        }
    }
}
