//! The log port: topics of partitions of records, and why several owners do no harm.
//!
//! # One owner at a time, and zombies (LOG-2)
//!
//! A *source* is a partition of `profiles` with its owner, or a shard of `touchpoints` with its
//! owner. An owner reads the source's log in order from the last checkpoint, keeps state in memory,
//! publishes the effects of each record with their origin (partition, epoch, offset, index), and
//! checkpoints state and position together. A *zombie* is an owner that another one has replaced
//! and that does not know it yet: it was paused, or cut off from the store.
//!
//! What must hold: each reader of a partition takes each effect of each source once, in order,
//! whoever published it. It follows from five things:
//!
//! 1. **State is a function of the log.** Ticks and commands are records of that log, appended by
//!    whoever has the partition, so both owners read the same ones; a second tick moves time to
//!    where it is anyway. Definitions are found by their content's id and take effect at their
//!    record. So the state at a position, and the effects of the record there, are the same in every
//!    owner's hands: `E(0), E(1), …`.
//! 2. **What is read from the store belongs to the owner's own position.** This is *not* given: a
//!    zombie at position 60 that loads a profile after its successor's checkpoint at 100 gets the
//!    person of position 100, and steps record 60 on top of it. The epoch does not help where the
//!    successor has not published yet: readers there take the zombie's word. So every checkpoint
//!    stores who wrote it and where it stands, and an owner looks at that *after* loading and
//!    *before* publishing; if the store has moved, it drops its memory. The same look precedes each
//!    checkpoint, for a store that came back older under a living owner.
//! 3. **One owner publishes in order, without holes.** An owner whose append fails, or whose outcome
//!    is unknown, appends nothing more: it begins anew from the checkpoint. So what it has in each
//!    partition is a prefix of its effects for that partition, and a call over several partitions
//!    that arrives in part leaves a prefix in each.
//! 4. **A checkpoint follows what it covers.** It waits until everything published before it is
//!    durable. So a successor that begins at position *c* finds every effect below *c* in the log,
//!    before anything that it publishes itself.
//! 5. **Readers go by place.** A reader takes an effect if its place is above the highest it took of
//!    that source. All streams of a source are parts of one sequence (1, 2), each begins at or below
//!    what has been taken (4) and has no holes (3): so their merge in any interleaving gives each
//!    effect once, in order. What a zombie publishes is then *right*, only early or late.
//!
//! The **epoch** is the second line, for what 1 cannot promise: two builds of the engine during an
//! upgrade, rules of identity that are not part of its log. A reader that has seen a later owner
//! takes nothing more of an earlier one. An epoch that went back would silence the true owner, so it
//! is taken from the log, which forgets nothing, and not from the store, which may: it is the end of
//! the source's log, read after the claim and proven current by an empty checkpoint before the first
//! publication. Two owners between whose claims nothing was logged have the same epoch; then place
//! alone decides, as above.
//!
//! Marks for the gate are posted by zombies, too. A revocation, a cancellation and an erasure only
//! ever close it, at a log time that is the same for both. A kill switch is on or off, and a zombie,
//! a replay or a partition that lags may post an old state of it; so the gate keeps the log time of
//! the last order about each target, and an earlier order changes nothing.

use bytes::Bytes;
use sojourn_model::Timestamp;

/// A topic. Who writes and reads it stands in `crates/README.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "named as in architecture.md")]
pub enum Topic {
    Touchpoints,
    Profiles,
    Actions,
    Decisions,
    Dispatch,
    Definitions,
    DeadLetters,
}

impl Topic {
    /// Every topic; the place in this list is its stable ordinal on disk.
    pub const ALL: [Self; 7] = [
        Self::Touchpoints,
        Self::Profiles,
        Self::Actions,
        Self::Decisions,
        Self::Dispatch,
        Self::Definitions,
        Self::DeadLetters,
    ];

    /// Name in messages and on disk.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Touchpoints => "touchpoints",
            Self::Profiles => "profiles",
            Self::Actions => "actions",
            Self::Decisions => "decisions",
            Self::Dispatch => "dispatch",
            Self::Definitions => "definitions",
            Self::DeadLetters => "dead-letters",
        }
    }
}

/// Records to append to one partition, in order.
#[derive(Debug, Clone)]
pub struct Append {
    /// Topic.
    pub topic: Topic,
    /// Partition, below [`Log::partitions`].
    pub partition: u16,
    /// Values, in order. Not empty.
    pub values: Vec<Bytes>,
}

/// A record as read.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Offset in its partition: 0, 1, 2, … without holes.
    pub offset: u64,
    /// When the log took it: never smaller than that of the record before it in the partition.
    pub log_time: Timestamp,
    /// The value; shares memory with its neighbours.
    pub value: Bytes,
}

/// How much one read returns at most. At least one record is returned when there is one.
#[derive(Debug, Clone, Copy)]
pub struct ReadLimit {
    /// Records.
    pub records: usize,
    /// Bytes of values.
    pub bytes: usize,
    /// Only records that are durable: for readers whose effects leave the house.
    pub durable_only: bool,
}

/// What a partition holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The oldest offset kept.
    pub first: u64,
    /// The offset that the next record will get.
    pub next: u64,
    /// Every record below this offset is durable.
    pub durable: u64,
}

/// Called once, when the appended records are durable (with the first offset of each `Append`) or
/// when that has failed. Runs on a thread of the log: it must not block.
pub type Done = Box<dyn FnOnce(Result<Vec<u64>, LogError>) + Send>;

/// What can go wrong.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum LogError {
    /// The device is nearly full: nothing was appended; try later (HTTP 429).
    #[error(
        "the disk is nearly full ({free_bytes} bytes free): make room or shorten storage.retention"
    )]
    Full {
        /// Bytes left.
        free_bytes: u64,
    },
    /// The write or fsync failed; nobody knows what is on disk. The log takes nothing more until it
    /// is opened anew, which repairs its tail.
    #[error("the log has stopped after a failed write: {reason}; restart to repair its tail")]
    Stopped {
        /// What the system said.
        reason: String,
    },
    /// Nobody knows whether the records were appended (distributed logs, the simulator).
    #[error("outcome of the append is unknown: {reason}")]
    Unknown {
        /// What is known.
        reason: String,
    },
    /// The log cannot be reached, or is behind (distributed logs): nothing was appended or read.
    /// Try again later; nothing is lost.
    #[error("the log cannot be reached: {reason}; it is tried again")]
    Unavailable {
        /// What is known.
        reason: String,
    },
    /// The wanted offset is no longer, or not yet, in the partition.
    #[error("offset {wanted} of {topic}/{partition} is outside {first}..{next}")]
    OutOfRange {
        /// Topic.
        topic: &'static str,
        /// Partition.
        partition: u16,
        /// Wanted.
        wanted: u64,
        /// Oldest.
        first: u64,
        /// Next.
        next: u64,
    },
    /// A record on disk does not match its checksum, and it is not the torn tail.
    #[error(
        "record damaged at {place}: {reason}; restore from a snapshot or move the segment away"
    )]
    Damaged {
        /// File and byte.
        place: String,
        /// What is wrong.
        reason: String,
    },
    /// More than a named limit.
    #[error("{what} is over the limit of {limit}")]
    Limit {
        /// What.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
}

/// A partitioned, append-only log.
///
/// - **Order:** a partition's records are read in the order appended; offsets have no holes. The
///   appends of one call stand in the order given, and all or none of them survive a crash.
/// - **Visibility:** readers see a record as soon as `append` has returned (or later, never
///   earlier); with `durable_only`, as soon as it is durable.
/// - **Prefix (LOG-1):** a crash loses at most a suffix of everything appended by all, over all
///   topics and partitions: if a record survives, so does every record that was appended before
///   it. A log that keeps only durable records has this by nature.
///   A distributed log promises less: it keeps every record that it has shown or acknowledged, but
///   of one call's appends some partitions may have theirs and others not, and of one partition's
///   values a first part (*partial append*). Such a call answers with an error or not at all, never
///   `Ok`. Who needs several partitions to agree reads them or appends again; see the module's
///   documentation.
///   There order, visibility and prefix hold *per partition*; `bounds` still covers what this process
///   has appended before. A compacted topic (definitions) may have holes.
/// - **Time:** `log_time` is the log's stamp, made monotonic per partition.
/// - **Errors:** after `Stopped` every later append fails the same way. `Unknown` means that the
///   caller must read the tail before it appends again.
pub trait Log: Send + Sync {
    /// How many partitions a topic has; fixed when the log is created.
    fn partitions(&self, topic: Topic) -> u16;

    /// Appends. Returns when the records have their place in the order (they may not be durable);
    /// `done` is called when they are durable. Limits: [`crate::log::limits`].
    fn append(&self, appends: Vec<Append>, done: Option<Done>) -> Result<(), LogError>;

    /// Returns when everything appended before this call is durable.
    fn sync(&self) -> Result<(), LogError>;

    /// Reads records from `offset` on, appending them to `out`. `offset == next` is an empty read.
    fn read(
        &self,
        topic: Topic,
        partition: u16,
        offset: u64,
        limit: ReadLimit,
        out: &mut Vec<Entry>,
    ) -> Result<(), LogError>;

    /// What a partition holds now.
    fn bounds(&self, topic: Topic, partition: u16) -> Result<Bounds, LogError>;

    /// Returns when any of the partitions may have something at or above its offset (as
    /// `durable_only` says), or after `timeout` of wall time. May return early without reason.
    fn wait(&self, at: &[(Topic, u16, u64)], durable_only: bool, timeout: std::time::Duration);

    /// Allows the log to delete records below these offsets that are older than its retention.
    /// A topic's partition that was never named here keeps everything.
    fn trim(&self, below: &[(Topic, u16, u64)]) -> Result<(), LogError>;
}

/// How many partitions each topic has; fixed when a log is created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    counts: [u16; Topic::ALL.len()],
}

impl Layout {
    /// `shards` of touchpoints; `partitions` of profiles and of what their owners write (actions,
    /// decisions) or is written about it (dispatch); one of everything else. Both above zero.
    pub fn new(shards: u16, partitions: u16) -> Self {
        assert!(shards > 0 && partitions > 0, "a topic has at least one partition");
        let counts = Topic::ALL.map(|topic| match topic {
            Topic::Touchpoints => shards,
            Topic::Profiles | Topic::Actions | Topic::Decisions | Topic::Dispatch => partitions,
            Topic::Definitions | Topic::DeadLetters => 1,
        });
        Self { counts }
    }

    /// The layout with these counts, in the order of [`Topic::ALL`]; `None` when one is zero.
    pub fn from_counts(counts: [u16; Topic::ALL.len()]) -> Option<Self> {
        counts.iter().all(|&count| count > 0).then_some(Self { counts })
    }

    /// Partitions of a topic.
    pub fn partitions(&self, topic: Topic) -> u16 {
        self.counts[topic as usize]
    }

    /// Partitions of all topics.
    pub fn total(&self) -> usize {
        self.counts.iter().map(|&count| usize::from(count)).sum()
    }

    /// Dense index of a partition over all topics, below [`Layout::total`]; `None` when the topic
    /// has no such partition.
    pub fn index(&self, topic: Topic, partition: u16) -> Option<usize> {
        let before = &self.counts[..topic as usize];
        (partition < self.partitions(topic)).then(|| {
            before.iter().map(|&count| usize::from(count)).sum::<usize>() + usize::from(partition)
        })
    }

    /// Every partition, in the order of [`Layout::index`].
    pub fn all(&self) -> impl Iterator<Item = (Topic, u16)> + '_ {
        Topic::ALL
            .into_iter()
            .flat_map(|topic| (0..self.partitions(topic)).map(move |partition| (topic, partition)))
    }
}

/// Limits of every log (LIM-1).
pub mod limits {
    use super::{Append, Layout, LogError};

    /// Refuses what is over a limit or names a partition that `layout` does not have.
    pub fn check(layout: &Layout, appends: &[Append]) -> Result<(), LogError> {
        let (mut records, mut bytes) = (0, 0);
        for append in appends {
            if layout.index(append.topic, append.partition).is_none() {
                let limit = usize::from(layout.partitions(append.topic)) - 1;
                return Err(LogError::Limit { what: "the partition's number", limit });
            }
            records += append.values.len();
            for value in &append.values {
                if value.len() > RECORD_BYTES_MAX {
                    let what = "bytes of a record";
                    return Err(LogError::Limit { what, limit: RECORD_BYTES_MAX });
                }
                bytes += value.len();
            }
        }
        if records > APPEND_RECORDS_MAX {
            let what = "records of an append";
            return Err(LogError::Limit { what, limit: APPEND_RECORDS_MAX });
        }
        if bytes > APPEND_BYTES_MAX {
            let what = "bytes of an append";
            return Err(LogError::Limit { what, limit: APPEND_BYTES_MAX });
        }
        if appends.len() > APPENDS_MAX {
            return Err(LogError::Limit { what: "appends of one call", limit: APPENDS_MAX });
        }
        Ok(())
    }

    /// `Append`s in one call.
    pub const APPENDS_MAX: usize = 4_096;
    /// Bytes of one record's value.
    pub const RECORD_BYTES_MAX: usize = 4 << 20;
    /// Bytes of values in one `append` call.
    pub const APPEND_BYTES_MAX: usize = 32 << 20;
    /// Records in one `append` call.
    pub const APPEND_RECORDS_MAX: usize = 65_536;
}
