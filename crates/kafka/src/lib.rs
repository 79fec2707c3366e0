//! The log port over Apache Kafka.
//!
//! # What holds
//!
//! - **Durable (LOG-1).** An idempotent producer with `acks=all`: `done` and `sync` come after at
//!   least `min.insync.replicas` brokers have the record. Readers see only such records, so `next`
//!   and `durable` are the same, and a record that somebody has read does not go again.
//! - **Order.** Records of one process stand in a partition in the order of its `append` calls,
//!   without duplicates and without holes, also over retries and changes of leaders. Other processes
//!   may stand between them.
//! - **Per partition a prefix, per call not all-or-nothing.** If a process dies, what it appended and
//!   was not told `done` for survives as a prefix *in each partition*: one append of a call may be
//!   there and another one not. Only transactions could tie partitions together. It is safe because
//!   nothing is derived from a record before it was read, thus is durable; because checkpoints and
//!   commits of the graph come after `sync`; and because an owner that replays from its checkpoint
//!   publishes the same records again, of which readers skip what is not above the highest
//!   `(source partition, position, index)` that they have seen (LOG-2). So what was there is
//!   skipped, what was missing comes.
//! - **Visible** once acknowledged: a few milliseconds after `append` has returned. `bounds` waits
//!   for what this process has appended to the partition before and then asks the brokers, so it
//!   covers its own appends and everything that any process was told `done` for before the call.
//! - **Unknown.** By default a record waits for the brokers for ever and nothing is unknown while the
//!   process lives; `sync` answers `Unknown` when it was waited for too long. If a record is refused
//!   (or times out, where a time is set) the log takes nothing more: who waits is told `Unknown`,
//!   everybody later `Stopped`, also by `sync`. Opening anew is the remedy.
//! - **Time** is the brokers' `LogAppendTime` made monotonic, the same for every reader wherever it
//!   begins; how, stands in `stamps`. What conditions it: only `trim` deletes.
//! - **Definitions** are compacted, with the hash of the content as the key: of equal records the last
//!   one stays, and this topic alone may have holes.
//! - **Not here:** fencing of two owners (the state store's epochs do that), `Full`, `Damaged`.
//!
//! There is one topic `touchpoints` with a shard per partition, as the port has it, not one topic per
//! channel: a person's touchpoints of all channels keep one order, and a channel more needs no topic.
//! The user needs rights to describe, read, write and delete records of the topics, and to describe
//! the group named `<prefix>readers`, which never joins.

mod appender;
mod asker;
mod bell;
mod book;
mod context;
mod cursor;
mod log;
mod options;
mod reader;
mod stamps;
pub mod topics;
mod trouble;

pub use log::{KafkaFault, KafkaLog};
pub use options::{Compression, KafkaOptions, Sasl, Security, Tls};
pub use trouble::trouble;
