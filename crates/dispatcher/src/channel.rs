//! How much a channel may be given now: token bucket, window, circuit breaker.

use crate::limits;
use sojourn_model::{DurationMs, Timestamp};

/// Messages per second. A full bucket holds one second's worth, so that a burst after a pause is
/// never longer than that.
#[derive(Debug, Clone)]
struct Bucket {
    rate_per_second: f64,
    tokens: f64,
    filled: Timestamp,
}

impl Bucket {
    fn new(rate_per_second: f64, now: Timestamp) -> Self {
        assert!(rate_per_second > 0.0, "rules refuses a rate of zero");
        Self { rate_per_second, tokens: rate_per_second.max(1.0), filled: now }
    }

    fn fill(&mut self, now: Timestamp) {
        // A clock that steps back gives nothing and takes nothing.
        if now <= self.filled {
            return;
        }
        let seconds = now.since(self.filled).0 as f64 / 1_000.0;
        let full = self.rate_per_second.max(1.0);
        self.tokens = (self.tokens + seconds * self.rate_per_second).min(full);
        self.filled = now;
    }

    /// When the next token is there.
    fn next(&self) -> Timestamp {
        let missing = (1.0 - self.tokens).max(0.0) / self.rate_per_second;
        self.filled.plus(DurationMs((missing * 1_000.0).ceil() as i64))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Breaker {
    /// Failures in a row.
    Closed(u32),
    /// No call until then; how often it has opened in a row.
    Open { until: Timestamp, times: u32 },
    /// One call is out to see whether the channel lives.
    Probing { times: u32 },
}

/// One channel as the dispatcher uses it.
#[derive(Debug, Clone)]
pub(crate) struct ChannelUse {
    bucket: Option<Bucket>,
    breaker: Breaker,
    in_flight: u32,
    /// Nothing before then: the provider asked for a pause.
    paused_until: Timestamp,
}

/// Whether a call may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leave {
    /// Now.
    Go,
    /// Not before then.
    At(Timestamp),
    /// When something in flight has come back.
    WhenAnswered,
}

impl ChannelUse {
    pub(crate) fn new(rate_per_second: Option<f64>, now: Timestamp) -> Self {
        Self {
            bucket: rate_per_second.map(|rate| Bucket::new(rate, now)),
            breaker: Breaker::Closed(0),
            in_flight: 0,
            paused_until: Timestamp::MIN,
        }
    }

    /// Whether one more call may begin, with at most `window` in flight.
    pub(crate) fn leave(&mut self, window: u32, now: Timestamp) -> Leave {
        if self.in_flight >= window.max(1) {
            return Leave::WhenAnswered;
        }
        if now < self.paused_until {
            return Leave::At(self.paused_until);
        }
        match self.breaker {
            Breaker::Closed(_) => {}
            Breaker::Open { until, .. } if now < until => return Leave::At(until),
            Breaker::Open { .. } => {} // the next call is the probe
            Breaker::Probing { .. } => return Leave::WhenAnswered,
        }
        match &mut self.bucket {
            Some(bucket) => {
                bucket.fill(now);
                if bucket.tokens >= 1.0 { Leave::Go } else { Leave::At(bucket.next()) }
            }
            None => Leave::Go,
        }
    }

    /// A call begins.
    pub(crate) fn begin(&mut self) {
        self.in_flight += 1;
        if let Some(bucket) = &mut self.bucket {
            bucket.tokens -= 1.0;
        }
        if let Breaker::Open { times, .. } = self.breaker {
            self.breaker = Breaker::Probing { times };
        }
    }

    /// A call that began was not made after all.
    pub(crate) fn not_made(&mut self) {
        self.end();
        if let Some(bucket) = &mut self.bucket {
            bucket.tokens += 1.0;
        }
        if let Breaker::Probing { times } = self.breaker {
            self.breaker = Breaker::Open { until: Timestamp::MIN, times };
        }
    }

    fn end(&mut self) {
        assert!(self.in_flight > 0, "an answer belongs to a call");
        self.in_flight -= 1;
    }

    /// A call was answered; `failed`: by the channel's fault, not by the recipient's.
    pub(crate) fn answered(&mut self, failed: bool, now: Timestamp) {
        self.end();
        self.breaker = match (self.breaker, failed) {
            (Breaker::Closed(_) | Breaker::Probing { .. }, false) => Breaker::Closed(0),
            (Breaker::Closed(failures), true) if failures + 1 < limits::BREAKER_FAILURES => {
                Breaker::Closed(failures + 1)
            }
            (Breaker::Closed(_), true) => open(now, 0),
            (Breaker::Probing { times }, true) => open(now, times.saturating_add(1)),
            // Stragglers of the time before it opened.
            (open @ Breaker::Open { .. }, _) => open,
        };
    }

    /// The provider asks for a pause.
    pub(crate) fn pause(&mut self, until: Timestamp) {
        self.paused_until = self.paused_until.max(until);
    }

    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight
    }

    pub(crate) fn is_open(&self) -> bool {
        !matches!(self.breaker, Breaker::Closed(_))
    }
}

fn open(now: Timestamp, times: u32) -> Breaker {
    let pause = limits::BREAKER_PAUSE_FIRST.0.saturating_mul(1 << times.min(16));
    let pause = DurationMs(pause.min(limits::BREAKER_PAUSE_MAX.0));
    Breaker::Open { until: now.plus(pause), times }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIDE: u32 = 1_000;

    #[test]
    fn a_rate_holds_over_any_second() {
        let mut channel = ChannelUse::new(Some(20.0), Timestamp(0));
        let mut sent = Vec::new();
        let mut now = Timestamp(0);
        while now.0 < 5_000 {
            match channel.leave(WIDE, now) {
                Leave::Go => {
                    channel.begin();
                    sent.push(now.0);
                }
                Leave::At(at) => {
                    assert!(at > now);
                    now = at;
                }
                Leave::WhenAnswered => panic!("the window is wide"),
            }
        }
        // 20 at once from the full bucket, then 20 per second.
        assert!((115..=121).contains(&sent.len()), "{}", sent.len());
        for window in sent.windows(42) {
            assert!(window[41] - window[0] >= 1_000, "over 40 within a second: {window:?}");
        }
    }

    #[test]
    fn a_slow_rate_still_sends() {
        let mut channel = ChannelUse::new(Some(0.1), Timestamp(0));
        assert_eq!(channel.leave(WIDE, Timestamp(0)), Leave::Go);
        channel.begin();
        assert_eq!(channel.leave(WIDE, Timestamp(0)), Leave::At(Timestamp(10_000)));
        assert_eq!(channel.leave(WIDE, Timestamp(10_000)), Leave::Go);
    }

    #[test]
    fn the_breaker_opens_probes_and_closes() {
        let mut channel = ChannelUse::new(None, Timestamp(0));
        for _ in 0..limits::BREAKER_FAILURES {
            assert_eq!(channel.leave(WIDE, Timestamp(0)), Leave::Go);
            channel.begin();
            channel.answered(true, Timestamp(0));
        }
        let first = Timestamp(limits::BREAKER_PAUSE_FIRST.0);
        assert_eq!(channel.leave(WIDE, Timestamp(1)), Leave::At(first));
        assert_eq!(channel.leave(WIDE, first), Leave::Go);
        channel.begin();
        assert_eq!(channel.leave(WIDE, first), Leave::WhenAnswered, "one probe");
        channel.answered(true, first);
        let second = first.plus(DurationMs(limits::BREAKER_PAUSE_FIRST.0 * 2));
        assert_eq!(channel.leave(WIDE, first), Leave::At(second));
        assert_eq!(channel.leave(WIDE, second), Leave::Go);
        channel.begin();
        channel.answered(false, second);
        assert!(!channel.is_open());
        assert_eq!(channel.leave(WIDE, second), Leave::Go);
    }

    #[test]
    fn a_probe_that_was_not_made_leaves_the_next_one() {
        let mut channel = ChannelUse::new(Some(1.0), Timestamp(0));
        channel.breaker = Breaker::Open { until: Timestamp(5), times: 0 };
        assert_eq!(channel.leave(WIDE, Timestamp(5)), Leave::Go);
        channel.begin();
        channel.not_made();
        assert_eq!(channel.leave(WIDE, Timestamp(5)), Leave::Go);
        assert_eq!(channel.in_flight(), 0);
    }

    #[test]
    fn the_window_is_kept() {
        let mut channel = ChannelUse::new(None, Timestamp(0));
        for _ in 0..3 {
            assert_eq!(channel.leave(3, Timestamp(0)), Leave::Go);
            channel.begin();
        }
        assert_eq!(channel.leave(3, Timestamp(0)), Leave::WhenAnswered);
    }
}
