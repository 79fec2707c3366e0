//! The wall's time, for what a person at a terminal waits for: read and slept in one place.

use std::time::{Duration, Instant};

/// Now, by the wall: only for measuring how long something takes.
#[expect(clippy::disallowed_methods, reason = "the terminal's own pace; nothing is decided by it")]
pub(crate) fn instant() -> Instant {
    Instant::now()
}

/// Waits.
#[expect(clippy::disallowed_methods, reason = "the edge of the program, which drives no turns")]
pub(crate) fn nap(duration: Duration) {
    std::thread::sleep(duration);
}
