//! Giving the journal's files to a snapshot while it runs.

use super::Journal;
use super::recover::{LAYOUT_FILE, layout_text, write_whole};
use super::segment::Segment;
use sojourn_ports::{Layout, Log, Topic};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Bytes handed over at once.
const CHUNK_BYTES: usize = 1 << 20;

/// Takes a piece of a segment: its number, the place of the piece, its bytes.
pub(crate) type Visit<'a> = &'a mut dyn FnMut(u64, u64, &[u8]) -> io::Result<()>;

/// Marks a folder as a journal of this layout.
pub(crate) fn write_layout(dir: &Path, layout: &Layout) -> io::Result<()> {
    write_whole(dir, LAYOUT_FILE, layout_text(layout).as_bytes())
}

impl Journal {
    /// The journal's layout.
    pub fn layout(&self) -> &Layout {
        &self.shared.options.layout
    }

    /// Syncs, then hands over every byte that is durable by then: segment number, place, bytes, in
    /// order. Segments in which every record is below `from` are left out; partitions that `from`
    /// does not name need nothing; without `from` all is handed over. No segment is deleted
    /// meanwhile; appends go on.
    pub(crate) fn export(
        &self,
        from: Option<&[(Topic, u16, u64)]>,
        visit: Visit<'_>,
    ) -> io::Result<u64> {
        let _kept = self.shared.pinned.read();
        self.sync().map_err(io::Error::other)?;
        let (last, end) = self.shared.order.lock().durable_at;
        let segments: Vec<Arc<Segment>> = {
            let all = self.shared.segments.read();
            let needed = |(topic, partition, offset): &(Topic, u16, u64)| {
                let index = self.shared.options.layout.index(*topic, *partition)?;
                let after = all.partition_point(|s| s.start[index].next <= *offset);
                Some(after.saturating_sub(1))
            };
            // Nothing named: nothing but the last segment, which tells where the offsets go on.
            let none = all.len() - 1;
            let begin = from.map_or(0, |from| from.iter().filter_map(needed).min().unwrap_or(none));
            all.iter().skip(begin).filter(|segment| segment.number <= last).cloned().collect()
        };
        let mut buffer = vec![0; CHUNK_BYTES];
        for segment in &segments {
            let sealed = segment.end.load(Ordering::Acquire);
            let end = if segment.number == last { end } else { sealed };
            let mut at = 0;
            while at < end {
                let size = CHUNK_BYTES.min(usize::try_from(end - at).unwrap_or(CHUNK_BYTES));
                segment.file.read_exact_at(&mut buffer[..size], at)?;
                visit(segment.number, at, &buffer[..size])?;
                at += size as u64;
            }
        }
        Ok(segments.len() as u64)
    }
}
