//! Journeys: a tree of steps, laid flat in the order of the text.

use super::{Condition, Schedule};
use sojourn_model::{DurationMs, Name, VersionId};

/// Place of a step in the tree: its index in [`Journey::steps`], which are in the order of the text
/// (a parent before its children), so that a greater index is further along.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StepIndex(pub u16);

/// A compiled journey.
#[derive(Debug, Clone, PartialEq)]
pub struct Journey {
    /// Name.
    pub name: Name,
    /// Version of the definitions it belongs to.
    pub version: VersionId,
    /// Hash of this journey's own file: a publish that leaves it unchanged keeps it.
    pub content: u64,
    /// `about`, for people.
    pub about: Name,
    /// Purpose of its messages and of the data it may read.
    pub purpose: Name,
    /// Topic of its messages.
    pub topic: Option<Name>,
    /// Greater first.
    pub priority: i32,
    /// Its messages go out at least this far apart, over the whole workspace; `None`: at once.
    pub apart: Option<DurationMs>,
    /// How a run begins.
    pub entry: Entry,
    /// What ends a run at once.
    pub exit_on: Vec<EventRule>,
    /// What it is for.
    pub goal: Option<Goal>,
    /// Steps in the order of the text.
    pub steps: Vec<Step>,
    /// The first step; `None`: a journey without steps.
    pub first: Option<StepIndex>,
}

/// How a run begins. Further forms of `trigger` are variants beside `Event`.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// What triggers it.
    pub trigger: Trigger,
    /// Filter of an entry that no event of the journey's own triggers: over the profile. (That of an
    /// event is in its rule.)
    pub when: Option<Condition>,
    /// Whether those who are in the segment already enter when the journey goes live.
    pub backfill: bool,
    /// Instance key over the event; `None`: the profile.
    pub key: Option<Condition>,
    /// When the same key may enter again.
    pub reentry: Reentry,
    /// A touchpoint older than this does not enter (strictly younger does).
    pub accept_late: DurationMs,
    /// At most so many entries of a person per window.
    pub at_most: Option<(u32, DurationMs)>,
    /// At most so many live runs of a person.
    pub concurrent: Option<u32>,
}

/// What triggers an entry.
#[derive(Debug, Clone, PartialEq)]
pub enum Trigger {
    /// An event, with its filter.
    Event(EventRule),
    /// Entering or leaving a segment.
    Segment {
        /// Segment.
        segment: Name,
        /// `enter` (true) or `leave`.
        enter: bool,
    },
    /// A profile attribute whose old and new values differ.
    Attribute {
        /// Attribute.
        name: Name,
        /// Whether the value must differ; else saying it again is enough.
        changed: bool,
    },
    /// A date in the person's data, in the person's zone.
    Date {
        /// The date.
        date: Condition,
        /// Minutes after local midnight.
        minute: u16,
        /// Days before (negative) or after.
        offset_days: i32,
        /// Every year from the date's own on; else on that one day.
        yearly: bool,
    },
    /// The clock, for the members of a segment.
    Schedule(Schedule),
    /// Only by the API, or by the step `enter` of another journey.
    Api,
}

/// An event name with a filter.
#[derive(Debug, Clone, PartialEq)]
pub struct EventRule {
    /// Event names; any of them.
    pub on: Vec<Name>,
    /// Filter.
    pub when: Option<Condition>,
}

/// Re-entry of one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reentry {
    /// Once in a lifetime.
    Never,
    /// When no run of the key is live.
    AfterExit,
    /// When no run of the key is live and the last entry is at least this long ago.
    After(DurationMs),
    /// Each event its own run.
    Always,
}

/// What a journey is for.
#[derive(Debug, Clone, PartialEq)]
pub struct Goal {
    /// What meets it.
    pub rule: EventRule,
    /// From entry, in log time; `None`: while the run lives.
    pub within: Option<DurationMs>,
    /// Value of a conversion.
    pub value: Option<Condition>,
    /// Whether it ends the run (default).
    pub exit: bool,
}

/// A step.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Its id, or its place: `2`, `2/then/0`, `3/branch/1/0`.
    pub id: Name,
    /// What it does.
    pub kind: StepKind,
    /// The step after it (after all of its branches); `None`: the run is done.
    pub next: Option<StepIndex>,
}

/// What a step does. `None` as the beginning of a branch: the branch is empty, go to `next`.
#[derive(Debug, Clone, PartialEq)]
pub enum StepKind {
    /// Makes a candidate.
    Send(Box<Send>),
    /// Waits for time to pass.
    Wait(Wait),
    /// Waits for something to happen.
    WaitFor(Box<WaitFor>),
    /// First match, else.
    Branch(Vec<Arm>),
    /// Random arms, remembered.
    Split {
        /// Name: part of the salt.
        name: Name,
        /// Arms with their shares in percent, in order.
        arms: Vec<SplitArm>,
    },
    /// Sets profile attributes.
    Update(Vec<(Name, Condition)>),
    /// Emits an event.
    Emit {
        /// Event name.
        event: Name,
        /// Properties.
        properties: Vec<(Name, Condition)>,
    },
    /// At most so often per key.
    Throttle {
        /// Passes allowed.
        at_most: u32,
        /// Per this rolling window.
        per: DurationMs,
        /// Key; `None`: the person and step.
        key: Option<Condition>,
        /// Whether those over the limit wait (else they exit).
        wait: bool,
    },
    /// Collects events of one key, then goes on with all of them.
    Digest(Box<Digest>),
    /// Begins a run of another journey for the same person.
    Enter {
        /// The journey.
        journey: Name,
        /// Instance key; `None`: the default key.
        key: Option<Condition>,
    },
    /// Asks a service over HTTP.
    Call(Box<super::Call>),
    /// The goal is reached by getting here.
    Goal,
    /// Ends the run.
    Exit(Name),
}

/// Collecting events.
#[derive(Debug, Clone, PartialEq)]
pub struct Digest {
    /// What is collected together; `None`: what has the run's key.
    pub key: Option<Condition>,
    /// From when the first item came.
    pub window: DurationMs,
    /// Goes on at once when it holds so many items.
    pub max: u32,
    /// Name of the items in templates.
    pub name: Name,
    /// What an item keeps of each event that a run can enter with.
    pub keeps: Vec<(Name, ItemFields)>,
}

/// Properties that an item of a digest keeps.
#[derive(Debug, Clone, PartialEq)]
pub enum ItemFields {
    /// All of them.
    All,
    /// These.
    Named(Vec<Name>),
}

/// An arm of a branch.
#[derive(Debug, Clone, PartialEq)]
pub struct Arm {
    /// `None`: else.
    pub when: Option<Condition>,
    /// First step of the arm.
    pub first: Option<StepIndex>,
}

/// An arm of a split.
#[derive(Debug, Clone, PartialEq)]
pub struct SplitArm {
    /// Name.
    pub arm: Name,
    /// Share in percent.
    pub percent: f64,
    /// First step of the arm.
    pub first: Option<StepIndex>,
}

/// A message.
#[derive(Debug, Clone, PartialEq)]
pub struct Send {
    /// Template.
    pub template: Name,
    /// Channels in order of the step's own preference.
    pub channels: Vec<Name>,
    /// Purpose and topic: the journey's, unless the step has its own.
    pub purpose: Name,
    /// Topic.
    pub topic: Option<Name>,
    /// Not to be sent at or after this long from when the candidate arose.
    pub expires: Option<DurationMs>,
    /// Looks this far ahead for the hour at which the person is most likely to look.
    pub best_time: Option<DurationMs>,
    /// Goes to one part of the people after the other.
    pub waves: Option<Waves>,
    /// Goes before the cap's.
    pub at_cap: Option<AtCap>,
    /// What the message leaves of its run's entry event, should a full cap put it off into the next
    /// one; empty: no cap does.
    pub put_off: Vec<(Name, ItemFields)>,
    /// Re-checked at every evaluation.
    pub only_if: Option<Condition>,
    /// Labels for caps.
    pub tags: Vec<Name>,
    /// Priority: the journey's, unless the step has its own.
    pub priority: i32,
    /// Value for arbitration.
    pub value: Option<Condition>,
    /// Extra variables for the template.
    pub variables: Vec<(Name, Condition)>,
}

/// Waves of a message: the first part of the people at once, the others later.
#[derive(Debug, Clone, PartialEq)]
pub struct Waves {
    /// Percent of the people in each.
    pub share: Vec<f64>,
    /// From one to the next.
    pub every: DurationMs,
}

impl Waves {
    /// Which wave, from 0, somebody is in who lies at `at` of `[0, 1)`.
    pub fn of(&self, at: f64) -> usize {
        let mut below = 0.0;
        let place = self.share.iter().position(|share| {
            below += share;
            at * 100.0 < below
        });
        place.unwrap_or(self.share.len().saturating_sub(1))
    }

    /// When a wave begins, after the first.
    pub fn after(&self, wave: usize) -> DurationMs {
        DurationMs(self.every.0.saturating_mul(i64::try_from(wave).unwrap_or(i64::MAX)))
    }
}

/// What happens to a message at a full cap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AtCap {
    /// It is refused.
    Drop,
    /// It waits until all full caps allow.
    Defer,
    /// The next channel is tried.
    Fallback,
    /// It goes into the next allowed message.
    Digest,
}

/// Waiting for time.
#[derive(Debug, Clone, PartialEq)]
pub enum Wait {
    /// Elapsed.
    Elapsed {
        /// How long.
        duration: DurationMs,
        /// Events (of the same key) that begin the wait anew.
        restart_on: Vec<Name>,
    },
    /// Until the next such local time, strictly after now.
    Until {
        /// Minutes after local midnight.
        minute: u16,
        /// Days of the week on which it may end, Monday = 0; empty: any.
        weekdays: Vec<u8>,
    },
    /// Until a date in the person's data.
    UntilDate {
        /// The date.
        date: Condition,
        /// Minutes after local midnight.
        minute: u16,
        /// Days before (negative) or after.
        offset_days: i32,
        /// Every year: the next such day.
        yearly: bool,
    },
}

/// Waiting for an event or a condition.
#[derive(Debug, Clone, PartialEq)]
pub struct WaitFor {
    /// What ends it.
    pub what: WaitWhat,
    /// How long at most; `None`: as long as the run lives.
    pub timeout: Option<DurationMs>,
    /// First step when it happened; `None`: go to `next`.
    pub then: Option<StepIndex>,
    /// First step when it did not; `None`: go to `next`.
    pub otherwise: Option<StepIndex>,
}

/// What a `wait_for` waits for.
#[derive(Debug, Clone, PartialEq)]
pub enum WaitWhat {
    /// An event (of the same key, when the event has the field that the key reads).
    Event(EventRule),
    /// A condition, looked at on every record and update of the person.
    Condition(Condition),
}

impl Journey {
    /// The step at `index`.
    pub fn step(&self, index: StepIndex) -> &Step {
        &self.steps[usize::from(index.0)]
    }
    /// The place of the step whose id is `id`.
    pub fn find(&self, id: &str) -> Option<StepIndex> {
        let place = self.steps.iter().position(|step| &*step.id == id)?;
        u16::try_from(place).ok().map(StepIndex)
    }
}
