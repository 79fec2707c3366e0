//! Whether an owner can go on from what log and state hold.

use crate::{Log, LogError, Topic};

/// Where an owner of a partition stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing<'a> {
    /// Name for messages: `engine/3`.
    pub owner: &'a str,
    /// The topic that it reads.
    pub topic: Topic,
    /// The partition.
    pub partition: u16,
    /// Its position in the store; `None`: nothing was ever checkpointed.
    pub position: Option<u64>,
}

/// Why it cannot.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum Unrecoverable {
    /// Records that the state does not contain are gone from the log: starting would forget people.
    #[error(
        "the state of {owner} stands at {position} but {topic}/{partition} begins at {first}: \
         the state is gone or too old; run `sojourn restore` with a snapshot"
    )]
    LogTrimmed {
        /// Owner.
        owner: String,
        /// Topic.
        topic: &'static str,
        /// Partition.
        partition: u16,
        /// Position of the state, 0 without any.
        position: u64,
        /// First offset the log keeps.
        first: u64,
    },
    /// The state is ahead of the log: it belongs to another log, or the log was lost.
    #[error(
        "the state of {owner} stands at {position} but {topic}/{partition} ends at {next}: \
         the log is not the one this state was made from; restore both from a snapshot"
    )]
    LogLost {
        /// Owner.
        owner: String,
        /// Topic.
        topic: &'static str,
        /// Partition.
        partition: u16,
        /// Position of the state.
        position: u64,
        /// Next offset of the log.
        next: u64,
    },
    /// The log does not answer.
    #[error(transparent)]
    Log(#[from] LogError),
}

/// Refuses to start an owner that would begin with a hole (LOG-2): an empty or old store over a
/// trimmed log is never taken for a new one.
pub fn check_recoverable(log: &dyn Log, standings: &[Standing<'_>]) -> Result<(), Unrecoverable> {
    for &Standing { owner, topic, partition, position } in standings {
        let bounds = log.bounds(topic, partition)?;
        let position = position.unwrap_or(0);
        let (owner, name) = (owner.to_owned(), topic.as_str());
        if position < bounds.first {
            let first = bounds.first;
            return Err(Unrecoverable::LogTrimmed {
                owner,
                topic: name,
                partition,
                position,
                first,
            });
        }
        if position > bounds.next {
            let next = bounds.next;
            return Err(Unrecoverable::LogLost { owner, topic: name, partition, position, next });
        }
    }
    Ok(())
}
