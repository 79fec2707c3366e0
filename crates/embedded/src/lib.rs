//! Log, state store and identity graph on one machine: own segment files and fjall.

mod journal;
mod lock;

pub use journal::{Damage, Journal, JournalOptions, JournalStats, Probes};
pub use lock::{DirLock, LockError};
