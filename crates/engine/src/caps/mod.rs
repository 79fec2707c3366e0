//! Frequency caps: a person's ledger of sends, and what is left in each window (semantics 4).
//!
//! **CAP-1:** a send is counted in the step that decides it (reserved), and stays counted while it is
//! sent or unknown; only a final failure takes it out. Two sends cannot pass one cap: one writer per
//! person decides, in log order.

mod fatigue;

pub(crate) use fatigue::{Fatigue, shrunk};

use crate::limits::{SENDS_KEPT_MS_MIN, SENDS_MAX};
use crate::mutation::{Mutation, mutated};
use crate::profile::make_room;
use crate::timing::{day_of, day_start, month_start, next_month_start, plus_days, week_start};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use sojourn_model::{ActionId, DurationMs, Name, Timestamp};
use sojourn_rules::{Cap, CapScope, CapWindow, Policy};

/// What is known of a send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum SendState {
    /// Decided; no receipt yet.
    Reserved,
    /// Nobody knows whether it went out.
    Unknown,
    /// It went out.
    Sent,
    /// It finally failed. No cap counts it; it stays as the latest action of its step, so that a
    /// failure told twice by journey and step releases nothing else.
    Failed,
}

/// One approved message, with the labels it had when it was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Send {
    /// When it was decided (log time).
    pub at: Timestamp,
    /// The action.
    pub action: ActionId,
    /// What is known of it.
    pub state: SendState,
    /// Whether caps see it; not when its purpose was exempt.
    pub counted: bool,
    /// Whether a cancellation was asked for.
    pub cancelled: bool,
    /// Channel.
    pub channel: Name,
    /// Endpoint.
    pub endpoint: Name,
    /// Purpose.
    pub purpose: Name,
    /// Topic.
    pub topic: Option<Name>,
    /// Tags.
    pub tags: Vec<Name>,
    /// Journey.
    pub journey: Name,
    /// Step.
    pub step: Name,
}

/// Labels of a message that is being decided.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Labels<'a> {
    pub(crate) channel: &'a str,
    pub(crate) purpose: &'a str,
    pub(crate) topic: Option<&'a str>,
    pub(crate) tags: &'a [Name],
    pub(crate) journey: &'a str,
    pub(crate) step: &'a str,
}

/// Whether a cap counts a message: every label that its scope gives must match.
pub(crate) fn matches(scope: &CapScope, labels: Labels<'_>) -> bool {
    let fits = |wanted: &Option<Name>, label: Option<&str>| {
        wanted.as_deref().is_none_or(|wanted| Some(wanted) == label)
    };
    fits(&scope.channel, Some(labels.channel))
        && fits(&scope.purpose, Some(labels.purpose))
        && fits(&scope.topic, labels.topic)
        && fits(&scope.journey, Some(labels.journey))
        && fits(&scope.step, Some(labels.step))
        && scope.tag.as_ref().is_none_or(|tag| labels.tags.contains(tag))
}

impl Send {
    fn labels(&self) -> Labels<'_> {
        Labels {
            channel: &self.channel,
            purpose: &self.purpose,
            topic: self.topic.as_deref(),
            tags: &self.tags,
            journey: &self.journey,
            step: &self.step,
        }
    }
}

/// A cap's window for a message that is being decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reading {
    pub(crate) used: u32,
    /// When the cap allows again; `None`: it is not full, or never will allow.
    pub(crate) free_at: Option<Timestamp>,
    pub(crate) full: bool,
}

/// Sends of one person, in order of (time, action).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sends {
    list: Vec<Send>,
}

impl Sends {
    /// All that are kept, oldest first.
    pub fn as_slice(&self) -> &[Send] {
        &self.list
    }

    /// The send of an action.
    pub(crate) fn find(&self, action: ActionId) -> Option<&Send> {
        self.list.iter().rev().find(|send| send.action == action)
    }

    /// The latest send of a step.
    pub(crate) fn latest_of(&self, journey: &str, step: &str) -> Option<ActionId> {
        let mut latest = self.list.iter().rev();
        latest.find(|send| &*send.journey == journey && &*send.step == step).map(|send| send.action)
    }

    /// Whether no further send can be told apart from those before (LIM-1).
    pub(crate) fn full(&self) -> bool {
        self.list.len() >= SENDS_MAX
    }

    /// How a cap that allows `at_most` sends stands at `now` in the person's zone.
    pub(crate) fn read(&self, cap: &Cap, at_most: u32, now: Timestamp, zone: Tz) -> Reading {
        let (after, next) = match cap.per {
            CapWindow::Rolling(window) => (now.minus(window), None),
            CapWindow::LocalDay => {
                let day = day_of(zone, now);
                (before(day_start(zone, day)), Some(day_start(zone, plus_days(day, 1))))
            }
            CapWindow::LocalWeek => {
                let monday = week_start(day_of(zone, now));
                (before(day_start(zone, monday)), Some(day_start(zone, plus_days(monday, 7))))
            }
            CapWindow::LocalMonth => {
                let day = day_of(zone, now);
                let first = day_start(zone, month_start(day));
                (before(first), Some(day_start(zone, next_month_start(day))))
            }
        };
        // Sends of a clock that is ahead count too: CAP-1 errs on the side of fewer.
        let from = self.list.partition_point(|send| send.at <= after);
        let counting: Vec<Timestamp> = self.list[from..]
            .iter()
            .filter(|send| send.counted && matches(&cap.scope, send.labels()))
            .filter(|send| {
                send.state != SendState::Reserved || !mutated(Mutation::CapWithoutReservation)
            })
            .map(|send| send.at)
            .collect();
        let used = u32::try_from(counting.len()).unwrap_or(u32::MAX);
        let full = used >= at_most;
        let free_at = match (full, cap.per) {
            (false, _) => None,
            (true, _) if at_most == 0 => None,
            // Free when so many of the oldest have left that one more fits.
            (true, CapWindow::Rolling(window)) => {
                let leaving = counting[counting.len() - at_most as usize];
                Some(leaving.plus(window))
            }
            (true, _) => next,
        };
        assert!(free_at.is_none_or(|free| free > now), "a full cap frees later, not now");
        Reading { used, free_at, full }
    }

    /// Counts a send from its decision on (CAP-1).
    pub(crate) fn reserve(&mut self, send: Send, keep: DurationMs) {
        assert!(!self.full(), "the guard refuses at the limit");
        self.prune(send.at, keep);
        // Sends that a merge brought from another partition may carry a clock that is ahead.
        let place = self.list.partition_point(|known| known.at <= send.at);
        make_room(&mut self.list);
        self.list.insert(place, send);
    }

    fn prune(&mut self, now: Timestamp, keep: DurationMs) {
        let old = self.list.partition_point(|send| send.at < now.minus(keep));
        self.list.drain(..old);
    }

    /// Takes a receipt up: commits, marks unknown, or (finally failed) releases the reservation.
    /// Gives whether it named a send of this person.
    pub(crate) fn receipt(
        &mut self,
        action: ActionId,
        outcome: sojourn_model::ReceiptOutcome,
    ) -> bool {
        use sojourn_model::ReceiptOutcome as Outcome;
        let Some(place) = self.list.iter().rposition(|send| send.action == action) else {
            return false;
        };
        match outcome {
            // What finally failed was released: its place may be somebody else's by now.
            _ if self.list[place].state == SendState::Failed => {}
            Outcome::Sent => self.list[place].state = SendState::Sent,
            Outcome::Unknown if mutated(Mutation::CapReleasedOnUnknown) => {
                self.list.remove(place);
            }
            // A delivery that is known stays known, whatever comes in late.
            Outcome::Unknown => {
                let state = &mut self.list[place].state;
                *state = (*state).max(SendState::Unknown);
            }
            Outcome::Failed => self.failed(place),
        }
        true
    }

    /// Releases a reservation; of a step's failures only the latest is kept.
    fn failed(&mut self, place: usize) {
        let send = &mut self.list[place];
        send.state = SendState::Failed;
        send.counted = false;
        let (journey, step) = (send.journey.clone(), send.step.clone());
        let alike = |send: &Send| {
            send.state == SendState::Failed && send.journey == journey && send.step == step
        };
        let latest = self.list.iter().rev().find(|send| alike(send)).map(|send| send.action);
        self.list.retain(|send| !alike(send) || Some(send.action) == latest);
    }

    /// Reserved sends that `wanted` picks, marked as cancelled; each only once.
    pub(crate) fn cancel(&mut self, wanted: impl Fn(&Send) -> bool) -> Vec<ActionId> {
        let reserved = self
            .list
            .iter_mut()
            .filter(|send| send.state == SendState::Reserved && !send.cancelled && wanted(send));
        reserved
            .map(|send| {
                send.cancelled = true;
                send.action
            })
            .collect()
    }

    /// The union of both, so that counters add up (semantics 2).
    pub(crate) fn merge(&mut self, other: Self) {
        if mutated(Mutation::MergeLosesSends) {
            return;
        }
        for send in other.list {
            if self.find(send.action).is_none() {
                self.list.push(send);
            }
        }
        self.list.sort_by_key(|send| (send.at, send.action));
        let excess = self.list.len().saturating_sub(SENDS_MAX);
        self.list.drain(..excess);
    }

    /// Takes out the sends that `wanted` picks.
    pub(crate) fn split_off(&mut self, wanted: impl Fn(&Send) -> bool) -> Self {
        let (theirs, ours) = std::mem::take(&mut self.list).into_iter().partition(wanted);
        self.list = ours;
        Self { list: theirs }
    }
}

/// The last instant before `at`: windows are half open, (after, now].
fn before(at: Timestamp) -> Timestamp {
    Timestamp(at.0 - 1)
}

/// How long sends are kept: what the longest window can look at twice over, so that a policy that
/// lengthens a window still finds what was sent (CAP-1), and at least two months.
pub(crate) fn kept_for(policies: &[&Policy]) -> DurationMs {
    let windows = policies.iter().flat_map(|policy| &policy.caps).map(|cap| match cap.per {
        CapWindow::Rolling(window) => window.0.saturating_mul(2),
        CapWindow::LocalDay | CapWindow::LocalWeek | CapWindow::LocalMonth => 0,
    });
    DurationMs(windows.max().unwrap_or(0).max(SENDS_KEPT_MS_MIN))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use sojourn_model::{CandidateId, ProfileId, ReceiptOutcome};
    use sojourn_rules::AtCap;

    const HOUR: i64 = 3_600_000;

    fn cap(at_most: u32, per: CapWindow) -> Cap {
        Cap { id: "c".into(), at_most, per, scope: CapScope::default(), at_cap: AtCap::Drop }
    }

    fn send(run: u32, at: i64) -> Send {
        let candidate = CandidateId { profile: ProfileId(1), run, step: 0, visit: 0 };
        Send {
            at: Timestamp(at),
            action: ActionId(candidate),
            state: SendState::Reserved,
            counted: true,
            cancelled: false,
            channel: "email".into(),
            endpoint: "a@x".into(),
            purpose: "marketing".into(),
            topic: Some("offers".into()),
            tags: vec!["x".into()],
            journey: "j".into(),
            step: "s".into(),
        }
    }

    fn ledger(times: &[i64]) -> Sends {
        let mut sends = Sends::default();
        for (run, at) in (0..).zip(times) {
            sends.reserve(send(run, *at), DurationMs::days(62));
        }
        sends
    }

    #[test]
    fn a_rolling_window_is_half_open() {
        let day = CapWindow::Rolling(DurationMs::hours(24));
        let sends = ledger(&[0, 2 * HOUR]);
        let read = |now, n| sends.read(&cap(n, day), n, Timestamp(now), chrono_tz::UTC);
        let free = Some(Timestamp(24 * HOUR));
        assert_eq!(read(5 * HOUR, 2), Reading { used: 2, free_at: free, full: true });
        assert_eq!(read(24 * HOUR - 1, 2).used, 2);
        assert_eq!(read(24 * HOUR, 2).used, 1);
        assert_eq!(read(5 * HOUR, 1).free_at, Some(Timestamp(26 * HOUR)));
        assert_eq!(read(5 * HOUR, 0), Reading { used: 2, free_at: None, full: true });
    }

    #[test]
    fn calendar_windows_follow_the_zone() {
        let warsaw = chrono_tz::Europe::Warsaw;
        let at = |text: &str| {
            let at = chrono::DateTime::parse_from_rfc3339(text).unwrap();
            at.timestamp_millis()
        };
        let sends = ledger(&[at("2026-03-02T10:00:00Z")]);
        let read = |now: &str, per| sends.read(&cap(1, per), 1, Timestamp(at(now)), warsaw);
        let day = read("2026-03-02T11:00:00Z", CapWindow::LocalDay);
        assert_eq!(day.free_at, Some(Timestamp(at("2026-03-02T23:00:00Z"))));
        assert!(!read("2026-03-02T23:00:00Z", CapWindow::LocalDay).full);
        let week = read("2026-03-08T22:59:59Z", CapWindow::LocalWeek);
        assert_eq!(week.free_at, Some(Timestamp(at("2026-03-08T23:00:00Z"))));
        let month = read("2026-03-31T21:59:59Z", CapWindow::LocalMonth);
        assert_eq!(month.free_at, Some(Timestamp(at("2026-03-31T22:00:00Z"))));
    }

    #[test]
    fn only_a_final_failure_releases() {
        let mut sends = ledger(&[0]);
        let action = sends.list[0].action;
        let used = |sends: &Sends| {
            let day = CapWindow::Rolling(DurationMs::hours(24));
            sends.read(&cap(9, day), 9, Timestamp(1), chrono_tz::UTC).used
        };
        assert!(sends.receipt(action, ReceiptOutcome::Unknown));
        assert_eq!(used(&sends), 1);
        assert!(sends.receipt(action, ReceiptOutcome::Sent));
        assert!(sends.receipt(action, ReceiptOutcome::Unknown));
        assert_eq!(sends.list[0].state, SendState::Sent);
        assert!(sends.receipt(action, ReceiptOutcome::Failed));
        assert_eq!(used(&sends), 0);
        assert!(sends.receipt(action, ReceiptOutcome::Sent));
        assert_eq!(used(&sends), 0, "a place that was released is not taken again");
    }

    #[test]
    fn a_failure_stays_the_latest_action_of_its_step() {
        let mut sends = ledger(&[0, 1, 2]);
        let [first, second, third] = [0, 1, 2].map(|place| sends.list[place].action);
        for _ in 0..2 {
            assert_eq!(sends.latest_of("j", "s"), Some(third));
            assert!(sends.receipt(third, ReceiptOutcome::Failed));
        }
        assert_eq!(sends.list.iter().filter(|send| send.counted).count(), 2);
        assert!(sends.receipt(second, ReceiptOutcome::Failed));
        let kept: Vec<ActionId> = sends.list.iter().map(|send| send.action).collect();
        assert_eq!(kept, [first, third], "of a step's failures only the latest action is kept");
    }

    #[test]
    fn every_label_of_a_scope_must_match() {
        let ours = send(0, 0);
        let scope =
            CapScope { tag: Some("x".into()), step: Some("s".into()), ..CapScope::default() };
        assert!(matches(&scope, ours.labels()));
        let other = CapScope { topic: Some("news".into()), ..scope };
        assert!(!matches(&other, ours.labels()));
    }

    proptest! {
        /// CAP-1: sending whenever no cap is full, and at the freed instant when one is, never puts
        /// more than N into any window; and the freed instant is the first that allows.
        #[test]
        fn no_window_ever_holds_more_than_its_limit(
            gaps in proptest::collection::vec(0i64..40 * HOUR, 1..40),
            at_most in 1u32..4, hours in 1i64..72, kind in 0usize..4, zone in 0usize..500,
        ) {
            let zone = chrono_tz::TZ_VARIANTS[zone];
            let per = [CapWindow::Rolling(DurationMs::hours(hours)), CapWindow::LocalDay,
                CapWindow::LocalWeek, CapWindow::LocalMonth][kind];
            let cap = cap(at_most, per);
            let mut sends = Sends::default();
            let mut now = 1_770_000_000_000;
            for (run, gap) in (0..).zip(gaps) {
                now += gap;
                let reading = sends.read(&cap, at_most, Timestamp(now), zone);
                if let Some(free) = reading.free_at {
                    prop_assert!(sends.read(&cap, at_most, Timestamp(free.0 - 1), zone).full);
                    prop_assert!(!sends.read(&cap, at_most, free, zone).full);
                } else {
                    sends.reserve(send(run, now), DurationMs::days(62));
                    prop_assert!(sends.read(&cap, at_most, Timestamp(now), zone).used <= at_most);
                }
            }
        }
    }
}
