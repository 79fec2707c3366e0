//! The identity-graph port: versioned nodes, changed together or not at all.
//!
//! The resolver (crate `identity`) is a pure function over the nodes of one touchpoint's
//! identifiers; the port only reads nodes and commits changes atomically, so that every
//! implementation runs the same rules.

use bytes::Bytes;

/// Key of a node: an identifier (`i:` + kind + NUL + value), a profile (`p:` + id), or a message id
/// (`m:` + hash); at most 256 bytes.
pub type NodeKey = Bytes;

/// One change.
#[derive(Debug, Clone)]
pub struct GraphWrite {
    /// Node.
    pub key: NodeKey,
    /// New value; `None` deletes.
    pub value: Option<Bytes>,
}

/// Changes of one batch of touchpoints of one shard.
#[derive(Debug, Default)]
pub struct GraphCommit {
    /// Nodes whose versions were read and must not have changed, with the version read (0: absent).
    pub guards: Vec<(NodeKey, u64)>,
    /// Changes; a key occurs once.
    pub writes: Vec<GraphWrite>,
    /// Offset of the shard's next touchpoint.
    pub position: u64,
}

/// What can go wrong.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum GraphError {
    /// A guarded node has changed: read anew and decide again.
    #[error("a node has changed since it was read")]
    Conflict,
    /// Another owner of this shard has claimed it.
    #[error("epoch {mine} of shard {shard} is over")]
    Fenced {
        /// Shard.
        shard: u16,
        /// Ours.
        mine: u64,
    },
    /// Nobody knows whether the commit was written: claim anew and read the position.
    #[error("outcome of the commit is unknown: {0}")]
    Unknown(String),
    /// The store does not answer or is broken.
    #[error("the identity graph failed: {0}")]
    Failed(String),
}

/// The identity graph.
///
/// - **Atomicity:** a commit's writes and its position are stored together, only if every guard
///   still holds and the shard's epoch is current.
/// - **Durability:** as for [`crate::StateStore::checkpoint`].
/// - **Versions:** grow with every write of a node; a deleted node reads as version 0.
pub trait IdentityGraph: Send + Sync {
    /// Takes a shard over: its new epoch and the position last committed.
    fn claim(&self, shard: u16) -> Result<(u64, Option<u64>), GraphError>;

    /// Nodes in the order of `keys`: version and value; version 0: absent.
    fn read(&self, keys: &[NodeKey]) -> Result<Vec<(u64, Option<Bytes>)>, GraphError>;

    /// Commits.
    fn commit(&self, shard: u16, epoch: u64, commit: GraphCommit) -> Result<(), GraphError>;

    /// Visits nodes whose key begins with `prefix`, in order, until `visit` returns false.
    fn scan(
        &self,
        prefix: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), GraphError>;
}
