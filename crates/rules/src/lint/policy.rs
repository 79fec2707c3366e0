//! policy.yaml against everything else: labels that nothing carries, hours that are never left.

use crate::definitions::{AtCap, Journey, Policy};
use crate::finding::{Source, suggest};
use crate::load::{Context, KNOWN_CHANNELS};
use crate::yaml::Place;
use sojourn_model::Name;
use std::sync::Arc;

const DAY_MINUTES: usize = 24 * 60;

pub(crate) fn policy(source: Source<'_>, context: &Context<'_>, journeys: &[Arc<Journey>]) {
    for (cap, place) in context.policy.caps.iter().zip(&context.policy_places.caps) {
        let scope = &cap.scope;
        if cap.at_cap == AtCap::Digest {
            super::steps::items_shown(source, context, *place);
        }
        if let Some(channel) = &scope.channel {
            channel_known(source, context, *place, channel);
        }
        if let Some(purpose) = &scope.purpose {
            purpose_known(source, context.policy, *place, purpose);
        }
        if let Some(topic) = &scope.topic {
            topic_known(source, context.policy, *place, topic, scope.purpose.as_ref());
        }
        journey_known(
            source,
            context,
            journeys,
            *place,
            scope.journey.as_ref(),
            scope.step.as_ref(),
        );
    }
    for (window, place) in context.policy.quiet_hours.iter().zip(&context.policy_places.quiet_hours)
    {
        for channel in &window.channels {
            channel_known(source, context, *place, channel);
        }
        for purpose in &window.purposes {
            purpose_known(source, context.policy, *place, purpose);
        }
    }
    if let (Some(holdout), Some(place)) = (&context.policy.holdout, context.policy_places.holdout) {
        for purpose in &holdout.purposes {
            purpose_known(source, context.policy, place, purpose);
        }
    }
    never_open(source, context);
}

fn channel_known(source: Source<'_>, context: &Context<'_>, place: Place, channel: &Name) {
    let declared = &context.workspace.channels;
    if !context.workspace_known
        || declared.contains_key(channel)
        || KNOWN_CHANNELS.contains(&&**channel)
    {
        return;
    }
    let known: Vec<&str> =
        declared.keys().map(|name| &**name).chain(KNOWN_CHANNELS.iter().copied()).collect();
    source.error(
        "unknown-channel",
        place,
        format!("there is no channel `{channel}`"),
        suggest(channel, known, "declare it under `channels` in sojourn.yaml"),
    );
}

fn purpose_known(source: Source<'_>, policy: &Policy, place: Place, purpose: &Name) {
    if policy.purpose(purpose).is_none() {
        source.error(
            "unknown-purpose",
            place,
            format!("no purpose `{purpose}` is declared"),
            suggest(
                purpose,
                policy.purposes.iter().map(|purpose| &*purpose.name),
                "declare it under `purposes`",
            ),
        );
    }
}

fn topic_known(
    source: Source<'_>,
    policy: &Policy,
    place: Place,
    topic: &Name,
    purpose: Option<&Name>,
) {
    let topics: Vec<&Name> = policy
        .purposes
        .iter()
        .filter(|known| purpose.is_none_or(|purpose| *purpose == known.name))
        .flat_map(|purpose| &purpose.topics)
        .collect();
    if !topics.contains(&topic) {
        source.error(
            "unknown-topic",
            place,
            format!("no purpose has a topic `{topic}`"),
            suggest(topic, topics.iter().map(|topic| &***topic), "declare it under `purposes`"),
        );
    }
}

fn journey_known(
    source: Source<'_>,
    context: &Context<'_>,
    journeys: &[Arc<Journey>],
    place: Place,
    journey: Option<&Name>,
    step: Option<&Name>,
) {
    if let Some(name) = journey
        && !context.journeys.contains(name)
    {
        source.warning(
            "unknown-journey",
            place,
            format!("there is no journey `{name}`, so this cap counts nothing"),
            suggest(name, context.journeys.iter().map(|name| &**name), "mend the name"),
        );
        return;
    }
    let Some(step) = step else { return };
    let concerned = journeys.iter().filter(|known| journey.is_none_or(|name| *name == known.name));
    let ids: Vec<&str> =
        concerned.flat_map(|journey| journey.steps.iter().map(|step| &*step.id)).collect();
    if !ids.contains(&&**step) && !ids.is_empty() {
        source.warning(
            "unknown-step",
            place,
            format!("there is no step `{step}`, so this cap counts nothing"),
            suggest(step, ids, "mend the id"),
        );
    }
}

/// Windows that together leave no minute of the day to a channel and purpose.
fn never_open(source: Source<'_>, context: &Context<'_>) {
    let policy = context.policy;
    let mut channels: Vec<&str> = context.workspace.channels.keys().map(|name| &**name).collect();
    channels
        .extend(policy.quiet_hours.iter().flat_map(|window| &window.channels).map(|name| &**name));
    channels.sort_unstable();
    channels.dedup();
    for channel in channels {
        for purpose in
            policy.purposes.iter().filter(|purpose| !purpose.data && !purpose.exempt_quiet_hours)
        {
            let mut quiet = [false; DAY_MINUTES];
            let mut last = None;
            for (window, place) in policy.quiet_hours.iter().zip(&context.policy_places.quiet_hours)
            {
                let concerns = (window.channels.is_empty()
                    || window.channels.iter().any(|c| **c == *channel))
                    && (window.purposes.is_empty() || window.purposes.contains(&purpose.name));
                // Windows of no length have their own finding.
                if !concerns || window.from == window.to {
                    continue;
                }
                last = Some(*place);
                let mut minute = usize::from(window.from);
                while minute != usize::from(window.to) {
                    quiet[minute] = true;
                    minute = (minute + 1) % DAY_MINUTES;
                }
            }
            if let Some(place) = last
                && quiet.iter().all(|&quiet| quiet)
            {
                source.error(
                    "quiet-always",
                    place,
                    format!(
                        "quiet hours leave no minute of the day to `{channel}` for `{}`",
                        purpose.name
                    ),
                    "shorten one of the windows",
                );
                return;
            }
        }
    }
}
