//! policy.yaml against everything else: labels that nothing carries, rules that the law would not like.

use super::hours::{always_blacked_out, never_open};
use crate::definitions::{AtCap, Journey, Policy, Regime};
use crate::finding::{Source, suggest};
use crate::load::{Context, KNOWN_CHANNELS, key_remedy, shipped_jurisdictions};
use crate::yaml::Place;
use sojourn_model::Name;
use std::sync::Arc;

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
    for (blackout, place) in context.policy.blackouts.iter().zip(&context.policy_places.blackouts) {
        for channel in &blackout.channels {
            channel_known(source, context, *place, channel);
        }
        for purpose in &blackout.purposes {
            purpose_known(source, context.policy, *place, purpose);
        }
    }
    if let Some(place) = context.policy_places.fatigue
        && context.policy.caps.is_empty()
    {
        source.error(
            "fatigue-never",
            place,
            "there is no cap that `fatigue` could shrink",
            "add a cap, or remove `fatigue`",
        );
    }
    jurisdictions(source, context);
    if let (Some(holdout), Some(place)) = (&context.policy.holdout, context.policy_places.holdout) {
        for purpose in &holdout.purposes {
            purpose_known(source, context.policy, place, purpose);
        }
    }
    never_open(source, context);
    always_blacked_out(source, context);
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

/// Rules per country: channels and purposes that there are, and nothing laxer than the law unawares.
fn jurisdictions(source: Source<'_>, context: &Context<'_>) {
    for rule in &context.policy_places.jurisdictions {
        let declared = &context.workspace.channels;
        let known = declared.contains_key(&rule.channel)
            || KNOWN_CHANNELS.contains(&&*rule.channel)
            || !context.workspace_known;
        if !known {
            let channels = declared.keys().map(|name| &**name);
            source.error(
                "unknown-key",
                rule.place,
                format!("`{}` is no channel, and no key of a country's rules", rule.channel),
                key_remedy(&rule.channel, channels.chain(KNOWN_CHANNELS.iter().copied())),
            );
            continue;
        }
        if let Some(purpose) = &rule.purpose {
            purpose_known(source, context.policy, rule.place, purpose);
        }
        let purpose = rule.purpose.as_deref().unwrap_or("marketing");
        let law = shipped_jurisdictions().regime(&rule.country, &rule.channel, purpose);
        if rule.regime == Regime::OptOut && law != Regime::OptOut {
            source.warning(
                "laxer-than-law",
                rule.place,
                format!(
                    "the shipped rules want a grant for `{}` in {}, and this wants none",
                    rule.channel, rule.country
                ),
                "write `opt_in`; or say under `lint` on what you rely",
            );
        }
    }
}
