//! The tracking plan: identifiers, events, attributes, and what each was collected for.

use super::Path;
use sojourn_model::{DurationMs, IdentifierKind, Name};
use std::collections::BTreeMap;

/// tracking-plan.yaml
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TrackingPlan {
    /// Kinds in order of priority, strongest first: the file's order, then the defaults it left out.
    pub identifiers: Vec<IdentifierRule>,
    /// Values that never join, lower-cased, beside the built-in ones.
    pub blocked_values: Vec<Name>,
    /// Events by name.
    pub events: BTreeMap<Name, EventPlan>,
    /// Attributes by name.
    pub attributes: BTreeMap<Name, FieldPlan>,
}

/// Where an identifier is found and how many one profile may hold.
#[derive(Debug, Clone, PartialEq)]
pub struct IdentifierRule {
    /// Kind.
    pub kind: IdentifierKind,
    /// Places in the message, in order: `userId`, `traits.email`, `context.device.id`, …
    pub from: Vec<Path>,
    /// Most values of the kind per profile.
    pub limit: u32,
    /// Whether it joins profiles.
    pub joins: bool,
}

/// An event.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EventPlan {
    /// Channel it comes from, when declared.
    pub channel: Option<Name>,
    /// How long its touchpoints are kept.
    pub retention: Option<DurationMs>,
    /// Properties by name.
    pub properties: BTreeMap<Name, FieldPlan>,
}

/// A property or an attribute.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FieldPlan {
    /// Type; `None`: any.
    pub kind: Option<FieldKind>,
    /// Whether an event without it is refused by a `strict` source.
    pub required: bool,
    /// Purposes it was collected for; empty: not declared, any.
    pub purposes: Vec<Name>,
    /// Unit of a number.
    pub unit: Option<Name>,
    /// Given by the customer (declared) rather than inferred.
    pub given_by_customer: bool,
    /// Sensitive in the sense of the law.
    pub sensitive: bool,
    /// How long it is kept.
    pub retention: Option<DurationMs>,
}

/// Types of fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "named as in the file")]
pub enum FieldKind {
    String,
    Number,
    Boolean,
    Date,
    Timestamp,
    List,
    Object,
}
