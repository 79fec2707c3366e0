//! Names that are known without being declared.

/// Kinds of channels that the program brings along.
pub(super) const CHANNEL_KINDS: &[&str] =
    &["smtp", "grpc", "webhook", "in_store", "web", "file", "log"];

/// Kinds of sources, and the secret without which they would take anybody's word.
pub(super) const SOURCE_SECRETS: &[(&str, Option<&str>)] = &[
    ("segment", Some("write_key")),
    ("pos", Some("secret")),
    ("hook", Some("secret")),
    ("webhook", Some("secret")),
    ("cloudevents", Some("write_key")),
    ("grpc", Some("write_key")),
    ("sendgrid", Some("verify_key")),
    ("meta", Some("app_secret")),
    ("import", None),
];

/// Channels that every workspace may name before it has declared how they are delivered.
pub(crate) const KNOWN_CHANNELS: &[&str] = &[
    "email", "sms", "whatsapp", "call", "push", "web", "in_store", "store", "social", "webhook",
    "in_app", "inbox",
];

/// Purposes that data may be collected for without the policy naming them.
pub(super) const KNOWN_PURPOSES: &[&str] =
    &["service", "marketing", "feedback", "personalization", "analytics", "advertising"];

/// Data purposes: said of data, not of messages.
pub(super) const DATA_PURPOSES: &[&str] = &["personalization", "analytics", "advertising"];
