//! What several records share: origins, identifiers, commands, names.

use crate::log;
use crate::wire::{self, Reader, Sink, WireError};
use sojourn_model::{
    Command, Existing, Identifier, IdentifierKind, KillTarget, Name, StepMap, Timestamp,
    Transition, VersionId,
};

/// The written kind in two parts, so that nothing is put together: `social:` and the network.
#[inline]
fn kind_parts(kind: &IdentifierKind) -> (&'static str, &str) {
    match kind {
        IdentifierKind::CustomerId => ("customer_id", ""),
        IdentifierKind::Email => ("email", ""),
        IdentifierKind::Phone => ("phone", ""),
        IdentifierKind::LoyaltyId => ("loyalty_id", ""),
        IdentifierKind::AnonymousId => ("anonymous_id", ""),
        IdentifierKind::DeviceId => ("device_id", ""),
        IdentifierKind::Social(network) => ("social:", network),
        IdentifierKind::Custom(name) => ("custom:", name),
    }
}

/// Bytes of an identifier's message.
#[inline]
pub(crate) fn identifier_len(identifier: &Identifier) -> usize {
    let (head, tail) = kind_parts(&identifier.kind);
    let value = identifier.value.len();
    wire::delimited_len(head.len() + tail.len())
        + if value == 0 { 0 } else { wire::delimited_len(value) }
}

#[inline]
pub(crate) fn write_identifier(out: &mut impl Sink, identifier: &Identifier) {
    let (head, tail) = kind_parts(&identifier.kind);
    wire::head(out, 1, head.len() + tail.len());
    out.put(head.as_bytes());
    out.put(tail.as_bytes());
    wire::bytes(out, 2, identifier.value.as_bytes());
}

#[inline]
pub(crate) fn read_identifier(bytes: &[u8]) -> Result<Identifier, WireError> {
    let (mut kind, mut text) = ("", "");
    let mut reader = Reader::new(bytes, "identifier");
    while let Some((number, value)) = reader.next()? {
        match number {
            1 => kind = value.str("identifier.kind")?,
            2 => text = value.str("identifier.value")?,
            _ => {}
        }
    }
    let kind = IdentifierKind::parse(kind)
        .ok_or_else(|| WireError::new("identifier.kind", "not a known kind"))?;
    Ok(Identifier::new(kind, text))
}

pub(crate) fn identifier_to_wire(identifier: &Identifier) -> log::Identifier {
    log::Identifier { kind: identifier.kind.to_string(), value: identifier.value.to_string() }
}

pub(crate) fn identifier_from_wire(identifier: &log::Identifier) -> Result<Identifier, WireError> {
    let kind = IdentifierKind::parse(&identifier.kind)
        .ok_or_else(|| WireError::new("identifier.kind", "not a known kind"))?;
    Ok(Identifier::new(kind, &identifier.value))
}

/// An optional name for the wire.
pub(crate) fn text(name: Option<&Name>) -> Option<String> {
    name.map(ToString::to_string)
}

/// An optional name from the wire.
pub(crate) fn named(text: Option<&String>) -> Option<Name> {
    text.map(|text| Name::from(text.as_str()))
}

/// Reads an id that the model writes.
pub(crate) fn id<T: std::str::FromStr>(field: &'static str, text: &str) -> Result<T, WireError> {
    text.parse().map_err(|_| WireError::new(field, "not an id of this kind"))
}

/// A prost message that does not decode, with prost's words for the place.
pub(crate) fn decode<M: prost::Message + Default>(
    field: &'static str,
    bytes: &[u8],
) -> Result<M, WireError> {
    M::decode(bytes).map_err(|error| WireError::new(field, error.to_string()))
}

pub(crate) fn command_to_wire(command: &Command) -> log::Command {
    let mut wire = log::Command::default();
    match command {
        Command::Pause { journey } => {
            wire.kind = "pause".into();
            wire.journey = journey.to_string();
        }
        Command::Resume { journey } => {
            wire.kind = "resume".into();
            wire.journey = journey.to_string();
        }
        Command::Stop { journey } => {
            wire.kind = "stop".into();
            wire.journey = journey.to_string();
        }
        Command::Kill { target } => {
            wire.kind = "kill".into();
            target_to_wire(target, &mut wire);
        }
        Command::Release { target } => {
            wire.kind = "release".into();
            target_to_wire(target, &mut wire);
        }
        Command::Erase => wire.kind = "erase".into(),
        Command::Enter { journey, key } => {
            wire.kind = "enter".into();
            wire.journey = journey.to_string();
            wire.key = text(key.as_ref());
        }
        Command::Unmerge => wire.kind = "unmerge".into(),
        Command::Unsuppress { channel, endpoint, reason } => {
            wire.kind = "unsuppress".into();
            wire.channel = channel.to_string();
            wire.endpoint = text(endpoint.as_ref());
            wire.reason = reason.to_string();
        }
        Command::Audit { actor, at, text } => {
            wire.kind = "audit".into();
            wire.actor = actor.to_string();
            wire.at_ms = at.0;
            wire.reason = text.to_string();
        }
    }
    wire
}

/// A publish for the wire; draining leaves no more than the version.
pub(crate) fn publish_to_wire(version: VersionId, transition: &Transition) -> log::Publish {
    let word = |existing: Existing| match existing {
        Existing::Drain => String::new(),
        other => other.as_str().to_owned(),
    };
    let journeys = transition.journeys.iter().map(|(journey, existing)| log::JourneyExisting {
        journey: journey.to_string(),
        existing: existing.as_str().to_owned(),
    });
    let maps = transition.maps.iter().map(|map| log::StepMap {
        journey: map.journey.as_ref().map_or_else(String::new, ToString::to_string),
        old: map.old.to_string(),
        new: map.new.to_string(),
    });
    log::Publish {
        version: version.0,
        existing: word(transition.existing),
        journeys: journeys.collect(),
        maps: maps.collect(),
    }
}

pub(crate) fn transition_from_wire(wire: &log::Publish) -> Result<Transition, WireError> {
    let existing = |word: &str| match word {
        "" => Ok(Existing::Drain),
        word => Existing::parse(word)
            .ok_or_else(|| WireError::new("publish.existing", "not drain, migrate or stop")),
    };
    let journeys = wire
        .journeys
        .iter()
        .map(|entry| Ok((entry.journey.as_str().into(), existing(&entry.existing)?)))
        .collect::<Result<_, WireError>>()?;
    let maps = wire.maps.iter().map(|map| StepMap {
        journey: Some(map.journey.as_str()).filter(|name| !name.is_empty()).map(Name::from),
        old: map.old.as_str().into(),
        new: map.new.as_str().into(),
    });
    Ok(Transition { existing: existing(&wire.existing)?, journeys, maps: maps.collect() })
}

fn target_to_wire(target: &KillTarget, wire: &mut log::Command) {
    let (kind, name) = match target {
        KillTarget::All => ("all", ""),
        KillTarget::Class(name) => ("class", &**name),
        KillTarget::Channel(name) => ("channel", &**name),
        KillTarget::Journey(name) => ("journey", &**name),
    };
    wire.target_kind = kind.into();
    wire.target = name.into();
}

fn target_from_wire(wire: &log::Command) -> Result<KillTarget, WireError> {
    let name = || Name::from(wire.target.as_str());
    match wire.target_kind.as_str() {
        "all" => Ok(KillTarget::All),
        "class" => Ok(KillTarget::Class(name())),
        "channel" => Ok(KillTarget::Channel(name())),
        "journey" => Ok(KillTarget::Journey(name())),
        _ => Err(WireError::new("command.target_kind", "not all, class, channel or journey")),
    }
}

pub(crate) fn command_from_wire(wire: &log::Command) -> Result<Command, WireError> {
    let journey = || Name::from(wire.journey.as_str());
    Ok(match wire.kind.as_str() {
        "pause" => Command::Pause { journey: journey() },
        "resume" => Command::Resume { journey: journey() },
        "stop" => Command::Stop { journey: journey() },
        "kill" => Command::Kill { target: target_from_wire(wire)? },
        "release" => Command::Release { target: target_from_wire(wire)? },
        "erase" => Command::Erase,
        "enter" => Command::Enter { journey: journey(), key: named(wire.key.as_ref()) },
        "unmerge" => Command::Unmerge,
        "unsuppress" => Command::Unsuppress {
            channel: wire.channel.as_str().into(),
            endpoint: named(wire.endpoint.as_ref()),
            reason: wire.reason.as_str().into(),
        },
        "audit" => Command::Audit {
            actor: wire.actor.as_str().into(),
            at: Timestamp(wire.at_ms),
            text: wire.reason.as_str().into(),
        },
        _ => return Err(WireError::new("command.kind", "not a known command")),
    })
}
