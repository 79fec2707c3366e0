//! Every limit of the engine (LIM-1). Reaching one is visible as a note and loses nothing silently.

use serde::{Deserialize, Serialize};

/// Events that one record may bring about through `emit` and `update`, one after the other.
pub const CHAINED_EVENTS_MAX: usize = 100;
/// Live runs of one person.
pub const RUNS_MAX: usize = 512;
/// Sends that a person's ledger keeps; a full ledger refuses (CAP-1 cannot be told otherwise).
pub const SENDS_MAX: usize = 8_192;
/// Instance keys that the entry ledger remembers per person and journey; the oldest go first.
pub const ENTRY_KEYS_MAX: usize = 4_096;
/// Entry times kept per person and journey beyond what `at_most` asks.
pub const ENTRY_TIMES_SPARE: usize = 4;
/// Points of one event that a person's history keeps; the oldest go first.
pub const HISTORY_POINTS_MAX: usize = 10_000;
/// Attributes of one person.
pub const ATTRIBUTES_MAX: usize = 512;
/// Statements of consent that a person's ledger keeps apart (endpoint × channel × purpose × topic).
pub const CONSENTS_MAX: usize = 4_096;
/// Records parked for one profile while a merge is under way; more stay parked, with a note.
pub const PARKED_NOTED: usize = 10_000;
/// Passes of one timer round over one person at one instant, against a definition that never rests.
pub const PASSES_MAX: usize = 10_000;
/// Items of a digest; the definitions allow no more (`sojourn_rules::limits::DIGEST_ITEMS_MAX`).
pub const DIGEST_ITEMS_MAX: usize = sojourn_rules::limits::DIGEST_ITEMS_MAX;
/// People whom one part of the sweep after a publish visits.
pub const SWEEP_PEOPLE_MAX: usize = 1_000;
/// Time between two parts of the sweep, in milliseconds.
pub const SWEEP_EVERY_MS: i64 = 100;
/// Publishes that people who were not visited since still follow; the oldest go first, and whoever
/// was not visited by then keeps their version.
pub const PUBLICATIONS_MAX: usize = 64;
/// How far before now the search for a schedule's next time begins: no change of the clocks skips
/// more in a zone of today.
pub const GAP_SEARCH_MINUTES: i64 = 180;
/// Items of one person that wait to go into the next message; the oldest messages go first.
pub const PUT_OFF_ITEMS_MAX: usize = 200;
/// How long they wait at the most, in milliseconds.
pub const PUT_OFF_MS: i64 = 30 * 86_400_000;
/// Depth of segments that name segments: deeper ones are refused by lint.
pub use sojourn_rules::limits::SEGMENT_DEPTH_MAX;
/// Outcomes of messages that a person's fatigue keeps per channel; the oldest go first.
pub const FATIGUE_POINTS_MAX: usize = 256;
/// Windows that are joined in search of an instant outside quiet hours.
pub const QUIET_JOINS_MAX: usize = 64;
/// Merges that can be taken back, per person.
pub const UNDO_MAX: usize = 8;
/// How long a merge can be taken back (semantics 2), in milliseconds.
pub const UNDO_MS: i64 = 30 * 86_400_000;
/// Sends are kept at least so long, whatever the caps look at today: two months, in milliseconds.
pub const SENDS_KEPT_MS_MIN: i64 = 62 * 86_400_000;

const _: () = assert!(PUT_OFF_ITEMS_MAX >= DIGEST_ITEMS_MAX, "a digest must fit");
const _: () = assert!(SENDS_KEPT_MS_MIN >= 2 * 31 * 86_400_000, "a calendar month must fit twice");

/// Settings of a partition that its owner chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Whether notes are produced (timeline, `tail`); decisions and actions always are.
    pub notes: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self { notes: true }
    }
}
