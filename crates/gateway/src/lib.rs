//! The gateway: takes touchpoints over HTTP and gRPC and makes them durable before it says so.
//!
//! **Enforced here:** LOG-1 (a 200 means that the log has synced the record), CON-2 (a revocation
//! closes the gate before it is acknowledged), LIM-1 (bodies, batches, nesting, names have limits;
//! what is over one is refused with its name, or recorded as a dead letter).
//!
//! [`message`] is the pure part, which `simulate` and `import` share; [`Gateway`] is the service.

mod body;
mod grpc;
mod http;
mod import;
mod keys;
pub mod limits;
pub mod message;
pub mod metric;
mod refusal;
mod revocation;
mod service;
#[cfg(test)]
mod testing;

pub use grpc::IngestGrpc;
pub use http::page::Page;
pub use import::ImportGrpc;
pub use keys::{KeyError, Secrets};
pub use refusal::Refusal;
pub use revocation::marks as revocation_marks;
pub use service::{Gateway, Options, People, Sizes, shard_of};
