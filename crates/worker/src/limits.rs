//! Every limit of the owner of a partition (LIM-1).

/// Records of one read.
pub const READ_RECORDS_MAX: usize = 4_096;
/// Bytes of one read.
pub const READ_BYTES_MAX: usize = 4 << 20;
/// Records of one append; more go in several.
pub const APPEND_RECORDS_MAX: usize = 32_768;
/// Bytes of one append; more go in several.
pub const APPEND_BYTES_MAX: usize = 16 << 20;
/// Profiles loaded in one read of the store.
pub const LOAD_PROFILES_MAX: usize = 8_192;
/// Requests to settle that wait at most; further ones are refused.
pub const SETTLE_WAITING_MAX: usize = 1_024;
/// Targets whose last kill or release is kept; beyond, what was taken back longest ago is forgotten.
pub const ORDERS_MAX: usize = 4_096;

const _: () = assert!(APPEND_RECORDS_MAX < sojourn_ports::log::limits::APPEND_RECORDS_MAX);
const _: () = assert!(
    APPEND_BYTES_MAX + sojourn_ports::log::limits::RECORD_BYTES_MAX
        < sojourn_ports::log::limits::APPEND_BYTES_MAX
);
