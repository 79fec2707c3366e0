//! The owner of a partition of `profiles`: read, step, publish, checkpoint (architecture.md).
//!
//! ```text
//! profiles p ──▶ PartitionOwner::turn ──▶ actions p, decisions p, profiles of other partitions
//!                  │  engine::Partition      (each with its origin: partition, offset, index)
//!                  └─ checkpoint: dirty profiles, wakes, marks and the position, atomically
//! ```
//!
//! **LOG-2:** a record is applied once: what was applied stands in one checkpoint with the position,
//! and a record that was published twice, or by an owner whose epoch is over, is skipped by its origin. **DET-1:** the engine gets what
//! stands in the log and nothing else.

mod error;
mod hold;
pub mod limits;
mod marks;
pub mod metric_names;
mod output;
mod owner;
mod planted;
mod saving;
mod stored;

pub use error::OwnerError;
pub use owner::{DefinitionsSource, OwnerOptions, PartitionOwner, Progress, Settle, owner_name};
pub use planted::Mutation;
#[cfg(feature = "planted-bugs")]
pub use planted::plant;
pub use stored::{checkpointed, orders};
