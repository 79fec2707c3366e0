//! A person's history: what the history functions and the check at a late entry look at.
//!
//! Kept per event name, in the order of [`Stamp`], with only the properties that the definitions
//! track. Late events take the place of their `occurred_at` (semantics 1).

use crate::event::{EventView, Stamp};
use crate::limits::HISTORY_POINTS_MAX;
use crate::profile::make_room;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use sojourn_model::{DurationMs, Name, Timestamp, Value};
use sojourn_rules::{HistoryCall, HistoryFunction, Missing, Path, Tracked};

/// Events of one person that something may ask for.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// In order of name.
    series: Vec<Series>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Series {
    event: Name,
    /// Properties whose values the points carry, in this order; only ever extended.
    paths: Vec<Path>,
    /// In order of stamp.
    points: Vec<Point>,
}

/// One event of the history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Point {
    /// When it happened: a [`Stamp`], whose padding would cost a person a tenth of the history.
    occurred: Timestamp,
    logged: Timestamp,
    offset: u64,
    sub: u32,
    /// Mark of the identifier it came under (see `event::mark_of`).
    by: u32,
    /// One per path of the series; a short list where paths came later.
    values: SmallVec<[Option<Value>; 1]>,
}

impl Point {
    fn new(stamp: Stamp, by: u32, values: SmallVec<[Option<Value>; 1]>) -> Self {
        let Stamp { occurred, logged, offset, sub } = stamp;
        Self { occurred, logged, offset, sub, by, values }
    }

    fn stamp(&self) -> Stamp {
        let Self { occurred, logged, offset, sub, .. } = *self;
        Stamp { occurred, logged, offset, sub }
    }
}

impl History {
    fn find(&self, event: &str) -> Result<usize, usize> {
        self.series.binary_search_by(|series| (*series.event).cmp(event))
    }

    fn series(&self, event: &str) -> Option<&Series> {
        self.find(event).ok().map(|place| &self.series[place])
    }

    /// Adds `event`, trims what nothing can look at any more. Gives how many points a limit dropped.
    pub(crate) fn add(
        &mut self,
        name: &Name,
        event: &EventView<'_>,
        tracked: &Tracked,
        now: Timestamp,
    ) -> usize {
        if tracked.horizon.is_some_and(|horizon| event.stamp.occurred < now.minus(horizon)) {
            return 0;
        }
        let place = self.find(name).unwrap_or_else(|place| {
            let series = Series { event: name.clone(), paths: Vec::new(), points: Vec::new() };
            make_room(&mut self.series);
            self.series.insert(place, series);
            place
        });
        let series = &mut self.series[place];
        for path in &tracked.properties {
            if !series.paths.contains(path) {
                series.paths.push(path.clone());
            }
        }
        let values = series.paths.iter().map(|path| event.properties.read(path)).collect();
        series.insert(Point::new(event.stamp, event.by, values));
        series.trim(tracked.horizon, now)
    }

    /// Answers a history function (semantics 7; windows half open by `occurred_at`).
    pub(crate) fn call(
        &self,
        call: &HistoryCall,
        filter: &[Value],
        now: Timestamp,
    ) -> Result<Value, Missing> {
        let points = self.matching(call, filter, now);
        let property = || call.property.as_ref().ok_or(Missing);
        #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
        Ok(match call.function {
            HistoryFunction::Count => Value::Number(points.count() as f64),
            HistoryFunction::Sum => {
                let property = property()?;
                let values = points.filter_map(|(series, point)| series.value(point, property));
                Value::Number(values.filter_map(|value| value.as_number()).sum())
            }
            HistoryFunction::Distinct => {
                let property = property()?;
                let mut seen: Vec<&Value> = Vec::new();
                for value in points.filter_map(|(series, point)| series.value(point, property)) {
                    if !seen.contains(&value) {
                        seen.push(value);
                    }
                }
                Value::Number(seen.len() as f64)
            }
            HistoryFunction::First => {
                let property = property()?;
                let mut values = points.filter_map(|(series, point)| series.value(point, property));
                values.next().ok_or(Missing)?.clone()
            }
            HistoryFunction::Last => {
                let property = property()?;
                let values = points.filter_map(|(series, point)| series.value(point, property));
                values.last().ok_or(Missing)?.clone()
            }
        })
    }

    fn matching<'a>(
        &'a self,
        call: &'a HistoryCall,
        filter: &'a [Value],
        now: Timestamp,
    ) -> impl Iterator<Item = (&'a Series, &'a Point)> {
        let after = call.window.map(|window| now.minus(window));
        let series = self.series(&call.event);
        let points = series.into_iter().flat_map(move |series| {
            let from = after
                .map_or(0, |after| series.points.partition_point(|point| point.occurred <= after));
            let to = series.points.partition_point(|point| point.occurred <= now);
            series.points[from.min(to)..to].iter().map(move |point| (series, point))
        });
        points.filter(move |(series, point)| {
            call.filter
                .iter()
                .zip(filter)
                .all(|((path, _), wanted)| series.value(point, path) == Some(wanted))
        })
    }

    /// Events of this name that occurred after `after`, each as (stamp, property reader).
    pub(crate) fn later_than<'a>(
        &'a self,
        event: &str,
        after: Stamp,
    ) -> impl Iterator<Item = PastEvent<'a>> {
        self.series(event).into_iter().flat_map(move |series| {
            let from = series.points.partition_point(|point| point.stamp() <= after);
            series.points[from..].iter().map(move |point| PastEvent { series, point })
        })
    }

    /// When events of this name occurred, from after `from` to `to`.
    pub(crate) fn times(
        &self,
        event: &str,
        from: Timestamp,
        to: Timestamp,
    ) -> impl Iterator<Item = Timestamp> {
        let points = self.series(event).map_or(&[][..], |series| &series.points);
        let from = points.partition_point(|point| point.occurred <= from);
        let to = points.partition_point(|point| point.occurred <= to);
        points[from.min(to)..to].iter().map(|point| point.occurred)
    }

    /// When the next event of this name leaves a window of this length, after `now`.
    pub(crate) fn next_leaving(
        &self,
        event: &str,
        window: DurationMs,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let series = self.series(event)?;
        let after = now.minus(window);
        let from = series.points.partition_point(|point| point.occurred <= after);
        series.points.get(from).map(|point| point.occurred.plus(window))
    }

    /// Names of the events that it keeps, in order.
    pub(crate) fn events(&self) -> impl Iterator<Item = &Name> {
        self.series.iter().map(|series| &series.event)
    }

    /// When the newest event that is kept occurred.
    pub(crate) fn newest(&self) -> Option<Timestamp> {
        let last = self.series.iter().filter_map(|series| series.points.last());
        last.map(|point| point.occurred).max()
    }

    /// The union of both (semantics 2). Gives how many points a limit dropped.
    pub(crate) fn merge(&mut self, other: Self) -> usize {
        let mut dropped = 0;
        for theirs in other.series {
            match self.find(&theirs.event) {
                Err(place) => self.series.insert(place, theirs),
                Ok(place) => dropped += self.series[place].merge(theirs),
            }
        }
        dropped
    }

    /// Takes out the points that came under one of these marks: an unmerge gives them back.
    pub(crate) fn split_off(&mut self, marks: &[u32]) -> Self {
        let mut taken = Self::default();
        for series in &mut self.series {
            let (theirs, ours): (Vec<_>, Vec<_>) = std::mem::take(&mut series.points)
                .into_iter()
                .partition(|point| marks.contains(&point.by));
            series.points = ours;
            if !theirs.is_empty() {
                let (event, paths) = (series.event.clone(), series.paths.clone());
                taken.series.push(Series { event, paths, points: theirs });
            }
        }
        self.series.retain(|series| !series.points.is_empty());
        taken
    }

    /// How many points are kept of each event, for `person show`.
    pub fn counts(&self) -> impl Iterator<Item = (&Name, usize)> {
        self.series.iter().map(|series| (&series.event, series.points.len()))
    }
}

impl Series {
    fn value<'a>(&self, point: &'a Point, path: &Path) -> Option<&'a Value> {
        let place = self.paths.iter().position(|known| known == path)?;
        point.values.get(place)?.as_ref()
    }

    fn insert(&mut self, point: Point) {
        let place = match self.points.last() {
            Some(last) if last.stamp() > point.stamp() => {
                self.points.partition_point(|known| known.stamp() <= point.stamp())
            }
            _ => self.points.len(),
        };
        make_room(&mut self.points);
        self.points.insert(place, point);
    }

    fn trim(&mut self, horizon: Option<DurationMs>, now: Timestamp) -> usize {
        if let Some(horizon) = horizon {
            let before = now.minus(horizon);
            let old = self.points.partition_point(|point| point.occurred < before);
            self.points.drain(..old);
        }
        let excess = self.points.len().saturating_sub(HISTORY_POINTS_MAX);
        self.points.drain(..excess);
        excess
    }

    fn merge(&mut self, other: Self) -> usize {
        // The other's values, re-ordered to our paths.
        let places: Vec<Option<usize>> = self
            .paths
            .iter()
            .map(|path| other.paths.iter().position(|known| known == path))
            .chain((0..other.paths.len()).filter_map(|place| {
                (!self.paths.contains(&other.paths[place])).then_some(Some(place))
            }))
            .collect();
        let new = other.paths.iter().filter(|path| !self.paths.contains(path)).cloned();
        let new: Vec<Path> = new.collect();
        self.paths.extend(new);
        for point in other.points {
            let value = |place: &Option<usize>| {
                place.and_then(|place| point.values.get(place).cloned().flatten())
            };
            let values = places.iter().map(value).collect();
            self.insert(Point::new(point.stamp(), point.by, values));
        }
        self.trim(None, Timestamp::MIN)
    }
}

/// An event of the history, as far as it was kept.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PastEvent<'a> {
    series: &'a Series,
    point: &'a Point,
}

impl PastEvent<'_> {
    pub(crate) fn stamp(&self) -> Stamp {
        self.point.stamp()
    }
    /// The kept properties as one map.
    pub(crate) fn properties(&self) -> Value {
        let mut properties = Value::Map(Vec::new());
        for (place, path) in self.series.paths.iter().enumerate() {
            if let Some(Some(value)) = self.point.values.get(place) {
                put(&mut properties, path, value.clone());
            }
        }
        properties
    }
}

/// Puts `value` at `path` below the map `target`, making maps on the way.
pub(crate) fn put(target: &mut Value, path: &[Name], value: Value) {
    let Some((first, rest)) = path.split_first() else {
        *target = value;
        return;
    };
    if !matches!(target, Value::Map(_)) {
        *target = Value::Map(Vec::new());
    }
    let Value::Map(entries) = target else { unreachable!("made a map above") };
    let place = entries.iter().position(|(name, _)| name == first).unwrap_or_else(|| {
        entries.push((first.clone(), Value::Null));
        entries.len() - 1
    });
    put(&mut entries[place].1, rest, value);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Object;
    use proptest::prelude::*;
    use sojourn_rules::Expr;

    const HOUR: i64 = 3_600_000;

    fn tracked(horizon: Option<i64>) -> Tracked {
        let properties = vec![Path::from([Name::from("n")]), Path::from([Name::from("c")])];
        Tracked { properties, horizon: horizon.map(DurationMs) }
    }

    fn add(history: &mut History, at: i64, offset: u64, properties: &str, tracked: &Tracked) {
        let stamp =
            Stamp { occurred: Timestamp(at), logged: Timestamp(at), offset, ..Stamp::default() };
        let event = EventView {
            name: "E",
            channel: "web",
            source: "site",
            message_id: "m",
            stamp,
            identifiers: &[],
            by: u32::try_from(offset).unwrap(),
            imported: false,
            properties: Object::text(properties),
            context: Object::text(""),
            traits: Object::text(""),
        };
        history.add(&"E".into(), &event, tracked, Timestamp(9 * HOUR));
    }

    fn call(function: HistoryFunction, window: Option<i64>, filter: &[(&str, f64)]) -> HistoryCall {
        let literal = |value: f64| Expr::Literal(Value::Number(value));
        HistoryCall {
            function,
            event: "E".into(),
            property: Some(Path::from([Name::from("n")])),
            window: window.map(DurationMs),
            filter: filter
                .iter()
                .map(|(name, value)| (Path::from([Name::from(*name)]), literal(*value)))
                .collect(),
        }
    }

    fn ask(history: &History, call: &HistoryCall, now: i64) -> Result<Value, Missing> {
        let filter: Vec<Value> = call
            .filter
            .iter()
            .map(|(_, value)| match value {
                Expr::Literal(value) => value.clone(),
                _ => unreachable!("literals only"),
            })
            .collect();
        history.call(call, &filter, Timestamp(now))
    }

    #[test]
    fn functions_look_at_half_open_windows_in_order_of_occurrence() {
        let mut history = History::default();
        let tracked = tracked(None);
        // In another order than they occurred.
        add(&mut history, 3 * HOUR, 1, r#"{"n":3,"c":1}"#, &tracked);
        add(&mut history, HOUR, 2, r#"{"n":1,"c":1}"#, &tracked);
        add(&mut history, 2 * HOUR, 3, r#"{"c":2}"#, &tracked);
        let number = |value: f64| Ok(Value::Number(value));
        use HistoryFunction::{Count, Distinct, First, Last, Sum};
        let at = 3 * HOUR;
        assert_eq!(ask(&history, &call(Count, None, &[]), at), number(3.0));
        assert_eq!(ask(&history, &call(Count, Some(2 * HOUR), &[]), at), number(2.0));
        assert_eq!(ask(&history, &call(Count, Some(2 * HOUR + 1), &[]), at), number(3.0));
        assert_eq!(ask(&history, &call(Count, None, &[]), at - 1), number(2.0));
        assert_eq!(ask(&history, &call(Count, None, &[("c", 1.0)]), at), number(2.0));
        assert_eq!(ask(&history, &call(Sum, None, &[]), at), number(4.0));
        assert_eq!(ask(&history, &call(Distinct, None, &[]), at), number(2.0));
        assert_eq!(ask(&history, &call(First, None, &[]), at), number(1.0));
        assert_eq!(ask(&history, &call(Last, None, &[]), at), number(3.0));
        assert_eq!(ask(&history, &call(Last, None, &[("c", 2.0)]), at), Err(Missing));
        assert_eq!(
            history.next_leaving("E", DurationMs(HOUR), Timestamp(at)),
            Some(Timestamp(4 * HOUR))
        );
    }

    #[test]
    fn a_path_that_is_tracked_later_is_missing_before() {
        let mut history = History::default();
        add(&mut history, HOUR, 1, r#"{"n":1,"c":1}"#, &Tracked::default());
        add(&mut history, 2 * HOUR, 2, r#"{"n":2,"c":1}"#, &tracked(None));
        let first = call(HistoryFunction::First, None, &[]);
        assert_eq!(ask(&history, &first, 9 * HOUR), Ok(Value::Number(2.0)));
        add(&mut history, 4 * HOUR, 3, "{}", &tracked(Some(6 * HOUR)));
        assert_eq!(
            history.counts().map(|(_, n)| n).collect::<Vec<_>>(),
            [1],
            "older than six hours"
        );
    }

    proptest! {
        /// A merge is the union, whichever side survives; a split gives back what was joined.
        #[test]
        fn merges_commute(events in proptest::collection::vec((0i64..9, 0u32..4, 0usize..2), 0..24)) {
            let tracked = tracked(None);
            let (mut whole, mut sides) = (History::default(), [History::default(), History::default()]);
            for (offset, (hour, n, side)) in (0u64..).zip(events) {
                let properties = format!(r#"{{"n":{n}}}"#);
                add(&mut whole, hour * HOUR, offset * 2 + side as u64, &properties, &tracked);
                add(&mut sides[side], hour * HOUR, offset * 2 + side as u64, &properties, &tracked);
            }
            let [mut a, mut b] = sides.clone();
            a.merge(sides[1].clone());
            b.merge(sides[0].clone());
            prop_assert_eq!(&a, &b);
            prop_assert_eq!(&a, &whole);
            let odd: Vec<u32> = (0..100).filter(|mark| mark % 2 == 1).collect();
            let theirs = a.split_off(&odd);
            prop_assert_eq!(&theirs, &sides[1]);
            prop_assert_eq!(&a, &sides[0]);
        }
    }
}
