//! The clock port: the only source of the present.

use sojourn_model::Timestamp;
use std::time::Duration;

/// Tells the time and lets a thread sleep in it. The demo's clock runs faster than the wall's, the
/// simulator's moves only when told.
pub trait Clock: Send + Sync {
    /// The present. May step back (a corrected machine clock); readers that need order take the
    /// log's stamps instead.
    fn now(&self) -> Timestamp;

    /// How much wall time passes while `span_ms` of this clock's time pass; the least that a thread
    /// should sleep before it looks again.
    fn wall(&self, span_ms: i64) -> Duration;
}
