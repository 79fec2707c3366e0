//! What a touchpoint takes back, as marks for the gate (CON-2).
//!
//! The engine decides what a statement of consent comes to; this is only its shadow at the edge:
//! between the 200 and the moment at which the engine has seen the record, nothing that it may
//! forbid goes out. So a mark may cover more than the statement says (a whole purpose for a topic),
//! never less. It holds until somebody who knows how far the engine is takes it back.

use crate::message::{Converted, Named};
use serde::Deserialize;
use sojourn_model::{IdentifierKind, Name, Timestamp, event_names};
use sojourn_ports::GateMark;
use sojourn_rules::Definitions;
use sojourn_rules::normalize::Normalizer;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Endpoint of channels that have no address: it would stop everybody's messages.
const PERSON_ENDPOINT: &str = "profile";

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Statement<'s> {
    #[serde(borrow)]
    state: Option<Cow<'s, str>>,
    #[serde(borrow)]
    purpose: Option<Cow<'s, str>>,
    #[serde(borrow, rename = "type")]
    kind: Option<Cow<'s, str>>,
    #[serde(borrow, flatten)]
    named: Named<'s>,
}

/// Marks for what `touchpoint` takes back, for everything approved before `until`
/// ([`Timestamp::MAX`]: until the mark is taken back). Empty for a touchpoint that takes nothing
/// back.
pub fn marks(
    touchpoint: &Converted<'_>,
    definitions: &Definitions,
    until: Timestamp,
) -> Vec<GateMark> {
    let mut marks = Marks { touchpoint, definitions, until, out: Vec::new() };
    if speaks(&touchpoint.event) {
        marks.of_statement();
    }
    for purpose in denied_by_stamp(&touchpoint.context, definitions) {
        marks.add(&Statement::default(), None, Some(&purpose));
    }
    marks.out
}

fn speaks(event: &str) -> bool {
    matches!(
        event,
        event_names::CONSENT_CHANGED
            | event_names::UNSUBSCRIBED
            | event_names::EMAIL_BOUNCED
            | event_names::EMAIL_COMPLAINT
            | event_names::SMS_STOPPED
    )
}

struct Marks<'a> {
    touchpoint: &'a Converted<'a>,
    definitions: &'a Definitions,
    until: Timestamp,
    out: Vec<GateMark>,
}

impl Marks<'_> {
    /// What an event says that speaks of consent.
    fn of_statement(&mut self) {
        let touchpoint = self.touchpoint;
        // A member of a wrong type makes the statement unreadable for the engine as well; then the
        // widest reading is the safe one.
        let statement: Statement<'_> =
            serde_json::from_str(&touchpoint.properties).unwrap_or_default();
        let channel = statement.named.channel.as_deref();
        let purpose = statement.purpose.as_deref();
        let granted = |state: &Cow<'_, str>| state.eq_ignore_ascii_case("granted");
        match &*touchpoint.event {
            event_names::CONSENT_CHANGED if !statement.state.as_ref().is_some_and(granted) => {
                self.add(&statement, channel, purpose);
            }
            event_names::UNSUBSCRIBED => {
                let channels = &self.definitions.workspace.channels;
                let own = Some(touchpoint.channel).filter(|own| channels.contains_key(*own));
                self.add(&statement, channel.or(own), purpose);
            }
            event_names::EMAIL_BOUNCED if statement.kind.as_deref() != Some("soft") => {
                self.block(&statement, "email");
            }
            event_names::EMAIL_COMPLAINT => self.block(&statement, "email"),
            event_names::SMS_STOPPED => self.block(&statement, "sms"),
            _ => {}
        }
    }

    /// Stops `channel` (`None`: every one) for `purpose` (`None`: every one but service).
    fn add(&mut self, statement: &Statement<'_>, channel: Option<&str>, purpose: Option<&str>) {
        let (channel, purpose) = (channel.map(Name::from), purpose.map(Name::from));
        let Definitions { workspace, plan, .. } = self.definitions;
        let normalizer = Normalizer::new(workspace, plan);
        let mut values: Vec<Name> = Vec::new();
        for raw in statement.named.values() {
            values.extend(forms(raw, &normalizer));
        }
        values
            .extend(self.touchpoint.identifiers.iter().map(|identifier| identifier.value.clone()));
        values.retain(|value| !value.is_empty() && &**value != PERSON_ENDPOINT);
        values.sort();
        values.dedup();
        for endpoint in values {
            let (channel, purpose) = (channel.clone(), purpose.clone());
            self.out.push(GateMark::Revoked { endpoint, channel, purpose, at: self.until });
        }
        if let Some(profile) = self.touchpoint.profile {
            self.out.push(GateMark::PersonRevoked { profile, channel, purpose, at: self.until });
        }
    }

    /// Stops `channel` for everything, service messages as well (bounce, complaint, STOP).
    fn block(&mut self, statement: &Statement<'_>, channel: &str) {
        self.add(statement, Some(channel), None);
        for purpose in self.definitions.policy.purposes.iter().filter(|p| p.service) {
            let purpose = purpose.name.clone();
            self.add(statement, Some(channel), Some(&purpose));
        }
    }
}

/// An address as it may stand on an action: as written, in lower case, as a number in E.164.
fn forms(raw: &str, normalizer: &Normalizer) -> Vec<Name> {
    let mut forms = vec![Name::from(raw), raw.to_lowercase().into()];
    forms.extend(normalizer.value(&IdentifierKind::Phone, raw));
    forms
}

/// Purposes that `context.consent.categoryPreferences` denies.
fn denied_by_stamp(context: &str, definitions: &Definitions) -> Vec<Name> {
    #[derive(Deserialize)]
    struct Context<'c> {
        #[serde(borrow)]
        consent: Option<Consent<'c>>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Consent<'c> {
        #[serde(borrow)]
        category_preferences: Option<BTreeMap<Cow<'c, str>, serde_json::Value>>,
    }
    if memchr::memmem::find(context.as_bytes(), b"\"categoryPreferences\"").is_none() {
        return Vec::new();
    }
    let categories = serde_json::from_str::<Context<'_>>(context)
        .ok()
        .and_then(|context| context.consent?.category_preferences)
        .unwrap_or_default();
    let denied =
        categories.iter().filter(|(_, granted)| **granted == serde_json::Value::Bool(false));
    let purposes = &definitions.policy.purposes;
    denied
        .filter_map(|(category, _)| {
            let wanted = category.to_lowercase();
            purposes.iter().find(|p| p.name.to_lowercase() == wanted).map(|p| p.name.clone())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Converter;
    use crate::testing;

    /// Marks as `value channel purpose`, `*` for any.
    fn check(source: &str, json: &str, expected: &[&str]) {
        let definitions = testing::definitions();
        let converter = Converter::new(&definitions);
        let envelope = testing::envelope(converter.source(source).unwrap());
        let converted = converter.convert(json, &envelope).unwrap();
        let any = |name: &Option<Name>| name.as_deref().unwrap_or("*").to_string();
        let shown: Vec<String> = marks(&converted, &definitions, Timestamp(9))
            .iter()
            .map(|mark| match mark {
                GateMark::Revoked { endpoint, channel, purpose, at: Timestamp(9) } => {
                    format!("{endpoint} {} {}", any(channel), any(purpose))
                }
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(shown, expected, "{json}");
    }

    #[test]
    fn what_is_taken_back_is_marked_for_every_value_known() {
        let consent = |properties: &str| {
            format!(
                r#"{{"type":"track","event":"Consent Changed","userId":"u","properties":{properties}}}"#
            )
        };
        check("site", &consent(r#"{"state":"granted","purpose":"marketing"}"#), &[]);
        check(
            "site",
            &consent(
                r#"{"state":"denied","channel":"email","purpose":"marketing","endpoint":" A@b.c "}"#,
            ),
            &["A@b.c email marketing", "a@b.c email marketing", "u email marketing"],
        );
        check("site", &consent(r#"{"state":"denied","endpoint":"profile"}"#), &["u * *"]);
        check("site", &consent(r#"{"state":7}"#), &["u * *"]);
        let event = |event: &str, properties: &str| {
            format!(
                r#"{{"type":"track","event":"{event}","userId":"u","properties":{properties}}}"#
            )
        };
        check("site", &event("Unsubscribed", "{}"), &["u * *"]);
        check("mail", &event("Unsubscribed", r#"{"purpose":"feedback"}"#), &["u email feedback"]);
        check("mail", &event("Email Bounced", r#"{"type":"soft"}"#), &[]);
        check("mail", &event("Email Bounced", "{}"), &["u email *", "u email service"]);
        check(
            "site",
            &event("SMS Stopped", r#"{"phone":"+44 1632 960 001"}"#),
            &[
                "+44 1632 960 001 sms *",
                "+441632960001 sms *",
                "u sms *",
                "+44 1632 960 001 sms service",
                "+441632960001 sms service",
                "u sms service",
            ],
        );
        check(
            "site",
            r#"{"type":"track","event":"E","userId":"u","context":{"consent":{"categoryPreferences":
                {"Marketing":false,"Analytics":true,"Other":false}}}}"#,
            &["u * marketing"],
        );
    }
}
