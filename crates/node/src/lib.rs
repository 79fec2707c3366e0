//! Any set of roles on any backend: the library form of the product.

mod clock;
mod workspace;

pub use clock::WallClock;
pub use workspace::{read_workspace, secret};
