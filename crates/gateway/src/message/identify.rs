//! Identifiers of a message: found at the tracking plan's places, normalised, strongest first.

use super::Parts;
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use sojourn_model::{Identifier, IdentifierKind, Name};
use sojourn_rules::Definitions;
use sojourn_rules::limits::IDENTIFIER_BYTES_MAX;
use sojourn_rules::normalize::Normalizer;
use std::borrow::Cow;
use std::fmt;

/// Most identifiers of one touchpoint; weaker ones beyond it are left out.
pub const IDENTIFIERS_MAX: usize = 16;
/// Where identifiers stand, compiled from the plan: one pass over an object finds all of its own.
#[derive(Debug, Default)]
pub(super) struct Places {
    kinds: Vec<IdentifierKind>,
    normalizer: Normalizer,
    /// Members of the message itself.
    top: Vec<(Field, Place)>,
    properties: Node,
    traits: Node,
    context: Node,
}

/// A member of the message that is an id by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    User,
    Anonymous,
    Previous,
    Group,
}

/// Rank of a found value: which rule of the plan, which of the rule's places.
type Place = (u16, u16);

#[derive(Debug, Default)]
struct Node {
    places: Vec<Place>,
    children: Vec<(Name, Node)>,
}

impl Node {
    fn insert(&mut self, path: &[Name], place: Place) {
        let Some((first, rest)) = path.split_first() else {
            self.places.push(place);
            return;
        };
        let known = self.children.iter().position(|(name, _)| name == first);
        let index = known.unwrap_or_else(|| {
            self.children.push((first.clone(), Self::default()));
            self.children.len() - 1
        });
        self.children[index].1.insert(rest, place);
    }
}

impl Places {
    pub(super) fn new(definitions: &Definitions) -> Self {
        let Definitions { workspace, plan, .. } = definitions;
        let normalizer = Normalizer::new(workspace, plan);
        let mut places = Self { normalizer, ..Self::default() };
        for (rule, identifier) in plan.identifiers.iter().enumerate() {
            places.kinds.push(identifier.kind.clone());
            for (index, path) in identifier.from.iter().enumerate() {
                let place = (narrow(rule), narrow(index));
                match path.split_first() {
                    Some((root, [])) => {
                        let field = match &**root {
                            "userId" => Field::User,
                            "anonymousId" => Field::Anonymous,
                            "previousId" => Field::Previous,
                            "groupId" => Field::Group,
                            // Lint names the places that exist.
                            _ => continue,
                        };
                        places.top.push((field, place));
                    }
                    Some((root, rest)) => match &**root {
                        "properties" => places.properties.insert(rest, place),
                        "traits" => places.traits.insert(rest, place),
                        "context" => places.context.insert(rest, place),
                        _ => {}
                    },
                    None => {}
                }
            }
        }
        places
    }

    /// Whether `properties.<name>` is a place of an identifier.
    pub(super) fn names_property(&self, name: &str) -> bool {
        self.properties.children.iter().any(|(child, _)| &**child == name)
    }

    /// The usable identifiers of `parts`, strongest first, and how many had to be left out by a
    /// limit. `shared`: the source is a shared device, so its own ids say nothing of a person.
    pub(super) fn find(&self, parts: &Parts<'_>, shared: bool) -> (Vec<Identifier>, usize) {
        let mut found: Vec<(Place, Cow<'_, str>)> = Vec::with_capacity(4);
        for &(field, place) in &self.top {
            let value = match field {
                Field::User => &parts.user_id,
                Field::Anonymous => &parts.anonymous_id,
                Field::Previous => &parts.previous_id,
                Field::Group => &parts.group_id,
            };
            if let Some(value) = value {
                found.push((place, Cow::Borrowed(value)));
            }
        }
        let person_traits = if parts.group_traits { "" } else { parts.traits };
        for (node, text) in [
            (&self.properties, &*parts.properties),
            (&self.traits, person_traits),
            (&self.context, parts.context),
        ] {
            if !node.children.is_empty() && !text.is_empty() {
                let mut json = serde_json::Deserializer::from_str(text);
                // The text was well-formed when it was cut out; what is not found is not there.
                let _ = Collect { node, found: &mut found }.deserialize(&mut json);
            }
        }
        found.sort_by_key(|(place, _)| *place);

        let mut identifiers: Vec<Identifier> = parts.identifiers.clone();
        let mut left_out = 0;
        for ((rule, _), value) in found {
            let kind = &self.kinds[usize::from(rule)];
            if shared && matches!(kind, IdentifierKind::AnonymousId | IdentifierKind::DeviceId) {
                continue;
            }
            if identifiers.len() == IDENTIFIERS_MAX || value.trim().len() > IDENTIFIER_BYTES_MAX {
                left_out += 1;
                continue;
            }
            let Some(value) = self.normalizer.value(kind, &value) else { continue };
            if !identifiers.iter().any(|known| known.kind == *kind && known.value == value) {
                identifiers.push(Identifier { kind: kind.clone(), value });
            }
        }
        (identifiers, left_out)
    }

    /// `value` as an identifier of `kind`, unless it cannot be one or is blocked.
    pub(super) fn usable(&self, kind: &IdentifierKind, value: &str) -> Option<Identifier> {
        self.normalizer.identifier(kind, value)
    }
}

fn narrow(index: usize) -> u16 {
    u16::try_from(index).unwrap_or(u16::MAX)
}

/// Walks one value of the message along the plan's places.
struct Collect<'n, 'f, 'v> {
    node: &'n Node,
    found: &'f mut Vec<(Place, Cow<'v, str>)>,
}

impl<'v> Collect<'_, '_, 'v> {
    fn take(self, value: Cow<'v, str>) {
        for &place in &self.node.places {
            self.found.push((place, value.clone()));
        }
    }
}

impl<'v> DeserializeSeed<'v> for Collect<'_, '_, 'v> {
    type Value = ();
    fn deserialize<D: Deserializer<'v>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'v> Visitor<'v> for Collect<'_, '_, 'v> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }
    fn visit_borrowed_str<E>(self, value: &'v str) -> Result<(), E> {
        self.take(Cow::Borrowed(value));
        Ok(())
    }
    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        self.take(Cow::Owned(value.to_string()));
        Ok(())
    }
    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.take(Cow::Owned(value.to_string()));
        Ok(())
    }
    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.take(Cow::Owned(value.to_string()));
        Ok(())
    }
    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.take(Cow::Owned(value.to_string()));
        Ok(())
    }
    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
    fn visit_seq<S: SeqAccess<'v>>(self, mut seq: S) -> Result<(), S::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }
    fn visit_map<M: MapAccess<'v>>(self, mut map: M) -> Result<(), M::Error> {
        while let Some(child) = map.next_key_seed(Child(self.node))? {
            match child {
                Some(node) => map.next_value_seed(Collect { node, found: self.found })?,
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

/// Looks a key up among a node's children, without copying it.
struct Child<'n>(&'n Node);

impl<'v, 'n> DeserializeSeed<'v> for Child<'n> {
    type Value = Option<&'n Node>;
    fn deserialize<D: Deserializer<'v>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_str(self)
    }
}

impl<'n> Visitor<'_> for Child<'n> {
    type Value = Option<&'n Node>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }
    fn visit_str<E: de::Error>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self.0.children.iter().find(|(name, _)| &**name == key).map(|(_, node)| node))
    }
}
