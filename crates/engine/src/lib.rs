//! The engine: a pure step from a record to its effects.
//!
//! [`Partition::apply`] takes one record of the `profiles` log with its log time, fires the timers
//! due before it, changes the state of the person it concerns and pushes [`Effect`]s: decision
//! records, actions, cancellations, records for other partitions. The owner (crate `worker`) loads
//! the profiles that [`Partition::missing`] names, applies, publishes the effects and checkpoints.
//!
//! What an owner does, per record:
//!
//! 1. [`Partition::missing`] until it names nobody, [`Partition::load`] for each named;
//! 2. [`Partition::apply`]; a `Publish` only after [`Partition::install`] of its version;
//! 3. publish the effects in order, each with (position, index); `Forward` goes to the `profiles`
//!    log of the addressee's partition;
//! 4. now and then [`Partition::take_checkpoint`], written in one atomic batch with the position
//!    (LOG-2), and [`Partition::evict`];
//! 5. a `Tick` once log time would be later than [`Partition::next_wake`].
//!
//! After a restart: `install` every version that was published, `restore_meta`, `restore_wake` for
//! each wake, then records from the checkpoint's position.
//!
//! The identifiers on a touchpoint must be those that its profile holds after resolution: the engine
//! takes them as endpoints of the person.
//!
//! **Invariant:** no I/O, no clock, no randomness, no iteration over a hash map: the same records and
//! definitions give the same state and effects, byte for byte (DET-1).

mod caps;
mod codec;
mod consent;
mod effect;
mod event;
mod explain;
mod guard;
mod identity;
mod installed;
mod journey;
mod json;
pub mod limits;
mod lost;
mod mutation;
mod needs;
mod pace;
mod partition;
mod profile;
mod scope;
mod shortcut;
mod step;
mod timeline;
mod timing;
mod versions;

pub use caps::{Send, SendState, Sends};
pub use consent::{ConsentEntry, Consents, Statement, SuppressionEntry, Suppressions};
pub use effect::{Effect, Effects, OwnedRecord, OwnedTouchpoint};
pub use event::{Stamp, StoredEvent};
pub use explain::decision_line;
pub use identity::{Inheritance, Undo};
pub use journey::{Candidate, Entries, Run, RunId, RunState};
pub use limits::Limits;
pub use lost::{Lack, Lost};
pub use mutation::Mutation;
#[cfg(feature = "planted-bugs")]
pub use mutation::plant;
pub use partition::{Checkpoint, DecodeError, Partition, Wake};
pub use profile::{Attribute, Held, Profile, Stored};
pub use timeline::History;
pub use versions::{Fate, Obstacle, Outlook, Standing, fate};
