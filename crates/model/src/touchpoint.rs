//! A touchpoint: one thing that happened between a person and the company, on any channel.

use crate::{Identifier, ProfileId, Timestamp};

/// A touchpoint as read from a log record; borrows the record's bytes, so that reading one copies
/// nothing but its identifiers.
#[derive(Debug, Clone)]
pub struct Touchpoint<'a> {
    /// Idempotency key, at most 100 characters; counts once per source and person.
    pub message_id: &'a str,
    /// Id of the declared source.
    pub source: &'a str,
    /// Channel of the touchpoint: `web`, `email`, `social`, `store`, …
    pub channel: &'a str,
    /// Event name: `track` its own, the reserved ones in [`event_names`].
    pub event: &'a str,
    /// Usable identifiers, normalised, strongest first.
    pub identifiers: Vec<Identifier>,
    /// When it happened by the source's clock, corrected for skew; `None`: at log time.
    pub occurred_at: Option<Timestamp>,
    /// When the gateway took it.
    pub received_at: Timestamp,
    /// JSON object as text, or empty. Well-formed: the gateway has checked it.
    pub properties: &'a str,
    /// JSON object as text, or empty: `traits` of identify, `context.traits` merged below it.
    pub traits: &'a str,
    /// JSON object as text, or empty.
    pub context: &'a str,
    /// Historical import: enters timeline and aggregates, never triggers.
    pub imported: bool,
    /// Set by the engine for a touchpoint made by an `emit` step or by another role for a known
    /// profile (receipts); identity then only follows merges.
    pub profile: Option<ProfileId>,
}

/// Reserved event names.
pub mod event_names {
    /// `page` calls.
    pub const PAGE_VIEWED: &str = "Page Viewed";
    /// `screen` calls.
    pub const SCREEN_VIEWED: &str = "Screen Viewed";
    /// `group` calls.
    pub const GROUP_JOINED: &str = "Group Joined";
    /// `identify` calls.
    pub const IDENTIFIED: &str = "Identified";
    /// `alias` calls; identity acts on `previousId` (in `properties.previous_id`).
    pub const ALIASED: &str = "Aliased";
    /// Explicit statement of consent.
    pub const CONSENT_CHANGED: &str = "Consent Changed";
    /// One-click unsubscribe, preference centre.
    pub const UNSUBSCRIBED: &str = "Unsubscribed";
    /// Hard or soft bounce.
    pub const EMAIL_BOUNCED: &str = "Email Bounced";
    /// Complaint.
    pub const EMAIL_COMPLAINT: &str = "Email Marked as Spam";
    /// Carrier or keyword STOP.
    pub const SMS_STOPPED: &str = "SMS Stopped";
    /// Carrier START.
    pub const SMS_STARTED: &str = "SMS Started";
    /// The provider took the message (dispatcher's receipt).
    pub const MESSAGE_SENT: &str = "Message Sent";
    /// Final failure of an action: its reservation is released.
    pub const MESSAGE_FAILED: &str = "Message Failed";
    /// Outcome unknown: the reservation counts until it is known.
    pub const MESSAGE_UNKNOWN: &str = "Message Outcome Unknown";
    /// What a `call` was answered (`answer`).
    pub const CALL_ANSWERED: &str = "Call Answered";
    /// A `call` that failed for good, or was not let through.
    pub const CALL_FAILED: &str = "Call Failed";
    /// Link in an e-mail.
    pub const EMAIL_LINK_CLICKED: &str = "Email Link Clicked";
    /// Open pixel of an e-mail.
    pub const EMAIL_OPENED: &str = "Email Opened";
    /// A push message was opened.
    pub const PUSH_OPENED: &str = "Push Opened";
    /// A push message was waved away.
    pub const PUSH_DISMISSED: &str = "Push Dismissed";
    /// A message on the channel in `properties.channel` was waved away.
    pub const MESSAGE_DISMISSED: &str = "Message Dismissed";
    /// Delivered, as an e-mail provider says.
    pub const EMAIL_DELIVERED: &str = "Email Delivered";
    /// A till's check-in.
    pub const STORE_VISITED: &str = "Store Visited";
}
