//! Which channels of a message are open: kill switch, endpoint, suppression, consent, purpose.

use crate::consent::{Ask, Statement, SuppressionEntry, kind_name};
use crate::step::Step;
use sojourn_model::{Inputs, KillTarget, Name, Reason};
use sojourn_rules::Send;

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
                    first.get_or_insert(Closed {
                        consent: refused.1,
                        suppression: refused.2,
                        ..closed(refused.0, Some(endpoint))
                    });
                }
            }
        }
        Err(first.unwrap_or_else(|| closed(Reason::EndpointMissing, None)))
    }

    #[expect(clippy::type_complexity, reason = "a refusal with the record that decided it")]
    fn endpoint_open(
        &self,
        channel: &str,
        endpoint: &str,
        send: &Send,
    ) -> Result<
        Option<(&Statement, bool)>,
        (Reason, Option<(&Statement, bool)>, Option<&SuppressionEntry>),
    > {
        if let Some(entry) = self.profile.suppressions.of(channel, endpoint) {
            return Err((Reason::EndpointSuppressed, None, Some(entry)));
        }
        let policy = self.shared.current.as_ref().map(|current| &current.definitions.policy);
        let purpose = policy.and_then(|policy| policy.purpose(&send.purpose)).map(|(_, p)| p);
        let service = purpose.map_or(&*send.purpose == "service", |purpose| purpose.service);
        let topic = send.topic.as_deref();
        // CON-1: nothing recorded is no.
        let ask = Ask { channel, endpoint, purpose: &send.purpose, topic, service };
        let permission = self.profile.consents.permits(ask, self.now);
        if !permission.permitted {
            return Err((Reason::NoConsent, permission.decided_by, None));
        }
        // A purpose that the policy no longer knows may not be used, whatever was said of it.
        if purpose.is_none() && !service {
            return Err((Reason::Purpose, permission.decided_by, None));
        }
        Ok(permission.decided_by)
    }

    /// The person's country: of the address, or of the phone number.
    pub(super) fn country(&self) -> String {
        let address = self.profile.attribute("address").and_then(|address| address.get("country"));
        if let Some(country) = address.and_then(|country| country.as_text()) {
            return country.trim().to_uppercase();
        }
        let phone = self.profile.seen_last(&sojourn_model::IdentifierKind::Phone);
        let region = phone.and_then(|held| crate::timing::phone_region(&held.identifier.value));
        region.unwrap_or_default()
    }
}
