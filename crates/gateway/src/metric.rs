//! Names of the edge's metrics, and the one place that measures time. No label holds personal data,
//! a free event name or a key.

use std::time::{Duration, Instant};

/// Counter: answered requests by `route` and `status` (`2xx`, …).
pub const REQUESTS: &str = "sojourn_gateway_requests_total";
/// Counter: touchpoints made durable, by `channel` of their source.
pub const ACCEPTED: &str = "sojourn_gateway_touchpoints_accepted_total";
/// Counter: messages refused, by `field` (the member's name without its property).
pub const REJECTED: &str = "sojourn_gateway_messages_rejected_total";
/// Counter: identifiers left out by a limit.
pub const IDENTIFIERS_LEFT_OUT: &str = "sojourn_gateway_identifiers_left_out_total";
/// Counter: touchpoints without any usable identifier.
pub const NO_IDENTIFIER: &str = "sojourn_gateway_no_identifier_total";
/// Histogram: from append to durable.
pub const APPEND_SECONDS: &str = "sojourn_gateway_append_seconds";
/// Counter: revocation marks set in the gate.
pub const REVOCATIONS: &str = "sojourn_gateway_revocations_total";
/// Counter: appends that failed, by `reason`.
pub const APPENDS_FAILED: &str = "sojourn_gateway_appends_failed_total";
/// Counter: check-ins, by whether a prompt came in time (`prompt`: `yes`, `no`).
pub const CHECKINS: &str = "sojourn_gateway_checkins_total";
/// Gauge: requests being answered.
pub const IN_FLIGHT: &str = "sojourn_gateway_requests_in_flight";

/// Measures how long something takes; the result goes into a metric and nowhere else.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    #[expect(clippy::disallowed_methods, reason = "a duration that is only measured")]
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}
