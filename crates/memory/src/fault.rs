//! Faults that the simulator plants, and what became of them.

/// Source of choices. Seeded by the caller; the same sequence gives the same faults.
pub type Random = Box<dyn FnMut() -> u64 + Send>;

/// A probability in thousandths: 0 never, 1000 always.
pub type Chance = u16;

/// What a caller that is told "unknown" is not told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnknownOutcome {
    /// It was done.
    Applied,
    /// It was not done.
    Lost,
}

/// Faults of the log, each drawn per call.
#[derive(Debug, Clone, Copy, Default)]
pub struct LogFaults {
    /// An append answers `Unknown`; a coin decides whether it was applied.
    pub append_unknown: Chance,
    /// A read gives fewer records than there are (never none).
    pub short_read: Chance,
    /// A read begins up to [`LogFaults::REWIND_MAX`] records before the wanted offset, as after a
    /// rebalance of a distributed log. Beyond the port's contract: readers must skip by offset.
    pub rewind_read: Chance,
}

impl LogFaults {
    /// Most records of a short read but one: fewer than usually wait, so that batches end anywhere.
    pub const SHORT_MAX: u64 = 7;
    /// Most records that a rewound read gives again.
    pub const REWIND_MAX: u64 = 8;
}

/// Faults of the store, each drawn per call.
#[derive(Debug, Clone, Copy, Default)]
pub struct StoreFaults {
    /// A checkpoint or commit answers `Unknown`; a coin decides whether it was applied.
    pub unknown: Chance,
    /// A call answers `Failed` and does nothing.
    pub failed: Chance,
}

/// How often each fault has happened: a simulation whose rare events never came proves nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FaultCounts {
    /// Crashes.
    pub crashes: u64,
    /// Append calls lost in crashes.
    pub lost_appends: u64,
    /// Append calls that a crash tore in the middle (and repair dropped).
    pub torn_appends: u64,
    /// `Unknown` answers whose call was applied.
    pub unknown_applied: u64,
    /// `Unknown` answers whose call was not applied.
    pub unknown_lost: u64,
    /// Of these, calls of which a part arrived (a distributed log).
    pub partial_appends: u64,
    /// Of these, calls of which a part arrived twice (a distributed log).
    pub repeated_appends: u64,
    /// `Failed` answers.
    pub failed: u64,
    /// Short reads.
    pub short_reads: u64,
    /// Rewound reads.
    pub rewound_reads: u64,
    /// Appends refused because the disk was full.
    pub full: u64,
    /// Roll-backs of the store that took something back.
    pub roll_backs: u64,
    /// Times the store was emptied.
    pub emptied: u64,
}

/// Draws from a [`Random`]; without one no fault happens by chance.
#[derive(Default)]
pub(crate) struct Dice(Option<Random>);

impl Dice {
    pub(crate) fn new(random: Random) -> Self {
        Self(Some(random))
    }

    /// True with the given probability. Draws nothing when it is zero.
    pub(crate) fn hits(&mut self, chance: Chance) -> bool {
        chance > 0 && self.0.as_mut().is_some_and(|random| random() % 1_000 < u64::from(chance))
    }

    /// A number from 0 to `max`, both included; 0 without a source.
    pub(crate) fn up_to(&mut self, max: u64) -> u64 {
        match &mut self.0 {
            Some(random) if max < u64::MAX => random() % (max + 1),
            Some(random) => random(),
            None => 0,
        }
    }

    /// An unknown outcome, by coin.
    pub(crate) fn outcome(&mut self) -> UnknownOutcome {
        if self.up_to(1) == 0 { UnknownOutcome::Lost } else { UnknownOutcome::Applied }
    }
}
