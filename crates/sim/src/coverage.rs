//! Which parts of the language a run drew, and which of them something happened to. Over all seeds
//! every part must have come up both ways.

use crate::observed::Observed;
use crate::sightings::Sightings;
use sojourn_model::{Decision, NoteKind, Outcome, Reason};
use sojourn_rules::{
    AtCap, CapWindow, Definitions, Journey, Send, StepKind, Trigger, Wait, WaitWhat,
};
use std::collections::BTreeSet;

/// Parts of the language, as they are listed: drawn (in the definitions) and exercised (in the run).
pub const PARTS: [&str; 44] = [
    "entry on an event",
    "entry into a segment",
    "entry out of a segment",
    "entry on an attribute",
    "entry on a date",
    "entry by a schedule",
    "entry by another journey",
    "entry with a key",
    "entry with at_most",
    "entry with concurrent",
    "entry with backfill",
    "step send",
    "step wait",
    "step wait until",
    "step wait until_date",
    "step wait_for an event",
    "step wait_for a condition",
    "step branch",
    "step split",
    "step update",
    "step emit",
    "step enter",
    "step throttle",
    "step digest",
    "step call",
    "step goal",
    "step exit",
    "segment by what happened",
    "segment by what is known",
    "segment of segments",
    "cap over a rolling window",
    "cap over a calendar window",
    "at_cap drop",
    "at_cap defer",
    "at_cap fallback",
    "at_cap digest",
    "quiet hours",
    "blackout",
    "holdout",
    "jurisdiction",
    "fatigue",
    "arbitration",
    "waves, rate or best_time",
    "only_if",
];

/// Counts both in `sightings`, as `drawn …` and `exercised …`.
pub(crate) fn count(observed: &Observed, sightings: &mut Sightings) {
    let (mut drawn, mut exercised) = (BTreeSet::new(), BTreeSet::new());
    for definitions in observed.versions.values() {
        parts_of(definitions, &mut drawn);
    }
    for note in observed.all_notes() {
        happened(observed, &note.kind, &mut exercised);
    }
    for decision in observed.all_decisions() {
        decided(observed, decision, &mut exercised);
    }
    for (prefix, parts) in [("drawn", drawn), ("exercised", exercised)] {
        for part in parts {
            *sightings.entry(name(prefix, part)).or_default() += 1;
        }
    }
}

/// One line for each part, with the seeds in which it was drawn and in which it was exercised.
pub fn table(sightings: &Sightings) -> String {
    let head =
        "\nseeds in which a part of the language was drawn, and in which it was exercised:\n";
    PARTS.iter().fold(head.to_owned(), |text, part| {
        let times = |prefix| sightings.get(&name(prefix, part)).copied().unwrap_or(0);
        text + &format!("  {:>8} {:>8}  {part}\n", times("drawn"), times("exercised"))
    })
}

/// Name under which a part is counted.
pub(crate) fn name(prefix: &str, part: &str) -> String {
    format!("{prefix}: {part}")
}

type Parts = BTreeSet<&'static str>;

fn parts_of(definitions: &Definitions, parts: &mut Parts) {
    let policy = &definitions.policy;
    for cap in &policy.caps {
        parts.insert(match cap.per {
            CapWindow::Rolling(_) => "cap over a rolling window",
            _ => "cap over a calendar window",
        });
        parts.insert(at_cap(cap.at_cap));
    }
    let has = [
        (!policy.quiet_hours.is_empty(), "quiet hours"),
        (!policy.blackouts.is_empty(), "blackout"),
        (policy.holdout.as_ref().is_some_and(|holdout| holdout.percent > 0.0), "holdout"),
        (policy.jurisdictions != Default::default(), "jurisdiction"),
        (policy.fatigue.is_some(), "fatigue"),
        (policy.arbitration_window.0 > 0, "arbitration"),
    ];
    parts.extend(has.into_iter().filter(|(has, _)| *has).map(|(_, part)| part));
    for segment in definitions.segments.values() {
        segment.when.expr.walk(&mut |expr| {
            parts.insert(match expr {
                sojourn_rules::Expr::History(_) => "segment by what happened",
                sojourn_rules::Expr::Read(..) => "segment by what is known",
                sojourn_rules::Expr::InSegment(_) => "segment of segments",
                _ => return,
            });
        });
    }
    for journey in &definitions.journeys {
        parts.extend(entry_parts(journey));
        for step in &journey.steps {
            parts.insert(step_part(&step.kind));
            if let StepKind::Send(send) = &step.kind {
                parts.extend(send_parts(journey, send));
            }
        }
    }
}

fn at_cap(at_cap: AtCap) -> &'static str {
    match at_cap {
        AtCap::Drop => "at_cap drop",
        AtCap::Defer => "at_cap defer",
        AtCap::Fallback => "at_cap fallback",
        AtCap::Digest => "at_cap digest",
    }
}

fn entry_parts(journey: &Journey) -> Vec<&'static str> {
    let entry = &journey.entry;
    let mut parts = vec![match &entry.trigger {
        Trigger::Event(_) => "entry on an event",
        Trigger::Segment { enter: true, .. } => "entry into a segment",
        Trigger::Segment { enter: false, .. } => "entry out of a segment",
        Trigger::Attribute { .. } => "entry on an attribute",
        Trigger::Date { .. } => "entry on a date",
        Trigger::Schedule(_) => "entry by a schedule",
        Trigger::Api => "entry by another journey",
    }];
    let has = [
        (entry.key.is_some(), "entry with a key"),
        (entry.at_most.is_some(), "entry with at_most"),
        (entry.concurrent.is_some(), "entry with concurrent"),
        (entry.backfill, "entry with backfill"),
    ];
    parts.extend(has.into_iter().filter(|(has, _)| *has).map(|(_, part)| part));
    parts
}

fn step_part(kind: &StepKind) -> &'static str {
    match kind {
        StepKind::Send(_) => "step send",
        StepKind::Wait(Wait::Elapsed { .. }) => "step wait",
        StepKind::Wait(Wait::Until { .. }) => "step wait until",
        StepKind::Wait(Wait::UntilDate { .. }) => "step wait until_date",
        StepKind::WaitFor(wait) => match wait.what {
            WaitWhat::Event(_) => "step wait_for an event",
            WaitWhat::Condition(_) => "step wait_for a condition",
        },
        StepKind::Branch(_) => "step branch",
        StepKind::Split { .. } => "step split",
        StepKind::Update(_) => "step update",
        StepKind::Emit { .. } => "step emit",
        StepKind::Enter { .. } => "step enter",
        StepKind::Throttle { .. } => "step throttle",
        StepKind::Digest(_) => "step digest",
        StepKind::Call(_) => "step call",
        StepKind::Goal => "step goal",
        StepKind::Exit(_) => "step exit",
    }
}

fn send_parts(journey: &Journey, send: &Send) -> Vec<&'static str> {
    let mut parts: Vec<_> = send.at_cap.map(at_cap).into_iter().collect();
    if send.waves.is_some() || send.best_time.is_some() || journey.apart.is_some() {
        parts.push("waves, rate or best_time");
    }
    parts.extend(send.only_if.as_ref().map(|_| "only_if"));
    parts
}

/// Every step that a run can have passed on its way to another counts when the run was there: those
/// at which it stands leave a note, the others are passed by whoever comes further.
fn happened(observed: &Observed, kind: &NoteKind, parts: &mut Parts) {
    let (journey, step) = match kind {
        NoteKind::Entered { journey, .. } => (journey, None),
        NoteKind::EntryRefused { reason, .. } => {
            match &**reason {
                "at_most" => parts.insert("entry with at_most"),
                "concurrent" => parts.insert("entry with concurrent"),
                _ => false,
            };
            return;
        }
        NoteKind::Moved { journey, step, .. } => (journey, Some(step)),
        NoteKind::Ended { journey, reason, .. } => {
            let exit = reason.strip_prefix("exit: ").is_some() || &**reason == "often";
            if exit {
                parts.insert("step exit");
            }
            (journey, None)
        }
        NoteKind::Converted { journey, .. } => {
            let by_step = |journey: &Journey| {
                journey.steps.iter().any(|step| matches!(step.kind, StepKind::Goal))
            };
            let mut versions = observed.versions.values();
            if versions.any(|definitions| definitions.journey(journey).is_some_and(|j| by_step(j)))
            {
                parts.insert("step goal");
            }
            return;
        }
        _ => return,
    };
    for definitions in observed.versions.values() {
        let Some(journey) = definitions.journey(journey) else { continue };
        if matches!(kind, NoteKind::Entered { .. }) {
            let counted = ["entry with at_most", "entry with concurrent"];
            parts.extend(entry_parts(journey).into_iter().filter(|part| !counted.contains(part)));
        }
        let upto = match (step, kind) {
            (Some(step), _) => journey.find(step).map(|index| usize::from(index.0)),
            (None, NoteKind::Ended { reason, .. }) if &**reason == "done" => {
                Some(journey.steps.len().saturating_sub(1))
            }
            _ => None,
        };
        let Some(upto) = upto else { continue };
        // Steps of the trunk before it were passed; those of other arms may not have been.
        let mut at = journey.first;
        while let Some(index) = at.filter(|index| usize::from(index.0) <= upto) {
            parts.insert(step_part(&journey.step(index).kind));
            at = journey.step(index).next;
        }
        parts.insert(step_part(&journey.steps[upto.min(journey.steps.len() - 1)].kind));
    }
    if let NoteKind::Entered { journey, .. } = kind {
        let Some(definitions) = observed.versions.values().next() else { return };
        let Some(journey) = definitions.journey(journey) else { return };
        if let Trigger::Segment { segment, .. } = &journey.entry.trigger
            && let Some(segment) = definitions.segments.get(segment)
        {
            segment.when.expr.walk(&mut |expr| {
                parts.insert(match expr {
                    sojourn_rules::Expr::History(_) => "segment by what happened",
                    sojourn_rules::Expr::Read(..) => "segment by what is known",
                    sojourn_rules::Expr::InSegment(_) => "segment of segments",
                    _ => return,
                });
            });
        }
    }
}

fn decided(observed: &Observed, decision: &Decision, parts: &mut Parts) {
    let Some(definitions) = observed.versions.get(&decision.version) else { return };
    let Some(journey) = definitions.journey(&decision.journey) else { return };
    let Some(index) = journey.find(&decision.step) else { return };
    let StepKind::Send(send) = &journey.step(index).kind else { return };
    if decision.inputs.fatigue.is_some_and(|fatigue| fatigue.caps < 100) {
        parts.insert("fatigue");
    }
    match decision.reason {
        Some(Reason::Cap) => {
            let rule = decision.inputs.rule.as_deref();
            let full = |cap: &&sojourn_rules::Cap| {
                decision.caps.iter().any(|read| read.id == cap.id && read.used >= read.limit)
            };
            for cap in definitions.policy.caps.iter().filter(full) {
                parts.insert(match cap.per {
                    CapWindow::Rolling(_) => "cap over a rolling window",
                    _ => "cap over a calendar window",
                });
                if rule == Some(&*cap.id) {
                    parts.insert(at_cap(send.at_cap.unwrap_or(cap.at_cap)));
                }
            }
            if decision.outcome == Outcome::Reroute {
                parts.insert("at_cap fallback");
            }
        }
        Some(Reason::QuietHours) => {
            let shut = decision.inputs.rule.as_deref().is_some_and(|r| r.starts_with("blackout"));
            parts.insert(if shut { "blackout" } else { "quiet hours" });
        }
        Some(Reason::NoSlot) => {
            let shut = decision.inputs.rule.as_deref().is_some_and(|r| r.starts_with("blackout"));
            parts.insert(if shut { "blackout" } else { "waves, rate or best_time" });
        }
        Some(Reason::Holdout) => _ = parts.insert("holdout"),
        Some(Reason::Jurisdiction) => _ = parts.insert("jurisdiction"),
        Some(Reason::Arbitration) => _ = parts.insert("arbitration"),
        Some(Reason::OnlyIf) => _ = parts.insert("only_if"),
        _ => {}
    }
}
