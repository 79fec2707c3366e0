//! A small protobuf reader and writer for the hot records, which borrows and does not allocate.
//!
//! Same wire format as the generated types (tests compare both, byte for byte). Scalars: the last
//! occurrence wins; unknown fields are skipped; groups are refused.

use std::str;

/// A record that does not decode.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("field {field} of the record does not decode: {reason}")]
pub struct WireError {
    /// The field, as `proto/` names it.
    pub field: &'static str,
    /// What is wrong with it.
    pub reason: String,
}

impl WireError {
    pub(crate) fn new(field: &'static str, reason: impl Into<String>) -> Self {
        Self { field, reason: reason.into() }
    }
}

/// A field's value by its wire type.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Value<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    Fixed32,
}

impl<'a> Value<'a> {
    pub(crate) fn varint(self, field: &'static str) -> Result<u64, WireError> {
        match self {
            Self::Varint(value) => Ok(value),
            _ => Err(WireError::new(field, "not a varint")),
        }
    }
    pub(crate) fn sint(self, field: &'static str) -> Result<i64, WireError> {
        let raw = self.varint(field)?;
        Ok((raw >> 1).cast_signed() ^ -(raw & 1).cast_signed())
    }
    pub(crate) fn u32(self, field: &'static str) -> Result<u32, WireError> {
        u32::try_from(self.varint(field)?).map_err(|_| WireError::new(field, "over 32 bits"))
    }
    pub(crate) fn u16(self, field: &'static str) -> Result<u16, WireError> {
        u16::try_from(self.varint(field)?).map_err(|_| WireError::new(field, "over 16 bits"))
    }
    pub(crate) fn fixed64(self, field: &'static str) -> Result<u64, WireError> {
        match self {
            Self::Fixed64(value) => Ok(value),
            _ => Err(WireError::new(field, "not a fixed64")),
        }
    }
    pub(crate) fn bytes(self, field: &'static str) -> Result<&'a [u8], WireError> {
        match self {
            Self::Bytes(value) => Ok(value),
            _ => Err(WireError::new(field, "not length-delimited")),
        }
    }
    pub(crate) fn str(self, field: &'static str) -> Result<&'a str, WireError> {
        str::from_utf8(self.bytes(field)?).map_err(|_| WireError::new(field, "not UTF-8"))
    }
}

/// Reads the fields of one message.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    /// Name of the message, for errors of its framing.
    message: &'static str,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(rest: &'a [u8], message: &'static str) -> Self {
        Self { rest, message }
    }

    fn fail(&self, reason: &str) -> WireError {
        WireError::new(self.message, reason)
    }

    #[inline]
    fn varint(&mut self) -> Result<u64, WireError> {
        let mut value = 0u64;
        for (place, &byte) in self.rest.iter().enumerate().take(10) {
            // The tenth byte holds one bit.
            if place == 9 && byte > 1 {
                return Err(self.fail("a varint is over 64 bits"));
            }
            value |= u64::from(byte & 0x7f) << (7 * place);
            if byte < 0x80 {
                self.rest = &self.rest[place + 1..];
                return Ok(value);
            }
        }
        Err(self.fail("a varint is cut off"))
    }

    /// The next field's number and value; `None` at the end of the message.
    #[inline]
    pub(crate) fn next(&mut self) -> Result<Option<(u32, Value<'a>)>, WireError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let key = self.varint()?;
        let number = match u32::try_from(key >> 3) {
            Ok(number) if number > 0 => number,
            _ => return Err(self.fail("a field number is invalid")),
        };
        let value = match key & 7 {
            0 => Value::Varint(self.varint()?),
            1 => {
                let Some((head, rest)) = self.rest.split_first_chunk::<8>() else {
                    return Err(self.fail("a fixed64 is cut off"));
                };
                self.rest = rest;
                Value::Fixed64(u64::from_le_bytes(*head))
            }
            2 => {
                let length = self.varint()?;
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                let Some((head, rest)) = self.rest.split_at_checked(length) else {
                    return Err(self.fail("a length goes past the end"));
                };
                self.rest = rest;
                Value::Bytes(head)
            }
            5 => {
                let Some((_, rest)) = self.rest.split_first_chunk::<4>() else {
                    return Err(self.fail("a fixed32 is cut off"));
                };
                self.rest = rest;
                Value::Fixed32
            }
            _ => return Err(self.fail("a wire type is not used here")),
        };
        Ok(Some((number, value)))
    }
}

/// Where a writer puts bytes: a buffer, or a count of them (for the length before a message).
pub(crate) trait Sink {
    fn put(&mut self, bytes: &[u8]);
    fn varint(&mut self, value: u64);
}

impl Sink for Vec<u8> {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
    #[inline]
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.push(value as u8);
    }
}

/// Counts.
pub(crate) struct Count(pub(crate) usize);

impl Sink for Count {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        self.0 += bytes.len();
    }
    #[inline]
    fn varint(&mut self, value: u64) {
        self.0 += varint_len(value);
    }
}

/// Bytes that `value` takes as a varint.
#[inline]
pub(crate) fn varint_len(value: u64) -> usize {
    (70 - (value | 1).leading_zeros() as usize) / 7
}

/// Bytes that a length-delimited field below number 16 takes.
#[inline]
pub(crate) fn delimited_len(body: usize) -> usize {
    1 + varint_len(body as u64) + body
}

/// Key and length of a length-delimited field; its body follows.
#[inline]
pub(crate) fn head(out: &mut impl Sink, field: u32, length: usize) {
    out.varint(u64::from(field << 3 | 2));
    out.varint(length as u64);
}

/// A `string` or `bytes` field; empty ones are left out, as proto3 says.
#[inline]
pub(crate) fn bytes(out: &mut impl Sink, field: u32, value: &[u8]) {
    if !value.is_empty() {
        head(out, field, value.len());
        out.put(value);
    }
}

/// A varint field; 0 is left out.
#[inline]
pub(crate) fn varint(out: &mut impl Sink, field: u32, value: u64) {
    if value != 0 {
        out.varint(u64::from(field << 3));
        out.varint(value);
    }
}

/// A `sint64` field, also when it is 0 (for `optional`).
#[inline]
pub(crate) fn sint_always(out: &mut impl Sink, field: u32, value: i64) {
    out.varint(u64::from(field << 3));
    out.varint((value << 1 ^ value >> 63).cast_unsigned());
}

/// A `fixed64` field, also when it is 0 (for `optional`).
#[inline]
pub(crate) fn fixed64_always(out: &mut impl Sink, field: u32, value: u64) {
    out.varint(u64::from(field << 3 | 1));
    out.put(&value.to_le_bytes());
}

/// A `fixed64` field; 0 is left out.
#[inline]
pub(crate) fn fixed64(out: &mut impl Sink, field: u32, value: u64) {
    if value != 0 {
        fixed64_always(out, field, value);
    }
}
