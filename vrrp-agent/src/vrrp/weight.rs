//! The effect of tracked things on the priority (docs/vrrp.md, "Priorities and weights";
//! keepalived's man page, `track_script`).

use vrrp_ebpf::advert::PRIORITY_OWNER;

/// The most that the number in a file can add, as with keepalived 2.2.7 (observed). In the other direction -254 is a fault.
const NUMBER_MAX: i64 = 253;
const NUMBER_FAULT: i64 = -254;

/// The direction in which a weight counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sense {
    /// As written.
    Straight,
    /// `reverse`: additions become subtractions and the other way round; without a weight, the opposite condition is the fault.
    Reverse,
}

/// The weight of a tracked thing for an instance: `weight N [reverse]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weight {
    /// From -254 to 254. Zero does not change the priority: a tracked thing that is down is then a fault.
    pub value: i16,
    /// The direction.
    pub sense: Sense,
}

/// The condition of a tracked thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// There is no result yet.
    Unknown,
    /// Up.
    Up,
    /// Down.
    Down,
}

/// The effect of a tracked thing on an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WeightEffect {
    /// This number is added to the priority.
    Adds(i32),
    /// It is not known yet if the instance can be master.
    Undecided,
    /// The instance cannot be master.
    Faults,
}

impl Weight {
    /// No weight: down is a fault.
    pub const NONE: Self = Self::straight(0);

    /// `weight N`.
    #[must_use]
    pub const fn straight(value: i16) -> Self {
        Self { value, sense: Sense::Straight }
    }

    /// `weight N reverse`.
    #[must_use]
    pub const fn reverse(value: i16) -> Self {
        Self { value, sense: Sense::Reverse }
    }

    /// Returns the effect of a thing that is up or down. A positive weight rewards up, a negative one punishes down. Without a
    /// weight, a thing without a result leaves the instance undecided.
    #[must_use]
    pub fn of(self, condition: Condition) -> WeightEffect {
        let added = match (self.value.signum(), self.sense, condition) {
            (0, _, Condition::Unknown) => return WeightEffect::Undecided,
            (0, Sense::Straight, Condition::Down) | (0, Sense::Reverse, Condition::Up) => {
                return WeightEffect::Faults;
            }
            (1, _, Condition::Up) | (-1, _, Condition::Down) => i32::from(self.value),
            (_, _, Condition::Unknown | Condition::Up | Condition::Down) => 0,
        };
        WeightEffect::Adds(match self.sense {
            Sense::Straight => added,
            Sense::Reverse => -added,
        })
    }

    /// Returns the effect of the number in a file: it is multiplied by the weight. Without a weight, any number except zero is
    /// a fault.
    #[must_use]
    pub fn of_number(self, number: i32) -> WeightEffect {
        let product = i64::from(number) * i64::from(self.value);
        match (self.value, self.sense, number) {
            (0, Sense::Straight, 0) => WeightEffect::Adds(0),
            (0, Sense::Straight, _) | (0, Sense::Reverse, 0) => WeightEffect::Faults,
            (0, Sense::Reverse, _) => WeightEffect::Adds(0),
            (_, Sense::Straight, _) => bounded(product),
            (_, Sense::Reverse, _) => bounded(-product),
        }
    }
}

fn bounded(added: i64) -> WeightEffect {
    if added <= NUMBER_FAULT {
        return WeightEffect::Faults;
    }
    WeightEffect::Adds(i32::try_from(added.min(NUMBER_MAX)).expect("from -253 to 253"))
}

/// Returns the priority after all contributions: clamped to 1..=254, and the owner's 255 never changes. The sum itself is not
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
    use super::WeightEffect::{Adds, Faults, Undecided};
    use super::*;

    /// Written by hand from docs/vrrp.md, "Priorities and weights"; keepalived 2.2.7 advertises the same for scripts and interfaces.
    #[test]
    fn a_positive_weight_rewards_and_a_negative_one_punishes() {
        for (weight, up, down) in [
            (Weight::straight(5), Adds(5), Adds(0)),
            (Weight::straight(-5), Adds(0), Adds(-5)),
            (Weight::reverse(5), Adds(-5), Adds(0)),
            (Weight::reverse(-5), Adds(0), Adds(5)),
            (Weight::straight(0), Adds(0), Faults),
            (Weight::reverse(0), Faults, Adds(0)),
        ] {
            assert_eq!((weight.of(Condition::Up), weight.of(Condition::Down)), (up, down), "{weight:?}");
        }
    }

    #[test]
    fn what_has_not_been_seen_moves_nothing_and_decides_nothing() {
        for value in [5, -5] {
            assert_eq!(Weight::straight(value).of(Condition::Unknown), Adds(0));
            assert_eq!(Weight::reverse(value).of(Condition::Unknown), Adds(0));
        }
        assert_eq!(Weight::straight(0).of(Condition::Unknown), Undecided);
        assert_eq!(Weight::reverse(0).of(Condition::Unknown), Undecided);
    }

    /// As keepalived 2.2.7 advertises, except the last two: its product overflows there.
    #[test]
    fn a_number_is_multiplied() {
        for (weight, number, expected) in [
            (Weight::straight(1), 3, Adds(3)),
            (Weight::straight(-1), 99, Adds(-99)),
            (Weight::reverse(5), 3, Adds(-15)),
            (Weight::straight(1), 300, Adds(253)),
            (Weight::straight(1), -253, Adds(-253)),
            (Weight::straight(1), -254, Faults),
            (Weight::straight(2), -127, Faults),
            (Weight::straight(-1), 254, Faults),
            (Weight::straight(-253), 1, Adds(-253)),
            (Weight::straight(-254), 1, Faults),
            (Weight::reverse(1), 254, Faults),
            (Weight::straight(0), 0, Adds(0)),
            (Weight::straight(0), 5, Faults),
            (Weight::reverse(0), 0, Faults),
            (Weight::reverse(0), 5, Adds(0)),
            (Weight::straight(254), i32::MAX, Adds(253)),
            (Weight::straight(254), i32::MIN, Faults),
        ] {
            assert_eq!(weight.of_number(number), expected, "{weight:?} {number}");
        }
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
