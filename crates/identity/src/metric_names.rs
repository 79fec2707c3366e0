//! Names of the metrics of the identity role. No label carries personal data.

/// Counter: records of `touchpoints` that were resolved.
pub const TOUCHPOINTS: &str = "sojourn_identity_touchpoints_total";
/// Counter: touchpoints whose message id their person already had.
pub const DUPLICATES: &str = "sojourn_identity_duplicates_total";
/// Counter: touchpoints without a usable identifier.
pub const NOBODY: &str = "sojourn_identity_no_identifier_total";
/// Counter: profiles created.
pub const CREATED: &str = "sojourn_identity_profiles_created_total";
/// Counter: unions of two profiles.
pub const UNIONS: &str = "sojourn_identity_unions_total";
/// Counter: identifiers that moved to a newer claim.
pub const MOVES: &str = "sojourn_identity_moves_total";
/// Counter, label `reason`: what a limit or rule refused.
pub const REFUSALS: &str = "sojourn_identity_refusals_total";
/// Counter: commits of the graph.
pub const COMMITS: &str = "sojourn_identity_commits_total";
/// Gauge: touchpoints in the log that are not resolved yet.
pub const LAG: &str = "sojourn_identity_lag_records";
/// Gauge: nodes in the cache.
pub const CACHED: &str = "sojourn_identity_cached_nodes";
