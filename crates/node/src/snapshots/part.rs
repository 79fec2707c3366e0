//! The bytes of one part of a snapshot.
//!
//! ```text
//! file   "SJPART01" head rows* end
//! block  kind u8 · bytes u32 · crc u32 (of kind and payload) · payload; numbers little-endian
//! head   kind 1: the part's name
//! rows   kind 2: (space u8 · key length u32 · value length u32 · key · value)*
//! end    kind 9: blocks before u64 · rows u64 · position u64
//! ```
//!
//! The position stands at the end, since it is known for certain only then; so a file that was cut off
//! has none and is refused.

use anyhow::{Context, Result, bail, ensure};
use bytes::{Buf, BufMut, Bytes};
use sojourn_ports::{Row, Space, state};
use std::io::{Read, Write};

const MAGIC: &[u8; 8] = b"SJPART01";
const HEAD: u8 = 1;
const ROWS: u8 = 2;
const END: u8 = 9;
/// Bytes of rows after which a block is written.
const BLOCK_BYTES: usize = 1 << 20;
/// Bytes of one block: a row at its limit, and what came before it (LIM-1).
const BLOCK_BYTES_MAX: usize = BLOCK_BYTES + state::limits::VALUE_BYTES_MAX + (1 << 16);
/// Bytes of a row beside its key and value.
const ROW_BYTES: usize = 9;

/// What stands at the end of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct End {
    pub(super) rows: u64,
    pub(super) position: u64,
}

fn checksum(kind: u8, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&[kind]);
    hasher.update(payload);
    hasher.finalize()
}

/// Writes a part, a block at a time.
pub(super) struct Writer<'a> {
    to: &'a mut dyn Write,
    block: Vec<u8>,
    blocks: u64,
    rows: u64,
    bytes: u64,
}

impl<'a> Writer<'a> {
    pub(super) fn new(to: &'a mut dyn Write, name: &str) -> std::io::Result<Self> {
        to.write_all(MAGIC)?;
        let bytes = MAGIC.len() as u64;
        let mut writer = Self { to, block: Vec::new(), blocks: 0, rows: 0, bytes };
        writer.put(HEAD, name.as_bytes())?;
        Ok(writer)
    }

    fn put(&mut self, kind: u8, payload: &[u8]) -> std::io::Result<()> {
        let mut head = vec![kind];
        head.put_u32_le(payload.len() as u32);
        head.put_u32_le(checksum(kind, payload));
        self.to.write_all(&head)?;
        self.to.write_all(payload)?;
        self.blocks += 1;
        self.bytes += (head.len() + payload.len()) as u64;
        Ok(())
    }

    pub(super) fn row(&mut self, row: &Row) -> std::io::Result<()> {
        self.block.put_u8(row.space as u8);
        self.block.put_u32_le(row.key.len() as u32);
        self.block.put_u32_le(row.value.len() as u32);
        self.block.put_slice(&row.key);
        self.block.put_slice(&row.value);
        self.rows += 1;
        if self.block.len() >= BLOCK_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        if self.block.is_empty() {
            return Ok(());
        }
        let mut block = std::mem::take(&mut self.block);
        self.put(ROWS, &block)?;
        block.clear();
        self.block = block;
        Ok(())
    }

    /// Writes the end. Gives rows and bytes.
    pub(super) fn finish(mut self, position: u64) -> std::io::Result<(u64, u64)> {
        self.flush()?;
        let mut end = Vec::new();
        end.put_u64_le(self.blocks);
        end.put_u64_le(self.rows);
        end.put_u64_le(position);
        self.put(END, &end)?;
        Ok((self.rows, self.bytes))
    }
}

/// Reads a part, a block at a time; whatever is not as it was written is an error with its place.
pub(super) struct Reader<'a> {
    from: &'a mut dyn Read,
    file: String,
    block: Bytes,
    blocks: u64,
    rows: u64,
    at: u64,
    end: Option<End>,
}

impl<'a> Reader<'a> {
    /// Checks the head: `name` is what the part must be of.
    pub(super) fn new(from: &'a mut dyn Read, file: &str, name: &str) -> Result<Self> {
        let file = file.to_owned();
        let mut reader =
            Self { from, file, block: Bytes::new(), blocks: 0, rows: 0, at: 0, end: None };
        let mut magic = [0; MAGIC.len()];
        reader.exact(&mut magic)?;
        ensure!(
            magic == *MAGIC,
            "{} is no part of a snapshot, or of a newer version of sojourn",
            reader.file
        );
        let (kind, found) = reader.next_block()?;
        ensure!(kind == HEAD && found == name.as_bytes(), "{} is not of {name}", reader.file);
        Ok(reader)
    }

    fn damaged(&self, what: &str) -> anyhow::Error {
        anyhow::anyhow!(
            "{} is damaged at byte {}: {what}; take another snapshot",
            self.file,
            self.at
        )
    }

    fn exact(&mut self, into: &mut [u8]) -> Result<()> {
        match self.from.read_exact(into) {
            Ok(()) => {
                self.at += into.len() as u64;
                Ok(())
            }
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                Err(self.damaged("it ends too early"))
            }
            Err(error) => Err(error).with_context(|| self.file.clone()),
        }
    }

    fn next_block(&mut self) -> Result<(u8, Bytes)> {
        let mut head = [0; 9];
        self.exact(&mut head)?;
        let kind = head[0];
        let mut numbers = &head[1..];
        let (length, wanted) = (numbers.get_u32_le() as usize, numbers.get_u32_le());
        if length > BLOCK_BYTES_MAX {
            return Err(self.damaged("a block is too long"));
        }
        let mut payload = vec![0; length];
        self.exact(&mut payload)?;
        if checksum(kind, &payload) != wanted {
            return Err(self.damaged("the checksum differs"));
        }
        self.blocks += 1;
        Ok((kind, payload.into()))
    }

    /// The next row; `None`: that was all, and [`Self::end`] is known.
    pub(super) fn row(&mut self) -> Result<Option<Row>> {
        while self.block.is_empty() {
            if self.end.is_some() {
                return Ok(None);
            }
            let (kind, payload) = self.next_block()?;
            match kind {
                ROWS => self.block = payload,
                END => self.take_end(payload)?,
                _ => return Err(self.damaged("a block of unknown kind")),
            }
        }
        if self.block.len() < ROW_BYTES {
            return Err(self.damaged("a row is cut off"));
        }
        let space = Space::ALL.get(usize::from(self.block.get_u8())).copied();
        let (key, value) = (self.block.get_u32_le() as usize, self.block.get_u32_le() as usize);
        let Some(space) = space else { return Err(self.damaged("a space that is unknown")) };
        if key.saturating_add(value) > self.block.len() {
            return Err(self.damaged("a row is cut off"));
        }
        let (key, value) = (self.block.split_to(key), self.block.split_to(value));
        self.rows += 1;
        Ok(Some(Row { space, key, value }))
    }

    fn take_end(&mut self, mut payload: Bytes) -> Result<()> {
        if payload.len() != 24 {
            return Err(self.damaged("the end is cut off"));
        }
        let (blocks, rows, position) =
            (payload.get_u64_le(), payload.get_u64_le(), payload.get_u64_le());
        if blocks + 1 != self.blocks || rows != self.rows {
            return Err(self.damaged("blocks are missing"));
        }
        let mut more = [0];
        if self.from.read(&mut more)? != 0 {
            bail!("{} goes on after its end: take another snapshot", self.file);
        }
        self.end = Some(End { rows, position });
        Ok(())
    }

    /// What stands at the end, once every row was read.
    pub(super) fn end(&self) -> Option<End> {
        self.end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(rows: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer = Writer::new(&mut bytes, "engine/3").unwrap();
        for nth in 0..rows {
            let space = Space::ALL[nth % 8];
            let (key, value) = (Bytes::from(nth.to_string()), Bytes::from(vec![7; nth % 300]));
            writer.row(&Row { space, key, value }).unwrap();
        }
        writer.finish(42).unwrap();
        bytes
    }

    fn read(bytes: &[u8]) -> Result<(usize, End)> {
        let mut from = bytes;
        let mut reader = Reader::new(&mut from, "a file", "engine/3")?;
        let mut rows = 0;
        while let Some(row) = reader.row()? {
            assert_eq!(row.key, rows.to_string());
            rows += 1;
        }
        Ok((rows, reader.end().expect("read to the end")))
    }

    #[test]
    fn a_part_comes_back() {
        for rows in [0, 1, 20_000] {
            let end = End { rows: rows as u64, position: 42 };
            assert_eq!(read(&written(rows)).unwrap(), (rows, end));
        }
    }

    #[test]
    fn every_wrong_byte_and_every_cut_is_seen() {
        let good = written(40);
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            assert!(read(&bad).is_err(), "byte {at} is wrong");
            assert!(read(&good[..at]).is_err(), "cut at {at}");
        }
        assert!(read(&[&good[..], b"x"].concat()).is_err(), "more than was written");
    }
}
