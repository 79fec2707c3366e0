//! Effects on their way out: records by topic and partition, marks for the gate.

use crate::limits;
use crate::metric_names as names;
use bytes::Bytes;
use metrics::counter;
use sojourn_engine::Effect;
use sojourn_model::{LogPosition, Timestamp};
use sojourn_ports::{Append, Gate, GateMark, Log, LogError, Topic};
use sojourn_proto::{
    DeadLetter, Origin, action_record, cancel_record, dead_letter, decision_record,
    encode_profile_record, note_record,
};
use std::collections::BTreeMap;

/// What could not be handed on.
#[derive(Debug)]
pub(crate) enum FlushError {
    Log(LogError),
    Gate(String),
}

/// Records to append, in order per partition.
#[derive(Default)]
pub(crate) struct Output {
    appends: BTreeMap<(Topic, u16), Vec<Bytes>>,
    marks: Vec<GateMark>,
    records: usize,
    bytes: usize,
}

impl Output {
    fn push(&mut self, topic: Topic, partition: u16, value: Bytes) {
        self.records += 1;
        self.bytes += value.len();
        self.appends.entry((topic, partition)).or_default().push(value);
    }

    pub(crate) fn mark(&mut self, mark: GateMark) {
        self.marks.push(mark);
    }

    /// Takes the effects that the owner of `epoch` has of the record at `position`; an effect's place is its origin's index.
    pub(crate) fn take(
        &mut self,
        epoch: u64,
        position: LogPosition,
        log_time: Timestamp,
        partitions: u16,
        effects: &[Effect],
    ) {
        let LogPosition { partition, offset } = position;
        for (index, effect) in (0..).zip(effects) {
            let origin = Origin { partition, epoch, offset, index };
            match effect {
                Effect::Decision(decision) => {
                    let outcome = decision.outcome.as_str();
                    counter!(names::DECISIONS, "outcome" => outcome).increment(1);
                    if let Some(reason) = decision.reason {
                        counter!(names::REASONS, "reason" => reason.as_str()).increment(1);
                    }
                    self.push(Topic::Decisions, partition, decision_record(origin, decision));
                }
                Effect::Note(note) => {
                    self.push(Topic::Decisions, partition, note_record(origin, note));
                }
                Effect::Action(action) => {
                    counter!(names::ACTIONS).increment(1);
                    self.push(Topic::Actions, partition, action_record(origin, action));
                }
                Effect::Cancel { action, reason, .. } => {
                    counter!(names::CANCELS).increment(1);
                    let record = cancel_record(origin, *action, reason.as_str());
                    self.push(Topic::Actions, partition, record);
                    self.mark(GateMark::Cancelled(*action));
                }
                Effect::Revoked { .. } => self.marks.extend(revocation(effect, log_time)),
                Effect::Forward { to, record } => {
                    counter!(names::FORWARDS).increment(1);
                    let mut bytes = Vec::new();
                    let record = record.addressed_to(*to);
                    encode_profile_record(Some(origin), true, &record, &mut bytes);
                    self.push(Topic::Profiles, to.partition(partitions), bytes.into());
                }
            }
        }
    }

    /// Keeps a record that could not be read, with its reason.
    pub(crate) fn letter(&mut self, at: Timestamp, reason: &str, detail: &str) {
        let letter = DeadLetter {
            reason: reason.into(),
            source: "".into(),
            at,
            body: Bytes::new(),
            detail: detail.into(),
        };
        self.push(Topic::DeadLetters, 0, dead_letter(&letter));
    }

    /// Appends a record to the owner's own partition.
    pub(crate) fn own(&mut self, partition: u16, value: Bytes) {
        self.push(Topic::Profiles, partition, value);
    }

    pub(crate) fn is_full(&self) -> bool {
        self.records >= limits::APPEND_RECORDS_MAX / 2 || self.bytes >= limits::APPEND_BYTES_MAX
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Closes the gate for what was taken back, then publishes.
    pub(crate) fn flush(&mut self, log: &dyn Log, gate: &dyn Gate) -> Result<(), FlushError> {
        if !self.marks.is_empty() {
            gate.post(&self.marks).map_err(FlushError::Gate)?;
            self.marks.clear();
        }
        if self.records == 0 {
            return Ok(());
        }
        let appends = std::mem::take(&mut self.appends);
        let (records, bytes) = (self.records, self.bytes);
        self.records = 0;
        self.bytes = 0;
        let one = |((topic, partition), values)| Append { topic, partition, values };
        if records <= limits::APPEND_RECORDS_MAX && bytes <= 2 * limits::APPEND_BYTES_MAX {
            return log
                .append(appends.into_iter().map(one).collect(), None)
                .map_err(FlushError::Log);
        }
        // One record brought about more than one append may hold.
        for ((topic, partition), values) in appends {
            let mut part: Vec<Bytes> = Vec::new();
            let mut size = 0;
            for value in values {
                let full = part.len() == limits::APPEND_RECORDS_MAX
                    || size + value.len() > limits::APPEND_BYTES_MAX;
                if full && !part.is_empty() {
                    let values = std::mem::take(&mut part);
                    log.append(vec![one(((topic, partition), values))], None)
                        .map_err(FlushError::Log)?;
                    size = 0;
                }
                size += value.len();
                part.push(value);
            }
            if !part.is_empty() {
                log.append(vec![one(((topic, partition), part))], None).map_err(FlushError::Log)?;
            }
        }
        Ok(())
    }
}

/// The gate's form of a revocation (CON-2). It has no topics: what a revoked topic stops, the
/// engine cancels action by action.
fn revocation(effect: &Effect, log_time: Timestamp) -> Option<GateMark> {
    let Effect::Revoked { profile, channel, endpoint, purpose, topic: None } = effect else {
        return None;
    };
    // What was approved in the same millisecond before it must stop as well.
    let at = Timestamp(log_time.0.saturating_add(1));
    let (channel, purpose) = (channel.clone(), purpose.clone());
    Some(match endpoint {
        Some(endpoint) => GateMark::Revoked { endpoint: endpoint.clone(), channel, purpose, at },
        None => GateMark::PersonRevoked { profile: *profile, channel, purpose, at },
    })
}
