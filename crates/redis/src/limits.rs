//! Named limits (LIM-1).

use std::time::Duration;

/// Connections kept open while nobody uses them.
pub(crate) const IDLE_CONNECTIONS_MAX: usize = 16;
/// Writes of one group, so that a Lua call stays under its limit of arguments.
pub(crate) const GROUP_WRITES: usize = 1_000;
/// Bytes of keys and values of one script; a larger checkpoint is staged.
pub(crate) const SCRIPT_BYTES: usize = 8 << 20;
/// Writes of one script; a checkpoint with more is staged.
pub(crate) const SCRIPT_WRITES: usize = 16_384;
/// Bytes of a whole checkpoint: applying it holds the server up for about a second.
pub(crate) const CHECKPOINT_BYTES_MAX: usize = 256 << 20;
/// Guards and writes of one commit of the graph: the protocol takes a million arguments.
pub(crate) const COMMIT_NODES_MAX: usize = 500_000;
/// Keys of one read.
pub(crate) const READ_KEYS: usize = 8_192;
/// Entries that one page of a scan asks for.
pub(crate) const SCAN_PAGE: usize = 1_000;
/// A snapshot that has not read on for so long is over; what was kept for it goes.
pub(crate) const SNAPSHOT_LEASE: Duration = Duration::from_secs(60);
/// Rows of a restore that was cut off go after so long.
pub(crate) const RESTORE_SECONDS: u64 = 86_400;
/// Attempts of a cluster client at one command.
pub(crate) const CLUSTER_RETRIES: u32 = 8;

/// Lease of a permit's process: longer than any call to a provider, and the longest that a mark waits
/// for a process that died.
pub(crate) const LEASE: Duration = Duration::from_secs(60);
/// Pause between two renewals of a lease.
pub(crate) const RENEW: Duration = Duration::from_secs(10);
/// Pause between two looks of a waiting mark.
pub(crate) const LOOK: Duration = Duration::from_millis(5);
/// Pause after a failed attempt to give permits back.
pub(crate) const RELEASE_RETRY: Duration = Duration::from_millis(200);
/// Permits given back in one call.
pub(crate) const RELEASE_BATCH: usize = 1_000;
