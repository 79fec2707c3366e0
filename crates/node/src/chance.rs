//! Seeded chance: the same seed tells the same story on every machine.

/// SplitMix64.
#[derive(Debug, Clone)]
pub struct Chance(u64);

impl Chance {
    /// Choices of `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A stream of its own for `name`, so that one part of a story does not shift another's.
    pub fn of(seed: u64, name: u64) -> Self {
        let mut own = Self(seed ^ name.wrapping_mul(0xD6E8_FEB8_6659_FD93));
        Self(own.next())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, which is greater than 0.
    pub fn below(&mut self, end: usize) -> usize {
        assert!(end > 0);
        let place = self.next() % end as u64;
        usize::try_from(place).unwrap_or(0)
    }

    /// A number from `from` up to but not including `to`.
    pub fn between(&mut self, from: i64, to: i64) -> i64 {
        assert!(from < to);
        from + i64::try_from(self.next() % from.abs_diff(to)).unwrap_or(0)
    }

    /// True in `percent` of a hundred cases.
    pub fn percent(&mut self, percent: u32) -> bool {
        self.below(100) < percent as usize
    }

    /// True in `count` of a thousand cases.
    pub fn per_mille(&mut self, count: u32) -> bool {
        self.below(1_000) < count as usize
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
