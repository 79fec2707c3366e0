//! What the client library tells: log lines and errors, to `tracing`.

use parking_lot::Mutex;
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use std::sync::Arc;

/// The last thing that a client complained of: the reason in errors of ours.
#[derive(Clone, Default)]
pub(crate) struct Complaint(Arc<Mutex<Option<String>>>);

impl Complaint {
    pub(crate) fn set(&self, reason: String) {
        *self.0.lock() = Some(reason);
    }

    /// `what`, and the last complaint beside it.
    pub(crate) fn beside(&self, what: &str) -> String {
        match &*self.0.lock() {
            Some(reason) => format!("{what} ({reason})"),
            None => what.to_owned(),
        }
    }
}

/// Context of clients that append nothing.
#[derive(Clone, Default)]
pub(crate) struct Teller {
    pub(crate) complaint: Complaint,
}

impl ClientContext for Teller {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        tell(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        complain(&self.complaint, &error, reason);
    }
}

impl ConsumerContext for Teller {}

pub(crate) fn tell(level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        RDKafkaLogLevel::Emerg
        | RDKafkaLogLevel::Alert
        | RDKafkaLogLevel::Critical
        | RDKafkaLogLevel::Error
        | RDKafkaLogLevel::Warning => tracing::warn!(facility, "kafka: {message}"),
        RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => {
            tracing::info!(facility, "kafka: {message}");
        }
        RDKafkaLogLevel::Debug => tracing::debug!(facility, "kafka: {message}"),
    }
}

pub(crate) fn complain(complaint: &Complaint, error: &KafkaError, reason: &str) {
    tracing::warn!(%error, "kafka: {reason}");
    // That all are down follows from what was said of each, which tells more.
    if error.rdkafka_error_code() != Some(RDKafkaErrorCode::AllBrokersDown) {
        complaint.set(reason.to_owned());
    }
}
