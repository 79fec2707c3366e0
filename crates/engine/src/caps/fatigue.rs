//! How weary a person is of a channel: a rolling score from what became of messages (semantics 4).
//!
//! Every outcome is a point in time. A message is a point that lies ahead: it counts as ignored from
//! then on, unless the person looks at it before. So the score follows from few points, and no past is
//! searched.

use crate::limits::FATIGUE_POINTS_MAX;
use serde::{Deserialize, Serialize};
use sojourn_model::{ActionId, FatigueReading, Name, Timestamp};
use sojourn_rules::{FatiguePolicy, Weary};

/// One outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Point {
    /// It counts from here on (log time).
    at: Timestamp,
    what: u8,
    /// The message that will have been ignored.
    action: Option<ActionId>,
}

/// Outcomes on one channel, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct OnChannel {
    channel: Name,
    points: Vec<Point>,
}

/// Outcomes of one person's messages, by channel, in order of name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fatigue(Vec<OnChannel>);

impl Fatigue {
    fn of(&mut self, channel: &Name) -> &mut Vec<Point> {
        let place = match self.0.binary_search_by(|known| known.channel.cmp(channel)) {
            Ok(place) => place,
            Err(place) => {
                self.0.insert(place, OnChannel { channel: channel.clone(), points: Vec::new() });
                place
            }
        };
        &mut self.0[place].points
    }

    fn points(&self, channel: &str) -> &[Point] {
        let place = self.0.binary_search_by(|known| (*known.channel).cmp(channel));
        place.map_or(&[], |place| &self.0[place].points)
    }

    fn put(&mut self, channel: &Name, point: Point, since: Timestamp) {
        let points = self.of(channel);
        let old = points.partition_point(|known| known.at <= since);
        points.drain(..old);
        let place = points.partition_point(|known| *known <= point);
        points.insert(place, point);
        let excess = points.len().saturating_sub(FATIGUE_POINTS_MAX);
        points.drain(..excess);
    }

    /// A message goes out now; it will have been ignored when nothing comes of it.
    pub(crate) fn sent(
        &mut self,
        policy: &FatiguePolicy,
        channel: &Name,
        action: ActionId,
        now: Timestamp,
    ) {
        let at = now.plus(policy.ignored_after);
        let point = Point { at, what: Weary::Ignored as u8, action: Some(action) };
        self.put(channel, point, now.minus(policy.window));
    }

    /// Something came of a message: of the one named, or else of the one that went out last. One that
    /// counts as ignored already no longer does.
    pub(crate) fn noticed(&mut self, channel: &str, action: Option<ActionId>) {
        let Ok(place) = self.0.binary_search_by(|known| (*known.channel).cmp(channel)) else {
            return;
        };
        let points = &mut self.0[place].points;
        let found = match action {
            Some(action) => points.iter().rposition(|point| point.action == Some(action)),
            None => points.iter().rposition(|point| point.action.is_some()),
        };
        if let Some(found) = found {
            points.remove(found);
        }
    }

    /// A message did not go out after all.
    pub(crate) fn failed(&mut self, action: ActionId) {
        for known in &mut self.0 {
            known.points.retain(|point| point.action != Some(action));
        }
    }

    /// An outcome other than being ignored.
    pub(crate) fn note(
        &mut self,
        policy: &FatiguePolicy,
        channel: &Name,
        what: Weary,
        now: Timestamp,
    ) {
        let point = Point { at: now, what: what as u8, action: None };
        self.put(channel, point, now.minus(policy.window));
    }

    /// The score on a channel over `(now − window, now]`, with what it is made of.
    pub(crate) fn read(
        &self,
        policy: &FatiguePolicy,
        channel: &str,
        now: Timestamp,
    ) -> FatigueReading {
        let points = self.points(channel);
        let from = points.partition_point(|point| point.at <= now.minus(policy.window));
        let to = points.partition_point(|point| point.at <= now);
        let mut counts = [0u32; Weary::ALL.len()];
        points[from..to.max(from)].iter().for_each(|point| counts[usize::from(point.what)] += 1);
        let score = counts.iter().zip(policy.weights).map(|(count, weight)| count * weight).sum();
        let [ignored, dismissed, unsubscribed, complained] = counts;
        let caps = policy.percent(score);
        FatigueReading { score, ignored, dismissed, unsubscribed, complained, caps }
    }

    /// Instants after `now` at which outcomes leave the window, with the percentage from then on.
    pub(crate) fn eases<'a>(
        &'a self,
        policy: &'a FatiguePolicy,
        channel: &'a str,
        now: Timestamp,
    ) -> impl Iterator<Item = (Timestamp, u32)> + 'a {
        let points = self.points(channel).iter().filter(move |point| point.at <= now);
        let leaving = points.map(move |point| point.at.plus(policy.window));
        leaving.filter(move |at| *at > now).map(move |at| (at, self.read(policy, channel, at).caps))
    }

    /// The union of both.
    pub(crate) fn merge(&mut self, other: Self) {
        for theirs in other.0 {
            let points = self.of(&theirs.channel);
            for point in theirs.points {
                // What has no message cannot be told apart: both happened.
                if point.action.is_none() || !points.contains(&point) {
                    points.push(point);
                }
            }
            points.sort_unstable();
            let excess = points.len().saturating_sub(FATIGUE_POINTS_MAX);
            points.drain(..excess);
        }
    }

    /// Takes out the messages that `wanted` picks.
    pub(crate) fn split_off(&mut self, wanted: impl Fn(ActionId) -> bool) -> Self {
        let mut theirs = Self::default();
        for known in &mut self.0 {
            let (gone, kept) = std::mem::take(&mut known.points)
                .into_iter()
                .partition(|point| point.action.is_some_and(&wanted));
            known.points = kept;
            theirs.0.push(OnChannel { channel: known.channel.clone(), points: gone });
        }
        theirs.0.retain(|known| !known.points.is_empty());
        theirs
    }
}

/// How many sends a cap allows to somebody so weary: rounded down.
pub(crate) fn shrunk(at_most: u32, percent: u32) -> u32 {
    let part = u64::from(at_most) * u64::from(percent.min(100)) / 100;
    u32::try_from(part).expect("no more than at_most")
}

#[cfg(test)]
mod tests {
    use super::*;
    use sojourn_model::{CandidateId, DurationMs, ProfileId};
    use sojourn_rules::Shrink;

    fn policy() -> FatiguePolicy {
        FatiguePolicy {
            window: DurationMs(100),
            ignored_after: DurationMs(10),
            weights: [1, 2, 10, 20],
            shrink: vec![Shrink { from: 2, caps: 50 }, Shrink { from: 10, caps: 0 }],
        }
    }

    fn action(run: u32) -> ActionId {
        ActionId(CandidateId { profile: ProfileId(1), run, step: 0, visit: 0 })
    }

    #[test]
    fn what_is_not_looked_at_in_time_is_ignored_until_it_is() {
        let (policy, email): (_, Name) = (policy(), "email".into());
        let mut fatigue = Fatigue::default();
        let score = |fatigue: &Fatigue, now| fatigue.read(&policy, "email", Timestamp(now)).score;
        fatigue.sent(&policy, &email, action(1), Timestamp(0));
        fatigue.sent(&policy, &email, action(2), Timestamp(5));
        assert_eq!([9, 10, 14, 15].map(|now| score(&fatigue, now)), [0, 1, 1, 2]);
        assert_eq!(fatigue.read(&policy, "push", Timestamp(15)).score, 0);
        fatigue.noticed("email", None);
        assert_eq!(score(&fatigue, 15), 1);
        fatigue.noticed("email", Some(action(1)));
        assert_eq!(score(&fatigue, 15), 0);
        fatigue.sent(&policy, &email, action(3), Timestamp(20));
        fatigue.failed(action(3));
        assert_eq!(score(&fatigue, 30), 0);
    }

    #[test]
    fn the_window_is_half_open_and_eases() {
        let (policy, email): (_, Name) = (policy(), "email".into());
        let mut fatigue = Fatigue::default();
        fatigue.note(&policy, &email, Weary::Unsubscribed, Timestamp(0));
        fatigue.note(&policy, &email, Weary::Dismissed, Timestamp(30));
        let at = |now| {
            let reading = fatigue.read(&policy, "email", Timestamp(now));
            (reading.score, reading.caps)
        };
        assert_eq!([at(0), at(30), at(99), at(100)], [(10, 0), (12, 0), (12, 0), (2, 50)]);
        assert_eq!([at(129), at(130)], [(2, 50), (0, 100)]);
        let eases: Vec<_> = fatigue.eases(&policy, "email", Timestamp(30)).collect();
        assert_eq!(eases, [(Timestamp(100), 50), (Timestamp(130), 100)]);
    }

    #[test]
    fn shrinks_round_down() {
        assert_eq!([shrunk(3, 50), shrunk(1, 99), shrunk(7, 100), shrunk(7, 0)], [1, 0, 7, 0]);
    }

    #[test]
    fn merges_and_splits_keep_every_outcome() {
        let (policy, email): (_, Name) = (policy(), "email".into());
        let mut sides = [Fatigue::default(), Fatigue::default()];
        for (run, side) in (1..5).zip([0, 1, 0, 1]) {
            sides[side].sent(&policy, &email, action(run), Timestamp(0));
            sides[side].note(&policy, &email, Weary::Dismissed, Timestamp(i64::from(run)));
        }
        let [mut a, b] = sides.clone();
        a.merge(b);
        assert_eq!(a.read(&policy, "email", Timestamp(10)).score, 4 + 4 * 2);
        let theirs = a.split_off(|action| [2, 4].contains(&action.0.run));
        assert_eq!(theirs.read(&policy, "email", Timestamp(10)).score, 2);
        assert_eq!(a.read(&policy, "email", Timestamp(10)).score, 2 + 4 * 2);
    }
}
