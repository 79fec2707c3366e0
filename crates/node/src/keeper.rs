//! The keeper: takes marks of the gate back, lets the dispatcher begin, trims the log.

use crate::roles::{Backoff, IDLE, Shared, nap, note};
use crate::tenure::Tenure;
use sojourn_model::Timestamp;
use sojourn_ports::{MarkKeeper, StateStore, Topic};
use sojourn_redis::LeaseView;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Merges in a chain whose records pass from owner to owner before a mark may be taken back.
const FORWARD_ROUNDS: u32 = 6;
/// How often the log may drop what everyone has read.
const TRIM: Duration = Duration::from_secs(60);

/// What the keeper stands on.
pub(crate) struct Keeper<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) gate: &'a dyn MarkKeeper,
    pub(crate) store: &'a dyn StateStore,
    /// Of the dispatchers.
    pub(crate) tenure: &'a Tenure,
    /// Set when calls may begin.
    pub(crate) ready: &'a AtomicBool,
    /// Pause between two looks.
    pub(crate) pause: Duration,
}

/// What it remembers from look to look.
#[derive(Default)]
struct Memory {
    /// The ticket up to which revocations were taken back.
    settled: Option<u64>,
    /// Cancels are in `actions` too: once every dispatcher has read so far and holds nothing that was
    /// approved before, it needs no mark from before (LIM-1).
    told: Option<(Timestamp, Vec<u64>)>,
    asked: Option<Asked>,
}

/// Waiting for every dispatcher to say what it holds, after it has read what it should.
struct Asked {
    /// The end of our own lease at that moment: views from before say nothing.
    own: u64,
    /// The ends of all leases in the first view since: what is newer was said since.
    since: Option<BTreeMap<String, u64>>,
}

impl Keeper<'_> {
    /// Works until the process ends.
    pub(crate) fn run(&self) {
        let mut since_trim = Duration::ZERO;
        let mut memory = Memory::default();
        let mut backoff = Backoff::new();
        while !self.shared.stopping() {
            match self.look(&mut memory) {
                Ok(()) => backoff.worked(),
                Err(error) => {
                    tracing::warn!(
                        error,
                        "marks of the gate are not taken back; they go on holding"
                    );
                    backoff.failed();
                }
            }
            nap(self.pause);
            since_trim += self.pause;
            if since_trim >= TRIM {
                since_trim = Duration::ZERO;
                self.trim();
            }
        }
    }

    fn look(&self, memory: &mut Memory) -> Result<(), String> {
        let now = self.shared.clock.now();
        let lost = self.gate.has_lost();
        // Marks are set after their record is appended: whatever the log holds now covers them.
        let ticket = self.gate.ticket()?;
        if memory.settled != Some(ticket) || lost || !self.ready.load(Ordering::Acquire) {
            if !self.catch_up()? || (lost && !self.set_anew()?) {
                return Ok(());
            }
            self.gate.settle(ticket)?;
            memory.settled = Some(ticket);
            self.ready.store(true, Ordering::Release);
            if memory.told.is_none() {
                memory.told = Some((now, self.ends(Topic::Actions)?));
            }
        }
        if let Some((since, read)) = &memory.told
            && self.shared.positions.actions_reached(read)
            && self.nothing_older(*since, &mut memory.asked)
        {
            self.gate.forget_before(*since)?;
            memory.told = None;
            memory.asked = None;
        }
        Ok(())
    }

    /// Waits until identity and every owner have applied what the log holds now; false: the process
    /// ends.
    fn catch_up(&self) -> Result<bool, String> {
        let positions = &self.shared.positions;
        let touchpoints = self.ends(Topic::Touchpoints)?;
        if !self.wait(&|| positions.identity_reached(touchpoints[0])) {
            return Ok(false);
        }
        // Several rounds: what owners forward to each other counts, also along a chain of merges.
        let mut before = None;
        for _ in 0..FORWARD_ROUNDS {
            let profiles = self.ends(Topic::Profiles)?;
            if !self.wait(&|| positions.owners_reached(&profiles)) {
                return Ok(false);
            }
            // Nothing has come since the last round: nothing was forwarded.
            if before.as_ref() == Some(&profiles) {
                break;
            }
            before = Some(profiles);
        }
        Ok(true)
    }

    /// The gate has lost marks. Revocations are applied by now; cancels are read again from `actions`,
    /// kill switches stand in the owners' checkpoints. False: the process ends.
    fn set_anew(&self) -> Result<bool, String> {
        let positions = &self.shared.positions;
        let actions = self.ends(Topic::Actions)?;
        if !self.wait(&|| positions.actions_reached(&actions)) {
            return Ok(false);
        }
        for partition in 0..self.shared.log.partitions(Topic::Profiles) {
            let marks = sojourn_worker::orders(self.store, partition);
            let marks = marks.map_err(|error| error.to_string())?;
            if !marks.is_empty() {
                self.gate.post(&marks)?;
            }
        }
        tracing::warn!("the gate had lost marks; they are set anew from the log");
        self.gate.reopen()?;
        Ok(true)
    }

    /// Whether no dispatcher holds an action that was approved before `since`. Only asked when all
    /// have read `actions` so far.
    fn nothing_older(&self, since: Timestamp, asked: &mut Option<Asked>) -> bool {
        if !self.tenure.is_leased() {
            return true;
        }
        let view = self.tenure.view();
        let own = self.tenure.until(&view);
        let asked = asked.get_or_insert(Asked { own, since: None });
        if own <= asked.own {
            return false;
        }
        let Some(first) = &asked.since else {
            let ends = view.members.iter().map(|(member, until, _)| (member.clone(), *until));
            asked.since = Some(ends.collect());
            return false;
        };
        let partitions = usize::from(self.shared.log.partitions(Topic::Actions));
        let holds_nothing_older = told_by_all(&view, first, since, partitions);
        if holds_nothing_older.is_none() {
            return false; // not everybody has said something yet
        }
        if holds_nothing_older == Some(false) {
            // Asked again from the beginning: what is old goes in time.
            *asked = Asked { own, since: None };
        }
        holds_nothing_older == Some(true)
    }

    /// Where every partition of a topic ends.
    fn ends(&self, topic: Topic) -> Result<Vec<u64>, String> {
        let log = &self.shared.log;
        (0..log.partitions(topic))
            .map(|partition| log.bounds(topic, partition).map(|bounds| bounds.next))
            .collect::<Result<_, _>>()
            .map_err(|error| error.to_string())
    }

    /// False: the process ends.
    fn wait(&self, reached: &dyn Fn() -> bool) -> bool {
        while !reached() {
            if self.shared.stopping() {
                return false;
            }
            nap(self.pause.min(IDLE));
        }
        !self.shared.stopping()
    }

    /// Allows the log to drop what every reader has behind it, subject to retention.
    fn trim(&self) {
        let (positions, log) = (&self.shared.positions, &self.shared.log);
        let mut below = Vec::new();
        if let Some(at) = positions.identity_committed() {
            below.push((Topic::Touchpoints, 0, at));
        }
        for (topic, partition, at) in positions.index() {
            let at = match topic {
                Topic::Profiles => positions.owner_committed(partition).unwrap_or(0).min(at),
                _ => at,
            };
            below.push((topic, partition, at));
        }
        below.extend(positions.actions());
        // Nobody reads these twice; retention alone decides.
        for topic in [Topic::Definitions, Topic::DeadLetters] {
            below.push((topic, 0, log.bounds(topic, 0).map_or(0, |bounds| bounds.next)));
        }
        if let Err(error) = log.trim(&below) {
            tracing::warn!(%error, "the log could not be trimmed");
        }
    }
}

/// Whether all dispatchers say that they hold nothing older than `since`. `None`: one has not said
/// anything since `first`, or a partition is nobody's, or its holder has not taken it up yet.
fn told_by_all(
    view: &LeaseView,
    first: &BTreeMap<String, u64>,
    since: Timestamp,
    partitions: usize,
) -> Option<bool> {
    if view.places.len() < partitions {
        return None;
    }
    let mut nothing = true;
    for (member, until, text) in &view.members {
        let said = note::read(text)?;
        if first.get(member).is_some_and(|before| until <= before) {
            return None;
        }
        let newest =
            view.places.iter().filter(|held| held.member == *member).map(|h| h.grant).max();
        if newest.is_some_and(|grant| grant > said.grant) {
            return None;
        }
        nothing &= said.oldest.is_none_or(|oldest| oldest >= since);
    }
    Some(nothing)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sojourn_redis::Held;

    fn view(members: &[(&str, u64, &str)], places: &[(u16, &str, u64)]) -> LeaseView {
        LeaseView {
            members: members.iter().map(|(m, u, n)| ((*m).into(), *u, (*n).into())).collect(),
            places: places
                .iter()
                .map(|(place, member, grant)| Held {
                    place: *place,
                    member: (*member).into(),
                    until: 0,
                    grant: *grant,
                })
                .collect(),
            ..LeaseView::default()
        }
    }

    #[test]
    fn marks_are_forgotten_when_every_dispatcher_has_said_so_of_everything() {
        let first = BTreeMap::from([("a".to_owned(), 10), ("b".to_owned(), 10)]);
        let places = [(0, "a", 1), (1, "b", 2)];
        let told = |members: &[(&str, u64, &str)], places: &[(u16, &str, u64)]| {
            told_by_all(&view(members, places), &first, Timestamp(100), 2)
        };
        let (a, b) = (("a", 11, "oldest=none grant=1"), ("b", 11, "oldest=100 grant=2"));
        assert_eq!(told(&[a, b], &places), Some(true));
        assert_eq!(told(&[a, ("b", 11, "oldest=99 grant=2")], &places), Some(false));
        assert_eq!(told(&[a, ("b", 10, "oldest=none grant=2")], &places), None, "said before");
        assert_eq!(told(&[a, ("b", 11, "the log is away")], &places), None);
        assert_eq!(told(&[a, ("b", 11, "oldest=none grant=1")], &places), None, "not taken up");
        assert_eq!(told(&[a, b], &places[..1]), None, "a partition is nobody's");
    }
}
