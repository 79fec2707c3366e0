//! Records of the `profiles` topic: the engine's input, read and written without copies.

use crate::convert::{
    command_from_wire, command_to_wire, decode, identifier_len, publish_to_wire, read_identifier,
    transition_from_wire, write_identifier,
};
use crate::log;
use crate::origin::{Origin, read_origin, write_origin};
use crate::touchpoint::{read_touchpoint, touchpoint_len, write_touchpoint};
use crate::wire::{self, Count, Reader, Sink, WireError};
use prost::Message;
use sojourn_model::{MergeId, ProfileId, Record, VersionId};

/// A record of the `profiles` topic with where it came from.
#[derive(Debug, Clone)]
pub struct ProfileRecord<'a> {
    /// Where it came from; `None`: a command, a publication or a tick, which are no answer to
    /// another record and do no harm when they come twice.
    pub origin: Option<Origin>,
    /// Whether `origin.partition` counts owners of `profiles` (else identity shards).
    pub from_owner: bool,
    /// What it says.
    pub record: Record<'a>,
}

/// Appends a record to `out`.
pub fn encode_profile_record(
    origin: Option<Origin>,
    from_owner: bool,
    record: &Record<'_>,
    out: &mut Vec<u8>,
) {
    write_front(out, origin, from_owner);
    match record {
        Record::Touchpoint { profile, touchpoint } => {
            let inner = touchpoint_len(touchpoint);
            out.reserve(inner + 24);
            write_person_head(out, *profile, inner);
            write_touchpoint(out, touchpoint);
        }
        Record::Command(command) => message(out, 10, &command_to_wire(command)),
        Record::Publish { version, transition } => {
            message(out, 11, &publish_to_wire(*version, transition));
        }
        Record::PersonCommand { profile, command } => {
            let command = Some(command_to_wire(command));
            message(out, 9, &log::PersonCommand { profile: profile.0, command });
        }
        other => {
            let mut count = Count(0);
            let field = write_small(&mut count, other);
            wire::head(out, field, count.0);
            write_small(out, other);
        }
    }
}

/// Appends a touchpoint's record to `out` from the bytes that [`crate::raw_touchpoint`] gave.
pub fn encode_person_touchpoint(
    origin: Option<Origin>,
    profile: ProfileId,
    raw: &[u8],
    out: &mut Vec<u8>,
) {
    out.reserve(raw.len() + 48);
    write_front(out, origin, false);
    write_person_head(out, profile, raw.len());
    out.put(raw);
}

fn write_front(out: &mut Vec<u8>, origin: Option<Origin>, from_owner: bool) {
    if let Some(origin) = origin {
        let mut count = Count(0);
        write_origin(&mut count, origin);
        wire::head(out, 1, count.0);
        write_origin(out, origin);
    }
    wire::varint(out, 2, from_owner.into());
}

fn write_person_head(out: &mut Vec<u8>, profile: ProfileId, touchpoint: usize) {
    let id = if profile.0 == 0 { 0 } else { 9 };
    wire::head(out, 3, id + wire::delimited_len(touchpoint));
    wire::fixed64(out, 1, profile.0);
    wire::head(out, 2, touchpoint);
}

fn message(out: &mut Vec<u8>, field: u32, message: &impl Message) {
    let body = message.encode_to_vec();
    wire::head(out, field, body.len());
    out.put(&body);
}

fn write_merge_id(out: &mut impl Sink, id: MergeId) {
    let cause = if id.cause == 0 { 0 } else { 9 };
    let index = if id.index == 0 { 0 } else { 1 + wire::varint_len(id.index.into()) };
    wire::head(out, 1, cause + index);
    wire::fixed64(out, 1, id.cause);
    wire::varint(out, 2, id.index.into());
}

/// Writes the body of a record that is neither a touchpoint nor a command; returns its field.
fn write_small(out: &mut impl Sink, record: &Record<'_>) -> u32 {
    match record {
        Record::Release { profile, to, identifier } => {
            wire::fixed64(out, 1, profile.0);
            wire::fixed64(out, 2, to.0);
            wire::head(out, 3, identifier_len(identifier));
            write_identifier(out, identifier);
            4
        }
        Record::Inherit { profile, inheritance } => {
            wire::fixed64(out, 1, profile.0);
            wire::bytes(out, 2, inheritance);
            5
        }
        Record::Merge { id, from, into } => {
            write_merge_id(out, *id);
            wire::fixed64(out, 2, from.0);
            wire::fixed64(out, 3, into.0);
            6
        }
        Record::Await { id, into, from } => {
            write_merge_id(out, *id);
            wire::fixed64(out, 2, into.0);
            wire::fixed64(out, 3, from.0);
            7
        }
        Record::Absorb { id, into, from, state } => {
            write_merge_id(out, *id);
            wire::fixed64(out, 2, into.0);
            wire::fixed64(out, 3, from.0);
            wire::bytes(out, 4, state);
            8
        }
        Record::Tick => 12,
        Record::Touchpoint { .. }
        | Record::PersonCommand { .. }
        | Record::Command(_)
        | Record::Publish { .. } => {
            unreachable!("written by encode_profile_record itself")
        }
    }
}

/// Reads a record of the `profiles` topic.
pub fn decode_profile_record(bytes: &[u8]) -> Result<ProfileRecord<'_>, WireError> {
    let (mut origin, mut from_owner, mut record) = (None, false, None);
    let mut reader = Reader::new(bytes, "profile record");
    while let Some((number, value)) = reader.next()? {
        match number {
            1 => origin = Some(read_origin(value.bytes("origin")?)?),
            2 => from_owner = value.varint("from_owner")? != 0,
            3..=12 => record = Some(read_kind(number, value.bytes("kind")?)?),
            _ => {}
        }
    }
    let record = record.ok_or_else(|| WireError::new("kind", "missing"))?;
    Ok(ProfileRecord { origin, from_owner, record })
}

fn read_kind(number: u32, bytes: &[u8]) -> Result<Record<'_>, WireError> {
    match number {
        3 => read_person_touchpoint(bytes),
        4 => read_release(bytes),
        5 => {
            let (mut profile, mut inheritance) = (0, &[][..]);
            let mut reader = Reader::new(bytes, "inherit");
            while let Some((number, value)) = reader.next()? {
                match number {
                    1 => profile = value.fixed64("inherit.profile")?,
                    2 => inheritance = value.bytes("inherit.inheritance")?,
                    _ => {}
                }
            }
            Ok(Record::Inherit { profile: ProfileId(profile), inheritance })
        }
        6 => {
            let union = read_union(bytes, "merge")?;
            let (from, into) = (union.second, union.third);
            Ok(Record::Merge { id: union.id, from, into })
        }
        7 => {
            let union = read_union(bytes, "await")?;
            Ok(Record::Await { id: union.id, into: union.second, from: union.third })
        }
        8 => {
            let union = read_union(bytes, "absorb")?;
            let (into, from) = (union.second, union.third);
            Ok(Record::Absorb { id: union.id, into, from, state: union.state })
        }
        9 => {
            let wire: log::PersonCommand = decode("person_command", bytes)?;
            let command =
                wire.command.ok_or_else(|| WireError::new("person_command.command", "missing"))?;
            let command = command_from_wire(&command)?;
            Ok(Record::PersonCommand { profile: ProfileId(wire.profile), command })
        }
        10 => Ok(Record::Command(command_from_wire(&decode("command", bytes)?)?)),
        11 => {
            let wire: log::Publish = decode("publish", bytes)?;
            let transition = transition_from_wire(&wire)?;
            Ok(Record::Publish { version: VersionId(wire.version), transition })
        }
        _ => Ok(Record::Tick),
    }
}

fn read_person_touchpoint(bytes: &[u8]) -> Result<Record<'_>, WireError> {
    let (mut profile, mut touchpoint) = (0, None);
    let mut reader = Reader::new(bytes, "person touchpoint");
    while let Some((number, value)) = reader.next()? {
        match number {
            1 => profile = value.fixed64("touchpoint.profile")?,
            2 => touchpoint = Some(read_touchpoint(value.bytes("touchpoint.touchpoint")?)?),
            _ => {}
        }
    }
    let touchpoint =
        touchpoint.ok_or_else(|| WireError::new("touchpoint.touchpoint", "missing"))?;
    Ok(Record::Touchpoint { profile: ProfileId(profile), touchpoint })
}

fn read_release(bytes: &[u8]) -> Result<Record<'_>, WireError> {
    let (mut profile, mut to, mut identifier) = (0, 0, None);
    let mut reader = Reader::new(bytes, "release");
    while let Some((number, value)) = reader.next()? {
        match number {
            1 => profile = value.fixed64("release.profile")?,
            2 => to = value.fixed64("release.to")?,
            3 => identifier = Some(read_identifier(value.bytes("release.identifier")?)?),
            _ => {}
        }
    }
    let identifier = identifier.ok_or_else(|| WireError::new("release.identifier", "missing"))?;
    Ok(Record::Release { profile: ProfileId(profile), to: ProfileId(to), identifier })
}

/// Merge, await and absorb have the same shape; the order of the two profiles differs.
struct Union<'a> {
    id: MergeId,
    second: ProfileId,
    third: ProfileId,
    state: &'a [u8],
}

fn read_union<'a>(bytes: &'a [u8], message: &'static str) -> Result<Union<'a>, WireError> {
    let mut union = Union {
        id: MergeId { cause: 0, index: 0 },
        second: ProfileId(0),
        third: ProfileId(0),
        state: &[],
    };
    let mut reader = Reader::new(bytes, message);
    while let Some((number, value)) = reader.next()? {
        match number {
            1 => union.id = read_merge_id(value.bytes("merge.id")?)?,
            2 => union.second = ProfileId(value.fixed64("merge: first profile")?),
            3 => union.third = ProfileId(value.fixed64("merge: second profile")?),
            4 => union.state = value.bytes("absorb.state")?,
            _ => {}
        }
    }
    Ok(union)
}

fn read_merge_id(bytes: &[u8]) -> Result<MergeId, WireError> {
    let mut id = MergeId { cause: 0, index: 0 };
    let mut reader = Reader::new(bytes, "merge.id");
    while let Some((number, value)) = reader.next()? {
        match number {
            1 => id.cause = value.fixed64("merge.id.cause")?,
            2 => id.index = value.u16("merge.id.index")?,
            _ => {}
        }
    }
    Ok(id)
}
