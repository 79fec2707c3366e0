//! doc

mod appender;
mod asker;
mod bell;
mod book;
mod context;
mod cursor;
mod log;
mod options;
mod reader;
mod stamps;
pub mod topics;

pub use log::{KafkaFault, KafkaLog};
pub use options::{Compression, KafkaOptions, Sasl, Security, Tls};
