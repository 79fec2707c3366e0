//! A snapshot's file: blocks of any kind and payload, with right checksums and a right end.
//!
//! Input: kind (1 byte), length (2 bytes), payload; again and again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use std::fs;

/// What a block of the file looks like around its payload.
fn put(file: &mut Vec<u8>, kind: u8, payload: &[u8]) {
    let length = (payload.len() as u32).to_le_bytes();
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&[kind]);
    hasher.update(&length);
    hasher.update(payload);
    file.push(kind);
    file.extend_from_slice(&length);
    file.extend_from_slice(&hasher.finalize().to_le_bytes());
    file.extend_from_slice(payload);
}

fuzz_target!(|input: &[u8]| {
    let mut file = b"SJSNAP01".to_vec();
    let (mut rest, mut blocks) = (input, 0u64);
    while let Some((&[kind, low, high], payload)) = rest.split_first_chunk::<3>() {
        let length = usize::from(u16::from_le_bytes([low, high])).min(payload.len());
        put(&mut file, kind, &payload[..length]);
        rest = &payload[length..];
        blocks += 1;
    }
    put(&mut file, 9, &blocks.to_le_bytes());
    // What is left over stands behind the end.
    file.extend_from_slice(rest);
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
    let folder = folder.expect("a folder");
    let path = folder.path().join("s.snapshot");
    for bytes in [file.as_slice(), input] {
        fs::write(&path, bytes).expect("it is written");
        if let Ok(info) = sojourn_embedded::verify(&path) {
            assert_eq!(info.bytes, bytes.len() as u64);
        }
    }
});
