//! Seeded chance: the same seed tells the same story on every machine.

/// SplitMix64.
#[derive(Debug, Clone)]
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, which is greater than 0.
    pub(super) fn below(&mut self, end: usize) -> usize {
        assert!(end > 0);
        let place = self.next() % end as u64;
        usize::try_from(place).unwrap_or(0)
    }

    /// A number from `from` up to but not including `to`.
    pub(super) fn between(&mut self, from: i64, to: i64) -> i64 {
        assert!(from < to);
        from + i64::try_from(self.next() % from.abs_diff(to)).unwrap_or(0)
    }

    /// True in `percent` of a hundred cases.
    pub(super) fn percent(&mut self, percent: u32) -> bool {
        self.below(100) < percent as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_one_sequence() {
        let draw = |seed| {
            let mut chance = Chance::new(seed);
            (0..5).map(|_| chance.below(1000)).collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[test]
    fn ranges_hold() {
        let mut chance = Chance::new(1);
        for _ in 0..1000 {
            assert!((-5..9).contains(&chance.between(-5, 9)));
        }
    }
}
