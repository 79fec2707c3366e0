//! Wakes readers that wait. Ringing costs nothing while nobody does.

use parking_lot::{Condvar, Mutex};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// Something that rings when there may be news.
#[derive(Default)]
pub(crate) struct Bell {
    rung: Mutex<u64>,
    changed: Condvar,
    listeners: AtomicUsize,
}

impl Bell {
    /// Wakes everybody who listens. What they look at has changed before the call.
    pub(crate) fn ring(&self) {
        if self.listeners.load(Ordering::SeqCst) > 0 {
            *self.rung.lock() += 1;
            self.changed.notify_all();
        }
    }

    /// Returns when `ready` says so, or at the deadline.
    pub(crate) fn listen(&self, deadline: Instant, mut ready: impl FnMut() -> bool) {
        self.listeners.fetch_add(1, Ordering::SeqCst);
        loop {
            let seen = *self.rung.lock();
            if ready() {
                break;
            }
            let mut rung = self.rung.lock();
            let mut late = false;
            while *rung == seen && !late {
                late = self.changed.wait_until(&mut rung, deadline).timed_out();
            }
            if late {
                break;
            }
        }
        self.listeners.fetch_sub(1, Ordering::SeqCst);
    }
}
