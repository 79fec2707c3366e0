//! From touchpoints to statements: `Consent Changed`, unsubscribes, STOP and START, bounces,
//! complaints, and the consent that SDKs stamp on every call (semantics 3).

use super::PERSON_ENDPOINT;
use crate::event::EventView;
use crate::installed::Installed;
use crate::profile::Profile;
use sojourn_model::{
    ConsentRecord, ConsentState, Evidence, IdentifierKind, Name, SuppressionKind, Timestamp, Value,
    event_names,
};
use sojourn_rules::Definitions;
use sojourn_rules::normalize::Normalizer;

/// Data purposes by their well-known names, data purposes even where the policy is silent.
const DATA_PURPOSES: [&str; 3] = ["personalization", "analytics", "advertising"];

/// What reaches a person on a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChannelKind {
    Email,
    Phone,
    Device,
    Person,
}

/// Which kind of endpoint a channel has (semantics 6).
pub(crate) fn channel_kind(channel: &str) -> ChannelKind {
    match channel {
        "email" => ChannelKind::Email,
        "sms" | "whatsapp" | "call" => ChannelKind::Phone,
        "push" => ChannelKind::Device,
        _ => ChannelKind::Person,
    }
}

impl ChannelKind {
    pub(crate) fn identifier(self) -> Option<IdentifierKind> {
        match self {
            Self::Email => Some(IdentifierKind::Email),
            Self::Phone => Some(IdentifierKind::Phone),
            Self::Device => Some(IdentifierKind::DeviceId),
            Self::Person => None,
        }
    }
}

/// An endpoint as identifiers are normalised, so that statements and identifiers meet.
pub(crate) fn normal_endpoint(channel: &str, raw: &str, installed: Option<&Installed>) -> Name {
    let Some(kind) = channel_kind(channel).identifier() else { return PERSON_ENDPOINT.into() };
    let normal = match installed {
        Some(installed) => installed.normalizer.value(&kind, raw),
        None => Normalizer::default().value(&kind, raw),
    };
    // What is no address still names what was meant.
    normal.unwrap_or_else(|| raw.trim().into())
}

/// What a touchpoint says of consent.
#[derive(Debug, Default)]
pub(crate) struct Statements {
    pub(crate) consents: Vec<ConsentRecord>,
    pub(crate) suppressions: Vec<(Name, Name, SuppressionKind)>,
    /// A START: these phones may be written to again.
    pub(crate) started: Vec<Name>,
    /// The new consent stamp of the SDK, to be remembered.
    pub(crate) stamped: Vec<(Name, bool)>,
    pub(crate) evidence: Evidence,
}

/// Whether an event name may carry statements.
fn speaks(name: &str) -> bool {
    matches!(
        name,
        event_names::CONSENT_CHANGED
            | event_names::UNSUBSCRIBED
            | event_names::EMAIL_BOUNCED
            | event_names::EMAIL_COMPLAINT
            | event_names::SMS_STOPPED
            | event_names::SMS_STARTED
    )
}

/// What `event` says, given what the person holds now. `None`: nothing.
pub(crate) fn statements(
    event: &EventView<'_>,
    stamped: Option<&Value>,
    profile: &Profile,
    installed: Option<&Installed>,
) -> Option<Statements> {
    if stamped.is_none() && !speaks(event.name) {
        return None;
    }
    let mut reader = Reader { event, profile, installed, out: Statements::default() };
    reader.out.evidence = reader.evidence();
    match event.name {
        event_names::CONSENT_CHANGED => reader.changed(),
        event_names::UNSUBSCRIBED => reader.unsubscribed(),
        event_names::EMAIL_BOUNCED => {
            let soft = event.properties.text_of("type").is_some_and(|kind| &*kind == "soft");
            if !soft {
                reader.suppressed("email", SuppressionKind::Bounce);
            }
        }
        event_names::EMAIL_COMPLAINT => reader.suppressed("email", SuppressionKind::Complaint),
        event_names::SMS_STOPPED => reader.suppressed("sms", SuppressionKind::Stop),
        event_names::SMS_STARTED => reader.out.started = reader.addresses("sms"),
        _ => {}
    }
    if let Some(Value::Map(categories)) = stamped {
        reader.stamped(categories);
    }
    Some(reader.out)
}

struct Reader<'a, 'e> {
    event: &'a EventView<'e>,
    profile: &'a Profile,
    installed: Option<&'a Installed>,
    out: Statements,
}

impl<'a> Reader<'a, '_> {
    fn definitions(&self) -> Option<&'a Definitions> {
        self.installed.map(|installed| &*installed.definitions)
    }

    fn property(&self, key: &str) -> Option<Name> {
        self.event.properties.text_of(key).filter(|text| !text.trim().is_empty())
    }

    fn evidence(&self) -> Evidence {
        let source = self.property("source").unwrap_or_else(|| self.event.source.into());
        let wording = self.property("wording");
        Evidence {
            event_id: self.event.message_id.into(),
            source,
            wording,
            locale: self.property("locale"),
            basis: self.property("basis"),
        }
    }

    fn is_data(&self, purpose: &str) -> bool {
        match self.definitions().and_then(|definitions| definitions.policy.purpose(purpose)) {
            Some((_, declared)) => declared.data,
            None => DATA_PURPOSES.contains(&purpose),
        }
    }

    /// Every messaging purpose but `service`.
    fn messaging(&self) -> Vec<Name> {
        let Some(definitions) = self.definitions() else { return vec!["marketing".into()] };
        let purposes = definitions.policy.purposes.iter();
        purposes.filter(|p| !p.data && !p.service).map(|p| p.name.clone()).collect()
    }

    fn record(
        &self,
        channel: Option<&Name>,
        endpoint: Option<Name>,
        purpose: &Name,
        topic: Option<&Name>,
        state: ConsentState,
    ) -> ConsentRecord {
        ConsentRecord {
            endpoint,
            channel: channel.cloned(),
            purpose: purpose.clone(),
            topic: topic.cloned(),
            state,
            at: self.event.stamp.occurred,
            expires: None,
            evidence: self.out.evidence.clone(),
            confirmed: false,
        }
    }

    fn changed(&mut self) {
        let state = match self.property("state").map(|state| state.to_lowercase()).as_deref() {
            Some("granted") => ConsentState::Granted,
            Some("denied") => ConsentState::Denied,
            _ => return,
        };
        let purposes = match self.property("purpose") {
            Some(purpose) => vec![purpose],
            // A person who says no without saying to what means all of it.
            None if state == ConsentState::Denied => self.messaging(),
            None => return,
        };
        let topic = self.property("topic");
        let channel = self.property("channel");
        let expires = self.property("expires").and_then(|text| {
            let at = chrono::DateTime::parse_from_rfc3339(&text).ok()?;
            Some(Timestamp(at.timestamp_millis()))
        });
        let before = self.out.consents.len();
        for purpose in &purposes {
            if self.is_data(purpose) {
                let record = self.record(None, None, purpose, None, state);
                self.out.consents.push(record);
                continue;
            }
            match &channel {
                Some(channel) => self.on_channel(channel, purpose, topic.as_ref(), state),
                None if state == ConsentState::Denied => {
                    let record = self.record(None, None, purpose, topic.as_ref(), state);
                    self.out.consents.push(record);
                }
                None => self.on_every_channel(purpose, topic.as_ref()),
            }
        }
        let confirmed = state == ConsentState::Granted
            && matches!(self.event.properties.get("confirmed"), Some(Value::Bool(true)));
        for record in &mut self.out.consents[before..] {
            record.expires = expires;
            record.confirmed = confirmed;
        }
    }

    /// A statement for one channel, named endpoint or all (semantics 3: a grant without an endpoint
    /// goes to those held now, a deny to later ones too).
    fn on_channel(
        &mut self,
        channel: &Name,
        purpose: &Name,
        topic: Option<&Name>,
        state: ConsentState,
    ) {
        let person = channel_kind(channel) == ChannelKind::Person;
        let named =
            self.property("endpoint").map(|raw| normal_endpoint(channel, &raw, self.installed));
        let named = if person { Some(PERSON_ENDPOINT.into()) } else { named };
        match (named, state) {
            (Some(endpoint), _) => {
                let record = self.record(Some(channel), Some(endpoint), purpose, topic, state);
                self.out.consents.push(record);
            }
            (None, ConsentState::Denied) => {
                let record = self.record(Some(channel), None, purpose, topic, state);
                self.out.consents.push(record);
            }
            (None, ConsentState::Granted) => self.grant_held(channel, purpose, topic),
        }
    }

    fn grant_held(&mut self, channel: &Name, purpose: &Name, topic: Option<&Name>) {
        for endpoint in self.profile.endpoints(channel) {
            let granted = ConsentState::Granted;
            let record = self.record(Some(channel), Some(endpoint), purpose, topic, granted);
            self.out.consents.push(record);
        }
    }

    fn on_every_channel(&mut self, purpose: &Name, topic: Option<&Name>) {
        let Some(definitions) = self.definitions() else { return };
        for channel in definitions.workspace.channels.keys() {
            self.grant_held(channel, purpose, topic);
        }
    }

    fn unsubscribed(&mut self) {
        let own = self.event.channel;
        let channel: Name = self.property("channel").unwrap_or_else(|| {
            let sends = channel_kind(own) != ChannelKind::Person;
            if sends { own.into() } else { "email".into() }
        });
        let purposes = match self.property("purpose") {
            Some(purpose) => vec![purpose],
            None => self.messaging(),
        };
        let topic = self.property("topic");
        let endpoints = self.named_addresses(&channel);
        for purpose in &purposes {
            let mut deny = |endpoint| {
                let denied = ConsentState::Denied;
                let record = self.record(Some(&channel), endpoint, purpose, topic.as_ref(), denied);
                self.out.consents.push(record);
            };
            if endpoints.is_empty() {
                deny(None);
            } else {
                endpoints.iter().cloned().for_each(|endpoint| deny(Some(endpoint)));
            }
        }
    }

    /// Addresses that the touchpoint itself names for a channel.
    fn named_addresses(&self, channel: &str) -> Vec<Name> {
        let kind = channel_kind(channel);
        let key = match kind {
            ChannelKind::Email => "email",
            ChannelKind::Phone => "phone",
            ChannelKind::Device => "device_id",
            ChannelKind::Person => return vec![PERSON_ENDPOINT.into()],
        };
        if let Some(raw) = self.property("endpoint").or_else(|| self.property(key)) {
            return vec![normal_endpoint(channel, &raw, self.installed)];
        }
        let action = self.property("action_id").and_then(|id| id.parse().ok());
        let sent = action.and_then(|action| self.profile.sends.find(action));
        if let Some(send) = sent.filter(|send| channel_kind(&send.channel) == kind) {
            return vec![send.endpoint.clone()];
        }
        let wanted = kind.identifier();
        let held = self.event.identifiers.iter().filter(|id| Some(&id.kind) == wanted.as_ref());
        held.map(|identifier| identifier.value.clone()).collect()
    }

    /// The same, or every address of the person where it names none.
    fn addresses(&self, channel: &str) -> Vec<Name> {
        match self.named_addresses(channel) {
            named if named.is_empty() => self.profile.endpoints(channel),
            named => named,
        }
    }

    fn suppressed(&mut self, channel: &str, kind: SuppressionKind) {
        for endpoint in self.addresses(channel) {
            self.out.suppressions.push((channel.into(), endpoint, kind));
        }
    }

    /// `context.consent.categoryPreferences`: SDKs repeat it on every call, so a grant counts when it
    /// differs from the last; a repeated grant must not undo what the person said elsewhere since.
    fn stamped(&mut self, categories: &[(Name, Value)]) {
        for (category, value) in categories {
            let Value::Bool(granted) = value else { continue };
            let wanted = category.to_lowercase();
            let declared = self.definitions().and_then(|definitions| {
                let purposes = &definitions.policy.purposes;
                purposes.iter().find(|purpose| purpose.name.to_lowercase() == wanted)
            });
            let purpose: Name = match declared {
                Some(purpose) => purpose.name.clone(),
                None if DATA_PURPOSES.contains(&&*wanted) => wanted.as_str().into(),
                None => continue,
            };
            let last = self.profile.stamped.iter().find(|stamp| stamp.0 == purpose);
            let at = self.event.stamp.occurred;
            if last.is_some_and(|(_, known, since)| *since > at || (*known && *granted)) {
                continue;
            }
            let state = if *granted { ConsentState::Granted } else { ConsentState::Denied };
            if self.is_data(&purpose) || !*granted {
                let mut record = self.record(None, None, &purpose, None, state);
                record.evidence.source = "sdk context".into();
                self.out.consents.push(record);
            } else {
                self.on_every_channel(&purpose, None);
            }
            self.out.stamped.push((purpose, *granted));
        }
    }
}
