//! Which channels of a message are open: kill switch, endpoint, suppression, consent, purpose, and
//! the law of the person's country.

use crate::consent::{Ask, Statement, SuppressionEntry, Verdict, kind_name};
use crate::step::Step;
use crate::timing::{day_of, parse_date, yearly_on};
use chrono::Datelike;
use sojourn_model::{Inputs, KillTarget, Name, Reason, Value};
use sojourn_rules::{Policy, Regime, Send};

/// What permits a message to somebody of a country.
pub(crate) fn regime_of(
    policy: Option<&Policy>,
    country: &str,
    channel: &str,
    purpose: &str,
) -> Regime {
    policy.map_or(Regime::OptIn, |policy| policy.jurisdictions.regime(country, channel, purpose))
}

/// A channel that a message may use.
#[derive(Debug)]
pub(super) struct Open<'a> {
    pub(super) channel: Name,
    pub(super) endpoint: Name,
    pub(super) consent: Option<(&'a Statement, bool)>,
}

/// A channel that it may not use, and the first reason.
#[derive(Debug)]
pub(super) struct Closed<'a> {
    pub(super) channel: Name,
    pub(super) endpoint: Option<Name>,
    pub(super) reason: Reason,
    consent: Option<(&'a Statement, bool)>,
    suppression: Option<&'a SuppressionEntry>,
    detail: Option<Name>,
}

fn consent_input(consent: Option<(&Statement, bool)>, inputs: &mut Inputs) {
    inputs.consent = consent
        .map(|(statement, granted)| (statement.evidence.event_id.clone(), granted, statement.at));
}

impl Open<'_> {
    pub(super) fn explain(&self, inputs: &mut Inputs) {
        consent_input(self.consent, inputs);
    }
}

impl Closed<'_> {
    pub(super) fn explain(&self, inputs: &mut Inputs) {
        consent_input(self.consent, inputs);
        inputs.rule = self.suppression.map(|entry| kind_name(entry.kind).into());
        inputs.detail = self.detail.clone();
    }
}

impl Step<'_> {
    /// The step's channels: the customer's preferred one first when it is among them.
    pub(super) fn channels_in_order(&self, send: &Send) -> Vec<Name> {
        let mut channels = send.channels.clone();
        let preferred = self.profile.attribute("preferred_channel").and_then(|v| v.as_text());
        if let Some(preferred) = preferred
            && let Some(place) = channels.iter().position(|channel| **channel == *preferred)
        {
            let preferred = channels.remove(place);
            channels.insert(0, preferred);
        }
        channels
    }

    /// Runs the checks that filter channels, in the guard's order. Of several endpoints the one seen
    /// last that passes; when none does, the one seen last stands, with its reason.
    pub(super) fn channel_open(&self, channel: &Name, send: &Send) -> Result<Open<'_>, Closed<'_>> {
        let closed = |reason, endpoint| Closed {
            channel: channel.clone(),
            endpoint,
            reason,
            consent: None,
            suppression: None,
            detail: None,
        };
        let endpoints = self.profile.endpoints(channel);
        let killed = self.shared.controls.kills.contains(&KillTarget::Channel(channel.clone()));
        if killed {
            let detail = Some(channel.clone());
            return Err(Closed { detail, ..closed(Reason::Killed, endpoints.first().cloned()) });
        }
        let mut first = None;
        for endpoint in endpoints {
            match self.endpoint_open(channel, &endpoint, send) {
                Ok(consent) => return Ok(Open { channel: channel.clone(), endpoint, consent }),
                Err(refused) => {
                    let endpoint = Some(endpoint);
                    first.get_or_insert(Closed { endpoint, channel: channel.clone(), ..refused });
                }
            }
        }
        Err(first.unwrap_or_else(|| closed(Reason::EndpointMissing, None)))
    }

    /// The statement that permits a message to this endpoint, or the refusal, without its place.
    fn endpoint_open(
        &self,
        channel: &str,
        endpoint: &str,
        send: &Send,
    ) -> Result<Option<(&Statement, bool)>, Closed<'_>> {
        let refused = |reason| Closed {
            channel: "".into(),
            endpoint: None,
            reason,
            consent: None,
            suppression: None,
            detail: None,
        };
        if let Some(entry) = self.profile.suppressions.of(channel, endpoint) {
            let suppression = Some(entry);
            return Err(Closed { suppression, ..refused(Reason::EndpointSuppressed) });
        }
        let policy = self.shared.current.as_ref().map(|current| &current.definitions.policy);
        let purpose = policy.and_then(|policy| policy.purpose(&send.purpose)).map(|(_, p)| p);
        let service = purpose.map_or(&*send.purpose == "service", |purpose| purpose.service);
        let regime = self.regime(channel, &send.purpose);
        let topic = send.topic.as_deref();
        // CON-1: nothing recorded is no, unless the operator has enabled an opt-out.
        let ask = Ask { channel, endpoint, purpose: &send.purpose, topic, service, regime };
        let permission = self.profile.consents.permits(ask, &self.profile.confirmed, self.now);
        let consent = permission.decided_by;
        if permission.verdict == Verdict::Refused {
            return Err(Closed { consent, ..refused(Reason::NoConsent) });
        }
        // A purpose that the policy no longer knows may not be used, whatever was said of it.
        if purpose.is_none() && !service {
            return Err(Closed { consent, ..refused(Reason::Purpose) });
        }
        let jurisdiction = |detail: String| {
            let detail = Some(detail.into());
            Err(Closed { consent, detail, ..refused(Reason::Jurisdiction) })
        };
        if permission.verdict == Verdict::Unconfirmed {
            return jurisdiction(format!("{channel} needs a confirmed opt-in"));
        }
        if !service && let Some(age) = self.too_young() {
            return jurisdiction(format!("under {age}"));
        }
        Ok(consent)
    }

    /// What permits a message to this person.
    pub(super) fn regime(&self, channel: &str, purpose: &str) -> Regime {
        if !self.shared.law.regimes {
            return Regime::OptIn;
        }
        let policy = self.shared.current.as_ref().map(|current| &current.definitions.policy);
        regime_of(policy, &self.country(), channel, purpose)
    }

    /// The minimum age of the person's country, when their birthday says that they are younger.
    fn too_young(&self) -> Option<u8> {
        let birthday = self.profile.attribute("birthday")?;
        let policy = &self.shared.current.as_ref()?.definitions.policy;
        let age = policy.jurisdictions.minimum_age(&self.country())?;
        let today = day_of(self.zone_now().zone, self.now);
        let born = match birthday {
            Value::Text(text) => parse_date(text)?,
            Value::Instant(at) => day_of(self.zone_now().zone, *at),
            _ => return None,
        };
        (today < yearly_on(born, born.year() + i32::from(age))).then_some(age)
    }

    /// The person's country: of the address, or of the phone number.
    pub(crate) fn country(&self) -> String {
        let address = self.profile.attribute("address").and_then(|address| address.get("country"));
        if let Some(country) = address.and_then(|country| country.as_text()) {
            return country.trim().to_uppercase();
        }
        let phone = self.profile.seen_last(&sojourn_model::IdentifierKind::Phone);
        let region = phone.and_then(|held| crate::timing::phone_region(&held.identifier.value));
        region.unwrap_or_default()
    }
}
