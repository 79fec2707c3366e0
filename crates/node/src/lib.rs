//! Any set of roles on any backend: the library form of the product.

mod clock;
mod definitions;
pub mod health;
pub mod index;
pub mod rows;
pub mod simulate;
mod workspace;

pub use clock::WallClock;
pub use definitions::{DefinitionStore, Published, compiled, describe, resolved};
pub use workspace::{FILE_BYTES_MAX, FILES_MAX, read_workspace, secret};
