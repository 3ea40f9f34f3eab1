//! One segment: which nodes reach each other, and what happens to a frame on its way.

use std::time::Duration;

use vrrp_agent::vrrp::Time;
use vrrp_tests::random::Random;

#[derive(Clone, Debug)]
pub(crate) struct Network {
    /// `reaches[a][b]`: frames of a arrive at b. Not symmetric.
    reaches: Vec<Vec<bool>>,
    pub(crate) loss_percent: u64,
    pub(crate) duplicate_percent: u64,
    /// The longest delay of a frame. If it is longer than the interval between two adverts, frames are reordered.
    pub(crate) delay_max: Duration,
    /// The time since which the segment is whole, loses nothing, is quick, and keeps the order of the frames from one node to
    /// another.
    pub(crate) calm_since: Option<Time>,
    /// `last[a][b]`: the time at which the last frame of a arrives at b.
    last: Vec<Vec<Time>>,
    /// The part of the segment that each node is in.
    part_of: Vec<usize>,
}

impl Network {
    /// A calm segment.
    pub(crate) fn new(nodes: usize, now: Time) -> Self {
        Self {
            reaches: vec![vec![true; nodes]; nodes],
            loss_percent: 0,
            duplicate_percent: 0,
            delay_max: Duration::from_micros(200),
            calm_since: Some(now),
            last: vec![vec![now; nodes]; nodes],
            part_of: vec![0; nodes],
        }
    }

    /// The times at which the copies of a frame that leaves now arrive; none if the frame is lost.
    pub(crate) fn deliveries(
        &mut self,
        from: usize,
        to: usize,
        now: Time,
        random: &mut Random,
    ) -> [Option<Time>; 2] {
        if !self.reaches[from][to] || random.chance(self.loss_percent) {
            return [None; 2];
        }
        let copied = random.chance(self.duplicate_percent);
        let mut arrive = || now + random.duration(self.delay_max);
        let mut arrivals = [Some(arrive()), copied.then(arrive)];
        if self.calm_since.is_some() {
            for at in arrivals.iter_mut().flatten() {
                *at = (*at).max(self.last[from][to]);
                self.last[from][to] = *at;
            }
        }
        arrivals
    }

    /// Splits the segment into parts that do not hear each other at all.
    pub(crate) fn split(&mut self, part_of: &[usize]) {
        self.calm_since = None;
        self.part_of = part_of.to_vec();
        for (a, row) in self.reaches.iter_mut().enumerate() {
            for (b, reaches) in row.iter_mut().enumerate() {
                *reaches = part_of[a] == part_of[b];
            }
        }
    }

    /// The part that a node is in.
    pub(crate) fn part_of(&self, node: usize) -> usize {
        self.part_of[node]
    }

    /// The number of parts.
    pub(crate) fn parts(&self) -> usize {
        self.part_of.iter().max().map_or(0, |last| last + 1)
    }

    pub(crate) fn are_together(&self, a: usize, b: usize) -> bool {
        self.part_of[a] == self.part_of[b]
    }

    /// Breaks one direction of one pair.
    pub(crate) fn break_one_way(&mut self, from: usize, to: usize) {
        self.calm_since = None;
        self.reaches[from][to] = false;
    }
}
