//! The gate in one process: marks in memory, permits counted, marks wait for permits (CON-2).
//!
//! After a restart the gate is empty; whoever opens it for the dispatcher first lets identity and
//! engine catch up with the log, which sets the marks anew.

use parking_lot::{Condvar, Mutex};
use sojourn_model::{ActionId, KillTarget, Name, ProfileId, Timestamp};
use sojourn_ports::{Clock, Gate, GateMark, GateQuery, GateVerdict, MarkKeeper, Permit};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Purpose that a revocation "of any purpose" spares.
const SERVICE: &str = "service";

/// The gate of a single process.
///
/// [`Gate::mark`] waits for permits. A single-threaded caller (the simulator) must therefore hold
/// no permit over a `mark`, or use [`MemoryGate::try_mark`].
pub struct MemoryGate {
    clock: Arc<dyn Clock>,
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    released: Condvar,
}

#[derive(Default)]
struct State {
    /// Revocations by endpoint or identifier value: what, and the latest log time.
    endpoints: BTreeMap<Name, Vec<Revocation>>,
    people: BTreeMap<ProfileId, Vec<Revocation>>,
    /// With the time at which the mark came.
    cancelled: BTreeMap<ActionId, Timestamp>,
    erased: BTreeMap<ProfileId, Timestamp>,
    /// The last order about each target: whether it stops, and its log time.
    orders: BTreeMap<KillTarget, Order>,
    permits: BTreeMap<u64, GateQuery>,
    next_permit: u64,
    /// Number of the last call of `mark` or `try_mark`.
    ticket: u64,
    unreachable: bool,
}

#[derive(Clone, Copy)]
struct Order {
    on: bool,
    at: Timestamp,
}

#[derive(PartialEq)]
struct Revocation {
    channel: Option<Name>,
    purpose: Option<Name>,
    at: Timestamp,
    /// The call that set it.
    ticket: u64,
}

impl Revocation {
    fn stops(&self, query: &GateQuery) -> bool {
        query.approved_at < self.at && covers(&self.channel, &self.purpose, query)
    }
}

fn covers(channel: &Option<Name>, purpose: &Option<Name>, query: &GateQuery) -> bool {
    channel.as_ref().is_none_or(|channel| *channel == query.channel)
        && match purpose {
            Some(purpose) => *purpose == query.purpose,
            None => &*query.purpose != SERVICE,
        }
}

fn targets(target: &KillTarget, query: &GateQuery) -> bool {
    match target {
        KillTarget::All => true,
        KillTarget::Class(purpose) => *purpose == query.purpose,
        KillTarget::Channel(channel) => *channel == query.channel,
        KillTarget::Journey(journey) => *journey == query.journey,
    }
}

/// Whether a mark forbids what a permit was given for.
fn concerns(mark: &GateMark, query: &GateQuery) -> bool {
    match mark {
        GateMark::Revoked { endpoint, channel, purpose, at } => {
            query.approved_at < *at
                && (*endpoint == query.endpoint || query.identifiers.contains(endpoint))
                && covers(channel, purpose, query)
        }
        GateMark::PersonRevoked { profile, channel, purpose, at } => {
            *profile == query.profile && query.approved_at < *at && covers(channel, purpose, query)
        }
        GateMark::Cancelled(action) => *action == query.action,
        GateMark::Erased(profile) => *profile == query.profile,
        GateMark::Killed { target, on, .. } => *on && targets(target, query),
    }
}

impl State {
    fn set(&mut self, mark: &GateMark, now: Timestamp) {
        let ticket = self.ticket;
        match mark {
            GateMark::Revoked { endpoint, channel, purpose, at } => {
                let list = self.endpoints.entry(endpoint.clone()).or_default();
                revoke(list, channel, purpose, *at, ticket);
            }
            GateMark::PersonRevoked { profile, channel, purpose, at } => {
                let list = self.people.entry(*profile).or_default();
                revoke(list, channel, purpose, *at, ticket);
            }
            GateMark::Cancelled(action) => {
                self.cancelled.insert(*action, now);
            }
            GateMark::Erased(profile) => {
                self.erased.insert(*profile, now);
            }
            GateMark::Killed { target, on, at } => {
                let old = self.orders.get(target).map(|old| (old.at, old.on));
                // Of the same instant, the one that stops: `true` is the greater.
                if old.is_none_or(|old| old <= (*at, *on)) {
                    self.orders.insert(target.clone(), Order { on: *on, at: *at });
                }
            }
        }
    }

    /// Why a query may not pass.
    fn refusal(&self, query: &GateQuery) -> Option<&'static str> {
        let stops = |list: &Vec<Revocation>| list.iter().any(|revoked| revoked.stops(query));
        let by_endpoint = |value: &Name| self.endpoints.get(value).is_some_and(stops);
        if self.erased.contains_key(&query.profile) {
            return Some("erased");
        }
        if self.orders.iter().any(|(target, order)| order.on && targets(target, query)) {
            return Some("killed");
        }
        if self.cancelled.contains_key(&query.action) {
            return Some("cancelled");
        }
        let revoked = by_endpoint(&query.endpoint)
            || query.identifiers.iter().any(by_endpoint)
            || self.people.get(&query.profile).is_some_and(stops);
        revoked.then_some("revoked")
    }

    fn holds_permit(&self, marks: &[GateMark]) -> bool {
        // A kill that a later order has taken back stops nothing any more.
        let holds = |mark: &&GateMark| match mark {
            GateMark::Killed { target, .. } => self.orders.get(target).is_some_and(|o| o.on),
            _ => true,
        };
        let marks: Vec<_> = marks.iter().filter(holds).collect();
        self.permits.values().any(|query| marks.iter().any(|mark| concerns(mark, query)))
    }
}

/// Keeps one entry per channel and purpose, with the latest instant.
fn revoke(
    list: &mut Vec<Revocation>,
    channel: &Option<Name>,
    purpose: &Option<Name>,
    at: Timestamp,
    ticket: u64,
) {
    let same = |old: &&mut Revocation| old.channel == *channel && old.purpose == *purpose;
    match list.iter_mut().find(same) {
        Some(old) => (old.at, old.ticket) = (old.at.max(at), ticket),
        None => {
            let (channel, purpose) = (channel.clone(), purpose.clone());
            list.push(Revocation { channel, purpose, at, ticket });
        }
    }
}

impl MemoryGate {
    /// An open gate. The clock stamps marks that carry no time, for [`MemoryGate::forget_before`].
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let shared = Shared { state: Mutex::default(), released: Condvar::new() };
        Self { clock, shared: Arc::new(shared) }
    }

    /// As [`Gate::mark`] without waiting: the marks hold from now on; `true` when no permit that
    /// they concern is out.
    pub fn try_mark(&self, marks: &[GateMark]) -> bool {
        let now = self.clock.now();
        let mut state = self.shared.state.lock();
        state.ticket += 1;
        for mark in marks {
            state.set(mark, now);
        }
        !state.holds_permit(marks)
    }

    /// Number of the last marks set: to be given to [`Self::settle`] later.
    pub fn ticket(&self) -> u64 {
        self.shared.state.lock().ticket
    }

    /// Takes back revocations that were set up to `ticket` without an end (`at` is
    /// [`Timestamp::MAX`]): the caller vouches that the engine has applied every record that the log
    /// held when `ticket` was taken, so that the engine itself refuses what they forbid and has
    /// cancelled what it had approved before. Until then such a mark stops everything it covers,
    /// whenever it was approved: the engine may lag behind the acknowledgement (CON-2).
    pub fn settle(&self, ticket: u64) {
        let mut state = self.shared.state.lock();
        let keep = |list: &mut Vec<Revocation>| {
            list.retain(|revoked| revoked.at < Timestamp::MAX || revoked.ticket > ticket);
            !list.is_empty()
        };
        state.endpoints.retain(|_, list| keep(list));
        state.people.retain(|_, list| keep(list));
    }

    /// Forgets marks that can concern nobody any more (LIM-1). The caller vouches that every action
    /// approved before `horizon` has been handed over or given up, and that the engine has applied
    /// every record before it. Orders about kill switches stay.
    pub fn forget_before(&self, horizon: Timestamp) {
        let mut state = self.shared.state.lock();
        let keep = |list: &mut Vec<Revocation>| {
            list.retain(|revoked| revoked.at >= horizon);
            !list.is_empty()
        };
        state.endpoints.retain(|_, list| keep(list));
        state.people.retain(|_, list| keep(list));
        state.cancelled.retain(|_, came| *came >= horizon);
        state.erased.retain(|_, came| *came >= horizon);
    }

    /// Marks held: endpoints, people, actions, kill switches. For metrics and `doctor`.
    pub fn len(&self) -> usize {
        let state = self.shared.state.lock();
        state.endpoints.len()
            + state.people.len()
            + state.cancelled.len()
            + state.erased.len()
            + state.orders.values().filter(|order| order.on).count()
    }

    /// Whether no mark is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fault: the gate does not answer, or does again.
    pub fn set_unreachable(&self, unreachable: bool) {
        self.shared.state.lock().unreachable = unreachable;
    }
}

impl Gate for MemoryGate {
    fn mark(&self, marks: &[GateMark]) -> Result<(), String> {
        let now = self.clock.now();
        let mut state = self.shared.state.lock();
        if state.unreachable {
            return Err("the gate does not answer".to_owned());
        }
        state.ticket += 1;
        for mark in marks {
            state.set(mark, now);
        }
        while state.holds_permit(marks) {
            self.shared.released.wait(&mut state);
        }
        Ok(())
    }

    fn post(&self, marks: &[GateMark]) -> Result<(), String> {
        self.try_mark(marks);
        Ok(())
    }

    fn ask(&self, query: &GateQuery) -> GateVerdict {
        let mut state = self.shared.state.lock();
        if state.unreachable {
            return GateVerdict::Unreachable("the gate does not answer".to_owned());
        }
        if let Some(reason) = state.refusal(query) {
            return GateVerdict::Closed(reason);
        }
        let id = state.next_permit;
        state.next_permit += 1;
        state.permits.insert(id, query.clone());
        GateVerdict::Open(Permit::new(Held { id, shared: Arc::clone(&self.shared) }))
    }
}

impl MarkKeeper for MemoryGate {
    fn ticket(&self) -> Result<u64, String> {
        Ok(Self::ticket(self))
    }

    fn settle(&self, ticket: u64) -> Result<(), String> {
        Self::settle(self, ticket);
        Ok(())
    }

    fn forget_before(&self, horizon: Timestamp) -> Result<(), String> {
        Self::forget_before(self, horizon);
        Ok(())
    }

    fn held(&self) -> Result<u64, String> {
        Ok(self.len() as u64)
    }
}

/// Behind a permit.
struct Held {
    id: u64,
    shared: Arc<Shared>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.shared.state.lock().permits.remove(&self.id);
        self.shared.released.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ManualClock;
    use sojourn_model::{CandidateId, name};

    fn open(gate: &MemoryGate, approved_at: i64) -> bool {
        let candidate = CandidateId { profile: ProfileId(1), run: 0, step: 0, visit: 0 };
        let query = GateQuery {
            action: ActionId(candidate),
            profile: ProfileId(1),
            endpoint: name("a@b.c"),
            identifiers: Vec::new(),
            channel: name("email"),
            purpose: name("marketing"),
            journey: name("j"),
            approved_at: Timestamp(approved_at),
        };
        matches!(gate.ask(&query), GateVerdict::Open(_))
    }

    #[test]
    fn a_mark_without_an_end_holds_until_it_is_settled() {
        let gate = MemoryGate::new(Arc::new(ManualClock::new(Timestamp(10))));
        let endpoint = name("a@b.c");
        let mark = GateMark::Revoked { endpoint, channel: None, purpose: None, at: Timestamp::MAX };
        let before = gate.ticket();
        gate.mark(std::slice::from_ref(&mark)).unwrap();
        let ticket = gate.ticket();
        assert!(!open(&gate, 1_000_000), "also what the engine approves before it has caught up");
        gate.settle(before);
        assert!(!open(&gate, 5), "it was set after that ticket");
        gate.settle(ticket);
        assert!(open(&gate, 5));
    }
}
