//! Names of the metrics of the engine role. Label `partition` is the partition's number; no label
//! carries personal data.

/// Counter: records of `profiles` that were applied.
pub const RECORDS: &str = "sojourn_engine_records_total";
/// Counter: records that were skipped because their origin was seen before.
pub const SKIPPED: &str = "sojourn_engine_skipped_total";
/// Counter: ticks appended because a timer was due and nothing came.
pub const TICKS: &str = "sojourn_engine_ticks_total";
/// Counter, label `outcome`: decisions.
pub const DECISIONS: &str = "sojourn_engine_decisions_total";
/// Counter, label `reason`: refused and deferred candidates by reason.
pub const REASONS: &str = "sojourn_engine_reasons_total";
/// Counter: approved actions.
pub const ACTIONS: &str = "sojourn_engine_actions_total";
/// Counter: actions taken back.
pub const CANCELS: &str = "sojourn_engine_cancels_total";
/// Counter: records sent on to other partitions.
pub const FORWARDS: &str = "sojourn_engine_forwards_total";
/// Counter: checkpoints.
pub const CHECKPOINTS: &str = "sojourn_engine_checkpoints_total";
/// Counter: profiles written by checkpoints.
pub const CHECKPOINT_PROFILES: &str = "sojourn_engine_checkpoint_profiles_total";
/// Gauge: records in the log that are not applied yet.
pub const LAG: &str = "sojourn_engine_lag_records";
/// Gauge: profiles in memory.
pub const RESIDENT: &str = "sojourn_engine_resident_profiles";
/// Counter: profiles loaded from the store.
pub const LOADED: &str = "sojourn_engine_loaded_profiles_total";
/// Counter: profiles dropped from memory.
pub const EVICTED: &str = "sojourn_engine_evicted_profiles_total";
/// Counter: records refused because a later owner of their source has published here.
pub const ENDED: &str = "sojourn_engine_ended_epoch_records_total";
