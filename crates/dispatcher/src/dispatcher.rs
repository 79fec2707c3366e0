//! The state machine: one turn reads, judges, begins.

use crate::channel::ChannelUse;
use crate::flush::Record;
use crate::lane::Lane;
use crate::pending::{Pending, Rank, State};
use crate::receipt::{bounce, call_receipt, receipt};
use crate::recover::{Learned, LearnedMap};
use crate::{DispatchError, Options, Ports, Tenancy, Transport, limits, metrics};
use bytes::Bytes;
use sojourn_model::{Action, ActionId, LogPosition, Name, Timestamp};
use sojourn_ports::{Entry, ReadLimit, Topic};
use sojourn_proto::{
    ActionRecord, DeadLetter, DispatchKind, DispatchRecord, DispatchResult, dead_letter,
    decode_action_record, dispatch_record,
};
use std::collections::{BTreeMap, BTreeSet};

/// How far a dispatcher is after its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Waiting for identity and engine, and for the end of `actions`.
    CatchingUp,
    /// Delivering.
    Running,
    /// Beginning no more calls; those in flight are still answered.
    Draining,
}

/// What a turn did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Whether it did anything: then the next turn may do more at once.
    pub worked: bool,
    /// When something is due that no record and no answer announces.
    pub wake_at: Option<Timestamp>,
    /// Calls in flight: their answers come through the transport.
    pub in_flight: usize,
    /// Actions held.
    pub pending: usize,
}

/// See the crate's documentation. Driven by [`Dispatcher::turn`] from one thread.
pub struct Dispatcher {
    pub(crate) ports: Ports,
    pub(crate) options: Options,
    pub(crate) transport: Box<dyn Transport>,
    pub(crate) phase: Phase,
    pub(crate) lanes: Vec<Lane>,
    pub(crate) pending: BTreeMap<ActionId, Pending>,
    /// Queues of the channels.
    pub(crate) ready: BTreeMap<Name, BTreeSet<Rank>>,
    pub(crate) sleeping: BTreeSet<(Timestamp, ActionId)>,
    pub(crate) channels: BTreeMap<Name, ChannelUse>,
    /// Told by `dispatch` about actions that have not been read yet.
    pub(crate) learned: LearnedMap,
    /// Cancels found ahead of where reading stands, after a start.
    pub(crate) ahead: BTreeMap<ActionId, Name>,
    /// Cancels read before their action (which another partition carries), with their partition.
    pub(crate) early: BTreeMap<ActionId, (Name, u16)>,
    /// Ends of `actions` when the engine had caught up.
    pub(crate) targets: BTreeMap<u16, u64>,
    pub(crate) outbox: Vec<Record>,
    /// An append whose outcome is unknown.
    pub(crate) unsure: Option<Vec<Record>>,
    /// Next offset per partition of `dispatch`, as far as this dispatcher knows.
    pub(crate) dispatch_next: BTreeMap<u16, u64>,
    pub(crate) in_flight: usize,
    /// Where others dispatch as well: what this one may still do.
    pub(crate) tenancy: Option<Tenancy>,
}

impl Dispatcher {
    pub(crate) fn empty(ports: Ports, options: Options, transport: Box<dyn Transport>) -> Self {
        Self {
            ports,
            options,
            transport,
            phase: Phase::CatchingUp,
            lanes: Vec::new(),
            pending: BTreeMap::new(),
            ready: BTreeMap::new(),
            sleeping: BTreeSet::new(),
            channels: BTreeMap::new(),
            learned: LearnedMap::new(),
            ahead: BTreeMap::new(),
            early: BTreeMap::new(),
            targets: BTreeMap::new(),
            outbox: Vec::new(),
            unsure: None,
            dispatch_next: BTreeMap::new(),
            in_flight: 0,
            tenancy: None,
        }
    }

    /// One turn: read records, take answers, begin calls, save. Blocks only for the log's fsync
    /// before calls and at checkpoints. After an error the dispatcher must be made anew.
    pub fn turn(&mut self) -> Result<Progress, DispatchError> {
        self.resolve_unsure()?;
        let mut worked = self.read()?;
        worked |= self.take_answers();
        self.flush()?;
        if self.phase == Phase::CatchingUp && self.catch_up()? {
            self.start_running();
            worked = true;
        }
        if self.phase == Phase::Running && self.outbox.len() < limits::OUTBOX_MAX {
            worked |= self.begin_calls()?;
        }
        self.flush()?;
        self.checkpoint(false)?;
        self.tell();
        Ok(Progress {
            worked,
            wake_at: self.wake_at(),
            in_flight: self.in_flight,
            pending: self.pending.len(),
        })
    }

    /// Begins no more calls from now on. Turns go on taking answers: when none is in flight, save
    /// and stop. A call without an answer would be unknown after the restart.
    pub fn drain(&mut self) {
        self.phase = Phase::Draining;
    }

    /// Saves everything: at a clean stop, so that the next start has nothing to replay.
    pub fn save(&mut self) -> Result<(), DispatchError> {
        self.resolve_unsure()?;
        self.flush()?;
        self.checkpoint(true)
    }

    /// How far it is.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Approval time of the oldest action held: the gate needs no mark older than it.
    pub fn oldest_pending(&self) -> Option<Timestamp> {
        self.pending.values().map(|pending| pending.action.approved_at).min()
    }

    /// What the next read of each partition waits for, for [`sojourn_ports::Log::wait`].
    pub fn waits_for(&self) -> Vec<(Topic, u16, u64)> {
        self.lanes.iter().map(|lane| (Topic::Actions, lane.partition, lane.next)).collect()
    }

    fn tell(&self) {
        metrics::pending(self.pending.len());
        for (name, channel) in &self.channels {
            metrics::channel(name, channel.in_flight(), channel.is_open());
        }
    }

    /// When something is due: a sleeper, or a channel's next token or probe.
    fn wake_at(&mut self) -> Option<Timestamp> {
        let sleeper = self.sleeping.first().map(|(at, _)| *at);
        if self.phase != Phase::Running {
            return None;
        }
        let now = self.ports.clock.now();
        let names: Vec<Name> =
            self.ready.iter().filter(|(_, q)| !q.is_empty()).map(|(n, _)| n.clone()).collect();
        let channel = names.iter().filter_map(|name| self.channel_wake(name, now)).min();
        sleeper.into_iter().chain(channel).min()
    }

    /// Reads new records of every partition.
    fn read(&mut self) -> Result<bool, DispatchError> {
        let mut worked = false;
        // Whether there is anything that the end would let it forget: asking where it is may cost.
        let mut at_end =
            !(self.early.is_empty() && self.learned.is_empty() && self.ahead.is_empty());
        let mut entries: Vec<Entry> = Vec::new();
        for index in 0..self.lanes.len() {
            let room = limits::PENDING_MAX.saturating_sub(self.pending.len());
            if room == 0 || self.outbox.len() >= limits::OUTBOX_MAX {
                metrics::at_limit(if room == 0 { "pending" } else { "outbox" });
                return Ok(worked);
            }
            let limit = ReadLimit {
                records: limits::READ_RECORDS_MAX.min(room),
                bytes: limits::READ_BYTES_MAX,
                durable_only: true, // what is not durable may yet be lost, a message may not
            };
            let (partition, next) = (self.lanes[index].partition, self.lanes[index].next);
            entries.clear();
            self.ports.log.read(Topic::Actions, partition, next, limit, &mut entries)?;
            for entry in &entries {
                if entry.offset < self.lanes[index].next {
                    continue; // read before
                }
                self.take(index, entry);
                self.lanes[index].next = entry.offset + 1;
                worked = true;
            }
            if at_end {
                let end = self.ports.log.bounds(Topic::Actions, partition)?.next;
                at_end = self.lanes[index].next >= end;
            }
        }
        if at_end {
            self.forget_leftovers();
        }
        Ok(worked)
    }

    /// Every partition has been read to its end: what was learned or taken back of actions that
    /// still have not come belongs to actions that are done.
    fn forget_leftovers(&mut self) {
        self.early.clear();
        if self.phase != Phase::CatchingUp {
            self.learned.clear();
            self.ahead.clear();
        }
    }

    fn take(&mut self, index: usize, entry: &Entry) {
        let lane = &mut self.lanes[index];
        lane.touch(None);
        let partition = lane.partition;
        let (origin, record) = match decode_action_record(&entry.value) {
            Ok(decoded) => decoded,
            Err(error) => {
                self.dead_letter(entry.value.clone(), &error.to_string());
                return;
            }
        };
        if !lane.take(origin) {
            return; // published again after a crash of its owner (LOG-2)
        }
        match record {
            ActionRecord::Action(action) => {
                let id = action.id;
                if self.pending.contains_key(&id) {
                    return;
                }
                let Learned { history, finished } = self.learned.remove(&id).unwrap_or_default();
                if finished.is_some() {
                    return self.tell_again(&action, finished);
                }
                let position = LogPosition { partition, offset: entry.offset };
                self.pending.insert(id, Pending::new(*action, position, history));
                self.touch(id);
                self.enqueue_recovered(id);
                let early = self.early.remove(&id).map(|(reason, _)| reason);
                if let Some(reason) = early.or_else(|| self.ahead.remove(&id)) {
                    self.cancel(id, reason);
                }
            }
            ActionRecord::Cancel { action, reason } => {
                self.ahead.remove(&action);
                if self.pending.contains_key(&action) {
                    self.cancel(action, reason);
                } else if self.early.len() < limits::EARLY_CANCELS_MAX {
                    self.early.insert(action, (reason, partition));
                } else {
                    // The gate holds the mark as well; this is the second line only.
                    metrics::at_limit("early_cancels");
                }
            }
        }
    }

    /// Takes an action back, if it has not been handed over. While a call is out it is remembered:
    /// there will be no next one.
    pub(crate) fn cancel(&mut self, id: ActionId, reason: Name) {
        let Some(pending) = self.pending.get_mut(&id) else { return };
        if pending.state == State::InFlight || pending.unresolved.is_some() || pending.lookup_next {
            pending.cancelled = Some(reason);
            self.touch(id);
        } else {
            self.finish(id, DispatchResult::Refused, &format!("cancelled: {reason}"));
        }
    }

    /// Puts an action into the queue of its channel, or to sleep, or marks its call.
    pub(crate) fn place(&mut self, id: ActionId, state: State) {
        self.unplace(id);
        let Some(pending) = self.pending.get_mut(&id) else { return };
        pending.state = state;
        match state {
            State::Ready => {
                let queue = self.ready.entry(pending.action.channel.clone()).or_default();
                queue.insert(pending.rank());
            }
            State::Sleeping(until) => {
                self.sleeping.insert((until, id));
            }
            State::InFlight => self.in_flight += 1,
        }
        self.touch(id);
    }

    /// Takes an action out of wherever it stands.
    fn unplace(&mut self, id: ActionId) {
        let Some(pending) = self.pending.get(&id) else { return };
        match pending.state {
            State::Ready => {
                if let Some(queue) = self.ready.get_mut(&pending.action.channel) {
                    queue.remove(&pending.rank());
                }
            }
            State::Sleeping(until) => {
                self.sleeping.remove(&(until, id));
            }
            State::InFlight => self.in_flight -= 1,
        }
    }

    /// The row of an action has to be saved.
    pub(crate) fn touch(&mut self, id: ActionId) {
        let partition = self.pending.get(&id).map(|pending| pending.position.partition);
        if let Some(lane) = self.lanes.iter_mut().find(|lane| Some(lane.partition) == partition) {
            lane.touch(Some(id));
        }
    }

    /// An action is done with: outcome and receipt, and what a final failure says of the address.
    ///
    /// CAP-1: when some attempt may have gone out, a failure or refusal is *unknown*, so that its
    /// reservation goes on counting.
    pub(crate) fn finish(&mut self, id: ActionId, result: DispatchResult, detail: &str) {
        self.touch(id);
        self.unplace(id);
        let Some(pending) = self.pending.remove(&id) else { return };
        let failed = result == DispatchResult::Failed;
        let result = match result {
            DispatchResult::Failed | DispatchResult::Refused if pending.history.maybe_sent => {
                DispatchResult::Unknown
            }
            other => other,
        };
        let now = self.ports.clock.now();
        let detail = cut(detail);
        metrics::finished(&pending.action.channel, result.as_str());
        self.outcome(&pending, result, &detail, now);
        self.receipt(&pending.action, result, (&detail, pending.body.as_deref()), now);
        if let Some(of) = pending.bounce.filter(|_| failed && &*pending.action.channel == "email") {
            let shards = self.ports.log.partitions(Topic::Touchpoints);
            self.outbox.push(Record {
                topic: Topic::Touchpoints,
                partition: pending.action.profile.partition(shards),
                value: bounce(&pending.action, of, &detail, now).into(),
                intent: false,
            });
        }
    }

    /// Tells the engine what became of an action.
    pub(crate) fn receipt(
        &mut self,
        action: &Action,
        result: DispatchResult,
        (detail, body): (&str, Option<&str>),
        now: Timestamp,
    ) {
        let value = if action.is_call() {
            call_receipt(action, result, detail, body, now)
        } else {
            receipt(action, result, detail, now)
        };
        let shards = self.ports.log.partitions(Topic::Touchpoints);
        self.outbox.push(Record {
            topic: Topic::Touchpoints,
            partition: action.profile.partition(shards),
            value: value.into(),
            intent: false,
        });
    }

    /// Writes what came of an attempt or of an action.
    pub(crate) fn outcome(
        &mut self,
        pending: &Pending,
        result: DispatchResult,
        detail: &str,
        now: Timestamp,
    ) {
        let kind = DispatchKind::Outcome {
            result,
            detail: cut(detail).into(),
            position: pending.position,
        };
        self.record(pending, kind, now);
    }

    /// Writes that a call is about to be made.
    pub(crate) fn intent(&mut self, pending: &Pending, now: Timestamp) {
        let kind = DispatchKind::Intent { channel: pending.action.channel.clone() };
        self.record(pending, kind, now);
    }

    fn record(&mut self, pending: &Pending, kind: DispatchKind, now: Timestamp) {
        let intent = matches!(kind, DispatchKind::Intent { .. });
        let record = DispatchRecord {
            action: pending.action.id,
            attempt: pending.history.calls,
            at: now,
            kind,
        };
        let partition = pending.position.partition % self.ports.log.partitions(Topic::Dispatch);
        let value = dispatch_record(&record);
        self.outbox.push(Record { topic: Topic::Dispatch, partition, value, intent });
    }

    fn dead_letter(&mut self, body: Bytes, detail: &str) {
        metrics::unreadable();
        let letter = DeadLetter {
            reason: "action_unreadable".into(),
            source: "dispatcher".into(),
            at: self.ports.clock.now(),
            body,
            detail: detail.into(),
        };
        self.outbox.push(Record {
            topic: Topic::DeadLetters,
            partition: 0,
            value: dead_letter(&letter),
            intent: false,
        });
    }
}

/// A detail of sane length.
fn cut(detail: &str) -> String {
    detail.chars().take(limits::DETAIL_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests;
