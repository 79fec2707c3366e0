//! A segment of the log: whatever it holds, the journal opens or says why not, and every record
//! between the bounds is read or reported as damaged.
//!
//! Checksums are put right first, as no mutation would find them: what is judged is what comes
//! behind them.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sojourn_embedded::{Journal, JournalOptions};
use sojourn_memory::ManualClock;
use sojourn_model::Timestamp;
use sojourn_ports::{Layout, Log, LogError, ReadLimit, Topic};
use std::fs;
use std::path::Path;
use std::sync::Arc;

const GROUP_HEAD: usize = 40;
const FRAME_HEAD: usize = 32;
/// Records read of one partition: bounds may claim any number.
const READS_MAX: u32 = 64;

fn open(dir: &Path) -> Result<Journal, LogError> {
    let mut options = JournalOptions::new(Layout::new(1, 2));
    options.segment_bytes = 64 << 10;
    options.tail_bytes = 0;
    options.reserve_bytes = Some(0);
    Journal::open(dir, options, Arc::new(ManualClock::new(Timestamp(1))))
}

fn u32_at(bytes: &[u8], at: usize) -> usize {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes")) as usize
}

/// Puts the checksums of all groups right, as far as their lengths lead.
fn seal(bytes: &mut [u8]) {
    let mut at = 0;
    while at + GROUP_HEAD <= bytes.len() {
        let group = &mut bytes[at..];
        let (length, frames) = (u32_at(group, 4), u32_at(group, 32));
        let head = GROUP_HEAD.saturating_add(FRAME_HEAD.saturating_mul(frames));
        if length < head || length > group.len() {
            return;
        }
        let body = crc32fast::hash(&group[head..length]).to_le_bytes();
        group[12..16].copy_from_slice(&body);
        let crc = crc32fast::hash(&group[12..head]).to_le_bytes();
        group[8..12].copy_from_slice(&crc);
        at += length;
    }
}

fuzz_target!(|input: &[u8]| {
    if input.len() > 64 << 10 {
        return;
    }
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
    let folder = folder.expect("a folder");
    drop(open(folder.path()).expect("an empty journal opens"));
    for entry in fs::read_dir(folder.path()).expect("the folder") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some() {
            fs::remove_file(path).expect("it goes");
        }
    }
    let mut bytes = input.to_vec();
    seal(&mut bytes);
    fs::write(folder.path().join("0000000001.seg"), &bytes).expect("it is written");
    let Ok(journal) = open(folder.path()) else { return };
    for topic in [Topic::Profiles, Topic::Touchpoints] {
        for partition in 0..journal.partitions(topic) {
            let bounds = journal.bounds(topic, partition).expect("bounds");
            assert!(bounds.first <= bounds.next, "{bounds:?}");
            let mut at = bounds.first;
            for _ in 0..READS_MAX {
                if at >= bounds.next {
                    break;
                }
                let limit = ReadLimit { records: 3, bytes: 1 << 16, durable_only: true };
                let mut out = Vec::new();
                match journal.read(topic, partition, at, limit, &mut out) {
                    Ok(()) if out.is_empty() => break,
                    Ok(()) => at = out.last().expect("not empty").offset + 1,
                    Err(_) => at += 1,
                }
            }
        }
    }
});
