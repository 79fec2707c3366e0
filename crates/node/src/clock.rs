//! The wall's clock, and one that runs faster from a chosen instant on (the demo).

use sojourn_model::Timestamp;
use sojourn_ports::Clock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Wall time, or wall time that runs `speed` times faster since the clock was made.
#[derive(Debug)]
pub struct WallClock {
    began: Instant,
    began_ms: i64,
    speed: f64,
}

impl WallClock {
    /// Wall time as it is.
    pub fn real() -> Self {
        Self::scaled(1.0, None)
    }

    /// From `start` (default: the present) on, `speed` times as fast as the wall. Monotonic.
    pub fn scaled(speed: f64, start: Option<Timestamp>) -> Self {
        assert!(speed > 0.0, "a clock moves forward");
        #[expect(clippy::disallowed_methods, reason = "the one place that reads the wall's clock")]
        let (began, wall) = (Instant::now(), SystemTime::now());
        let wall_ms = wall.duration_since(UNIX_EPOCH).map_or(0, |age| age.as_millis());
        let wall_ms = i64::try_from(wall_ms).unwrap_or(i64::MAX);
        Self { began, began_ms: start.map_or(wall_ms, |start| start.0), speed }
    }

    /// How much faster than the wall this clock runs.
    pub fn speed(&self) -> f64 {
        self.speed
    }
}

impl Clock for WallClock {
    fn now(&self) -> Timestamp {
        let elapsed_ms = self.began.elapsed().as_secs_f64() * 1_000.0 * self.speed;
        #[expect(clippy::cast_possible_truncation, reason = "milliseconds of a process's life")]
        let elapsed_ms = elapsed_ms as i64;
        Timestamp(self.began_ms.saturating_add(elapsed_ms))
    }

    fn wall(&self, span_ms: i64) -> Duration {
        #[expect(clippy::cast_precision_loss, reason = "a sleep needs no exact milliseconds")]
        Duration::from_secs_f64((span_ms.max(0) as f64 / 1_000.0 / self.speed).max(0.000_2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scaled_clock_starts_where_it_is_told_and_runs_faster() {
        let clock = WallClock::scaled(3_600.0, Some(Timestamp(1_000)));
        assert!(clock.now() >= Timestamp(1_000));
        assert_eq!(clock.wall(3_600_000), Duration::from_secs(1));
    }
}
