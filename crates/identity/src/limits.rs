//! Every limit of the identity role (LIM-1). Reaching one is counted and, where a touchpoint is
//! concerned, kept as a dead letter with its reason.

/// Usable identifiers of one touchpoint; the weakest beyond it are ignored, with a record.
pub const IDENTIFIERS_MAX: usize = 32;
/// Bytes of an identifier's kind and value: a key of the graph has at most 256.
pub const IDENTIFIER_BYTES_MAX: usize = 240;
/// Message ids that one person's set remembers; the oldest go first.
pub const RECENT_MAX: usize = 65_536;
/// From this size on a person's set of message ids has an index.
pub const RECENT_INDEXED_MIN: usize = 32;
/// Merges that can be taken back, per person.
pub const UNDO_MAX: usize = 8;
/// Profiles on the way from an absorbed profile to its survivor.
pub const MERGE_CHAIN_MAX: usize = 100_000;
/// Identifiers, and as many persons, that the cache keeps in one of its two generations.
pub const CACHE_NODES_MAX: usize = 1 << 19;
/// Records of one read.
pub const READ_RECORDS_MAX: usize = 8_192;
/// Bytes of one read.
pub const READ_BYTES_MAX: usize = 4 << 20;
/// Bytes of one append; a longer batch goes in several.
pub const APPEND_BYTES_MAX: usize = 16 << 20;
/// Records of one append.
pub const APPEND_RECORDS_MAX: usize = 32_768;
/// Bytes of a touchpoint that a dead letter keeps.
pub const LETTER_BYTES_MAX: usize = 64 << 10;

const _: () = assert!(APPEND_RECORDS_MAX < sojourn_ports::log::limits::APPEND_RECORDS_MAX);
const _: () = assert!(
    APPEND_BYTES_MAX + sojourn_ports::log::limits::RECORD_BYTES_MAX
        < sojourn_ports::log::limits::APPEND_BYTES_MAX
);
