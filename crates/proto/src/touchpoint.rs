//! Records of the `touchpoints` topic. A touchpoint decodes borrowed: only its identifiers copy.

use crate::convert::{
    command_from_wire, command_to_wire, decode, identifier_len, identifier_to_wire,
    read_identifier, write_identifier,
};
use crate::log;
use crate::wire::{self, Count, Reader, Sink, WireError};
use prost::Message;
use sojourn_model::{Command, Identifier, ProfileId, Timestamp, Touchpoint};

/// A record of the `touchpoints` topic.
#[derive(Debug, Clone)]
pub enum TouchpointRecord<'a> {
    /// Something happened.
    Touchpoint(Touchpoint<'a>),
    /// A command about a person, whom identity looks up.
    Command(IdentifiedCommand),
}

/// A command about a person named by an identifier or, failing that, by profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentifiedCommand {
    /// Whom, by identifier.
    pub identifier: Option<Identifier>,
    /// Whom, by profile: then identity only follows merges.
    pub profile: Option<ProfileId>,
    /// What to do.
    pub command: Command,
}

/// Appends a record that carries `touchpoint` to `out`.
pub fn encode_touchpoint_record(touchpoint: &Touchpoint<'_>, out: &mut Vec<u8>) {
    let length = touchpoint_len(touchpoint);
    out.reserve(length + 8);
    wire::head(out, 1, length);
    write_touchpoint(out, touchpoint);
}

/// Appends a record that carries a command to `out`.
pub fn encode_identified_command(command: &IdentifiedCommand, out: &mut Vec<u8>) {
    let record = log::TouchpointRecord {
        kind: Some(log::touchpoint_record::Kind::Command(log::IdentifiedCommand {
            identifier: command.identifier.as_ref().map(identifier_to_wire),
            profile: command.profile.map(|profile| profile.0),
            command: Some(command_to_wire(&command.command)),
        })),
    };
    out.extend_from_slice(&record.encode_to_vec());
}

/// Reads a record of the `touchpoints` topic.
pub fn decode_touchpoint_record(record: &[u8]) -> Result<TouchpointRecord<'_>, WireError> {
    let mut kind = None;
    let mut reader = Reader::new(record, "touchpoint record");
    while let Some((number, value)) = reader.next()? {
        match number {
            1 => {
                let bytes = value.bytes("touchpoint")?;
                kind = Some(TouchpointRecord::Touchpoint(read_touchpoint(bytes)?));
            }
            2 => {
                kind = Some(TouchpointRecord::Command(read_command(value.bytes("command")?)?));
            }
            _ => {}
        }
    }
    kind.ok_or_else(|| WireError::new("kind", "neither a touchpoint nor a command"))
}

/// The bytes of the touchpoint message in a record of the `touchpoints` topic, for
/// [`crate::encode_person_touchpoint`]: what identity does not change need not be encoded anew.
pub fn raw_touchpoint(record: &[u8]) -> Result<&[u8], WireError> {
    let mut raw = None;
    let mut reader = Reader::new(record, "touchpoint record");
    while let Some((number, value)) = reader.next()? {
        if number == 1 {
            raw = Some(value.bytes("touchpoint")?);
        }
    }
    raw.ok_or_else(|| WireError::new("touchpoint", "missing"))
}

fn read_command(bytes: &[u8]) -> Result<IdentifiedCommand, WireError> {
    let wire: log::IdentifiedCommand = decode("command", bytes)?;
    let identifier =
        wire.identifier.as_ref().map(crate::convert::identifier_from_wire).transpose()?;
    let profile = wire.profile.map(ProfileId);
    if identifier.is_none() && profile.is_none() {
        return Err(WireError::new("command.identifier", "missing, and no profile either"));
    }
    let command = wire.command.ok_or_else(|| WireError::new("command.command", "missing"))?;
    Ok(IdentifiedCommand { identifier, profile, command: command_from_wire(&command)? })
}

/// Bytes of a touchpoint's message.
pub(crate) fn touchpoint_len(touchpoint: &Touchpoint<'_>) -> usize {
    let mut count = Count(0);
    write_touchpoint(&mut count, touchpoint);
    count.0
}

pub(crate) fn write_touchpoint(out: &mut impl Sink, touchpoint: &Touchpoint<'_>) {
    wire::bytes(out, 1, touchpoint.message_id.as_bytes());
    wire::bytes(out, 2, touchpoint.source.as_bytes());
    wire::bytes(out, 3, touchpoint.channel.as_bytes());
    wire::bytes(out, 4, touchpoint.event.as_bytes());
    for identifier in &touchpoint.identifiers {
        wire::head(out, 5, identifier_len(identifier));
        write_identifier(out, identifier);
    }
    if let Some(at) = touchpoint.occurred_at {
        wire::sint_always(out, 6, at.0);
    }
    if touchpoint.received_at.0 != 0 {
        wire::sint_always(out, 7, touchpoint.received_at.0);
    }
    wire::bytes(out, 8, touchpoint.properties.as_bytes());
    wire::bytes(out, 9, touchpoint.traits.as_bytes());
    wire::bytes(out, 10, touchpoint.context.as_bytes());
    wire::varint(out, 11, touchpoint.imported.into());
    if let Some(profile) = touchpoint.profile {
        wire::fixed64_always(out, 12, profile.0);
    }
}

pub(crate) fn read_touchpoint(bytes: &[u8]) -> Result<Touchpoint<'_>, WireError> {
    let mut touchpoint = Touchpoint {
        message_id: "",
        source: "",
        channel: "",
        event: "",
        identifiers: Vec::new(),
        occurred_at: None,
        received_at: Timestamp(0),
        properties: "",
        traits: "",
        context: "",
        imported: false,
        profile: None,
    };
    let mut reader = Reader::new(bytes, "touchpoint");
    while let Some((number, value)) = reader.next()? {
        match number {
            1 => touchpoint.message_id = value.str("touchpoint.message_id")?,
            2 => touchpoint.source = value.str("touchpoint.source")?,
            3 => touchpoint.channel = value.str("touchpoint.channel")?,
            4 => touchpoint.event = value.str("touchpoint.event")?,
            5 => {
                let identifier = read_identifier(value.bytes("touchpoint.identifiers")?)?;
                touchpoint.identifiers.push(identifier);
            }
            6 => {
                let at = value.sint("touchpoint.occurred_at_ms")?;
                touchpoint.occurred_at = Some(Timestamp(at));
            }
            7 => touchpoint.received_at = Timestamp(value.sint("touchpoint.received_at_ms")?),
            8 => touchpoint.properties = value.str("touchpoint.properties_json")?,
            9 => touchpoint.traits = value.str("touchpoint.traits_json")?,
            10 => touchpoint.context = value.str("touchpoint.context_json")?,
            11 => touchpoint.imported = value.varint("touchpoint.imported")? != 0,
            12 => touchpoint.profile = Some(ProfileId(value.fixed64("touchpoint.profile")?)),
            _ => {}
        }
    }
    Ok(touchpoint)
}
