//! Whom a channel's report is about when it names nobody: the holder of the address that it names
//! (language.md: reserved events come "with `properties.endpoint` or the address").

use serde::Deserialize;
use sojourn_model::{IdentifierKind, event_names};
use std::borrow::Cow;

/// The address that the properties of a reserved event name, in whichever member it stands.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Named<'r> {
    /// The channel that it says it is about.
    #[serde(borrow)]
    pub(crate) channel: Option<Cow<'r, str>>,
    #[serde(borrow)]
    endpoint: Option<Cow<'r, str>>,
    #[serde(borrow)]
    email: Option<Cow<'r, str>>,
    #[serde(borrow)]
    phone: Option<Cow<'r, str>>,
    #[serde(borrow)]
    device_id: Option<Cow<'r, str>>,
}

impl Named<'_> {
    /// Every value that is there, of whatever kind.
    pub(crate) fn values(&self) -> impl Iterator<Item = &str> {
        let all = [&self.endpoint, &self.email, &self.phone, &self.device_id];
        all.into_iter().flatten().map(|value| value.trim())
    }
}

/// The address in the properties of a reserved event, with its kind; `source` is the channel of the
/// source that reports it.
pub(super) fn named_address(
    event: &str,
    source: &str,
    properties: &str,
) -> Option<(IdentifierKind, String)> {
    let fixed = channel_of(event);
    let speaks = matches!(event, event_names::CONSENT_CHANGED | event_names::UNSUBSCRIBED);
    if (fixed.is_none() && !speaks) || properties.is_empty() {
        return None;
    }
    // Properties that cannot be read so name nobody; they are kept as they are.
    let report: Named<'_> = serde_json::from_str(properties).unwrap_or_default();
    let (kind, own) = match fixed.or(report.channel.as_deref()).unwrap_or(source) {
        "email" => (IdentifierKind::Email, report.email),
        "sms" | "whatsapp" | "call" => (IdentifierKind::Phone, report.phone),
        "push" => (IdentifierKind::DeviceId, report.device_id),
        // Where neither it nor its source says a channel, it is e-mail that was unsubscribed from.
        _ if event == event_names::UNSUBSCRIBED && report.channel.is_none() => {
            (IdentifierKind::Email, report.email)
        }
        _ => return None,
    };
    Some((kind, report.endpoint.or(own)?.into_owned()))
}

/// The channel that an event's name says.
fn channel_of(event: &str) -> Option<&'static str> {
    Some(match event {
        event_names::EMAIL_BOUNCED
        | event_names::EMAIL_COMPLAINT
        | event_names::EMAIL_DELIVERED
        | event_names::EMAIL_LINK_CLICKED
        | event_names::EMAIL_OPENED => "email",
        event_names::SMS_STARTED | event_names::SMS_STOPPED | "SMS Delivered" | "SMS Failed" => {
            "sms"
        }
        "Push Delivered" | "Push Failed" | "Push Opened" => "push",
        _ => return None,
    })
}
