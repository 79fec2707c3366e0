//! The index behind look-ups: which records concern a person, a decision, an action.
//!
//! It follows the durable end of `profiles`, `decisions` and `dispatch` off the hot path and stores
//! positions only; the rows themselves are read from the log. It may be rebuilt at any time.

use crate::seen::Seen;
use anyhow::{Context, Result};
use bytes::Bytes;
use sojourn_model::{ActionId, Command, DecisionId, ProfileId, Record, Timestamp};
use sojourn_ports::{
    Checkpoint, Entry, Log, LogError, OwnersCheckpoint, ReadLimit, Space, StateError, StateStore,
    Topic, Write,
};
use sojourn_proto::{
    DecisionRecord, DispatchKind, decode_decision_record, decode_dispatch_record,
    decode_profile_record,
};
use std::collections::VecDeque;
use std::sync::Arc;

/// Records taken up in one turn (LIM-1).
const TURN_RECORDS_MAX: usize = 8_192;
/// Bytes taken up in one turn.
const TURN_BYTES_MAX: usize = 8 << 20;

/// Orders stand in every partition; their audit is read from this one.
const AUDITED: u16 = 0;
/// What is followed.
const TOPICS: [Topic; 3] = [Topic::Profiles, Topic::Decisions, Topic::Dispatch];

/// One followed partition.
struct Follower {
    topic: Topic,
    partition: u16,
    owner: String,
    epoch: u64,
    next: u64,
    seen: Seen,
    /// Where it stands once what was gathered is stored, and of how many records.
    gathered: Option<(u64, usize)>,
}

/// Key of a followed partition's marks.
const SEEN: &[u8] = b"seen";

/// Keeps the index up to date; the caller stores what it gathers.
pub struct Indexer {
    log: Arc<dyn Log>,
    followers: Vec<Follower>,
    entries: Vec<Entry>,
}

impl Indexer {
    /// Follows these partitions of each topic, from where it stopped.
    pub fn open(
        log: Arc<dyn Log>,
        store: &dyn StateStore,
        partitions: impl Iterator<Item = u16> + Clone,
    ) -> Result<Self> {
        let mut followers = Vec::new();
        for topic in TOPICS {
            for partition in partitions.clone() {
                let owner = owner(topic, partition);
                let claim = store.claim(&owner)?;
                let first = log.bounds(topic, partition)?.first;
                let next = claim.position.unwrap_or(0).max(first);
                let stored = store.get(&owner, Space::Index, &[Bytes::from_static(SEEN)])?;
                let seen = match stored.into_iter().next().flatten() {
                    Some(bytes) => Seen::decode(&bytes)
                        .with_context(|| format!("the marks of {owner} are damaged"))?,
                    None => Seen::default(),
                };
                followers.push(Follower {
                    topic,
                    partition,
                    owner,
                    epoch: claim.epoch,
                    next,
                    seen,
                    gathered: None,
                });
            }
        }
        Ok(Self { log, followers, entries: Vec::new() })
    }

    /// Where it stands: for waiting and for `doctor`.
    pub fn cursors(&self) -> Vec<(Topic, u16, u64)> {
        self.followers.iter().map(|f| (f.topic, f.partition, f.next)).collect()
    }

    /// What has become durable since, as checkpoints to store: with those of other partitions in
    /// one commit. [`Self::stored`] must follow.
    pub fn gather(&mut self) -> Result<Vec<OwnersCheckpoint>> {
        let limit =
            ReadLimit { records: TURN_RECORDS_MAX, bytes: TURN_BYTES_MAX, durable_only: true };
        let mut checkpoints = Vec::new();
        for follower in &mut self.followers {
            self.entries.clear();
            let read = self.log.read(
                follower.topic,
                follower.partition,
                follower.next,
                limit,
                &mut self.entries,
            );
            match read {
                Err(LogError::OutOfRange { first, .. }) => {
                    follower.next = first;
                    continue;
                }
                other => other?,
            }
            let Some(last) = self.entries.last() else { continue };
            let position = last.offset + 1;
            let writes = follower.rows(&self.entries);
            follower.gathered = Some((position, self.entries.len()));
            let (owner, checkpoint) = (follower.owner.clone(), Checkpoint { position, writes });
            checkpoints.push(OwnersCheckpoint { owner, epoch: follower.epoch, checkpoint });
        }
        Ok(checkpoints)
    }

    /// Takes note of what came of the checkpoints that were gathered, in their order. Gives the
    /// number of records.
    pub fn stored(
        &mut self,
        outcomes: &mut impl Iterator<Item = Result<(), StateError>>,
    ) -> Result<usize> {
        let mut total = 0;
        let mut broken = None;
        for follower in &mut self.followers {
            let Some((next, records)) = follower.gathered.take() else { continue };
            match outcomes.next().expect("one each") {
                Ok(()) => {
                    follower.next = next;
                    total += records;
                }
                Err(error) => broken = Some((follower.owner.clone(), error)),
            }
        }
        match broken {
            Some((owner, error)) => Err(error).with_context(|| format!("indexing {owner}")),
            None => Ok(total),
        }
    }
}

impl Follower {
    /// The rows of these records, and the marks of what was seen.
    fn rows(&mut self, entries: &[Entry]) -> Vec<Write> {
        let mut writes = Vec::with_capacity(entries.len());
        for entry in entries {
            if !self.seen.admit(self.topic, entry) {
                continue;
            }
            match self.topic {
                Topic::Profiles if self.partition == AUDITED => {
                    person_keys(entry, &mut writes);
                    audit_keys(entry, &mut writes);
                }
                Topic::Profiles => person_keys(entry, &mut writes),
                Topic::Decisions => decision_keys(entry, &mut writes),
                _ => dispatch_keys(entry, &mut writes),
            }
        }
        writes.sort_by(|a: &Write, b| a.key.cmp(&b.key));
        writes.dedup_by(|later, kept| {
            let same = later.key == kept.key;
            if same {
                kept.value = later.value.take();
            }
            same
        });
        writes.push(Write {
            space: Space::Index,
            key: Bytes::from_static(SEEN),
            value: Some(self.seen.encode().into()),
        });
        writes
    }
}

fn owner(topic: Topic, partition: u16) -> String {
    format!("index/{}/{partition}", topic.as_str())
}

/// The topic of an owner's name without its partition: `index/profiles`.
pub(crate) fn topic_of(role: &str) -> Option<Topic> {
    let name = role.strip_prefix("index/")?;
    TOPICS.into_iter().find(|topic| topic.as_str() == name)
}

fn put(writes: &mut Vec<Write>, key: Vec<u8>, offset: u64) {
    let value = Some(Bytes::copy_from_slice(&offset.to_be_bytes()));
    writes.push(Write { space: Space::Index, key: key.into(), value });
}

/// `p` + profile + time + offset: sorted by person, then by when it occurred.
fn person_key(profile: ProfileId, at: Timestamp, offset: u64) -> Vec<u8> {
    let mut key = Vec::with_capacity(25);
    key.push(b'p');
    key.extend(profile.0.to_be_bytes());
    // Flipping the sign bit orders negative times before positive ones.
    key.extend((at.0 as u64 ^ 1 << 63).to_be_bytes());
    key.extend(offset.to_be_bytes());
    key
}

fn person_keys(entry: &Entry, writes: &mut Vec<Write>) {
    if let Ok(record) = decode_profile_record(&entry.value)
        && let Record::Touchpoint { profile, touchpoint } = record.record
    {
        let at = touchpoint.occurred_at.map_or(entry.log_time, |at| at.min(entry.log_time));
        put(writes, person_key(profile, at, entry.offset), entry.offset);
    }
}

/// Who ordered what. Kept whole, so that it outlives the log's retention.
fn audit_keys(entry: &Entry, writes: &mut Vec<Write>) {
    if let Ok(record) = decode_profile_record(&entry.value)
        && let Record::Command(Command::Audit { actor, text, .. }) = record.record
    {
        let row = crate::audit::row(entry.log_time, &actor, &text);
        let mut key = vec![b'u'];
        key.extend(entry.offset.to_be_bytes());
        let value = Some(Bytes::from(row.to_string()));
        writes.push(Write { space: Space::Index, key: key.into(), value });
    }
}

fn decision_keys(entry: &Entry, writes: &mut Vec<Write>) {
    match decode_decision_record(&entry.value) {
        Ok((_, DecisionRecord::Decision(decision))) => {
            put(writes, person_key(decision.profile, decision.at, entry.offset), entry.offset);
            put(writes, named(b'd', &decision.id.to_string()), entry.offset);
            if let Some(action) = decision.action {
                put(writes, named(b'a', &action.to_string()), entry.offset);
            }
        }
        Ok((_, DecisionRecord::Note(note))) => {
            put(writes, person_key(note.profile, note.at, entry.offset), entry.offset);
        }
        Err(_) => {}
    }
}

fn dispatch_keys(entry: &Entry, writes: &mut Vec<Write>) {
    if let Ok(record) = decode_dispatch_record(&entry.value)
        && matches!(record.kind, DispatchKind::Outcome { .. })
    {
        let profile = record.action.0.profile;
        put(writes, person_key(profile, record.at, entry.offset), entry.offset);
        put(writes, named(b'a', &record.action.to_string()), entry.offset);
    }
}

fn named(kind: u8, id: &str) -> Vec<u8> {
    let mut key = vec![kind];
    key.extend(id.as_bytes());
    key
}

/// Looks things up.
#[derive(Clone)]
pub struct Index {
    log: Arc<dyn Log>,
    store: Arc<dyn StateStore>,
}

impl Index {
    /// Over a log and the store that the indexer writes.
    pub fn new(log: Arc<dyn Log>, store: Arc<dyn StateStore>) -> Self {
        Self { log, store }
    }

    /// Records of `topic` that concern `profile`, the newest `limit` of them, oldest first.
    pub fn person(&self, topic: Topic, profile: ProfileId, limit: usize) -> Result<Vec<Entry>> {
        let partitions = self.log.partitions(topic);
        let mut prefix = vec![b'p'];
        prefix.extend(profile.0.to_be_bytes());
        let mut end = prefix.clone();
        end.extend([0xff; 17]);
        let mut places: Vec<(u16, u64)> = Vec::new();
        // A profile's records stand in one partition of `profiles` and `decisions`; outcomes may
        // stand anywhere.
        let wanted = match topic {
            Topic::Dispatch => 0..partitions,
            _ => {
                let own = profile.partition(partitions);
                own..own + 1
            }
        };
        for partition in wanted {
            let owner = owner(topic, partition);
            self.store.scan(&owner, Space::Index, &prefix, Some(&end), &mut |_, value| {
                if let Ok(offset) = value.try_into() {
                    places.push((partition, u64::from_be_bytes(offset)));
                }
                true
            })?;
        }
        let from = places.len().saturating_sub(limit);
        let mut entries = Vec::with_capacity(places.len() - from);
        for (partition, offset) in &places[from..] {
            entries.extend(self.read(topic, *partition, *offset)?);
        }
        Ok(entries)
    }

    /// The newest `limit` rows of the audit log, oldest first.
    pub(crate) fn audit(&self, limit: usize) -> Result<Vec<serde_json::Value>> {
        let mut rows = VecDeque::new();
        let mut damaged = false;
        let owner = owner(Topic::Profiles, AUDITED);
        self.store.scan(&owner, Space::Index, b"u", Some(b"v"), &mut |_, value| {
            if rows.len() >= limit {
                rows.pop_front();
            }
            match serde_json::from_slice(value) {
                Ok(row) => rows.push_back(row),
                Err(_) => damaged = true,
            }
            true
        })?;
        anyhow::ensure!(!damaged, "a row of the audit log is damaged");
        Ok(rows.into())
    }

    /// The record of a decision.
    pub fn decision(&self, id: DecisionId) -> Result<Option<Entry>> {
        self.by_name(Topic::Decisions, &named(b'd', &id.to_string()), id.position.partition)
    }

    /// The decision that approved an action.
    pub fn action(&self, id: ActionId) -> Result<Option<Entry>> {
        let likely = id.0.profile.partition(self.log.partitions(Topic::Decisions));
        self.by_name(Topic::Decisions, &named(b'a', &id.to_string()), likely)
    }

    /// Looks in the partition `likely` first: a question to the store for each may cost.
    fn by_name(&self, topic: Topic, key: &[u8], likely: u16) -> Result<Option<Entry>> {
        let others = (0..self.log.partitions(topic)).filter(|partition| *partition != likely);
        for partition in std::iter::once(likely).chain(others) {
            let key = Bytes::copy_from_slice(key);
            let found = self.store.get(&owner(topic, partition), Space::Index, &[key])?;
            if let Some(value) = found.into_iter().next().flatten() {
                let offset = value[..].try_into().map(u64::from_be_bytes);
                let offset = offset.map_err(|_| anyhow::anyhow!("an index entry is damaged"))?;
                return self.read(topic, partition, offset);
            }
        }
        Ok(None)
    }

    /// One record; `None` when retention has taken it.
    fn read(&self, topic: Topic, partition: u16, offset: u64) -> Result<Option<Entry>> {
        let mut out = Vec::new();
        let limit = ReadLimit { records: 1, bytes: 1, durable_only: false };
        match self.log.read(topic, partition, offset, limit, &mut out) {
            Ok(()) => Ok(out.into_iter().next()),
            Err(LogError::OutOfRange { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}
