//! The shop's clock: it crawls while the shop is being set up, then runs.

use crate::pace::instant;
use sojourn_model::Timestamp;
use sojourn_ports::Clock;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Before the story begins the clock goes like the wall's; from then on `speed` times faster.
#[derive(Debug)]
pub(super) struct StoryClock {
    made: Instant,
    begins: Timestamp,
    speed: f64,
    begun: OnceLock<(Instant, Timestamp)>,
}

/// How long before the story the clock starts: more than setting up takes.
const BEFORE_MS: i64 = 60_000;

impl StoryClock {
    /// A clock that shows shortly before `begins`.
    pub(super) fn new(begins: Timestamp, speed: f64) -> Self {
        Self { made: instant(), begins, speed, begun: OnceLock::new() }
    }

    /// The story begins now: gives the time of it, not before the one that the clock was made with.
    pub(super) fn begin(&self) -> Timestamp {
        let now = self.now().max(self.begins);
        self.begun.get_or_init(|| (instant(), now)).1
    }
}

impl Clock for StoryClock {
    fn now(&self) -> Timestamp {
        let (since, base, speed) = match self.begun.get() {
            Some((begun, base)) => (begun.elapsed(), base.0, self.speed),
            None => (self.made.elapsed(), self.begins.0 - BEFORE_MS, 1.0),
        };
        Timestamp(base.saturating_add((since.as_secs_f64() * 1_000.0 * speed) as i64))
    }

    /// Always the fast pace: whoever waits before the beginning must not oversleep it.
    fn wall(&self, span_ms: i64) -> Duration {
        Duration::from_secs_f64((span_ms.max(0) as f64 / 1_000.0 / self.speed).max(0.000_2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_never_goes_back_when_the_story_begins() {
        let clock = StoryClock::new(Timestamp(1_000_000), 600.0);
        let before = clock.now();
        assert!(before < Timestamp(1_000_000));
        assert_eq!(clock.begin(), Timestamp(1_000_000));
        assert!(clock.now() >= Timestamp(1_000_000));
        assert_eq!(clock.begin(), Timestamp(1_000_000), "it begins once");
    }
}
