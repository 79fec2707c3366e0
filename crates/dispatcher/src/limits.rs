//! Every limit of the dispatcher (LIM-1). Times are of the clock port unless they say wall.

use sojourn_model::DurationMs;

/// Actions held in memory, over all partitions. At the limit reading stops until some are done.
pub const PENDING_MAX: usize = 50_000;
/// Records read from one partition per turn.
pub const READ_RECORDS_MAX: usize = 1_024;
/// Bytes read from one partition per turn.
pub const READ_BYTES_MAX: usize = 8 << 20;
/// Calls begun per turn: one intent batch, one fsync.
pub const TURN_CALLS_MAX: usize = 512;
/// Records in one append.
pub const FLUSH_RECORDS_MAX: usize = 8_192;
/// Records waiting for a log that refuses them; beyond it no call begins and nothing is read.
pub const OUTBOX_MAX: usize = 16_384;
/// Cancels kept for actions that another partition has not shown yet.
pub const EARLY_CANCELS_MAX: usize = 100_000;

/// Attempts of one action, look-ups not counted.
pub const ATTEMPTS_MAX: u32 = 8;
/// Look-ups of one unknown outcome.
pub const LOOKUPS_MAX: u32 = 8;
/// An action without an expiry is given up this long after its approval.
pub const GIVE_UP_AFTER: DurationMs = DurationMs::hours(24);
/// Pause before the second attempt; it doubles with each.
pub const BACKOFF_FIRST: DurationMs = DurationMs::seconds(2);
/// Longest pause.
pub const BACKOFF_MAX: DurationMs = DurationMs::seconds(900);
/// Pause when the gate does not answer.
pub const GATE_PAUSE: DurationMs = DurationMs::seconds(1);
/// How long an unknown outcome waits for its channel to say what it can do.
pub const CAPABILITY_WAIT: DurationMs = DurationMs::seconds(120);
/// Pause between two looks at it.
pub const CAPABILITY_PAUSE: DurationMs = DurationMs::seconds(1);

pub use sojourn_model::QUIET_TRUST;

/// Messages in flight on a channel that has not said how many it likes.
pub const IN_FLIGHT_DEFAULT: u32 = 256;
/// Failures in a row that open a channel's breaker.
pub const BREAKER_FAILURES: u32 = 10;
/// How long a breaker is open the first time; it doubles with each probe that fails.
pub const BREAKER_PAUSE_FIRST: DurationMs = DurationMs::seconds(5);
/// Longest time a breaker is open before the next probe.
pub const BREAKER_PAUSE_MAX: DurationMs = DurationMs::seconds(300);
/// Longest pause that a provider may ask for.
pub const RETRY_AFTER_MAX: DurationMs = DurationMs::hours(1);

/// Changes after which a partition is checkpointed.
pub const CHECKPOINT_CHANGES: usize = 2_000;
/// Time after which a partition with changes is checkpointed.
pub const CHECKPOINT_EVERY: DurationMs = DurationMs::seconds(5);

/// Characters of a detail in records.
pub const DETAIL_CHARS_MAX: usize = 200;
/// Wall time after which a delivery that has not answered is unknown, whatever its channel does.
pub const DELIVERY_WALL_MAX: std::time::Duration = std::time::Duration::from_secs(180);

const _: () = assert!(FLUSH_RECORDS_MAX <= sojourn_ports::log::limits::APPEND_RECORDS_MAX);
const _: () = assert!(TURN_CALLS_MAX * 4 <= FLUSH_RECORDS_MAX);
