//! Definitions with what the engine derives from them once: indexes and what runs must keep.

use crate::needs::Needs;
use hashbrown::HashMap;
use sojourn_model::{DurationMs, Name};
use sojourn_rules::normalize::Normalizer;
use sojourn_rules::{Definitions, Expr, Journey, Tracked, Trigger};
use std::sync::Arc;

type Map<V> = HashMap<Name, V, foldhash::fast::FixedState>;

/// What an event name means to the current definitions.
#[derive(Debug, Default)]
pub(crate) struct Interest {
    /// Journeys that it may start, in order.
    pub(crate) entries: Vec<u16>,
    /// Watched segments that ask for it, by their place.
    pub(crate) segments: Vec<u16>,
}

/// One installed version.
#[derive(Debug)]
pub(crate) struct Installed {
    pub(crate) definitions: Arc<Definitions>,
    journeys: Map<u16>,
    needs: Vec<Needs>,
    interests: Map<Interest>,
    /// Normalises endpoints as identifiers are.
    pub(crate) normalizer: Normalizer,
    /// Journeys on an attribute.
    pub(crate) by_attribute: Vec<OnAttribute>,
    /// Journeys on a segment: name, whether on entering, journey.
    pub(crate) by_segment: Vec<(Name, bool, u16)>,
    /// Segments whose members are remembered: those of such journeys, and audiences; in order.
    pub(crate) watched: Vec<Name>,
    /// Every (event, window) that one of them looks through.
    pub(crate) windows: Vec<(Name, DurationMs)>,
    /// Journeys by time, in order.
    pub(crate) timed: Vec<u16>,
    /// Whether their times depend on the person alone, not on what happened.
    pub(crate) timed_by_person: bool,
    /// Journeys that take in who is in their segment already.
    pub(crate) backfills: Vec<Name>,
}

/// A journey on an attribute.
#[derive(Debug)]
pub(crate) struct OnAttribute {
    pub(crate) name: Name,
    /// Whether the value must differ.
    pub(crate) changed: bool,
    /// The journey.
    pub(crate) place: u16,
}

impl Installed {
    pub(crate) fn new(definitions: Arc<Definitions>) -> Self {
        let mut installed = Self {
            journeys: Map::default(),
            needs: Vec::new(),
            interests: Map::default(),
            normalizer: Normalizer::new(&definitions.workspace, &definitions.plan),
            by_attribute: Vec::new(),
            by_segment: Vec::new(),
            watched: Vec::new(),
            windows: Vec::new(),
            timed: Vec::new(),
            timed_by_person: true,
            backfills: Vec::new(),
            definitions: definitions.clone(),
        };
        for (place, journey) in (0u16..).zip(&definitions.journeys) {
            installed.journeys.insert(journey.name.clone(), place);
            installed.needs.push(Needs::of(journey, &definitions));
            match &journey.entry.trigger {
                Trigger::Event(rule) => {
                    for event in &rule.on {
                        let interest = installed.interests.entry(event.clone()).or_default();
                        if interest.entries.last() != Some(&place) {
                            interest.entries.push(place);
                        }
                    }
                }
                Trigger::Attribute { name, changed } => {
                    let (name, changed) = (name.clone(), *changed);
                    installed.by_attribute.push(OnAttribute { name, changed, place });
                }
                Trigger::Segment { segment, enter } => {
                    installed.by_segment.push((segment.clone(), *enter, place));
                    installed.watched.push(segment.clone());
                    if journey.entry.backfill {
                        installed.backfills.push(journey.name.clone());
                    }
                }
                Trigger::Date { date, .. } => {
                    installed.timed.push(place);
                    let mut asked = Vec::new();
                    installed.timed_by_person &= !asks(&date.expr, &definitions, &mut asked);
                }
                Trigger::Schedule(schedule) => {
                    installed.timed.push(place);
                    installed.watched.push(schedule.audience.clone());
                }
                Trigger::Api => {}
            }
        }
        installed.watched.sort_unstable();
        installed.watched.dedup();
        installed.index_watched();
        installed
    }

    /// Which events each watched segment asks for, and through which windows.
    fn index_watched(&mut self) {
        for (place, name) in (0u16..).zip(&self.watched) {
            let Some(segment) = self.definitions.segments.get(name) else { continue };
            let mut events = Vec::new();
            asks(&segment.when.expr, &self.definitions, &mut events);
            for event in events {
                let interest = self.interests.entry(event).or_default();
                if interest.segments.last() != Some(&place) {
                    interest.segments.push(place);
                }
            }
            windows(&segment.when.expr, &self.definitions, &mut self.windows);
        }
        self.windows.sort_unstable();
        self.windows.dedup();
    }

    pub(crate) fn interest(&self, event: &str) -> Option<&Interest> {
        self.interests.get(event)
    }

    /// Place of a journey among the definitions.
    pub(crate) fn place(&self, name: &str) -> Option<u16> {
        self.journeys.get(name).copied()
    }

    /// A journey with what its runs keep.
    pub(crate) fn journey(&self, name: &str) -> Option<(&Arc<Journey>, &Needs)> {
        let place = usize::from(*self.journeys.get(name)?);
        Some((&self.definitions.journeys[place], &self.needs[place]))
    }
}

/// What the history keeps per event: the union over the versions that runs may still use.
#[derive(Debug, Default)]
pub(crate) struct TrackedEvents(Map<(Name, Tracked)>);

impl TrackedEvents {
    pub(crate) fn get(&self, event: &str) -> Option<&(Name, Tracked)> {
        self.0.get(event)
    }

    pub(crate) fn of<'a>(versions: impl Iterator<Item = &'a Arc<Installed>>) -> Self {
        let mut all = Self::default();
        for installed in versions {
            for (event, tracked) in &installed.definitions.tracked {
                let (_, known) =
                    all.0.entry(event.clone()).or_insert_with(|| (event.clone(), tracked.clone()));
                for path in &tracked.properties {
                    if !known.properties.contains(path) {
                        known.properties.push(path.clone());
                    }
                }
                known.horizon = match (known.horizon, tracked.horizon) {
                    (Some(a), Some(b)) => Some(a.max(b)),
                    _ => None,
                };
            }
        }
        all
    }
}

/// Whether an expression asks for what happened, segments included; adds the events to `events`.
fn asks(expr: &Expr, definitions: &Definitions, events: &mut Vec<Name>) -> bool {
    let before = events.len();
    definitions.walk_through(expr, &mut |node| {
        if let Expr::History(call) = node {
            events.push(call.event.clone());
        }
    });
    events.len() > before
}

/// Every (event, window) that an expression looks through, segments included: when an event leaves
/// one of them, the expression may change by time alone.
pub(crate) fn windows(expr: &Expr, definitions: &Definitions, found: &mut Vec<(Name, DurationMs)>) {
    definitions.walk_through(expr, &mut |node| {
        if let Expr::History(call) = node
            && let Some(window) = call.window
        {
            found.push((call.event.clone(), window));
        }
    });
}
