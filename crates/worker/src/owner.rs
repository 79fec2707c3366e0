//! The loop of architecture.md as a machine of turns.

use crate::error::OwnerError;
use crate::hold::Held;
use crate::limits;
use crate::marks::Marks;
use crate::metric_names as names;
use crate::output::{FlushError, Output};
use crate::planted::{Mutation, planted};
use crate::saving::{Asked, Done, Job, Saving};
use bytes::Bytes;
use metrics::{counter, gauge};
use sojourn_engine::{DecodeError, Effects, Limits, Partition, Wake};
use sojourn_model::{Command, DurationMs, LogPosition, ProfileId, Record, Timestamp, VersionId};
use sojourn_ports::{
    Aside, AtOnce, Checkpoint, Clock, Entry, Gate, GateMark, Log, LogError, ReadLimit, Space,
    StateError, StateStore, Topic, Write,
};
use sojourn_proto::{ProfileRecord, decode_profile_record, encode_profile_record};
use sojourn_rules::Definitions;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

/// Gives compiled definitions by version.
pub trait DefinitionsSource: Send + Sync {
    /// The definitions of a version that was published. Deterministic: content decides (DET-1).
    fn get(&self, version: VersionId) -> Result<Arc<Definitions>, String>;
}

/// Settings of an owner.
#[derive(Debug, Clone)]
pub struct OwnerOptions {
    /// Which partition of `profiles`.
    pub partition: u16,
    /// Settings of the engine.
    pub limits: Limits,
    /// Checkpoint at the latest when so many profiles are dirty.
    pub checkpoint_profiles: usize,
    /// Checkpoint at the latest after so many records.
    pub checkpoint_records: u64,
    /// Checkpoint at the latest after so long.
    pub checkpoint_every: DurationMs,
    /// Profiles kept in memory after a checkpoint.
    pub resident_profiles: usize,
}

impl OwnerOptions {
    /// The usual settings for `partition`.
    pub fn new(partition: u16) -> Self {
        Self {
            partition,
            limits: Limits::default(),
            checkpoint_profiles: 50_000,
            checkpoint_records: 200_000,
            checkpoint_every: DurationMs(500),
            resident_profiles: 1_000_000,
        }
    }
}

/// What a turn did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// So many records were read.
    Worked(usize),
    /// A timer was due: a tick was appended.
    Ticked,
    /// Nothing to read and nothing due.
    Idle,
    /// An outcome was unknown: memory dropped, the next turn claims anew.
    Recovering,
}

/// Asks an owner, from any thread, to checkpoint everything it has applied, so that readers of the
/// store see it (`person show`).
#[derive(Clone)]
pub struct Settle(SyncSender<Done>);

impl Settle {
    /// `done` is called from the owner's turn once what it has applied is in the store; false when
    /// too many wait already or the owner is gone. `done` must not block.
    pub fn ask(&self, done: impl FnOnce() + Send + 'static) -> bool {
        match self.0.try_send(Box::new(done)) {
            Ok(()) => true,
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => false,
        }
    }
}

/// Name of a partition's owner in the state store.
pub fn owner_name(partition: u16) -> String {
    format!("engine/{partition}")
}

/// Key of the engine's own state in [`Space::Meta`].
const META_ENGINE: &[u8] = b"engine";
/// Key of the time of the last checkpoint in [`Space::Meta`].
pub(crate) const META_WRITTEN: &[u8] = b"written";
/// Key of [`Marks`] in [`Space::Meta`].
pub(crate) const META_MARKS: &[u8] = b"marks";

struct Owned {
    /// The store's epoch: fences checkpoints.
    epoch: u64,
    /// What the last checkpoint says of this owner. Its epoch fences what is published.
    held: Held,
    /// Something was read from the store since `held` was looked at.
    unverified: bool,
    partition: Partition,
    marks: Marks,
    /// Offset of the next record to apply.
    next: u64,
    /// Position of the last checkpoint.
    committed: u64,
    committed_at: Timestamp,
    /// A checkpoint on its way.
    saving: Option<Saving>,
}

/// The owner of one partition. Drive it by [`Self::turn`] on one thread.
pub struct PartitionOwner {
    log: Arc<dyn Log>,
    store: Arc<dyn StateStore>,
    gate: Arc<dyn Gate>,
    clock: Arc<dyn Clock>,
    definitions: Arc<dyn DefinitionsSource>,
    options: OwnerOptions,
    name: String,
    owned: Option<Owned>,
    entries: Vec<Entry>,
    effects: Effects,
    output: Output,
    aside: Arc<dyn Aside>,
    settle: (Settle, Receiver<Done>),
    asked: Asked,
}

impl PartitionOwner {
    /// An owner that has claimed nothing yet.
    pub fn new(
        log: Arc<dyn Log>,
        store: Arc<dyn StateStore>,
        gate: Arc<dyn Gate>,
        clock: Arc<dyn Clock>,
        definitions: Arc<dyn DefinitionsSource>,
        options: OwnerOptions,
    ) -> Self {
        assert!(options.partition < log.partitions(Topic::Profiles), "a partition of the log");
        let (sender, receiver) = sync_channel(limits::SETTLE_WAITING_MAX);
        Self {
            log,
            store,
            gate,
            clock,
            definitions,
            name: owner_name(options.partition),
            options,
            owned: None,
            entries: Vec::new(),
            effects: Effects::new(),
            output: Output::default(),
            aside: Arc::new(AtOnce),
            settle: (Settle(sender), receiver),
            asked: Asked::default(),
        }
    }

    /// Has checkpoints written there, so that the owner need not wait for the store. Without it
    /// they are written within a turn.
    #[must_use]
    pub fn with_aside(mut self, aside: Arc<dyn Aside>) -> Self {
        self.aside = aside;
        self
    }

    /// Whether a checkpoint is on its way: then look again soon.
    pub fn is_saving(&self) -> bool {
        self.owned.as_ref().is_some_and(|owned| owned.saving.is_some())
    }

    /// For those who read the store.
    pub fn settle(&self) -> Settle {
        self.settle.0.clone()
    }

    /// Offset of the next record to apply; `None` before the first turn.
    pub fn position(&self) -> Option<u64> {
        self.owned.as_ref().map(|owned| owned.next)
    }

    /// Position of the last checkpoint: what lies below it may be trimmed.
    pub fn committed(&self) -> Option<u64> {
        self.owned.as_ref().map(|owned| owned.committed)
    }

    /// Earliest armed timer: when to look again at the latest while nothing comes.
    pub fn next_wake(&self) -> Option<Timestamp> {
        self.owned.as_ref().and_then(|owned| owned.partition.next_wake())
    }

    /// Profiles in memory.
    pub fn resident(&self) -> usize {
        self.owned.as_ref().map_or(0, |owned| owned.partition.resident())
    }

    /// Reads, applies and publishes one batch, appends a tick when a timer is due, checkpoints when
    /// it is time.
    ///
    /// After an error the owner has dropped its memory; the next turn claims the partition anew,
    /// which takes it from whoever has it. After [`StateError::Fenced`] the caller should stop.
    pub fn turn(&mut self) -> Result<Progress, OwnerError> {
        match self.try_turn() {
            Ok(progress) => Ok(progress),
            Err(error) => {
                self.forget();
                if error.is_unknown() {
                    tracing::warn!(%error, "claiming the partition anew");
                    return Ok(Progress::Recovering);
                }
                Err(error)
            }
        }
    }

    /// Checkpoints what is applied; for a clean stop.
    pub fn finish(&mut self) -> Result<(), OwnerError> {
        let result = self.checkpoint();
        if result.is_err() {
            self.forget();
        }
        result
    }

    fn forget(&mut self) {
        // A checkpoint on its way may still be written: the next claim ends its epoch first.
        self.owned = None;
        self.asked.clear();
        self.output.clear();
        self.effects.clear();
    }

    fn log_error(&self) -> impl Fn(LogError) -> OwnerError + use<> {
        let partition = self.options.partition;
        move |source| OwnerError::Log { partition, source }
    }

    fn state_error(&self) -> impl Fn(StateError) -> OwnerError + use<> {
        let partition = self.options.partition;
        move |source| OwnerError::State { partition, source }
    }

    fn damaged(&self) -> impl Fn(DecodeError) -> OwnerError + use<> {
        let partition = self.options.partition;
        move |source| OwnerError::Damaged { partition, source }
    }

    fn try_turn(&mut self) -> Result<Progress, OwnerError> {
        if self.owned.is_none() {
            self.claim()?;
        }
        let next = self.owned.as_ref().expect("claimed").next;
        let limit = ReadLimit {
            records: limits::READ_RECORDS_MAX,
            bytes: limits::READ_BYTES_MAX,
            durable_only: false,
        };
        self.entries.clear();
        self.log
            .read(Topic::Profiles, self.options.partition, next, limit, &mut self.entries)
            .map_err(self.log_error())?;
        // A log may give records again after a rebalance.
        self.entries.retain(|entry| entry.offset >= next);
        let count = self.entries.len();
        let progress = if count > 0 {
            self.apply_batch()?;
            Progress::Worked(count)
        } else if self.tick_due() {
            self.tick()?;
            Progress::Ticked
        } else {
            Progress::Idle
        };
        self.save()?;
        Ok(progress)
    }

    /// Takes note of a checkpoint that has been written, begins one when it is time or somebody
    /// asks, and tells those who asked.
    fn save(&mut self) -> Result<(), OwnerError> {
        self.saved(false)?;
        let next = self.owned.as_ref().map_or(0, |owned| owned.next);
        while self.asked.len() < limits::SETTLE_WAITING_MAX {
            let Ok(done) = self.settle.1.try_recv() else { break };
            self.asked.push(next, done);
        }
        let committed = self.owned.as_ref().map_or(0, |owned| owned.committed);
        if self.asked.beyond(committed) || self.checkpoint_due() {
            if self.is_saving() && self.overdue() {
                // The store is slower than the log: what it has not taken stays bounded (LIM-1).
                self.saved(true)?;
            }
            if !self.is_saving() {
                self.begin_checkpoint();
                self.saved(false)?;
            }
        }
        if let Some(owned) = &self.owned {
            self.asked.tell(owned.committed);
        }
        Ok(())
    }

    /// Takes the partition over and reads its small state; profiles come when they are needed.
    fn claim(&mut self) -> Result<(), OwnerError> {
        let (id, state_error) = (self.options.partition, self.state_error());
        let claim = self.store.claim(&self.name).map_err(&state_error)?;
        let bounds = self.log.bounds(Topic::Profiles, id).map_err(self.log_error())?;
        let (first, end) = (bounds.first, bounds.next);
        let next = match claim.position {
            None if first > 0 => return Err(OwnerError::Empty { partition: id, first }),
            None => 0,
            Some(position) if position < first || position > end => {
                return Err(OwnerError::Position { partition: id, position, first, next: end });
            }
            Some(position) => position,
        };
        let partitions = self.log.partitions(Topic::Profiles);
        let mut partition = Partition::new(id, partitions, self.options.limits);
        let mut marks = Marks::default();
        let keys = [Bytes::from_static(META_ENGINE), Bytes::from_static(META_MARKS)];
        let mut stored =
            self.store.get(&self.name, Space::Meta, &keys).map_err(&state_error)?.into_iter();
        if let Some(bytes) = stored.next().flatten() {
            partition.restore_meta(&bytes).map_err(self.damaged())?;
        }
        if let Some(bytes) = stored.next().flatten() {
            marks = Marks::decode(&bytes)
                .map_err(|error| self.damaged()(DecodeError(error.to_string())))?;
        }
        for version in partition.versions() {
            partition.install(self.version(version)?);
        }
        self.restore_wakes(&mut partition)?;
        // The gate begins empty: kill switches that were checkpointed are not read again.
        for order in marks.orders() {
            self.output.mark(order);
        }
        let (committed_at, epoch) = (self.clock.now(), claim.epoch);
        // The log's end, read after the claim: whoever claims later reads it later. The empty
        // checkpoint proves that nobody had claimed when it was read, so that no owner whose epoch
        // of the store is over ever publishes with a greater one of the log.
        let held = Held { epoch: end, position: next };
        let checkpoint = Checkpoint { position: next, writes: vec![held.write()] };
        self.store.checkpoint(&self.name, epoch, checkpoint).map_err(&state_error)?;
        let committed = next;
        self.owned = Some(Owned {
            epoch,
            held,
            unverified: false,
            partition,
            marks,
            next,
            committed,
            committed_at,
            saving: None,
        });
        self.flush()
    }

    fn restore_wakes(&self, partition: &mut Partition) -> Result<(), OwnerError> {
        let mut broken = None;
        let mut visit = |key: &[u8], value: &[u8]| {
            let id = key.try_into().map(|key| ProfileId(u64::from_be_bytes(key)));
            match (id, postcard::from_bytes::<Wake>(value)) {
                (Ok(id), Ok(wake)) => partition.restore_wake(id, wake),
                _ => broken = Some("a stored wake does not decode"),
            }
            broken.is_none()
        };
        self.store
            .scan(&self.name, Space::Wake, &[], None, &mut visit)
            .map_err(self.state_error())?;
        match broken {
            Some(what) => Err(self.damaged()(DecodeError(what.to_owned()))),
            None => Ok(()),
        }
    }

    fn version(&self, version: VersionId) -> Result<Arc<Definitions>, OwnerError> {
        let partition = self.options.partition;
        self.definitions.get(version).map_err(|reason| OwnerError::Definitions {
            partition,
            version,
            reason,
        })
    }

    /// Publishes, unless what it was made from may have been another owner's state.
    fn flush(&mut self) -> Result<(), OwnerError> {
        let partition = self.options.partition;
        if let Some(owned) = &mut self.owned
            && std::mem::take(&mut owned.unverified)
            && !planted(Mutation::LoadBelieved)
        {
            let on_its_way = owned.saving.as_ref().map(|saving| saving.held);
            owned.held.verify(&*self.store, partition, on_its_way)?;
        }
        self.output.flush(&*self.log, &*self.gate).map_err(|error| match error {
            FlushError::Log(source) => OwnerError::Log { partition, source },
            FlushError::Gate(reason) => OwnerError::Gate { partition, reason },
        })
    }

    fn apply_batch(&mut self) -> Result<(), OwnerError> {
        let entries = std::mem::take(&mut self.entries);
        let records: Vec<_> =
            entries.iter().map(|entry| decode_profile_record(&entry.value)).collect();
        let mut ids = Vec::new();
        let owned = self.owned.as_ref().expect("claimed");
        for record in records.iter().flatten() {
            owned.partition.missing(Timestamp::MIN, &record.record, &mut ids);
        }
        // Whose timers come due in this batch is asked once, for its last instant.
        if let Some(last) = entries.last() {
            owned.partition.missing(last.log_time, &Record::Tick, &mut ids);
        }
        self.load(&mut ids)?;
        for (entry, record) in entries.iter().zip(&records) {
            match record {
                Ok(record) => {
                    self.apply(entry, record)?;
                    // A version that goes live begins a visit to everybody: what is left of this
                    // batch may reach them.
                    if let (Record::Publish { .. }, Some(last)) = (&record.record, entries.last()) {
                        let owned = self.owned.as_ref().expect("claimed");
                        owned.partition.missing(last.log_time, &Record::Tick, &mut ids);
                        self.load(&mut ids)?;
                    }
                }
                Err(error) => {
                    tracing::error!(%error, offset = entry.offset, "a record does not decode");
                    self.output.letter(entry.log_time, "malformed", &error.to_string());
                    self.owned.as_mut().expect("claimed").next = entry.offset + 1;
                }
            }
            if self.output.is_full() {
                self.flush()?;
            }
        }
        counter!(names::RECORDS).increment(entries.len() as u64);
        drop(records);
        self.entries = entries;
        if planted(Mutation::PublishAfterCheckpoint) {
            self.checkpoint()?;
        }
        self.flush()
    }

    /// Loads profiles from the store into memory, in batched reads.
    fn load(&mut self, ids: &mut Vec<ProfileId>) -> Result<(), OwnerError> {
        if ids.is_empty() {
            return Ok(());
        }
        ids.sort_unstable();
        ids.dedup();
        let (state_error, damaged) = (self.state_error(), self.damaged());
        let owned = self.owned.as_mut().expect("claimed");
        for ids in ids.chunks(limits::LOAD_PROFILES_MAX) {
            let keys: Vec<Bytes> = ids.iter().map(|&id| profile_key(id)).collect();
            let values = self.store.get(&self.name, Space::Profile, &keys).map_err(&state_error)?;
            for (&id, value) in ids.iter().zip(values) {
                owned.partition.load(id, value.as_deref()).map_err(&damaged)?;
            }
        }
        owned.unverified = true;
        counter!(names::LOADED).increment(ids.len() as u64);
        ids.clear();
        Ok(())
    }

    fn apply(&mut self, entry: &Entry, record: &ProfileRecord<'_>) -> Result<(), OwnerError> {
        let owned = self.owned.as_mut().expect("claimed");
        assert_eq!(entry.offset, owned.next, "offsets have no holes");
        if !owned.marks.admit(record.from_owner, record.origin) {
            counter!(names::SKIPPED).increment(1);
            owned.next += 1;
            return Ok(());
        }
        match &record.record {
            Record::Touchpoint { .. } => {}
            Record::Publish { version, .. } => {
                let definitions = self.version(*version)?;
                self.owned.as_mut().expect("claimed").partition.install(definitions);
            }
            Record::Command(command) => {
                if let Some(mut order) = owned.marks.follow(command, entry.log_time) {
                    if let GateMark::Killed { at, .. } = &mut order
                        && planted(Mutation::OrdersByArrival)
                    {
                        *at = self.clock.now();
                    }
                    self.output.mark(order);
                }
            }
            Record::Absorb { .. } => {
                for version in owned.partition.missing_versions(&record.record) {
                    let definitions = self.version(version)?;
                    self.owned.as_mut().expect("claimed").partition.install(definitions);
                }
            }
            Record::PersonCommand { profile, command: Command::Erase } => {
                self.output.mark(GateMark::Erased(*profile));
            }
            _ => {}
        }
        if !matches!(record.record, Record::Touchpoint { .. }) {
            // Whom a command concerns may have changed since the batch was looked through.
            let mut ids = Vec::new();
            let owned = self.owned.as_ref().expect("claimed");
            owned.partition.missing(entry.log_time, &record.record, &mut ids);
            self.load(&mut ids)?;
        }
        let position = LogPosition { partition: self.options.partition, offset: entry.offset };
        let partitions = self.log.partitions(Topic::Profiles);
        let owned = self.owned.as_mut().expect("claimed");
        self.effects.clear();
        owned.partition.apply(position, entry.log_time, &record.record, &mut self.effects);
        owned.next += 1;
        if !self.effects.is_empty() {
            let epoch = owned.held.epoch;
            self.output.take(epoch, position, entry.log_time, partitions, self.effects.as_slice());
        }
        Ok(())
    }

    /// Whether the log would stamp a record later than the earliest timer (TIM-1: never early).
    fn tick_due(&self) -> bool {
        self.next_wake().is_some_and(|wake| wake < self.clock.now())
    }

    fn tick(&mut self) -> Result<(), OwnerError> {
        let mut bytes = Vec::new();
        encode_profile_record(None, false, &Record::Tick, &mut bytes);
        self.output.own(self.options.partition, bytes.into());
        counter!(names::TICKS).increment(1);
        self.flush()
    }

    fn checkpoint_due(&self) -> bool {
        let Some(owned) = &self.owned else { return false };
        owned.next > owned.committed
            && (self.overdue()
                || self.clock.now().since(owned.committed_at) >= self.options.checkpoint_every)
    }

    /// Whether so much has changed since the last checkpoint began that no more may gather.
    fn overdue(&self) -> bool {
        let Some(owned) = &self.owned else { return false };
        let begun = owned.saving.as_ref().map_or(owned.committed, |saving| saving.held.position);
        owned.next - begun >= self.options.checkpoint_records
            || owned.partition.dirty() >= self.options.checkpoint_profiles
    }

    /// Checkpoints what is applied and waits for it.
    fn checkpoint(&mut self) -> Result<(), OwnerError> {
        self.saved(true)?;
        self.begin_checkpoint();
        self.saved(true)
    }

    /// Sends what changed with the position on its way, to be written atomically (LOG-2).
    fn begin_checkpoint(&mut self) {
        let now = self.clock.now();
        let Some(owned) = &mut self.owned else { return };
        if owned.next == owned.committed {
            return;
        }
        assert!(owned.saving.is_none(), "one checkpoint at a time");
        let changed = owned.partition.take_checkpoint();
        let mut writes = Vec::with_capacity(changed.profiles.len() + changed.wakes.len() + 3);
        counter!(names::CHECKPOINT_PROFILES).increment(changed.profiles.len() as u64);
        for (id, bytes) in changed.profiles {
            let value = Some(bytes.into());
            writes.push(Write { space: Space::Profile, key: profile_key(id), value });
        }
        for (id, wake) in changed.wakes {
            let value = wake.map(|wake| encode(&wake));
            writes.push(Write { space: Space::Wake, key: profile_key(id), value });
        }
        let meta = |key, value| Write {
            space: Space::Meta,
            key: Bytes::from_static(key),
            value: Some(value),
        };
        writes.push(meta(META_ENGINE, changed.meta.into()));
        writes.push(meta(META_MARKS, encode(&owned.marks)));
        writes.push(meta(META_WRITTEN, encode(&now.0)));
        let held = Held { position: owned.next, ..owned.held };
        writes.push(held.write());
        let job = Job {
            log: self.log.clone(),
            store: self.store.clone(),
            name: self.name.clone(),
            partition: self.options.partition,
            epoch: owned.epoch,
            held: owned.held,
            checkpoint: Checkpoint { position: owned.next, writes },
            durable: !planted(Mutation::CheckpointBeforeDurable),
            verified: !planted(Mutation::LoadBelieved),
        };
        let saving = Saving::new(job, held, now);
        self.aside.take(saving.errand.clone());
        owned.saving = Some(saving);
    }

    /// Takes note of the checkpoint that was on its way, if it is written by now or when `wait`;
    /// then lets idle profiles go.
    fn saved(&mut self, wait: bool) -> Result<(), OwnerError> {
        let Some(owned) = &mut self.owned else { return Ok(()) };
        let Some(saving) = &owned.saving else { return Ok(()) };
        let outcome = if wait { Some(saving.errand.wait()) } else { saving.errand.poll() };
        let Some(outcome) = outcome else { return Ok(()) };
        outcome?;
        owned.held = saving.held;
        owned.committed = saving.held.position;
        owned.committed_at = saving.began;
        owned.saving = None;
        counter!(names::CHECKPOINTS).increment(1);
        let evicted = owned.partition.evict(self.options.resident_profiles);
        counter!(names::EVICTED).increment(evicted as u64);
        let label = self.options.partition.to_string();
        gauge!(names::RESIDENT, "partition" => label.clone())
            .set(owned.partition.resident() as f64);
        if let Ok(bounds) = self.log.bounds(Topic::Profiles, self.options.partition) {
            let lag = bounds.next.saturating_sub(owned.next);
            gauge!(names::LAG, "partition" => label).set(lag as f64);
        }
        Ok(())
    }
}

fn profile_key(id: ProfileId) -> Bytes {
    Bytes::copy_from_slice(&id.0.to_be_bytes())
}

fn encode<T: serde::Serialize>(value: &T) -> Bytes {
    postcard::to_stdvec(value).expect("state encodes").into()
}
