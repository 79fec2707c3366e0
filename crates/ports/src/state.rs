//! The state port: per owner, a small ordered key-value space written only by atomic checkpoints.

use bytes::Bytes;

/// What a key is about; each space is ordered by key. The ordinal is stable on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Space {
    /// Profile id (8 bytes, big-endian) → the engine's profile blob.
    Profile = 0,
    /// Profile id → its earliest timer (the engine's wake entry).
    Wake = 1,
    /// Small things of the owner: its partition state, high-water marks, settings. By name.
    Meta = 2,
    /// Undo information of merges, by profile and merge.
    Merge = 3,
    /// Identity graph nodes (see [`crate::IdentityGraph`]).
    Graph = 4,
    /// Message ids seen, by time bucket.
    Seen = 5,
    /// Stored content by hash: definitions.
    Content = 6,
    /// Index for look-ups: decisions and touchpoints of a profile → log position.
    Index = 7,
}

impl Space {
    /// Every space; the place in this list is its ordinal.
    pub const ALL: [Self; 8] = [
        Self::Profile,
        Self::Wake,
        Self::Meta,
        Self::Merge,
        Self::Graph,
        Self::Seen,
        Self::Content,
        Self::Index,
    ];
}

/// One write of a checkpoint.
#[derive(Debug, Clone)]
pub struct Write {
    /// Space.
    pub space: Space,
    /// Key; at most 256 bytes.
    pub key: Bytes,
    /// `None` deletes.
    pub value: Option<Bytes>,
}

/// What `claim` found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The owner's new epoch: greater than any before it.
    pub epoch: u64,
    /// Offset of the next record to apply; `None`: nothing was ever checkpointed.
    pub position: Option<u64>,
}

/// An atomic step from one position to a later (or the same) one; a step back fails.
#[derive(Debug, Default)]
pub struct Checkpoint {
    /// Offset of the next record to apply.
    pub position: u64,
    /// Writes; a key occurs once.
    pub writes: Vec<Write>,
}

/// A checkpoint with its owner and the owner's epoch.
#[derive(Debug)]
pub struct OwnersCheckpoint {
    /// The owner.
    pub owner: String,
    /// Its epoch.
    pub epoch: u64,
    /// What to write.
    pub checkpoint: Checkpoint,
}

/// What can go wrong.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum StateError {
    /// Another owner has claimed: drop everything in memory.
    #[error("epoch {mine} of owner {owner} is over: {current} has claimed it")]
    Fenced {
        /// The owner.
        owner: String,
        /// Ours.
        mine: u64,
        /// Theirs.
        current: u64,
    },
    /// Nobody knows whether the checkpoint was written: claim anew and read the position.
    #[error("outcome of the checkpoint is unknown: {0}")]
    Unknown(String),
    /// The store does not answer or is broken.
    #[error("the state store failed: {0}")]
    Failed(String),
}

/// A state store for many owners. An owner is a name such as `engine/3` or `identity/0`.
///
/// - **Fencing:** `claim` raises the owner's epoch; a checkpoint of an older epoch fails `Fenced`
///   and writes nothing.
/// - **Atomicity (LOG-2):** a checkpoint's writes and its position are stored together or not at
///   all, also when the process dies in the middle.
/// - **Durability:** when `checkpoint` returns `Ok` it survives a crash. A store may still come
///   back older (a restored snapshot, a stale replica): position and values are then older
///   *together*.
/// - **Reads** see the last checkpoint that returned, whole.
pub trait StateStore: Send + Sync {
    /// Takes the owner over.
    fn claim(&self, owner: &str) -> Result<Claim, StateError>;

    /// Values of `keys` in order.
    fn get(
        &self,
        owner: &str,
        space: Space,
        keys: &[Bytes],
    ) -> Result<Vec<Option<Bytes>>, StateError>;

    /// Visits keys from `from` (inclusive) to `to` (exclusive; `None`: to the end) in order until
    /// `visit` returns false.
    fn scan(
        &self,
        owner: &str,
        space: Space,
        from: &[u8],
        to: Option<&[u8]>,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StateError>;

    /// Writes a checkpoint of `epoch`.
    fn checkpoint(&self, owner: &str, epoch: u64, checkpoint: Checkpoint)
    -> Result<(), StateError>;

    /// Writes checkpoints of several owners, each atomic by itself; gives what came of them, in
    /// order. A store that commits in groups pays for one.
    fn checkpoint_each(&self, checkpoints: Vec<OwnersCheckpoint>) -> Vec<Result<(), StateError>> {
        let one = |OwnersCheckpoint { owner, epoch, checkpoint }: OwnersCheckpoint| {
            self.checkpoint(&owner, epoch, checkpoint)
        };
        checkpoints.into_iter().map(one).collect()
    }

    /// Every owner that ever checkpointed, with its position: for `doctor` and `snapshot`.
    fn owners(&self) -> Result<Vec<(String, u64)>, StateError>;
}

/// Limits of every store (LIM-1).
pub mod limits {
    use super::{Checkpoint, StateError};

    /// Refuses an owner's name that is empty, too long or has a NUL.
    pub fn check_owner(owner: &str) -> Result<(), StateError> {
        if owner.is_empty() || owner.len() > OWNER_BYTES_MAX || owner.contains('\0') {
            return Err(StateError::Failed(format!(
                "owner {owner:?} is not a name of 1 to {OWNER_BYTES_MAX} bytes without NUL"
            )));
        }
        Ok(())
    }

    /// Refuses what is over a limit.
    pub fn check(checkpoint: &Checkpoint) -> Result<(), StateError> {
        for write in &checkpoint.writes {
            if write.key.len() > KEY_BYTES_MAX {
                return Err(StateError::Failed(format!(
                    "a key of {} bytes is over the limit of {KEY_BYTES_MAX}",
                    write.key.len()
                )));
            }
            let bytes = write.value.as_ref().map_or(0, bytes::Bytes::len);
            if bytes > VALUE_BYTES_MAX {
                return Err(StateError::Failed(format!(
                    "a value of {bytes} bytes is over the limit of {VALUE_BYTES_MAX}"
                )));
            }
        }
        Ok(())
    }

    /// Bytes of an owner's name.
    pub const OWNER_BYTES_MAX: usize = 64;
    /// Bytes of a key.
    pub const KEY_BYTES_MAX: usize = 256;
    /// Bytes of a value.
    pub const VALUE_BYTES_MAX: usize = 16 << 20;
}
