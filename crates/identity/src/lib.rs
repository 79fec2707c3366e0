//! From the identifiers of a touchpoint to a profile (semantics 2).
//!
//! ```text
//! touchpoints ──▶ IdentityShard::turn ──▶ profiles (partition of the person)
//!                   │  Nodes: cache and overlay over the identity graph
//!                   └─ resolve(): nobody | duplicate | person + moves, unions, refusals
//! ```
//!
//! **IDN-1:** any order and duplication of the same touchpoints leaves the same partition of
//! identifiers, and no record is lost in a merge. [`resolve`] says which rule sees to what; the
//! property test in `tests/` holds it against an independent model.
//!
//! [`Resolver`] is the same code without log and graph, for `simulate`.

mod commands;
pub mod limits;
pub mod metric_names;
mod node;
mod nodes;
mod planted;
mod resolve;
mod resolver;
mod rules;
mod shard;

pub use commands::{absorbed, canonical, find};
pub use node::{Claim, IdentifierNode, ProfileNode};
pub use nodes::Nodes;
pub use planted::Mutation;
#[cfg(feature = "planted-bugs")]
pub use planted::plant;
pub use resolve::{Context, Move, Outcome, Refusal, RefusalKind, Resolution, Union, resolve};
pub use resolver::{Addressed, Resolver};
pub use rules::{IdentityRules, is_blocked};
pub use shard::{IdentityError, IdentityShard, Progress, ShardOptions, committed};
