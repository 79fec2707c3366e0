//! An endpoint moves to another person: its denials and suppressions go along, grants do not.

use crate::Effect;
use crate::codec;
use crate::consent::SuppressionEntry;
use crate::effect::OwnedRecord;
use crate::mutation::{Mutation, mutated};
use crate::step::Step;
use serde::{Deserialize, Serialize};
use sojourn_model::{ConsentRecord, ConsentState, Identifier, IdentifierKind, ProfileId};

/// What the new holder of an endpoint inherits.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Inheritance {
    /// Denies in force, naming the endpoint. Never a grant (CON-3).
    pub denials: Vec<ConsentRecord>,
    /// Bounces, complaints, STOPs.
    pub suppressions: Vec<SuppressionEntry>,
}

fn channels_of(kind: &IdentifierKind) -> &'static [&'static str] {
    match kind {
        IdentifierKind::Email => &["email"],
        IdentifierKind::Phone => &["sms", "whatsapp", "call"],
        IdentifierKind::DeviceId => &["push"],
        _ => &[],
    }
}

impl Step<'_> {
    /// An identifier leaves this person. Gives what its new holder inherits, when there is anything.
    pub(crate) fn release(&mut self, identifier: &Identifier) -> Option<Inheritance> {
        self.profile.identifiers.retain(|held| held.identifier != *identifier);
        let mut inheritance = Inheritance::default();
        for channel in channels_of(&identifier.kind) {
            let endpoint = &identifier.value;
            let denials = self.profile.consents.denials_of(channel, endpoint, self.now);
            inheritance.denials.extend(denials);
            let entries = self.profile.suppressions.entries().iter();
            let of_endpoint = entries.filter(|entry| {
                &*entry.channel == *channel && entry.endpoint == *endpoint && entry.active()
            });
            inheritance.suppressions.extend(of_endpoint.cloned());
        }
        let something = !inheritance.denials.is_empty() || !inheritance.suppressions.is_empty();
        something.then_some(inheritance)
    }

    /// This person now holds an endpoint with a past.
    pub(crate) fn inherit(&mut self, inheritance: Inheritance) {
        for denial in inheritance.denials {
            // CON-3: whatever the bytes say, a grant is never inherited.
            if denial.state == ConsentState::Denied || mutated(Mutation::GrantInherited) {
                self.take_consent(denial, false);
            }
        }
        for entry in inheritance.suppressions {
            self.take_suppression(entry);
        }
        self.cancel_forbidden();
    }

    /// Sends an inheritance on to its new holder.
    pub(crate) fn bequeath(&mut self, to: ProfileId, inheritance: &Inheritance) {
        let record = OwnedRecord::Inherit { inheritance: codec::encode(inheritance) };
        self.effects.push(Effect::Forward { to, record });
    }
}
