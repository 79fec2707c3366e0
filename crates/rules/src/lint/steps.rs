//! Journeys: steps that are never reached, messages that may come too late or too often.

use crate::definitions::{AtCap, CapWindow, Journey, Send, StepIndex, StepKind, Template};
use crate::finding::{Source, suggest};
use crate::load::{Context, KNOWN_CHANNELS, Reading};
use crate::reader::Table;
use crate::yaml::Place;
use sojourn_model::{DurationMs, Name};

/// Steps of one block that stand after one that always ends the run.
pub(crate) fn unreachable(reading: &Reading<'_>, block: &[StepIndex]) {
    for pair in block.windows(2) {
        if ends(reading, pair[0]) {
            reading.source.warning(
                "unreachable",
                reading.places[usize::from(pair[1].0)],
                "this step is never reached: the one before it always ends the run",
                "remove it, or move it before the exit",
            );
            return;
        }
    }
}

/// Whether every way through the step ends the run. Steps inside it have their places already, but
/// not their `next`: a block ends when its last step does.
fn ends(reading: &Reading<'_>, index: StepIndex) -> bool {
    match &reading.steps[usize::from(index.0)].kind {
        StepKind::Exit(_) => true,
        StepKind::Branch(arms) => {
            arms.last().is_some_and(|arm| arm.when.is_none())
                && arms.iter().all(|arm| arm.first.is_some_and(|first| ends(reading, first)))
        }
        StepKind::WaitFor(wait) => {
            let block_ends =
                |first: Option<StepIndex>| first.is_some_and(|first| ends(reading, first));
            block_ends(wait.then) && (wait.timeout.is_none() || block_ends(wait.otherwise))
        }
        StepKind::Split { arms, .. } => {
            arms.iter().map(|arm| arm.percent).sum::<f64>() >= 100.0
                && arms.iter().all(|arm| arm.first.is_some_and(|first| ends(reading, first)))
        }
        _ => false,
    }
}

/// One `send`: its template, channels, expiry and caps.
pub(crate) fn send(reading: &Reading<'_>, table: &Table<'_>, send: &Send) {
    let context = reading.context;
    match context.templates.get(&send.template) {
        Some(template) => template_of(reading, table, send, template),
        None if context.broken_templates.contains(&send.template) => {}
        None => reading.source.error(
            "unknown-template",
            table.key_place("template"),
            format!("there is no template `{}`", send.template),
            suggest(
                &send.template,
                context.templates.keys().map(|name| &**name),
                &format!(
                    "write templates/{}/{}.yaml",
                    send.template,
                    context.workspace.locales.first().map_or("en", |l| l)
                ),
            ),
        ),
    }
    for channel in &send.channels {
        known_channel(reading, table.key_place("channels"), channel);
    }
    let Some((_, purpose)) = context.policy.purpose(&send.purpose) else { return };
    if purpose.service {
        return;
    }
    if send.at_cap == Some(AtCap::Digest) {
        items_shown(reading.source, context, table.key_place("at_cap"));
    }
    expiry(reading, table, send);
    if !purpose.exempt_caps && !context.policy.caps.iter().any(|cap| may_concern(&cap.scope, send))
    {
        reading.source.warning(
            "no-cap",
            table.place(),
            format!("no cap covers this message for `{}`: nothing limits how many a person gets", send.purpose),
            "add a cap to policy.yaml, such as { id: weekly, at_most: 3, per: local_week, scope: { purpose: marketing } }",
        );
    }
}

/// What a full cap puts off is shown by a template that reads `items`.
pub(super) fn items_shown(source: Source<'_>, context: &Context<'_>, place: Place) {
    let mut locales = context.templates.values().flat_map(|template| template.locales.values());
    let items =
        |path: &crate::definitions::Path| path.first().is_some_and(|root| &**root == "items");
    if !locales.any(|text| text.variables.iter().any(items)) {
        source.warning(
            "digest-unseen",
            place,
            "no template reads `items`, so what a full cap puts off is never shown",
            "show them in the messages that may follow: {% for item in items %}…{% endfor %}",
        );
    }
}

fn known_channel(reading: &Reading<'_>, place: Place, channel: &Name) {
    let declared = &reading.context.workspace.channels;
    if !reading.context.workspace_known || declared.contains_key(channel) {
        return;
    }
    let known = declared.keys().map(|name| &**name).chain(KNOWN_CHANNELS.iter().copied());
    if KNOWN_CHANNELS.contains(&&**channel) {
        reading.source.warning(
            "undeclared-channel",
            place,
            format!("sojourn.yaml declares no channel `{channel}`, so nothing can deliver these messages"),
            format!("declare `{channel}` under `channels` in sojourn.yaml"),
        );
    } else {
        reading.source.error(
            "unknown-channel",
            place,
            format!("there is no channel `{channel}`"),
            suggest(
                channel,
                known.collect::<Vec<_>>(),
                "declare it under `channels` in sojourn.yaml",
            ),
        );
    }
}

/// Whether a cap can count this message: no label of its scope contradicts it.
fn may_concern(scope: &crate::definitions::CapScope, send: &Send) -> bool {
    scope.channel.as_ref().is_none_or(|channel| send.channels.contains(channel))
        && scope.purpose.as_ref().is_none_or(|purpose| *purpose == send.purpose)
        && scope.topic.as_ref().is_none_or(|topic| send.topic.as_ref() == Some(topic))
        && scope.tag.as_ref().is_none_or(|tag| send.tags.contains(tag))
}

/// A deferred message without an expiry may come when nobody wants it any more; one that expires
/// before a deferral ends never comes.
fn expiry(reading: &Reading<'_>, table: &Table<'_>, send: &Send) {
    let policy = reading.context.policy;
    let quiet: Option<DurationMs> = policy
        .quiet_hours
        .iter()
        .filter(|window| !window.drop)
        .filter(|window| {
            window.channels.is_empty() || window.channels.iter().any(|c| send.channels.contains(c))
        })
        .filter(|window| window.purposes.is_empty() || window.purposes.contains(&send.purpose))
        .map(|window| {
            let minutes = (i64::from(window.to) - i64::from(window.from)).rem_euclid(24 * 60);
            DurationMs(minutes * 60_000)
        })
        .max();
    let cap: Option<DurationMs> = policy
        .caps
        .iter()
        .filter(|cap| may_concern(&cap.scope, send))
        .filter(|cap| send.at_cap.unwrap_or(cap.at_cap) == AtCap::Defer)
        .map(|cap| match cap.per {
            CapWindow::Rolling(window) => window,
            CapWindow::LocalDay => DurationMs::days(1),
            CapWindow::LocalWeek => DurationMs::days(7),
            CapWindow::LocalMonth => DurationMs::days(31),
        })
        .max();
    match send.expires {
        None if quiet.is_some() || cap.is_some() => reading.source.warning(
            "no-expiry",
            table.place(),
            format!(
                "this message may be deferred by {} and has no `expires`",
                if quiet.is_some() { "quiet hours" } else { "a cap" }
            ),
            "add `expires:` with the time after which it is of no use, such as 24h",
        ),
        Some(expires) => {
            let (longest, by) = match (quiet, cap) {
                (Some(quiet), cap) if cap.is_none_or(|cap| quiet >= cap) => (quiet, "quiet hours"),
                (_, Some(cap)) => (cap, "a full cap"),
                _ => return,
            };
            if expires < longest {
                reading.source.warning(
                    "short-expiry",
                    table.key_place("expires"),
                    format!("this message expires sooner than {by} may hold it back, so some people never get it"),
                    "lengthen `expires`, or accept that",
                );
            }
        }
        None => {}
    }
}

fn template_of(reading: &Reading<'_>, table: &Table<'_>, send: &Send, template: &Template) {
    let place = table.key_place("template");
    let service = reading.context.policy.purpose(&send.purpose).is_some_and(|(_, p)| p.service);
    let promotional = template.locales.iter().find(|(_, text)| text.promotional);
    if let Some((locale, _)) = promotional
        && service
    {
        reading.source.error(
            "promotional-service",
            place,
            format!(
                "templates/{}/{locale}.yaml is promotional, so it cannot be sent for `service`",
                template.name
            ),
            "send it for a purpose that people agreed to, or take the promotion out of it",
        );
    }
    let mut seen: Vec<&[Name]> = Vec::new();
    for (locale, text) in &template.locales {
        for path in &text.variables {
            if seen.contains(&&**path) {
                continue;
            }
            seen.push(path);
            super::data::template_path(reading, place, path, &send.purpose);
            let file = format!("templates/{}/{locale}.yaml", template.name);
            let required = text.required.contains(path);
            variable(reading, place, send, &file, (path, required));
        }
    }
}

/// A variable that nothing gives: every such message would be refused (`content`).
fn variable(
    reading: &Reading<'_>,
    place: Place,
    send: &Send,
    file: &str,
    (path, required): (&[Name], bool),
) {
    const ROOTS: &[&str] = &["profile", "event", "run"];
    let Some((root, rest)) = path.split_first() else { return };
    let digests =
        |kind: &StepKind| matches!(kind, StepKind::Digest(digest) if digest.name == *root);
    let given = reading.steps.iter().any(|step| digests(&step.kind));
    if given || send.variables.iter().any(|(name, _)| name == root) {
        return;
    }
    if !ROOTS.contains(&&**root) {
        if required {
            let given = send.variables.iter().map(|(name, _)| &**name);
            let known: Vec<&str> = ROOTS.iter().copied().chain(given).collect();
            reading.source.warning(
                "unknown-variable",
                place,
                format!("{file} reads `{}`, which nothing gives", path.join(".")),
                suggest(
                    root,
                    known,
                    &format!(
                        "give it under `variables`, or a default: {{{{ {root} | default: '…' }}}}"
                    ),
                ),
            );
        }
        return;
    }
    if &**root == "profile"
        && let Some(known) = reading.context.catalog.unknown_attribute(rest)
    {
        reading.source.warning(
            "unknown-attribute",
            place,
            format!("{file} reads `{}`, which the tracking plan does not declare", path.join(".")),
            suggest(
                &rest.join("."),
                known.iter().map(|name| &**name),
                "declare it in tracking-plan.yaml with its purposes",
            ),
        );
    }
}

/// The journey as a whole.
pub(crate) fn journey(reading: &Reading<'_>, journey: &Journey, goal_place: Place) {
    super::flow::flow(reading, journey);
    if let Some(goal) = &journey.goal
        && let Some(within) = goal.within
    {
        let shortest = shortest_way(journey, journey.first, 0);
        if shortest.is_some_and(|shortest| shortest >= within) && within.0 > 0 {
            reading.source.warning(
                "goal-window",
                goal_place,
                "the goal's window is over before the first message can be sent",
                "lengthen `within`, or shorten the waits",
            );
        }
    }
}

/// Elapsed waits on the shortest way to the first message; `None`: there is none.
fn shortest_way(journey: &Journey, from: Option<StepIndex>, depth: usize) -> Option<DurationMs> {
    // Steps only lead forwards, and blocks are no deeper than the limit.
    if depth > crate::limits::JOURNEY_STEPS_MAX {
        return None;
    }
    let mut waited = 0i64;
    let mut at = from;
    while let Some(index) = at {
        let step = journey.step(index);
        match &step.kind {
            StepKind::Send(_) => return Some(DurationMs(waited)),
            StepKind::Wait(crate::definitions::Wait::Elapsed { duration, .. }) => {
                waited = waited.saturating_add(duration.0);
            }
            // Beyond a fork nothing is said.
            StepKind::Branch(_)
            | StepKind::Split { .. }
            | StepKind::WaitFor(_)
            | StepKind::Exit(_) => {
                return None;
            }
            _ => {}
        }
        at = step.next;
    }
    None
}
