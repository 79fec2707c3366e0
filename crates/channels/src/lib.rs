//! Channels: how an approved message leaves the house. One folder per adapter behind [`Channel`].
//!
//! An adapter takes the rendered message as the same [`DeliverRequest`] that travels over gRPC, so
//! that a built-in channel, a process of your own and the simulator's provider differ only by their
//! constructor. It answers with one of four outcomes (sent, failed, retry, unknown) and never
//! guesses: what may have gone out and was not confirmed is *unknown*.
//!
//! **Invariant:** the only crate that knows lettre, reqwest, liquid and mrml at run time. An adapter
//! tries once per call; retries, caps, quiet hours and consent are the dispatcher's.
//!
//! [`DeliverRequest`]: sojourn_proto::channel::DeliverRequest

pub mod calls;
mod channel;
pub mod email;
pub mod file;
pub mod grpc;
pub mod in_store;
mod registry;
pub mod render;
pub mod serve;
mod settings;
pub mod token;
pub mod trace;
pub mod webhook;

pub use channel::{Channel, ChannelError, Description, Outgoing, answer};
pub use in_store::{InStore, Prompt, PromptWait, Prompts};
pub use registry::{Built, Channels, Context};
pub use settings::{Lookup, SettingError, Settings, resolve};
