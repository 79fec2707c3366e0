//! Why a turn of an owner fails.

use sojourn_engine::DecodeError;
use sojourn_model::VersionId;
use sojourn_ports::{LogError, StateError};

/// What can go wrong. The owner has dropped its memory then; the next turn claims anew.
#[derive(Debug, thiserror::Error)]
pub enum OwnerError {
    /// The log.
    #[error("partition {partition}: {source}")]
    Log {
        /// Partition.
        partition: u16,
        /// What.
        source: LogError,
    },
    /// The store. After [`StateError::Fenced`] another owner has the partition.
    #[error("partition {partition}: {source}")]
    State {
        /// Partition.
        partition: u16,
        /// What.
        source: StateError,
    },
    /// The store has come back older while this owner ran (a stale replica took over). Claiming
    /// anew replays from where it stands.
    #[error(
        "partition {partition}: the store stood at offset {position} and came back at {found:?}"
    )]
    Older {
        /// Partition.
        partition: u16,
        /// Where this owner left it.
        position: u64,
        /// Where it stands now; `None`: it is empty.
        found: Option<u64>,
    },
    /// The gate does not take marks: nothing may be published that it must know.
    #[error("partition {partition}: the gate does not answer: {reason}")]
    Gate {
        /// Partition.
        partition: u16,
        /// What it said.
        reason: String,
    },
    /// A version that a record or the state names is not to be had.
    #[error("partition {partition}: definitions {version}: {reason}; publish them again")]
    Definitions {
        /// Partition.
        partition: u16,
        /// Version.
        version: VersionId,
        /// Why.
        reason: String,
    },
    /// Stored state does not decode.
    #[error("partition {partition}: {source}; load a snapshot with `sojourn restore`")]
    Damaged {
        /// Partition.
        partition: u16,
        /// What.
        source: DecodeError,
    },
    /// The store is empty while the log no longer begins at its beginning.
    #[error(
        "partition {partition}: the store is empty but the log begins at offset {first}; load a \
         snapshot of engine/{partition} at {first} or later with `sojourn restore`"
    )]
    Empty {
        /// Partition.
        partition: u16,
        /// Oldest offset.
        first: u64,
    },
    /// The store's position is outside the log.
    #[error(
        "partition {partition}: the store stands at offset {position}, the log holds \
         {first}..{next}; load a snapshot of engine/{partition} at {first} to {next} with \
         `sojourn restore`"
    )]
    Position {
        /// Partition.
        partition: u16,
        /// Where the store stands.
        position: u64,
        /// Oldest offset.
        first: u64,
        /// Next offset.
        next: u64,
    },
}

impl OwnerError {
    /// Whether to claim anew and read what is there: nobody knows what was written, or the store
    /// has come back older.
    pub(crate) fn is_unknown(&self) -> bool {
        matches!(
            self,
            Self::Older { .. }
                | Self::Log { source: LogError::Unknown { .. }, .. }
                | Self::State { source: StateError::Unknown(_), .. }
        )
    }
}
