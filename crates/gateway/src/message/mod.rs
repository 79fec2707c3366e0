//! One message of the Segment specification becomes one touchpoint of the log.
//!
//! Pure and synchronous: no clock, no randomness, no I/O. The HTTP and gRPC edges, `simulate` and
//! `import` all convert through [`Converter`], so a touchpoint means the same wherever it came in.
//!
//! What happens to a message, in order: its JSON is checked (well-formed, not too deep, members of
//! the right types); its event is named (`language.md`); its time is corrected for the source's
//! clock (semantics 1); identifiers are found at the tracking plan's places, normalised, sorted by
//! strength (semantics 2); a `strict` source loses undeclared properties and is refused when a
//! required one is missing (semantics 3).

mod identify;
mod object;
mod report;
mod time;
mod wire;

pub use identify::IDENTIFIERS_MAX;
pub use object::{DEPTH_MAX, repair_surrogates};
pub(crate) use report::Named;
pub use time::parse_rfc3339;
pub(crate) use wire::{object as object_of, text as text_of, time as time_of};

use identify::Places;
use object::Members;
use serde::Deserialize;
use serde_json::value::RawValue;
use sojourn_model::{
    Identifier, IdentifierKind, Name, ProfileId, Timestamp, Touchpoint, event_names,
};
use sojourn_rules::{Definitions, EventPlan, Source};
use std::borrow::Cow;
use std::sync::Arc;
use wire::Message;

/// Longest `messageId`, in characters (the Segment specification's).
pub const MESSAGE_ID_CHARS_MAX: usize = 100;
/// Longest event name, in characters.
pub const EVENT_CHARS_MAX: usize = 200;

/// Events that the house itself reads: a `strict` source keeps all of their properties.
const RESERVED: [&str; 26] = [
    event_names::ALIASED,
    event_names::CALL_ANSWERED,
    event_names::CALL_FAILED,
    event_names::CONSENT_CHANGED,
    event_names::EMAIL_BOUNCED,
    event_names::EMAIL_COMPLAINT,
    event_names::EMAIL_DELIVERED,
    event_names::EMAIL_LINK_CLICKED,
    event_names::EMAIL_OPENED,
    event_names::GROUP_JOINED,
    event_names::IDENTIFIED,
    event_names::MESSAGE_FAILED,
    event_names::MESSAGE_SENT,
    event_names::MESSAGE_UNKNOWN,
    event_names::PAGE_VIEWED,
    event_names::SCREEN_VIEWED,
    event_names::SMS_STARTED,
    event_names::SMS_STOPPED,
    event_names::STORE_VISITED,
    event_names::UNSUBSCRIBED,
    "Push Delivered",
    "Push Failed",
    "Push Opened",
    "SMS Delivered",
    "SMS Failed",
    "Segment Consent Preference Updated",
];

/// Why a message was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} {reason}: {remedy}")]
pub struct Rejected {
    /// Member of the message, `body` for the whole.
    pub field: String,
    /// What is wrong with it; never quotes the value, which may be personal.
    pub reason: String,
    /// What the sender can do.
    pub remedy: String,
}

impl Rejected {
    pub(crate) fn new(
        field: impl Into<String>,
        reason: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { field: field.into(), reason: reason.into(), remedy: remedy.into() }
    }
}

/// What surrounds a message: its place in a batch, the connection, a file.
#[derive(Clone, Copy)]
pub struct Envelope<'m> {
    /// Index of the declared source: [`Converter::source`].
    pub source: usize,
    /// When the gateway took it.
    pub received_at: Timestamp,
    /// Upload time by the source's clock, when the batch or a header states it.
    pub sent_at: Option<Timestamp>,
    /// `context` of the batch: merged below the message's own. JSON object as text, or empty.
    pub context: &'m str,
    /// The call that the route names (`track`, …), for messages without a `type`.
    pub call: Option<&'m str>,
    /// Historical import.
    pub imported: bool,
    /// Makes the id of a message that has none.
    pub make_id: &'m (dyn Fn() -> String + Sync),
}

/// A converted message; what was not changed is borrowed from the message's text.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the fields of model::Touchpoint")]
pub struct Converted<'m> {
    pub message_id: Cow<'m, str>,
    pub source: &'m str,
    pub channel: &'m str,
    pub event: Cow<'m, str>,
    pub identifiers: Vec<Identifier>,
    pub occurred_at: Option<Timestamp>,
    pub received_at: Timestamp,
    pub properties: Cow<'m, str>,
    pub traits: Cow<'m, str>,
    pub context: Cow<'m, str>,
    pub imported: bool,
    /// Known profile (links of messages); identity then only follows merges.
    pub profile: Option<ProfileId>,
    /// Identifiers that a limit left out (LIM-1: visible as a metric).
    pub left_out: usize,
}

impl Converted<'_> {
    /// As a touchpoint of the model.
    pub fn touchpoint(&self) -> Touchpoint<'_> {
        self.with(self.identifiers.clone())
    }

    /// Appends the touchpoint as a record of the `touchpoints` topic to `out`.
    pub fn encode(&mut self, out: &mut Vec<u8>) {
        let identifiers = std::mem::take(&mut self.identifiers);
        let touchpoint = self.with(identifiers);
        sojourn_proto::encode_touchpoint_record(&touchpoint, out);
        self.identifiers = touchpoint.identifiers;
    }

    fn with(&self, identifiers: Vec<Identifier>) -> Touchpoint<'_> {
        Touchpoint {
            message_id: &self.message_id,
            source: self.source,
            channel: self.channel,
            event: &self.event,
            identifiers,
            occurred_at: self.occurred_at,
            received_at: self.received_at,
            properties: &self.properties,
            traits: &self.traits,
            context: &self.context,
            imported: self.imported,
            profile: self.profile,
        }
    }
}

/// Calls of the specification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    Track,
    Identify,
    Page,
    Screen,
    Group,
    Alias,
    Merge,
}

impl Call {
    /// Reads a call's name or its short form.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "track" | "t" => Self::Track,
            "identify" | "i" => Self::Identify,
            "page" | "p" => Self::Page,
            "screen" | "s" => Self::Screen,
            "group" | "g" => Self::Group,
            "alias" | "a" => Self::Alias,
            "merge" => Self::Merge,
            _ => return None,
        })
    }
}

/// A message taken apart, whatever it was written in.
#[derive(Debug, Default)]
pub(crate) struct Parts<'m> {
    pub(crate) call: Option<Call>,
    pub(crate) event: Option<Cow<'m, str>>,
    pub(crate) message_id: Option<Cow<'m, str>>,
    pub(crate) user_id: Option<Cow<'m, str>>,
    pub(crate) anonymous_id: Option<Cow<'m, str>>,
    pub(crate) previous_id: Option<Cow<'m, str>>,
    pub(crate) group_id: Option<Cow<'m, str>>,
    /// When it happened, by the source's clock.
    pub(crate) stated: Option<Timestamp>,
    pub(crate) sent_at: Option<Timestamp>,
    /// JSON object, or empty.
    pub(crate) properties: Cow<'m, str>,
    /// JSON object, or empty.
    pub(crate) traits: &'m str,
    /// JSON object, or empty.
    pub(crate) context: &'m str,
    /// JSON of `name` and `category` of page and screen calls.
    pub(crate) name: Option<&'m str>,
    pub(crate) category: Option<&'m str>,
    /// Usable identifiers known beside the plan's places.
    pub(crate) identifiers: Vec<Identifier>,
    /// `traits` are a group's, not the person's.
    pub(crate) group_traits: bool,
}

/// Converts messages by one version of the definitions. Cheap to share; made anew on a publish.
#[derive(Debug)]
pub struct Converter {
    definitions: Arc<Definitions>,
    places: Places,
}

/// Answers of calls are the house's own words: taken from nobody else, or a browser could give its
/// person a voucher that no service has given.
pub(crate) fn from_outside(converted: Converted<'_>) -> Result<Converted<'_>, Rejected> {
    if [event_names::CALL_ANSWERED, event_names::CALL_FAILED].contains(&&*converted.event) {
        let remedy = "choose another name; only the house itself tells what a call was answered";
        return Err(Rejected::new("event", "is reserved", remedy));
    }
    Ok(converted)
}

impl Converter {
    /// A converter for `definitions`.
    pub fn new(definitions: &Arc<Definitions>) -> Self {
        Self { definitions: Arc::clone(definitions), places: Places::new(definitions) }
    }

    /// The definitions it was made from.
    pub fn definitions(&self) -> &Arc<Definitions> {
        &self.definitions
    }

    /// Index of the declared source `id`.
    pub fn source(&self, id: &str) -> Option<usize> {
        self.definitions.workspace.sources.iter().position(|source| &*source.id == id)
    }

    /// `value` as a usable identifier of `kind`: normalised and not blocked.
    pub fn identifier(&self, kind: &IdentifierKind, value: &str) -> Option<Identifier> {
        self.places.usable(kind, value)
    }

    /// Converts one message. `json` is UTF-8; [`repair_surrogates`] has been over it.
    pub fn convert<'m>(
        &'m self,
        json: &'m str,
        envelope: &Envelope<'m>,
    ) -> Result<Converted<'m>, Rejected> {
        check(json)?;
        from_outside(self.convert_message(Message::parse(json)?, envelope)?)
    }

    /// Converts one line of a recorded file (`simulate`): the message names its `receivedAt`, and
    /// its `source` or the first whose channel fits; `imported: true` marks it as history.
    pub fn convert_line<'m>(
        &'m self,
        json: &'m str,
        make_id: &'m (dyn Fn() -> String + Sync),
    ) -> Result<Converted<'m>, Rejected> {
        check(json)?;
        let message = Message::parse(json)?;
        let Some(received_at) = wire::time("receivedAt", message.received_at)? else {
            return Err(Rejected::new("receivedAt", "is missing", "it is the line's log time"));
        };
        let source = match wire::text("source", message.source)? {
            Some(id) => self.source(&id).ok_or_else(|| {
                Rejected::new("source", "is not declared", "name a source of sojourn.yaml")
            })?,
            None => self.fitting_source(&message)?,
        };
        let envelope = Envelope {
            source,
            received_at,
            sent_at: None,
            context: "",
            call: None,
            imported: wire::flag("imported", message.imported)?,
            make_id,
        };
        self.convert_message(message, &envelope)
    }

    fn convert_message<'m>(
        &'m self,
        message: Message<'m>,
        envelope: &Envelope<'m>,
    ) -> Result<Converted<'m>, Rejected> {
        let named = wire::text("type", message.kind)?;
        let Some(call) = named.as_deref().or(envelope.call).and_then(Call::parse) else {
            let reason = if named.is_some() { "is unknown" } else { "is missing" };
            let remedy = "send track, identify, page, screen, group or alias";
            return Err(Rejected::new("type", reason, remedy));
        };
        let stated = match wire::time("timestamp", message.timestamp)? {
            Some(time) => Some(time),
            None => wire::time("originalTimestamp", message.original_timestamp)?,
        };
        let mut parts = Parts {
            call: Some(call),
            event: wire::text("event", message.event)?,
            message_id: wire::text("messageId", message.message_id)?,
            user_id: wire::text("userId", message.user_id)?,
            anonymous_id: wire::text("anonymousId", message.anonymous_id)?,
            previous_id: wire::text("previousId", message.previous_id)?,
            group_id: wire::text("groupId", message.group_id)?,
            stated,
            sent_at: wire::time("sentAt", message.sent_at)?,
            properties: Cow::Borrowed(wire::object("properties", message.properties)?),
            traits: wire::object("traits", message.traits)?,
            context: wire::object("context", message.context)?,
            name: message.name.map(RawValue::get),
            category: message.category.map(RawValue::get),
            identifiers: Vec::new(),
            group_traits: call == Call::Group,
        };
        if call == Call::Merge {
            parts.identifiers = self.merge_identifiers(message.merge_properties)?;
        }
        self.assemble(parts, envelope)
    }

    /// Makes the touchpoint of a message that has been taken apart.
    pub(crate) fn assemble<'m>(
        &'m self,
        mut parts: Parts<'m>,
        envelope: &Envelope<'m>,
    ) -> Result<Converted<'m>, Rejected> {
        let source = &self.definitions.workspace.sources[envelope.source];
        let call = parts.call.unwrap_or(Call::Track);
        let message_id = match parts.message_id.take() {
            Some(id) if id.chars().count() > MESSAGE_ID_CHARS_MAX => {
                let reason = format!("is longer than {MESSAGE_ID_CHARS_MAX} characters");
                return Err(Rejected::new("messageId", reason, "send a shorter one or none"));
            }
            Some(id) => id,
            None => Cow::Owned((envelope.make_id)()),
        };
        let event = event_name(call, parts.event.take())?;
        if call == Call::Alias && parts.previous_id.is_none() {
            let remedy = "send the id that userId replaces";
            return Err(Rejected::new("previousId", "is missing", remedy));
        }
        let (mut identifiers, left_out) = self.places.find(&parts, source.shared_devices);
        if identifiers.is_empty() {
            let named = report::named_address(&event, &source.channel, &parts.properties);
            identifiers.extend(named.and_then(|(kind, value)| self.places.usable(&kind, &value)));
        }
        let changed = self.properties(source, call, &event, &parts)?;
        let properties = changed.map_or(parts.properties, Cow::Owned);
        let context = merge("context", parts.context, envelope.context)?;
        let own_traits = if parts.group_traits { "" } else { parts.traits };
        let traits = match context_traits(parts.context) {
            Some(below) => merge("traits", own_traits, below)?,
            None => Cow::Borrowed(own_traits),
        };
        let sent_at = envelope.sent_at.or(parts.sent_at);
        let received_at = envelope.received_at;
        Ok(Converted {
            message_id,
            source: &source.id,
            channel: &source.channel,
            event,
            identifiers,
            occurred_at: parts.stated.map(|at| time::correct_skew(at, sent_at, received_at)),
            received_at,
            properties,
            traits,
            context,
            imported: envelope.imported,
            profile: None,
            left_out,
        })
    }

    /// Properties with what the call itself says, and by the plan when the source is strict. `None`:
    /// as they came.
    fn properties(
        &self,
        source: &Source,
        call: Call,
        event: &str,
        parts: &Parts<'_>,
    ) -> Result<Option<String>, Rejected> {
        let own = match call {
            Call::Track | Call::Identify | Call::Merge => [None, None],
            Call::Page | Call::Screen => [
                parts.name.map(|name| ("name", Cow::Borrowed(name))),
                parts.category.map(|category| ("category", Cow::Borrowed(category))),
            ],
            Call::Group => [parts.group_id.as_deref().map(|id| ("group_id", quoted(id))), None],
            Call::Alias => {
                [parts.previous_id.as_deref().map(|id| ("previous_id", quoted(id))), None]
            }
        };
        let group_traits = if call == Call::Group { parts.traits } else { "" };
        let adds = own.iter().any(Option::is_some) || !group_traits.is_empty();
        if !adds && !source.strict {
            return Ok(None);
        }
        let not_json = |_| Rejected::new("properties", "is not an object", "send an object");
        let mut members = Members::parse(&parts.properties).map_err(not_json)?;
        members.add_all(Members::parse(group_traits).map_err(not_json)?);
        for (key, value) in own.into_iter().flatten() {
            members.add(key, value);
        }
        let dropped = source.strict && self.by_plan(event, &mut members)?;
        Ok((adds || dropped).then(|| members.text()))
    }

    /// Drops undeclared properties and refuses an event that lacks a required one (semantics 3).
    fn by_plan(&self, event: &str, members: &mut Members<'_>) -> Result<bool, Rejected> {
        static UNDECLARED: EventPlan = EventPlan {
            channel: None,
            retention: None,
            properties: std::collections::BTreeMap::new(),
        };
        let plan = self.definitions.plan.events.get(event).unwrap_or(&UNDECLARED);
        for (name, field) in &plan.properties {
            if field.required && members.get(name).is_none_or(|value| value == "null") {
                let remedy = "the tracking plan requires it of this event";
                return Err(Rejected::new(format!("properties.{name}"), "is missing", remedy));
            }
        }
        if RESERVED.contains(&event) {
            return Ok(false);
        }
        let declared =
            |key: &str| plan.properties.contains_key(key) || self.places.names_property(key);
        Ok(members.retain(declared))
    }

    /// Identifiers of a `merge` call: `mergeProperties: [{type, value}, {type, value}]`.
    fn merge_identifiers(&self, raw: Option<&RawValue>) -> Result<Vec<Identifier>, Rejected> {
        #[derive(Deserialize)]
        struct Pair<'p> {
            #[serde(borrow, rename = "type")]
            kind: Cow<'p, str>,
            #[serde(borrow)]
            value: Cow<'p, str>,
        }
        let wanted = || {
            let remedy =
                "send two objects with type and value, the types being kinds of identifiers";
            Rejected::new("mergeProperties", "is not a pair of identifiers", remedy)
        };
        let raw = raw.ok_or_else(wanted)?;
        let pairs: Vec<Pair<'_>> = serde_json::from_str(raw.get()).map_err(|_| wanted())?;
        if pairs.len() != 2 {
            return Err(wanted());
        }
        let mut identifiers = Vec::with_capacity(2);
        for pair in &pairs {
            let kind = match &*pair.kind {
                "userId" | "user_id" => IdentifierKind::CustomerId,
                "anonymousId" => IdentifierKind::AnonymousId,
                "mobile" => IdentifierKind::Phone,
                kind => IdentifierKind::parse(kind).ok_or_else(wanted)?,
            };
            identifiers.extend(self.identifier(&kind, &pair.value));
        }
        identifiers.sort();
        Ok(identifiers)
    }

    /// The first source whose channel is that of the event: declared in the plan, stated by the
    /// message, or known from the event's name; else the first source.
    fn fitting_source(&self, message: &Message<'_>) -> Result<usize, Rejected> {
        let sources = &self.definitions.workspace.sources;
        let event = wire::text("event", message.event)?.unwrap_or_default();
        let planned = self.definitions.plan.events.get(&*event).and_then(|e| e.channel.clone());
        let stated = || {
            let context = wire::object("context", message.context).ok()?;
            let members = Members::parse(context).ok()?;
            serde_json::from_str::<Name>(members.get("channel")?).ok()
        };
        let named = || match event.split_once(' ')?.0 {
            "Email" => Some(Name::from("email")),
            "SMS" => Some("sms".into()),
            "Push" => Some("push".into()),
            "Store" => Some("store".into()),
            _ => None,
        };
        let fits = |channel: Name| sources.iter().position(|source| source.channel == channel);
        let found = planned.and_then(fits).or_else(|| stated().and_then(fits));
        match found.or_else(|| named().and_then(fits)) {
            Some(source) => Ok(source),
            None if sources.is_empty() => {
                Err(Rejected::new("source", "is missing", "declare a source in sojourn.yaml"))
            }
            None => Ok(0),
        }
    }
}

/// Checks that hold for the whole text of a message.
pub(crate) fn check(json: &str) -> Result<(), Rejected> {
    if object::too_deep(json) {
        let reason = format!("nests deeper than {DEPTH_MAX} levels");
        return Err(Rejected::new("body", reason, "send flatter objects"));
    }
    if matches!(repair_surrogates(json), Cow::Owned(_)) {
        let reason = "holds half of a surrogate pair";
        return Err(Rejected::new("body", reason, "cut texts between characters"));
    }
    Ok(())
}

fn event_name<'m>(call: Call, own: Option<Cow<'m, str>>) -> Result<Cow<'m, str>, Rejected> {
    Ok(Cow::Borrowed(match call {
        Call::Track => {
            let Some(event) = own else {
                return Err(Rejected::new("event", "is missing", "name what happened"));
            };
            if event.chars().count() > EVENT_CHARS_MAX || event.chars().any(char::is_control) {
                let reason = format!(
                    "is longer than {EVENT_CHARS_MAX} characters or holds a control character"
                );
                return Err(Rejected::new("event", reason, "send a short name in plain text"));
            }
            return Ok(match event {
                Cow::Borrowed(event) => Cow::Borrowed(event.trim()),
                Cow::Owned(event) => Cow::Owned(event.trim().to_string()),
            });
        }
        Call::Identify => event_names::IDENTIFIED,
        Call::Page => event_names::PAGE_VIEWED,
        Call::Screen => event_names::SCREEN_VIEWED,
        Call::Group => event_names::GROUP_JOINED,
        Call::Alias | Call::Merge => event_names::ALIASED,
    }))
}

fn quoted(text: &str) -> Cow<'static, str> {
    Cow::Owned(serde_json::to_string(text).expect("a string is always JSON"))
}

/// `context.traits` as text, when there are any.
fn context_traits(context: &str) -> Option<&str> {
    #[derive(Deserialize)]
    struct Probe<'c> {
        #[serde(borrow)]
        traits: Option<&'c RawValue>,
    }
    memchr::memmem::find(context.as_bytes(), b"\"traits\"")?;
    let probe: Probe<'_> = serde_json::from_str(context).ok()?;
    wire::object("context.traits", probe.traits).ok().filter(|traits| !traits.is_empty())
}

/// The members of `above`, and those of `below` that it lacks.
fn merge<'m>(
    field: &'static str,
    above: &'m str,
    below: &'m str,
) -> Result<Cow<'m, str>, Rejected> {
    if below.is_empty() || above.is_empty() {
        return Ok(Cow::Borrowed(if below.is_empty() { above } else { below }));
    }
    let not_json = |_| Rejected::new(field, "is not an object", "send an object");
    let mut members = Members::parse(above).map_err(not_json)?;
    members.add_all(Members::parse(below).map_err(not_json)?);
    Ok(Cow::Owned(members.text()))
}

#[cfg(test)]
pub(crate) mod tests;
