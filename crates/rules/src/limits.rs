//! Limits of definitions (LIM-1). Reaching one is a finding, never a silent cut.

use sojourn_model::DurationMs;

/// Bytes of one file of a workspace, other than the catalogue.
pub const FILE_BYTES_MAX: usize = 1 << 20;
/// Files of a workspace.
pub const FILES_MAX: usize = 10_000;
/// Nodes of one YAML document, aliases expanded.
pub const YAML_NODES_MAX: usize = 200_000;
/// Depth of one YAML document.
pub const YAML_DEPTH_MAX: usize = 128;
/// Findings reported per compile; the rest is counted.
pub const FINDINGS_MAX: usize = 1_000;

/// Journeys of a workspace.
pub const JOURNEYS_MAX: usize = 1_000;
/// Entries per window that a schedule's `pace` may ask for.
pub const PACE_MAX: u32 = 10_000_000;
/// Steps of a journey.
pub const JOURNEY_STEPS_MAX: usize = 1_000;
/// Depth of a journey's tree.
pub const JOURNEY_DEPTH_MAX: usize = 32;
/// Segments of a workspace.
pub const SEGMENTS_MAX: usize = 10_000;
/// Depth of segments that name segments.
pub const SEGMENT_DEPTH_MAX: usize = 8;
/// Templates of a workspace.
pub const TEMPLATES_MAX: usize = 10_000;
/// Items that one digest holds.
pub const DIGEST_ITEMS_MAX: usize = 100;
/// How long a `call` is waited for when the step does not say, and at the most.
pub const CALL_TIMEOUT_DEFAULT: DurationMs = DurationMs::seconds(10);
/// See [`CALL_TIMEOUT_DEFAULT`].
pub const CALL_TIMEOUT_MAX: DurationMs = DurationMs::hours(1);
/// Depth of the body of a `call`.
pub const CALL_DEPTH_MAX: usize = 8;
/// Caps of a policy.
pub const CAPS_MAX: usize = 256;
/// Blackouts of a policy.
pub const BLACKOUTS_MAX: usize = 256;
/// Days of one span of a blackout.
pub const BLACKOUT_DAYS_MAX: i64 = 366;
/// Days that outcomes count for fatigue.
pub const FATIGUE_DAYS_MAX: i64 = 180;
/// Rules by which fatigue shrinks caps.
pub const FATIGUE_RULES_MAX: usize = 16;
/// Weight of an outcome for fatigue.
pub const FATIGUE_WEIGHT_MAX: u32 = 10_000;
/// Waves of one message.
pub const WAVES_MAX: usize = 32;
/// Hours over which messages may leave a quiet window.
pub const RAMP_HOURS_MAX: i64 = 12;
/// Characters of a name (journey, step, template, event, …).
pub const NAME_CHARS_MAX: usize = 200;

/// Bytes of an identifier's value; a longer one names nobody.
pub const IDENTIFIER_BYTES_MAX: usize = 512;

/// Bytes of one expression.
pub const EXPRESSION_BYTES_MAX: usize = 8_192;
/// Nodes of one expression.
pub const EXPRESSION_NODES_MAX: usize = 1_000;
/// Depth of one expression.
pub const EXPRESSION_DEPTH_MAX: usize = 64;
/// Brackets open at once in one expression. The grammar needs up to 160 KiB of stack for each in an
/// unoptimised build, and a thread has 2 MiB.
pub const EXPRESSION_BRACKETS_MAX: usize = 10;
/// Choices (`a ? b : c`) in one expression: they nest to the right.
pub const EXPRESSION_CHOICES_MAX: usize = 24;
/// Bytes of a compiled `matches` pattern.
pub const PATTERN_BYTES_MAX: usize = 1 << 18;
/// Nesting of a `matches` pattern.
pub const PATTERN_DEPTH_MAX: u32 = 32;

/// Nodes that one evaluation may visit; beyond it the value is missing.
pub const EVAL_STEPS_MAX: u32 = 100_000;
/// Items of a list, bytes of a text, that an evaluation may make.
pub const EVAL_LENGTH_MAX: usize = 10_000;

/// The furthest ahead that `best_time` may look, in days.
pub const BEST_TIME_DAYS_MAX: i64 = 7;
/// The longest duration a definition may name, in days.
pub const DURATION_DAYS_MAX: i64 = 36_500;
