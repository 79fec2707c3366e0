//! Generated contracts of `proto/` and checked conversions to and from the model.
//!
//! **Invariant:** the only crate that knows the wire form of log records. A record that does not
//! decode is an error with the field's name, never a panic.

mod action;
mod convert;
mod decision;
mod dispatch;
mod json;
mod origin;
mod planted;
mod profile;
mod touchpoint;
mod wire;

pub use action::{ActionRecord, action_record, cancel_record, decode_action_record};
pub use decision::{DecisionRecord, decision_record, decode_decision_record, note_record};
pub use dispatch::{
    DeadLetter, DispatchKind, DispatchRecord, DispatchResult, dead_letter, decode_dead_letter,
    decode_dispatch_record, dispatch_record,
};
pub use json::{value_from_json, value_to_json};
pub use origin::{Admission, Origin, Sources};
pub use planted::Mutation;
#[cfg(feature = "planted-bugs")]
pub use planted::plant;
pub use profile::{
    ProfileRecord, decode_profile_record, encode_person_touchpoint, encode_profile_record,
};
pub use touchpoint::{
    IdentifiedCommand, TouchpointRecord, decode_touchpoint_record, encode_identified_command,
    encode_touchpoint_record, raw_touchpoint,
};
pub use wire::WireError;

/// Records of the topics.
#[expect(missing_docs, reason = "generated; documented in proto/")]
#[allow(
    clippy::all,
    clippy::pedantic,
    clippy::allow_attributes_without_reason,
    unreachable_pub,
    reason = "generated"
)]
pub mod log {
    tonic::include_proto!("sojourn.log.v1");
}
/// `ChannelService`.
#[expect(missing_docs, reason = "generated; documented in proto/")]
#[allow(
    clippy::all,
    clippy::pedantic,
    clippy::allow_attributes_without_reason,
    unreachable_pub,
    reason = "generated"
)]
pub mod channel {
    tonic::include_proto!("sojourn.channel.v1");
}
/// `IngestService`.
#[expect(missing_docs, reason = "generated; documented in proto/")]
#[allow(
    clippy::all,
    clippy::pedantic,
    clippy::allow_attributes_without_reason,
    unreachable_pub,
    reason = "generated"
)]
pub mod ingest {
    tonic::include_proto!("sojourn.ingest.v1");
}
/// `AdminService`.
#[expect(missing_docs, reason = "generated; documented in proto/")]
#[allow(
    clippy::all,
    clippy::pedantic,
    clippy::allow_attributes_without_reason,
    unreachable_pub,
    reason = "generated"
)]
pub mod admin {
    tonic::include_proto!("sojourn.admin.v1");
}

/// Descriptors of all services, for reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
