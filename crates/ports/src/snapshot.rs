//! The snapshot port: the state of one owner, or the identity graph, whole and at one position.
//!
//! What is written out is what the owner's last checkpoint left, as of one moment, while the owner
//! goes on. What is read in replaces everything of the owner and raises its epoch, so that an owner
//! that still lives is fenced; the next one replays the log from the position of the snapshot.

use crate::Space;
use bytes::Bytes;
use std::fmt;

/// What a snapshot is of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// An owner of the [`crate::StateStore`].
    Owner(String),
    /// The [`crate::IdentityGraph`] with the position of its one shard.
    Graph,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Owner(owner) => f.write_str(owner),
            Self::Graph => f.write_str("identity/0"),
        }
    }
}

/// One key with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Space; [`Space::Graph`] for nodes of the graph.
    pub space: Space,
    /// Key.
    pub key: Bytes,
    /// Value.
    pub value: Bytes,
}

/// Why a snapshot was not taken or not brought back.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum SnapshotError {
    /// More changed meanwhile than is kept for it.
    #[error("{part} changed too much while it was read: {reason}; try again when less comes in")]
    Busy {
        /// What it is of.
        part: Part,
        /// The limit that was reached.
        reason: String,
    },
    /// The store is at the snapshot's position or beyond.
    #[error(
        "{part} stands at {found} in the store, the snapshot at {position}: nothing is restored"
    )]
    Newer {
        /// What it is of.
        part: Part,
        /// Position in the store.
        found: u64,
        /// Position of the snapshot.
        position: u64,
    },
    /// Whoever takes or gives the rows says no.
    #[error("{0}")]
    Rows(String),
    /// The store does not answer or is broken.
    #[error("the state store failed: {0}")]
    Failed(String),
}

/// What an import may replace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// Nothing, or state of an earlier position.
    Older,
    /// Whatever is there: the caller knows that it is damaged, or that the log has what follows.
    Anything,
}

/// Takes one row of a snapshot.
pub type Visit<'a> = dyn FnMut(Row) -> Result<(), String> + 'a;
/// Gives one row of a snapshot after the other; `None`: that was all.
pub type Rows<'a> = dyn FnMut() -> Result<Option<Row>, String> + 'a;

/// State written out and read in, in bounded memory.
///
/// - **One moment:** the rows of an export and its position are those of one checkpoint, whatever is
///   checkpointed meanwhile. A row may be visited twice, with the same value.
/// - **Whole or not:** after an import the owner has exactly the rows given, at `position`, under a
///   new epoch. After one that failed or was cut off the owner has what it had, or nobody can claim it
///   until an import has gone through; never a part.
/// - **No step back:** an import over [`Over::Older`] is refused with [`SnapshotError::Newer`], and
///   nothing is written, when the store stands at `position` or beyond.
pub trait Snapshots: Send + Sync {
    /// Visits every row of `part`; its position, `None`: there is none.
    fn export(&self, part: &Part, visit: &mut Visit<'_>) -> Result<Option<u64>, SnapshotError>;

    /// Replaces `part` by `rows`. A key comes once or with the same value.
    fn import(
        &self,
        part: &Part,
        position: u64,
        over: Over,
        rows: &mut Rows<'_>,
    ) -> Result<(), SnapshotError>;

    /// Where `part` stands; `None`: it has no state.
    fn position(&self, part: &Part) -> Result<Option<u64>, SnapshotError>;
}

/// Limits of every implementation (LIM-1).
pub mod limits {
    /// Rows written in one step of an import.
    pub const IMPORT_ROWS: usize = 4_096;
    /// Bytes written in one step of an import, but for one row.
    pub const IMPORT_BYTES: usize = 4 << 20;
}

/// The rows of the next step of an import; empty: that was all.
pub fn next_rows(rows: &mut Rows<'_>) -> Result<Vec<Row>, SnapshotError> {
    let mut step = Vec::new();
    let mut bytes = 0;
    while step.len() < limits::IMPORT_ROWS && bytes < limits::IMPORT_BYTES {
        let Some(row) = rows().map_err(SnapshotError::Rows)? else { break };
        bytes += row.key.len() + row.value.len();
        step.push(row);
    }
    Ok(step)
}
