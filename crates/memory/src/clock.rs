//! A clock that moves only when told.

use sojourn_model::{DurationMs, Timestamp};
use sojourn_ports::Clock;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

/// A clock that stands still until somebody moves it.
#[derive(Debug)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// A clock that shows `now`.
    pub fn new(now: Timestamp) -> Self {
        Self(AtomicI64::new(now.0))
    }

    /// Shows `now` from here on; may be earlier than before (a corrected machine clock).
    pub fn set(&self, now: Timestamp) {
        self.0.store(now.0, Ordering::SeqCst);
    }

    /// Moves on and tells the new time.
    pub fn advance(&self, by: DurationMs) -> Timestamp {
        Timestamp(self.0.fetch_add(by.0, Ordering::SeqCst) + by.0)
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }

    /// Nothing: whoever drives this clock moves it.
    fn wall(&self, _span_ms: i64) -> Duration {
        Duration::ZERO
    }
}
