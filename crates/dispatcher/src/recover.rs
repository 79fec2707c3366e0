//! After a start: what was pending, what was tried, what was taken back.

use crate::dispatcher::{Dispatcher, Phase};
use crate::lane::Lane;
use crate::pending::{History, State};
use crate::{DispatchError, Options, Ports, Tenancy, Transport, limits, memory};
use bytes::Bytes;
use sojourn_model::{Action, ActionId, DurationMs};
use sojourn_ports::{Entry, ReadLimit, Space, Topic};
use sojourn_proto::{
    ActionRecord, DispatchKind, DispatchRecord, DispatchResult, decode_action_record,
    decode_dispatch_record,
};
use std::collections::BTreeMap;

/// What the `dispatch` topic tells of an action whose record has not been read yet.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Learned {
    pub(crate) history: History,
    /// Its result, when it is done with.
    pub(crate) finished: Option<DispatchResult>,
}

/// The final result that a record of `dispatch` tells.
fn result_of(record: &DispatchRecord) -> Option<DispatchResult> {
    match &record.kind {
        DispatchKind::Outcome { result, .. } => Some(*result),
        DispatchKind::Intent { .. } => None,
    }
}

impl Dispatcher {
    /// Claims the partitions, loads what is pending and replays `dispatch`. No call begins before
    /// [`Ports::ready`] is set and `actions` has been read.
    pub fn new(
        ports: Ports,
        options: Options,
        transport: Box<dyn Transport>,
    ) -> Result<Self, DispatchError> {
        Self::start(Self::empty(ports, options, transport))
    }

    /// As [`Dispatcher::new`], where other processes dispatch other partitions, or these at another
    /// time.
    pub fn among_others(
        ports: Ports,
        options: Options,
        transport: Box<dyn Transport>,
        tenancy: Tenancy,
    ) -> Result<Self, DispatchError> {
        let mut dispatcher = Self::empty(ports, options, transport);
        dispatcher.tenancy = Some(tenancy);
        Self::start(dispatcher)
    }

    fn start(mut dispatcher: Self) -> Result<Self, DispatchError> {
        for partition in dispatcher.options.partitions.clone() {
            dispatcher.open_lane(partition)?;
        }
        for id in dispatcher.pending.keys().copied().collect::<Vec<_>>() {
            dispatcher.enqueue_recovered(id);
        }
        Ok(dispatcher)
    }

    fn open_lane(&mut self, partition: u16) -> Result<(), DispatchError> {
        let owner = Lane::owner_of(partition);
        let (log, store) = (self.ports.log.clone(), self.ports.store.clone());
        let claim = store.claim(&owner)?;
        let first = log.bounds(Topic::Actions, partition)?.first;
        if claim.position.is_none() && first > 0 {
            return Err(DispatchError::StoreEmpty { owner, partition, first });
        }
        let dispatch = partition % log.partitions(Topic::Dispatch);
        let mut lane = Lane::new(partition, dispatch, claim.epoch, claim.position.unwrap_or(0));
        let damaged = |what, reason: String| DispatchError::Damaged {
            what,
            owner: Lane::owner_of(partition),
            reason,
        };
        let key = Bytes::from_static(memory::LANE_KEY);
        let row = store.get(&owner, Space::Meta, &[key])?.into_iter().next().flatten();
        let saved: memory::SavedLane = match row {
            Some(row) => serde_json::from_slice(&row)
                .map_err(|error| damaged("the lane", error.to_string()))?,
            None => memory::SavedLane::default(),
        };
        lane.sources = saved.sources;
        lane.saved_dispatch = saved.dispatch_next;
        for (id, reason) in saved.early {
            self.early.insert(id, (reason, partition));
        }
        let mut failed = None;
        let pending = &mut self.pending;
        store.scan(
            &owner,
            Space::Meta,
            memory::PENDING_PREFIX,
            Some(memory::PENDING_END),
            &mut |_, row| match memory::decode_pending(&owner, row) {
                Ok(action) => {
                    pending.insert(action.action.id, action);
                    true
                }
                Err(error) => {
                    failed = Some(error);
                    false
                }
            },
        )?;
        if let Some(error) = failed {
            return Err(error);
        }
        self.replay(&mut lane, saved.dispatch_next)?;
        self.lanes.push(lane);
        Ok(())
    }

    /// Applies the records of `dispatch` from `from` on.
    fn replay(&mut self, lane: &mut Lane, from: u64) -> Result<(), DispatchError> {
        let log = self.ports.log.clone();
        let bounds = log.bounds(Topic::Dispatch, lane.dispatch)?;
        // Trimmed only below a checkpoint; an older one that came back has nothing to learn there.
        let mut next = from.max(bounds.first);
        let limit = ReadLimit {
            records: limits::READ_RECORDS_MAX,
            bytes: limits::READ_BYTES_MAX,
            durable_only: false,
        };
        let mut entries: Vec<Entry> = Vec::new();
        while next < bounds.next {
            entries.clear();
            log.read(Topic::Dispatch, lane.dispatch, next, limit, &mut entries)?;
            for entry in entries.iter().filter(|entry| entry.offset >= next) {
                let record = decode_dispatch_record(&entry.value).map_err(|error| {
                    DispatchError::Damaged {
                        what: "a record of dispatch",
                        owner: lane.owner.clone(),
                        reason: error.to_string(),
                    }
                })?;
                if let Some(pending) = self.pending.get_mut(&record.action) {
                    let finished = pending.history.apply(&record);
                    lane.touch(Some(record.action));
                    if finished && let Some(done) = self.pending.remove(&record.action) {
                        // Should its record be read again, it is known to be done.
                        let finished = result_of(&record);
                        self.learned.entry(record.action).or_default().finished = finished;
                        self.tell_again(&done.action, finished);
                    }
                } else {
                    let learned = self.learned.entry(record.action).or_default();
                    if learned.history.apply(&record) {
                        learned.finished = result_of(&record);
                    }
                }
            }
            // Nothing at all is a hole at the end; only what was read before is a reader that went
            // back, and more follows: an intent that is not learned here would be made twice.
            let Some(last) = entries.last() else { break };
            next = next.max(last.offset + 1);
        }
        let known = self.dispatch_next.entry(lane.dispatch).or_default();
        *known = (*known).max(bounds.next);
        Ok(())
    }

    /// Writes the receipt of an action that `dispatch` tells to be done: over a log that keeps of one
    /// append some partitions and not others it may be missing. Twice it counts once.
    pub(crate) fn tell_again(&mut self, action: &Action, result: Option<DispatchResult>) {
        let Some(result) = result else { return };
        let now = self.ports.clock.now();
        // A call's answer is not told by `dispatch`: had it come, this one would not count.
        let lost = if action.is_call() { "the answer was lost" } else { "" };
        self.receipt(action, result, (lost, None), now);
    }

    /// Puts a recovered action where it belongs. A call without an outcome is unknown (ACT-1).
    pub(crate) fn enqueue_recovered(&mut self, id: ActionId) {
        let now = self.ports.clock.now();
        let patience = self.tenancy.as_ref().map_or(DurationMs(0), |tenancy| tenancy.patience);
        let Some(pending) = self.pending.get_mut(&id) else { return };
        // Unsure attempts are decided anew as well: the channel may be able to look them up.
        if pending.history.in_flight || pending.history.maybe_sent {
            pending.unresolved.get_or_insert(now);
        }
        let state = match pending.state {
            State::Sleeping(until) if pending.unresolved.is_none() => State::Sleeping(until),
            // A predecessor's call may be on its way until its time is over.
            _ if pending.unresolved.is_some() => State::Sleeping(now.plus(patience)),
            _ => State::Ready,
        };
        self.place(id, state);
    }

    /// One turn of catching up; `true` when calls may begin (CON-2).
    ///
    /// From the moment that the engine has caught up, everything that it took back is in `actions`:
    /// cancels up to that moment's end are gathered first, however long the backlog before them.
    pub(crate) fn catch_up(&mut self) -> Result<bool, DispatchError> {
        if !self.ports.ready.load(std::sync::atomic::Ordering::Acquire) {
            return Ok(false);
        }
        let log = self.ports.log.clone();
        if self.targets.is_empty() {
            for lane in &self.lanes {
                let end = log.bounds(Topic::Actions, lane.partition)?.next;
                self.targets.insert(lane.partition, end);
            }
        }
        let limit = ReadLimit {
            records: limits::READ_RECORDS_MAX,
            bytes: limits::READ_BYTES_MAX,
            durable_only: true,
        };
        let mut entries: Vec<Entry> = Vec::new();
        let mut done = true;
        for lane in &mut self.lanes {
            let target = self.targets.get(&lane.partition).copied().unwrap_or(0);
            lane.scanned = lane.scanned.max(lane.next);
            if lane.scanned >= target {
                continue;
            }
            entries.clear();
            log.read(Topic::Actions, lane.partition, lane.scanned, limit, &mut entries)?;
            for entry in entries.iter().filter(|entry| entry.offset >= lane.scanned) {
                // A record that does not decode is dealt with when it is read in order.
                if let Ok((_, ActionRecord::Cancel { action, reason })) =
                    decode_action_record(&entry.value)
                {
                    self.ahead.insert(action, reason);
                }
            }
            if let Some(last) = entries.last() {
                lane.scanned = lane.scanned.max(last.offset + 1);
            }
            done &= lane.scanned >= target;
        }
        Ok(done)
    }

    /// Begins to call.
    pub(crate) fn start_running(&mut self) {
        self.phase = Phase::Running;
        let taken: Vec<_> = self
            .pending
            .keys()
            .filter_map(|id| self.ahead.get(id).map(|reason| (*id, reason.clone())))
            .collect();
        for (id, reason) in taken {
            self.cancel(id, reason);
        }
    }
}

/// What has been learned, by action.
pub(crate) type LearnedMap = BTreeMap<ActionId, Learned>;
