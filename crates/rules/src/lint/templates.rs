//! Messages that the law wants more of: an unsubscribe link and a postal address.

use crate::definitions::{BodyKind, Journey, Localized, StepKind};
use crate::finding::{Findings, Severity, Source};
use crate::load::Context;
use crate::yaml::Place;
use sojourn_model::Name;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Channels whose messages carry a link to unsubscribe; one that lacks it gets a footer.
const LINKED: &[&str] = &["email"];
/// Channels whose messages have room for a way out, and where nothing can be added to them.
const SPOKEN: &[&str] = &["sms", "social"];
/// Any of these in a text is a way out.
const WAYS_OUT: &[&str] = &["links.unsubscribe", "links.preferences", "STOP"];

pub(crate) fn templates<'a>(
    findings: &Findings,
    context: &Context<'_>,
    journeys: &[Arc<Journey>],
    file: &dyn Fn(&str) -> Option<&'a str>,
) {
    let mut linked: BTreeSet<&Name> = BTreeSet::new();
    let mut spoken: BTreeSet<&Name> = BTreeSet::new();
    let mut serving: BTreeSet<&Name> = BTreeSet::new();
    let mut used: BTreeSet<&Name> = BTreeSet::new();
    for step in journeys.iter().flat_map(|journey| &journey.steps) {
        if let StepKind::Send(send) = &step.kind {
            used.insert(&send.template);
            let service =
                context.policy.purpose(&send.purpose).is_none_or(|(_, purpose)| purpose.service);
            if !service && send.channels.iter().any(|channel| LINKED.contains(&&**channel)) {
                linked.insert(&send.template);
            }
            if !service && send.channels.iter().any(|channel| SPOKEN.contains(&&**channel)) {
                spoken.insert(&send.template);
            }
            if service {
                serving.insert(&send.template);
            }
        }
    }
    for (name, template) in context.templates {
        super::words::words(findings, template, serving.contains(name), file);
        for (locale, text) in &template.locales {
            let file = format!("templates/{name}/{locale}.yaml");
            let source = Source { file: &file, findings };
            if linked.contains(name) {
                footer(source, text);
                if text.subject.trim().is_empty() {
                    source.warning(
                        "no-subject",
                        Place::START,
                        "this template is sent by e-mail and has no subject",
                        "add `subject:`",
                    );
                }
            }
            if spoken.contains(name) && !WAYS_OUT.iter().any(|way| text.body.contains(way)) {
                source.warning(
                    "no-way-out",
                    Place::START,
                    "this template is sent by SMS or social message, and shows no way out of them",
                    "add {{ links.unsubscribe }}, {{ links.preferences }}, or the word STOP with what it does",
                );
            }
            if !used.contains(name) && !journeys.is_empty() {
                source.report(
                    Severity::Info,
                    "unused-template",
                    Place::START,
                    format!("no journey sends template `{name}`"),
                    "remove it when it is over",
                );
            }
        }
    }
    if !linked.is_empty()
        && context.workspace_known
        && context.workspace.company.postal_address.trim().is_empty()
    {
        Source { file: "sojourn.yaml", findings }.warning(
            "postal-address",
            Place::START,
            "marketing e-mails must show a postal address, and `company` has none",
            "add `company: { postal_address: \"…\" }`",
        );
    }
}

fn footer(source: Source<'_>, text: &Localized) {
    let whole = |needle: &str| {
        text.body.contains(needle) || text.text.as_deref().is_some_and(|text| text.contains(needle))
    };
    let mut lacks = Vec::new();
    if !whole("links.unsubscribe") {
        lacks.push("the unsubscribe link");
    }
    if !whole("company.postal_address") {
        lacks.push("the postal address");
    }
    if !lacks.is_empty() {
        let place = match text.body_kind {
            BodyKind::Text => "end of the text",
            BodyKind::Html | BodyKind::Mjml => "end of the body",
        };
        source.report(
            Severity::Info,
            "footer-added",
            Place::START,
            format!("this template lacks {}; a footer with it is added at the {place}", lacks.join(" and ")),
            "place {{ links.unsubscribe }} and {{ company.postal_address }} yourself to choose where they stand",
        );
    }
}
