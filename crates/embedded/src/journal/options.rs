//! Settings of the journal.

use sojourn_model::DurationMs;
use sojourn_ports::Layout;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How to open a [`super::Journal`].
#[derive(Clone)]
pub struct JournalOptions {
    /// Partitions; must be those that the journal was created with.
    pub layout: Layout,
    /// Bytes of a segment file; smaller on a small device.
    pub segment_bytes: u64,
    /// Bytes of recent records kept in memory for readers.
    pub tail_bytes: usize,
    /// Least time between two fsyncs under load. An idle journal syncs at once.
    pub sync_interval: Duration,
    /// How long records stay after `trim` has allowed them to go.
    pub retention: DurationMs,
    /// Bytes of the device left alone; ingest is refused when fewer are free, every append when
    /// fewer than half of them are. `None`: 5 % of the device, at least 8 MiB, at most 256 MiB.
    pub reserve_bytes: Option<u64>,
    /// What tests put in the place of the system.
    pub probes: Probes,
}

/// Stands for the system in tests; empty in the product.
#[derive(Clone, Default)]
pub struct Probes {
    /// Free bytes of the device, instead of statvfs.
    pub free_bytes: Option<Arc<dyn Fn() -> u64 + Send + Sync>>,
    /// Runs before each fsync of the writer: may wait, or fail in its place.
    pub before_sync: Option<Arc<dyn Fn() -> io::Result<()> + Send + Sync>>,
}

impl JournalOptions {
    /// The product's settings for a layout.
    pub fn new(layout: Layout) -> Self {
        Self {
            layout,
            segment_bytes: 128 << 20,
            tail_bytes: 64 << 20,
            sync_interval: Duration::from_micros(500),
            retention: DurationMs::days(7),
            reserve_bytes: None,
            probes: Probes::default(),
        }
    }
}

/// Room on a device.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room {
    pub(crate) free: u64,
    pub(crate) reserve: u64,
}

impl JournalOptions {
    /// Asks the device that holds `dir`.
    pub(crate) fn room(&self, dir: &Path) -> io::Result<Room> {
        let stat = rustix::fs::statvfs(dir)?;
        let total = stat.f_blocks.saturating_mul(stat.f_frsize);
        let free = match &self.probes.free_bytes {
            Some(probe) => probe(),
            None => stat.f_bavail.saturating_mul(stat.f_frsize),
        };
        let reserve = self.reserve_bytes.unwrap_or((total / 20).clamp(8 << 20, 256 << 20));
        Ok(Room { free, reserve })
    }

    /// Bytes of the next segment: a quarter of what is free on a small device, at least `need`.
    pub(crate) fn next_segment_bytes(&self, room: Room, need: u64) -> u64 {
        const LEAST: u64 = 1 << 20;
        let quarter = room.free.saturating_sub(room.reserve) / 4;
        self.segment_bytes.min(quarter.max(LEAST)).max(need)
    }
}
