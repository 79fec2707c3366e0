//! Identifiers: what a touchpoint says of who somebody is (semantics 2).

use crate::Name;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Kind of an identifier. The order of the variants is the default priority, strongest first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum IdentifierKind {
    /// The shop's own id of a customer. Two different ones never merge through a weaker identifier.
    CustomerId,
    /// E-mail address, lower-cased and trimmed.
    Email,
    /// Phone number in E.164.
    Phone,
    /// Loyalty card.
    LoyaltyId,
    /// A browser's or an app's anonymous id.
    AnonymousId,
    /// A device id.
    DeviceId,
    /// An account on a social network.
    Social(Name),
    /// An identifier of the workspace's own.
    Custom(Name),
}

impl IdentifierKind {
    /// Reads the written form: `customer_id`, `email`, …, `social:<network>`, `custom:<name>`.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "customer_id" => Self::CustomerId,
            "email" => Self::Email,
            "phone" => Self::Phone,
            "loyalty_id" => Self::LoyaltyId,
            "anonymous_id" => Self::AnonymousId,
            "device_id" => Self::DeviceId,
            _ => match text.split_once(':') {
                Some(("social", network)) if !network.is_empty() => Self::Social(network.into()),
                Some(("custom", name)) if !name.is_empty() => Self::Custom(name.into()),
                _ => return None,
            },
        })
    }
}

impl fmt::Display for IdentifierKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CustomerId => f.write_str("customer_id"),
            Self::Email => f.write_str("email"),
            Self::Phone => f.write_str("phone"),
            Self::LoyaltyId => f.write_str("loyalty_id"),
            Self::AnonymousId => f.write_str("anonymous_id"),
            Self::DeviceId => f.write_str("device_id"),
            Self::Social(network) => write!(f, "social:{network}"),
            Self::Custom(name) => write!(f, "custom:{name}"),
        }
    }
}

/// An identifier with its normalised value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Identifier {
    /// What kind of identifier.
    pub kind: IdentifierKind,
    /// The normalised value; the raw form is kept for display only, on the touchpoint.
    pub value: Name,
}

impl Identifier {
    /// An identifier of `kind` whose value is already normalised.
    pub fn new(kind: IdentifierKind, value: &str) -> Self {
        Self { kind, value: value.into() }
    }
}

impl fmt::Display for Identifier {
    /// `email:a@b.c`, as the command line takes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind, self.value)
    }
}
