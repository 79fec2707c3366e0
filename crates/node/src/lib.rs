//! Any set of roles on any backend: the library form of the product.
//!
//! [`Node::start`] runs every role of a workspace in one process, on embedded storage or on Kafka and
//! Redis; [`simulate`] runs the same engine over a file;
//! [`Queries`] answers what people ask.

mod admin;
mod audit;
mod backend;
pub mod chance;
mod changes;
mod clock;
mod definitions;
mod diff;
mod distributed;
mod doctor;
pub mod health;
mod index;
mod keeper;
mod links;
mod node;
mod pages;
mod person;
mod positions;
mod publishing;
mod queries;
pub mod rehearse;
mod role;
mod roles;
pub mod rows;
mod secrets;
mod seen;
mod serve;
pub mod simulate;
pub mod snapshots;
mod spawn;
mod storage;
mod tail;
mod tenure;
mod tls;
mod transition;
mod why_not;
mod workspace;
mod writers;

pub use backend::Backend;
pub use clock::WallClock;
pub use definitions::{DefinitionStore, Published, compiled, describe, resolved_for};
pub use distributed::{
    Distributed, PARTITIONS_DEFAULT, REPLICATION_DEFAULT, TopicOrder, TopicReport, make_topics,
};
pub use index::{Index, Indexer};
pub use node::{Node, NodeOptions};
pub use queries::Queries;
pub use role::{Role, Roles};
pub use serve::Addresses;
pub use storage::{Embedded, PARTITIONS, data_dir};
pub use workspace::{FILE_BYTES_MAX, FILES_MAX, read_tests, read_workspace, secret};
