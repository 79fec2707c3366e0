//! The pace of a schedule: so many entries per window, in the order in which they ask.

use serde::{Deserialize, Serialize};
use sojourn_model::{DurationMs, Timestamp};

/// Instants that a pace gave and that still count.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pace {
    /// How many at each instant, oldest first; only those within a window of the last.
    given: Vec<(Timestamp, u32)>,
}

impl Pace {
    /// What one of `partitions` may let in: its part of the number, or, where there are fewer than
    /// partitions, one in a window that is so much longer. Together never more than asked.
    pub(crate) fn share(
        count: u32,
        window: DurationMs,
        id: u16,
        partitions: u16,
    ) -> (u32, DurationMs) {
        let all = u32::from(partitions.max(1));
        if count >= all {
            return (count / all + u32::from(u32::from(id) < count % all), window);
        }
        let (all, count) = (i64::from(all), i64::from(count.max(1)));
        (1, DurationMs((window.0 * all + count - 1) / count))
    }

    /// The first instant from `now` on at which one more may enter, and takes it: never more than
    /// the number in any `(t − window, t]`, nobody before those who asked earlier.
    pub(crate) fn next(&mut self, (count, window): (u32, DurationMs), now: Timestamp) -> Timestamp {
        let mut at = self.given.last().map_or(now, |(last, _)| now.max(*last));
        loop {
            self.given.retain(|(given, _)| *given > at.minus(window));
            let used: u32 = self.given.iter().map(|(_, count)| count).sum();
            match self.given.first() {
                Some((first, _)) if used >= count => at = first.plus(window),
                _ => break,
            }
        }
        match self.given.last_mut() {
            Some((last, count)) if *last == at => *count += 1,
            _ => self.given.push((at, 1)),
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_most_so_many_in_any_window_in_order() {
        let mut pace = Pace::default();
        let minute = (2, DurationMs(60));
        let mut ask = |now: i64| pace.next(minute, Timestamp(now)).0;
        assert_eq!([ask(0), ask(30), ask(30), ask(31), ask(32)], [0, 30, 60, 90, 120]);
        // Idle for long: at once again.
        assert_eq!([ask(500), ask(500), ask(500)], [500, 500, 560]);
    }

    #[test]
    fn the_parts_of_the_partitions_add_up() {
        let whole: u32 = (0..7).map(|id| Pace::share(500, DurationMs(60_000), id, 7).0).sum();
        assert_eq!(whole, 500);
        assert_eq!(Pace::share(2, DurationMs(60_000), 3, 8), (1, DurationMs(240_000)));
        assert_eq!(Pace::share(5, DurationMs(60_000), 0, 1), (5, DurationMs(60_000)));
    }
}
