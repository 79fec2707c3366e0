//! After a publish, everybody is visited once, a part at a time, so that people who say nothing meet
//! the journeys that went live: dates and schedules are armed, segments remembered.
//!
//! Whoever is touched before the sweep reaches them is prepared then; both come to the same.

use super::{At, Partition};
use crate::Effects;
use crate::limits::{PUBLICATIONS_MAX, SWEEP_EVERY_MS, SWEEP_PEOPLE_MAX};
use crate::profile::Stored;
use crate::versions::Publication;
use serde::{Deserialize, Serialize};
use sojourn_model::{DurationMs, LogPosition, ProfileId, Timestamp, Transition, VersionId};
use std::ops::Bound;

/// A sweep under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sweep {
    /// The next part is due.
    pub(crate) at: Timestamp,
    /// The last person visited.
    after: Option<ProfileId>,
}

impl Partition {
    /// A version went live: says when each backfill did, and begins a sweep.
    pub(super) fn begin_sweep(&mut self) {
        let registers = &mut self.registers;
        registers.publishes += 1;
        registers.published_at = self.now;
        let wanted = self.shared.current.as_ref().map_or(&[][..], |current| &current.backfills);
        registers.backfills.retain(|journey, _| wanted.contains(journey));
        for journey in wanted {
            registers.backfills.entry(journey.clone()).or_insert(registers.publishes);
        }
        let current = self.shared.current.as_ref();
        registers
            .paces
            .retain(|journey, _| current.is_some_and(|current| current.place(journey).is_some()));
        registers.sweep = (!self.roster.is_empty()).then_some(Sweep { at: self.now, after: None });
    }

    /// A version goes live: whoever lives here follows it when they are touched or visited.
    pub(super) fn keep_publication(&mut self, version: VersionId, transition: &Transition) {
        let registers = &mut self.registers;
        let (number, at) = (registers.publishes + 1, self.now);
        let transition = transition.clone();
        registers.publications.push(Publication { number, version, at, transition });
        // Whoever was not visited in all that time keeps their version.
        let excess = registers.publications.len().saturating_sub(PUBLICATIONS_MAX);
        registers.publications.drain(..excess);
    }

    /// Everybody was visited, but for those who wait for a merge. The last publish is kept for runs
    /// that come with merges from partitions that lag.
    fn forget_publications(&mut self) {
        if self.registers.sweep.is_none() && self.parked.is_empty() {
            let publications = &mut self.registers.publications;
            let done = publications.len().saturating_sub(1);
            publications.drain(..done);
        }
    }

    fn part(&self, sweep: Sweep, people: usize) -> impl Iterator<Item = ProfileId> {
        let after = sweep.after.map_or(Bound::Unbounded, Bound::Excluded);
        self.roster.range((after, Bound::Unbounded)).take(people).copied()
    }

    /// Everybody whom the sweep visits by `to`.
    pub(super) fn swept(&self, to: Timestamp) -> impl Iterator<Item = ProfileId> {
        let sweep = self.registers.sweep.filter(|sweep| sweep.at <= to);
        sweep.into_iter().flat_map(move |sweep| {
            let parts = to.since(sweep.at).0 / SWEEP_EVERY_MS + 1;
            let parts = usize::try_from(parts).unwrap_or(usize::MAX);
            self.part(sweep, parts.saturating_mul(SWEEP_PEOPLE_MAX))
        })
    }

    /// Visits the next part.
    pub(super) fn sweep(&mut self, sweep: Sweep, position: LogPosition, effects: &mut Effects) {
        let people: Vec<ProfileId> = self.part(sweep, SWEEP_PEOPLE_MAX).collect();
        let at = At { position, offset: position.offset, now: sweep.at };
        for id in &people {
            // Whoever waits for a merge is prepared when it is complete.
            if matches!(self.stored(*id), Some(Stored::Live(_))) && !self.parked.contains_key(id) {
                self.with(*id, at, effects, |_| ());
            }
        }
        self.registers.sweep = match people.last() {
            Some(last) if people.len() == SWEEP_PEOPLE_MAX => {
                Some(Sweep { at: sweep.at.plus(DurationMs(SWEEP_EVERY_MS)), after: Some(*last) })
            }
            _ => None,
        };
        self.forget_publications();
    }
}
