//! Generated contracts of `proto/` and checked conversions to and from the model.
//!
//! **Invariant:** the only crate that knows the wire form of log records. A record that does not
//! decode is an error with the field's name, never a panic.

mod convert;

/// Records of the topics.
#[expect(missing_docs, reason = "generated; documented in proto/")]
#[allow(clippy::all, clippy::pedantic, unreachable_pub, reason = "generated")]
pub mod log {
    tonic::include_proto!("sojourn.log.v1");
}
/// `ChannelService`.
#[expect(missing_docs, reason = "generated; documented in proto/")]
#[allow(clippy::all, clippy::pedantic, unreachable_pub, reason = "generated")]
pub mod channel {
    tonic::include_proto!("sojourn.channel.v1");
}
/// `IngestService`.
#[expect(missing_docs, reason = "generated; documented in proto/")]
#[allow(clippy::all, clippy::pedantic, unreachable_pub, reason = "generated")]
pub mod ingest {
    tonic::include_proto!("sojourn.ingest.v1");
}
/// `AdminService`.
#[expect(missing_docs, reason = "generated; documented in proto/")]
#[allow(clippy::all, clippy::pedantic, unreachable_pub, reason = "generated")]
pub mod admin {
    tonic::include_proto!("sojourn.admin.v1");
}

/// Descriptors of all services, for reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
