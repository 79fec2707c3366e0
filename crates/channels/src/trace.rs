//! Trace context of a touchpoint, made from its message id alone, so that every role gives the same
//! trace to one touchpoint without carrying anything else.

use sha2::{Digest, Sha256};
use std::fmt::Write;

/// The W3C trace id of the touchpoint `message_id`: 32 hexadecimal digits.
pub fn trace_id(message_id: &str) -> String {
    hex(&Sha256::digest(message_id)[..16])
}

/// `traceparent` of one attempt to deliver `action_id` because of the touchpoint `cause`.
pub fn traceparent(cause: &str, action_id: &str, attempt: u32) -> String {
    let span = Sha256::new().chain_update(action_id).chain_update(attempt.to_be_bytes()).finalize();
    format!("00-{}-{}-01", trace_id(cause), hex(&span[..8]))
}

/// The trace id inside a `traceparent`.
pub fn trace_of(traceparent: &str) -> Option<&str> {
    let id = traceparent.split('-').nth(1)?;
    (id.len() == 32).then_some(id)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_has_one_trace_and_each_attempt_its_span() {
        let first = traceparent("m1", "a1-1-2-0", 1);
        let second = traceparent("m1", "a1-1-2-0", 2);
        assert_eq!(trace_of(&first), Some(trace_id("m1").as_str()));
        assert_eq!(trace_of(&first), trace_of(&second));
        assert_ne!(first, second);
        assert_eq!(first.len(), 55);
        assert_eq!(trace_of("junk"), None);
    }
}
