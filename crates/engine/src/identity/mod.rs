//! What identity's unions, claims and their undoing do to state (semantics 2).
//!
//! **IDN-1:** no record is lost in a merge, and the order of merges does not matter. **CON-3:** a
//! merge never widens consent.

mod inherit;
mod merge;
mod unmerge;

pub use inherit::Inheritance;
pub use unmerge::Undo;
