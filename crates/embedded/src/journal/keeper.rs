//! The thread that keeps room: spare segments, free space, retention, indexes of sealed segments.

use super::{Shared, pressure, recover};
use crate::journal::segment::{Segment, sync_dir};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How often the device is asked for its free bytes.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Runs until the journal is closed.
pub(crate) fn run(shared: &Shared) {
    let mut indexed = shared.segments.read().back().map_or(0, |segment| segment.number - 1);
    loop {
        let (over, need) = {
            let mut order = shared.order.lock();
            if order.spare_need == 0 && !order.closing {
                shared.chores.wait_for(&mut order, LOOK_EVERY);
            }
            (order.closing || order.stopped.is_some(), order.spare_need)
        };
        if over {
            write_indexes(shared, indexed);
            return;
        }
        look(shared);
        provide_spare(shared, need);
        indexed = write_indexes(shared, indexed);
        delete_old(shared);
    }
}

/// Asks the device; sets how hard appends are refused.
pub(crate) fn look(shared: &Shared) {
    let Ok(room) = shared.options.room(&shared.dir) else { return };
    shared.free_bytes.store(room.free, Ordering::Relaxed);
    let level = match room.free {
        free if free < room.reserve / 2 => pressure::ALL,
        free if free < room.reserve => pressure::INGEST,
        _ => pressure::NONE,
    };
    let before = shared.pressure.swap(level, Ordering::Relaxed);
    if level > before {
        let (free_bytes, reserve_bytes) = (room.free, room.reserve);
        tracing::warn!(free_bytes, reserve_bytes, "the disk is nearly full: appends are refused");
    } else if level < before {
        tracing::info!(free_bytes = room.free, "the disk has room again");
    }
}

/// Has a spare segment ready when the current one is half full, or somebody waits for one.
fn provide_spare(shared: &Shared, need: u64) {
    let number = {
        let mut order = shared.order.lock();
        let half_full = order.at > order.segment.capacity / 2;
        let enough = order.spare.as_ref().is_some_and(|spare| spare.capacity >= need);
        if enough || (need == 0 && !half_full) {
            return;
        }
        // Too small for a big group: it is made anew under the same number.
        order.spare = None;
        order.segment.number + 1
    };
    let result = create_spare(shared, number, need);
    let mut order = shared.order.lock();
    assert_eq!(order.segment.number + 1, number, "only a spare segment moves the journal on");
    match result {
        Ok(Some(spare)) => {
            order.spare = Some(spare);
            order.no_room = false;
        }
        Ok(None) => order.no_room = need > 0,
        Err(error) => {
            tracing::warn!(%error, "no spare segment could be created");
            order.no_room = need > 0;
        }
    }
    order.spare_need = 0;
    drop(order);
    shared.room.notify_all();
}

/// `None` when it would eat into the reserve.
fn create_spare(shared: &Shared, number: u64, need: u64) -> io::Result<Option<Segment>> {
    let room = shared.options.room(&shared.dir)?;
    let bytes = shared.options.next_segment_bytes(room, need);
    if room.free < room.reserve.saturating_add(bytes) {
        return Ok(None);
    }
    Segment::create(&shared.dir, number, bytes, &shared.options.layout).map(Some)
}

/// Writes the indexes of segments that were sealed since `indexed`; they make opening fast and may
/// be missing.
fn write_indexes(shared: &Shared, indexed: u64) -> u64 {
    let durable_in = shared.order.lock().durable_at.0;
    let sealed: Vec<Arc<Segment>> = {
        let segments = shared.segments.read();
        let new = |segment: &&Arc<Segment>| segment.number > indexed && segment.number < durable_in;
        segments.iter().filter(new).cloned().collect()
    };
    let mut last = indexed;
    for segment in sealed {
        if let Err(error) = recover::write_index(&shared.dir, &segment) {
            tracing::warn!(%error, "the index of a sealed segment could not be written");
        }
        last = segment.number;
    }
    last
}

/// Deletes the oldest segments while every record in them may go and is older than the retention.
pub(crate) fn delete_old(shared: &Shared) {
    let Some(_free) = shared.pinned.try_write() else { return };
    // The marks of what was deleted live on in the next segment's first group, once it is on disk.
    let durable_in = shared.order.lock().durable_at.0;
    loop {
        let mut segments = shared.segments.write();
        let Some(oldest) = segments.front().filter(|s| s.number < durable_in).cloned() else {
            return;
        };
        let after = &segments[1].start;
        let newest = oldest.newest.load(Ordering::Relaxed);
        let age = shared.now().0.saturating_sub(newest);
        if age < shared.options.retention.0 || !may_go(shared, &oldest, &segments[1]) {
            return;
        }
        for (partition, mark) in shared.partitions.iter().zip(after) {
            let mut partition = partition.lock();
            partition.first = partition.first.max(mark.next);
        }
        segments.pop_front();
        drop(segments);
        recover::remove(&shared.dir, &oldest);
        if let Err(error) = sync_dir(&shared.dir) {
            tracing::warn!(%error, "the deletion of a segment could not be synced");
        }
    }
}

/// Whether every record of `oldest` is below its partition's floor and durable.
fn may_go(shared: &Shared, oldest: &Segment, next: &Segment) -> bool {
    shared.partitions.iter().enumerate().all(|(index, partition)| {
        let (begin, end) = (oldest.start[index].next, next.start[index].next);
        let partition = partition.lock();
        begin == end
            || (partition.floor.is_some_and(|floor| floor >= end) && partition.durable >= end)
    })
}
