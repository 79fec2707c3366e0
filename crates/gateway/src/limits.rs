//! Named limits of the edge (LIM-1). What is over one is refused with its name or recorded.

use std::time::Duration;

/// Bytes of one message, on the wire and unpacked (the Segment specification's).
pub const MESSAGE_BYTES_MAX: usize = 32 << 10;
/// Bytes of a batch, on the wire and unpacked (the Segment specification's).
pub const BATCH_BYTES_MAX: usize = 500 << 10;
/// Messages of a batch.
pub const BATCH_MESSAGES_MAX: usize = 2_500;
/// Bytes of a webhook's body.
pub const HOOK_BYTES_MAX: usize = 256 << 10;
/// Bytes read of a body that only confirms a page.
pub const FORM_BYTES_MAX: usize = 4 << 10;
/// Bytes read and thrown away of a body over its limit, so that the sender gets to read the 413.
pub const DISCARDED_BYTES_MAX: usize = 32 << 20;
/// Requests being answered at once; more get 429.
pub const REQUESTS_MAX: usize = 8_192;
/// Bytes of bodies held at once; more get 429.
pub const BODIES_BYTES_MAX: usize = 256 << 20;
/// How long a body may take to arrive; then 408, which SDKs retry.
pub const BODY_TIME_MAX: Duration = Duration::from_secs(30);
/// How long an append may take to become durable; then 503, and the sender's retry counts once.
pub const APPEND_TIME_MAX: Duration = Duration::from_secs(30);
/// How long a till waits for the prompt of its check-in, all in all.
pub const PROMPT_TIME_MAX: Duration = Duration::from_millis(50);
/// How long `drain` waits for requests under way.
pub const DRAIN_TIME_MAX: Duration = Duration::from_secs(10);
/// How far a webhook's own time may be off (Standard Webhooks).
pub const HOOK_TOLERANCE_S: i64 = 300;
/// Secrets of one source that are good at the same time (rotation).
pub const SECRETS_MAX: usize = 8;
/// `Retry-After` in seconds when a limit is reached.
pub const RETRY_BUSY_S: u64 = 1;
/// `Retry-After` in seconds when the disk is nearly full, the log has stopped, or we drain.
pub const RETRY_UNAVAILABLE_S: u64 = 5;
/// People whose browser signal was recorded and need not be again today.
pub const SIGNALS_MAX: usize = 65_536;
/// Touchpoints that one gRPC stream appends at once.
pub const STREAM_CHUNK_MAX: usize = 1_024;
/// Bytes that one gRPC stream appends at once.
pub const STREAM_CHUNK_BYTES_MAX: usize = 1 << 20;
/// Appends of one gRPC stream that are not durable yet.
pub const STREAM_APPENDS_MAX: usize = 16;
/// Messages of one import request.
pub const IMPORT_MESSAGES_MAX: usize = 5_000;
/// Bytes of one import request.
pub const IMPORT_BYTES_MAX: usize = 16 << 20;
