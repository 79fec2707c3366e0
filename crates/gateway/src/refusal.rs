//! Why a request was not taken, and what the client reads of it.
//!
//! A 4xx makes SDKs drop the batch for good, so it is only said of what no retry could mend; all
//! else is 408, 429 or 503 with `Retry-After` (ecosystem 1.2).

use crate::limits::{RETRY_BUSY_S, RETRY_UNAVAILABLE_S};
use crate::message::Rejected;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sojourn_ports::LogError;

/// A request that was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A member is wrong.
    #[error("{0}")]
    Rejected(#[from] Rejected),
    /// No key, or one that no source has.
    #[error("the write key is missing or unknown: send it as the Basic user name, or as writeKey")]
    Unauthorized,
    /// A signature does not match.
    #[error("{0}")]
    BadSignature(&'static str),
    /// More bytes than the limit.
    #[error("the body is over the limit of {limit} bytes: send smaller batches")]
    TooLarge {
        /// Limit in bytes.
        limit: usize,
    },
    /// The body did not arrive in time.
    #[error("the body did not arrive in time: send it again")]
    TooSlow,
    /// A limit of the gateway is reached, or the disk is nearly full.
    #[error("{0}")]
    Busy(String),
    /// Not now: draining, or the log or the gate does not answer.
    #[error("{0}")]
    Unavailable(String),
    /// No such place.
    #[error("there is no such address: see the list of routes")]
    NotFound,
    /// A place that takes another method.
    #[error("this address takes {0}")]
    Method(&'static str),
    /// A kind of source that we cannot verify yet.
    #[error("sources of kind {0} are not supported yet: use kind hook (Standard Webhooks)")]
    NotImplemented(String),
}

impl Refusal {
    /// HTTP status.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Rejected(_) => StatusCode::BAD_REQUEST,
            Self::Unauthorized | Self::BadSignature(_) => StatusCode::UNAUTHORIZED,
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Busy(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotImplemented(_) => StatusCode::NOT_IMPLEMENTED,
        }
    }

    /// Short stable word for `code` in the body.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Rejected(_) => "invalid_message",
            Self::Unauthorized => "unauthorized",
            Self::BadSignature(_) => "invalid_signature",
            Self::TooLarge { .. } => "too_large",
            Self::TooSlow => "timeout",
            Self::Busy(_) => "too_many_requests",
            Self::Unavailable(_) => "unavailable",
            Self::NotFound => "not_found",
            Self::Method(_) => "method_not_allowed",
            Self::NotImplemented(_) => "not_implemented",
        }
    }

    /// Seconds after which a retry makes sense.
    pub fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Busy(_) | Self::TooSlow => Some(RETRY_BUSY_S),
            Self::Unavailable(_) => Some(RETRY_UNAVAILABLE_S),
            _ => None,
        }
    }
}

impl From<LogError> for Refusal {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Full { .. } | LogError::Limit { .. } => Self::Busy(error.to_string()),
            // The details name files; the client needs to know only that a retry is right.
            LogError::Stopped { .. }
            | LogError::Unknown { .. }
            | LogError::Unavailable { .. }
            | LogError::OutOfRange { .. }
            | LogError::Damaged { .. } => Self::Unavailable("the log does not take records".into()),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut body = serde_json::json!({ "code": self.code(), "message": self.to_string() });
        if let Self::Rejected(rejected) = &self {
            body["field"] = rejected.field.as_str().into();
        }
        let mut response = (
            self.status(),
            [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))],
            body.to_string(),
        )
            .into_response();
        if let Some(seconds) = self.retry_after() {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
