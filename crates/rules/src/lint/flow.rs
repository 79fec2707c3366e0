//! A journey's tree as a whole: arms that an earlier arm covers, waits that an exit ends first,
//! messages that expire while they are being weighed, offers that only some people see.

use super::logic;
use crate::definitions::{EventRule, Journey, Send, StepIndex, StepKind, WaitWhat};
use crate::expr::{Expr, Root};
use crate::load::Reading;
use sojourn_model::{Name, Value};
use std::collections::BTreeSet;

/// Words in the name of a variable or a template that speak of a price.
const OFFER_WORDS: &[&str] = &[
    "discount",
    "voucher",
    "coupon",
    "price",
    "rebate",
    "percent",
    "offer",
    "deal",
    "rabat",
    "bon",
    "gutschein",
    "remise",
    "descuento",
];

/// Checks that need every step of the journey.
pub(crate) fn flow(reading: &Reading<'_>, journey: &Journey) {
    for (place, step) in journey.steps.iter().enumerate() {
        let Some(at) = reading.places.get(place).copied() else { continue };
        match &step.kind {
            StepKind::Branch(arms) => {
                for (number, arm) in arms.iter().enumerate() {
                    let Some(when) = &arm.when else { continue };
                    let covering = arms[..number].iter().find(|earlier| {
                        let earlier = earlier.when.as_ref();
                        earlier.is_some_and(|earlier| logic::implies(&when.expr, &earlier.expr))
                    });
                    if let Some(earlier) = covering.and_then(|arm| arm.when.as_ref()) {
                        let at = arm
                            .first
                            .and_then(|first| reading.places.get(usize::from(first.0)).copied());
                        reading.source.warning(
                            "covered-arm",
                            at.unwrap_or(reading.places[place]),
                            format!(
                                "the arm `{}` is never taken: whoever it is for is taken by `{}` above it",
                                when.text, earlier.text
                            ),
                            "put the narrower condition first, or remove the arm",
                        );
                    }
                }
                let arms: Vec<_> = arms.iter().map(|arm| arm.first).collect();
                let by = by_person(journey, index(place));
                if let Some(by) = by {
                    unequal(reading, journey, place, &arms, &by);
                }
            }
            StepKind::Split { name, arms } => {
                let arms: Vec<_> = arms.iter().map(|arm| arm.first).collect();
                unequal(reading, journey, place, &arms, &format!("the split `{name}`"));
            }
            StepKind::WaitFor(wait) => {
                if let WaitWhat::Event(rule) = &wait.what
                    && let Some(event) = taken_away(journey, rule)
                {
                    reading.source.warning(
                        "wait-after-exit",
                        at,
                        format!("`{event}` ends the run before it can end this wait"),
                        "take the event out of `exit_on` and `goal`, or wait for another one",
                    );
                }
            }
            StepKind::Send(send) => weighed(reading, send, place),
            _ => {}
        }
    }
}

fn index(place: usize) -> StepIndex {
    // Steps are fewer than 2^16: they have indices.
    StepIndex(u16::try_from(place).unwrap_or(u16::MAX))
}

/// An event of `rule` that always ends the run first: exits come before waits (semantics 7).
fn taken_away<'j>(journey: &Journey, rule: &'j EventRule) -> Option<&'j Name> {
    let all_end = |event: &&Name| {
        let exits = journey.exit_on.iter().any(|exit| {
            exit.on.contains(event) && exit.when.as_ref().is_none_or(|w| logic::always(&w.expr))
        });
        let goal = journey.goal.as_ref().is_some_and(|goal| {
            goal.exit
                && goal.within.is_none()
                && goal.rule.on.contains(event)
                && goal.rule.when.as_ref().is_none_or(|when| logic::always(&when.expr))
        });
        exits || goal
    };
    rule.on.iter().find(all_end)
}

/// A message that is always too late when the arbitration window closes.
fn weighed(reading: &Reading<'_>, send: &Send, place: usize) {
    let policy = reading.context.policy;
    let window = policy.arbitration_window;
    let weighed = policy.purpose(&send.purpose).is_some_and(|(_, purpose)| !purpose.service);
    if let Some(expires) = send.expires
        && weighed
        && window.0 > 0
        && expires <= window
    {
        reading.source.warning(
            "expires-first",
            reading.places[place],
            "this message is never sent: it expires before the arbitration window of policy.yaml closes",
            "lengthen `expires`, or shorten `arbitration.window`",
        );
    }
}

/// The attribute or segment by which the arms of a branch tell people apart; `None`: only what they
/// did decides.
fn by_person(journey: &Journey, branch: StepIndex) -> Option<String> {
    let StepKind::Branch(arms) = &journey.step(branch).kind else { return None };
    let mut by = None;
    for when in arms.iter().filter_map(|arm| arm.when.as_ref()) {
        when.expr.walk(&mut |expr| {
            let found = match expr {
                Expr::Read(Root::Profile, path) if !path.is_empty() => {
                    Some(format!("`profile.{}`", path.join(".")))
                }
                Expr::InSegment(name) => Some(format!("the segment `{name}`")),
                _ => None,
            };
            by = by.take().or(found);
        });
    }
    by
}

/// What an arm's messages say of prices: templates and variables, with their texts.
fn offers(journey: &Journey, first: Option<StepIndex>, until: usize) -> BTreeSet<String> {
    let mut offers = BTreeSet::new();
    let Some(first) = first else { return offers };
    for step in &journey.steps[usize::from(first.0)..until] {
        let StepKind::Send(send) = &step.kind else { continue };
        if offer(&send.template) {
            offers.insert(format!("template `{}`", send.template));
        }
        for (name, value) in &send.variables {
            let zero = matches!(&value.expr, Expr::Literal(Value::Number(n)) if *n == 0.0);
            if offer(name) && !zero {
                offers.insert(format!("`{name}: {}`", value.text));
            }
        }
    }
    offers
}

fn offer(name: &str) -> bool {
    let name = name.to_lowercase();
    name.split(['-', '_', '.', ' ']).any(|part| OFFER_WORDS.contains(&part))
}

/// Arms whose messages make different offers.
fn unequal(
    reading: &Reading<'_>,
    journey: &Journey,
    place: usize,
    arms: &[Option<StepIndex>],
    by: &str,
) {
    let end = |number: usize| {
        let later = arms[number + 1..].iter().flatten().map(|first| usize::from(first.0)).min();
        later.unwrap_or_else(|| {
            journey.steps[place].next.map_or(journey.steps.len(), |next| usize::from(next.0))
        })
    };
    let seen: Vec<BTreeSet<String>> = arms
        .iter()
        .enumerate()
        .map(|(number, first)| {
            let from = first.map_or(0, |first| usize::from(first.0));
            offers(journey, *first, end(number).max(from))
        })
        .collect();
    let Some(most) = seen.iter().find(|offers| !offers.is_empty()) else { return };
    if seen.iter().all(|offers| offers == most) {
        return;
    }
    let offers: Vec<&str> =
        seen.iter().flatten().map(String::as_str).collect::<BTreeSet<_>>().into_iter().collect();
    reading.source.warning(
        "unequal-offer",
        reading.places[place],
        format!("{by} decides who sees {}: others pay another price", offers.join(", ")),
        "make the same offer to all, or be ready to tell people why theirs differs",
    );
}
