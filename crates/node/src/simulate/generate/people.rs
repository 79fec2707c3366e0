//! Who is in a generated history: where they live, how often they come, what they agreed to.

use super::values::{Values, known_attribute};
use crate::chance::Chance;
use chrono_tz::Tz;
use serde_json::{Map, Value as Json, json};
use sojourn_model::{IdentifierKind, Name, Timestamp};
use sojourn_rules::{Definitions, Path};

/// Zones of those who do not live in the workspace's.
const ZONES: [Tz; 4] =
    [Tz::Europe__Warsaw, Tz::America__New_York, Tz::Asia__Tokyo, Tz::Australia__Sydney];

/// Somebody, with a stream of chance of their own: others do not change what they do.
#[derive(Debug)]
pub(super) struct Person {
    pub(super) number: u32,
    pub(super) zone: Tz,
    /// Of a thousand days, on how many they come.
    pub(super) days_in_thousand: u32,
    /// Of a hundred visits, how many go to their usual place.
    pub(super) usual: usize,
    /// Whether they carry the loyalty card.
    pub(super) card: bool,
    /// The day on which they first come; none: known before.
    pub(super) arrives: Option<u32>,
    /// What they have begun and not finished: a cart, an appointment.
    pub(super) instance: u32,
    /// The browser they use today, of two.
    pub(super) browser: u32,
    /// The day on which their address bounces for good.
    pub(super) bounces: Option<u32>,
    /// What they permit now.
    pub(super) consents: Vec<Consent>,
    pub(super) chance: Chance,
}

/// A permission that can be given and taken back.
#[derive(Debug, Clone)]
pub(super) struct Consent {
    /// None: a data purpose.
    pub(super) channel: Option<Name>,
    pub(super) purpose: Name,
    pub(super) topic: Option<Name>,
    pub(super) granted: bool,
}

impl Person {
    pub(super) fn new(number: u32, days: u32, seed: u64, definitions: &Definitions) -> Self {
        let mut chance = Chance::of(seed, u64::from(number));
        let home = definitions.workspace.time_zone.parse().unwrap_or(Tz::UTC);
        let zone = if chance.percent(85) { home } else { ZONES[chance.below(ZONES.len())] };
        // A tenth comes on most days, half once in three weeks.
        let days_in_thousand = match chance.below(10) {
            0 => 600,
            1..5 => 180,
            _ => 50,
        };
        let arrives = chance.percent(25).then(|| chance.below(days as usize) as u32);
        let bounces = chance.per_mille(15).then(|| chance.below(days as usize) as u32);
        let consents = consents(definitions, &mut chance);
        let (usual, card) = (chance.below(100), chance.percent(70));
        let instance = 1;
        Self {
            number,
            zone,
            days_in_thousand,
            usual,
            card,
            arrives,
            instance,
            browser: 1,
            bounces,
            consents,
            chance,
        }
    }

    /// Their identifier of a kind; none: they have none.
    pub(super) fn identifier(&self, kind: &IdentifierKind) -> Option<String> {
        let number = self.number;
        Some(match kind {
            IdentifierKind::CustomerId => format!("person-{number}"),
            IdentifierKind::Email => format!("person-{number}@example.com"),
            // Mobile numbers of the United Kingdom.
            IdentifierKind::Phone => format!("+447400{number:06}"),
            IdentifierKind::AnonymousId => format!("browser-{number}-{}", self.browser),
            IdentifierKind::DeviceId => format!("device-{number}"),
            IdentifierKind::LoyaltyId if !self.card => return None,
            IdentifierKind::LoyaltyId => format!("CARD-{number}"),
            IdentifierKind::Social(network) => format!("{network}-{number}"),
            IdentifierKind::Custom(_) => return None,
        })
    }

    /// Puts every identifier whose place is not in the properties into a message.
    pub(super) fn identify(&self, definitions: &Definitions, message: &mut Json) {
        for rule in &definitions.plan.identifiers {
            let place =
                rule.from.iter().find(|path| path.first().is_some_and(|p| &**p != "properties"));
            if let (Some(place), Some(value)) = (place, self.identifier(&rule.kind)) {
                put(message, place, value.into());
            }
        }
    }

    /// Their attributes, as the plan declares them; sensitive ones are left out.
    pub(super) fn traits(
        &mut self,
        definitions: &Definitions,
        values: &Values,
        now: Timestamp,
    ) -> Json {
        let mut traits = Map::new();
        for (name, plan) in definitions.plan.attributes.iter().filter(|(_, plan)| !plan.sensitive) {
            if matches!(&**name, "time_zone" | "timezone") {
                traits.insert(name.to_string(), self.zone.name().into());
                continue;
            }
            if self.chance.percent(15) {
                continue;
            }
            let known = known_attribute(name, plan, definitions, now, &mut self.chance);
            let value = known.unwrap_or_else(|| values.draw(name, plan, now, &mut self.chance));
            if !value.is_null() {
                traits.insert(name.to_string(), value);
            }
        }
        Json::Object(traits)
    }

    /// What a statement of consent says.
    pub(super) fn statement(&self, consent: &Consent) -> Json {
        let state = if consent.granted { "granted" } else { "denied" };
        let mut said = json!({ "purpose": &*consent.purpose, "state": state });
        for (key, value) in [("channel", &consent.channel), ("topic", &consent.topic)] {
            if let Some(value) = value {
                said[key] = (**value).into();
            }
        }
        said
    }
}

/// What somebody agrees to when they first come: mostly e-mail, less the telephone.
fn consents(definitions: &Definitions, chance: &mut Chance) -> Vec<Consent> {
    let mut consents = Vec::new();
    for purpose in definitions.policy.purposes.iter().filter(|purpose| !purpose.service) {
        if purpose.data {
            let granted = chance.percent(60);
            consents.push(Consent {
                channel: None,
                purpose: purpose.name.clone(),
                topic: None,
                granted,
            });
            continue;
        }
        for channel in definitions.workspace.channels.keys() {
            let share = match &**channel {
                "email" => 70,
                "push" => 45,
                "sms" | "whatsapp" | "call" => 25,
                _ => 50,
            };
            let one = chance.percent(30).then(|| chance.below(purpose.topics.len().max(1)));
            consents.push(Consent {
                channel: Some(channel.clone()),
                purpose: purpose.name.clone(),
                topic: one.and_then(|place| purpose.topics.get(place).cloned()),
                granted: chance.percent(share),
            });
        }
    }
    consents
}

/// Writes a value at a path of member names, making the objects on the way.
pub(super) fn put(message: &mut Json, path: &Path, value: Json) {
    let mut at = message;
    for name in path.iter() {
        if !at.is_object() {
            *at = json!({});
        }
        at = &mut at[&**name];
    }
    *at = value;
}
