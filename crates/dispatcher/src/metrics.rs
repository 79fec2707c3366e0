//! Names of the dispatcher's metrics. Labels: `channel`, `outcome`; never anything about a person.

use metrics::{counter, gauge, histogram};

/// Calls begun. Label: channel.
pub const CALLS: &str = "sojourn_dispatch_calls_total";
/// Answers of channels. Labels: channel, outcome (sent, failed, retry, unknown).
pub const ANSWERS: &str = "sojourn_dispatch_answers_total";
/// Actions done with. Labels: channel, outcome (sent, failed, unknown, refused).
pub const FINISHED: &str = "sojourn_dispatch_finished_total";
/// Actions held.
pub const PENDING: &str = "sojourn_dispatch_pending";
/// Calls in flight. Label: channel.
pub const IN_FLIGHT: &str = "sojourn_dispatch_in_flight";
/// 1 while a channel's breaker is open. Label: channel.
pub const BREAKER_OPEN: &str = "sojourn_dispatch_breaker_open";
/// Turns in which reading stopped at a limit. Label: limit.
pub const AT_LIMIT: &str = "sojourn_dispatch_at_limit_total";
/// Records of `actions` that do not decode and went to the dead letters.
pub const UNREADABLE: &str = "sojourn_dispatch_unreadable_total";
/// Checkpoints that failed and will be tried again.
pub const CHECKPOINT_FAILURES: &str = "sojourn_dispatch_checkpoint_failures_total";
/// Seconds from the approval to the first call.
pub const LATENCY: &str = "sojourn_dispatch_latency_seconds";

pub(crate) fn called(channel: &str, first: bool, waited_ms: i64) {
    counter!(CALLS, "channel" => channel.to_owned()).increment(1);
    if first {
        histogram!(LATENCY).record(waited_ms.max(0) as f64 / 1_000.0);
    }
}

pub(crate) fn answered(channel: &str, outcome: &'static str) {
    counter!(ANSWERS, "channel" => channel.to_owned(), "outcome" => outcome).increment(1);
}

pub(crate) fn finished(channel: &str, outcome: &'static str) {
    counter!(FINISHED, "channel" => channel.to_owned(), "outcome" => outcome).increment(1);
}

pub(crate) fn pending(count: usize) {
    gauge!(PENDING).set(u32::try_from(count).unwrap_or(u32::MAX));
}

pub(crate) fn channel(name: &str, in_flight: u32, breaker_open: bool) {
    gauge!(IN_FLIGHT, "channel" => name.to_owned()).set(in_flight);
    gauge!(BREAKER_OPEN, "channel" => name.to_owned()).set(u32::from(breaker_open));
}

pub(crate) fn at_limit(limit: &'static str) {
    counter!(AT_LIMIT, "limit" => limit).increment(1);
}

pub(crate) fn unreadable() {
    counter!(UNREADABLE).increment(1);
}

pub(crate) fn checkpoint_failed() {
    counter!(CHECKPOINT_FAILURES).increment(1);
}
