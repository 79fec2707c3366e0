//! The one source of chance in a run: a seed.

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng};

/// Seeded choices.
#[derive(Debug)]
pub(crate) struct Random(StdRng);

impl Random {
    /// Choices of `seed`.
    pub(crate) fn new(seed: u64) -> Self {
        Self(StdRng::seed_from_u64(seed))
    }
    /// An own stream of choices, so that one part of a run does not shift another's.
    pub(crate) fn fork(&mut self) -> Self {
        Self(StdRng::seed_from_u64(self.next()))
    }
    /// Any number.
    pub(crate) fn next(&mut self) -> u64 {
        self.0.random()
    }
    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        assert!(bound > 0, "a choice needs something to choose from");
        self.0.random_range(0..bound)
    }
    /// True once in `n` times.
    pub(crate) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}
