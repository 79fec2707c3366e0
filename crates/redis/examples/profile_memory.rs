//! Memory of idle profiles in Redis, and how long their wakes take to come back.
//!
//! `cargo run --release -p sojourn-redis --example profile_memory URL [PROFILES] [BYTES]`, on a server
//! that holds nothing else: the answer is the growth of its `used_memory`.

use bytes::Bytes;
use sojourn_ports::{Checkpoint, Space, StateStore, Write};
use sojourn_redis::{Redis, RedisOptions};
use std::error::Error;

/// Profiles of one checkpoint.
const BATCH: u64 = 5_000;
/// The partition.
const OWNER: &str = "engine/0";

fn used(url: &str) -> Result<u64, Box<dyn Error>> {
    let mut connection = redis::Client::open(url)?.get_connection()?;
    connection.set_read_timeout(None)?;
    let info: String = redis::cmd("INFO").arg("memory").query(&mut connection)?;
    let line = info.lines().find_map(|line| line.strip_prefix("used_memory:"));
    Ok(line.ok_or("no used_memory in INFO")?.trim().parse()?)
}

fn write(
    store: &dyn StateStore,
    profiles: u64,
    space: Space,
    size: usize,
) -> Result<(), Box<dyn Error>> {
    let claim = store.claim(OWNER)?;
    let position = claim.position.unwrap_or(0);
    for from in (0..profiles).step_by(usize::try_from(BATCH)?) {
        let writes = (from..profiles.min(from + BATCH))
            .map(|id| {
                let mut value = vec![b'.'; size];
                value[..8].copy_from_slice(&id.to_be_bytes());
                let key = Bytes::copy_from_slice(&id.to_be_bytes());
                Write { space, key, value: Some(Bytes::from(value)) }
            })
            .collect();
        store.checkpoint(OWNER, claim.epoch, Checkpoint { position: position + from, writes })?;
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "the example measures")]
fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let url = args.next().ok_or("profile_memory URL [PROFILES] [BYTES]")?;
    let profiles: u64 = args.next().map_or(Ok(1_000_000), |text| text.parse())?;
    let bytes: usize = args.next().map_or(Ok(300), |text| text.parse())?.max(8);
    let store = Redis::open(&RedisOptions::new(&*url))?.store();
    let per = |before: u64, after: u64| after.saturating_sub(before) / profiles.max(1);

    let empty = used(&url)?;
    let began = std::time::Instant::now();
    write(&store, profiles, Space::Profile, bytes)?;
    let full = used(&url)?;
    let took = began.elapsed();
    println!(
        "{profiles} profiles of {bytes} bytes: {} bytes each in Redis, written in {took:.1?}",
        per(empty, full)
    );
    write(&store, profiles, Space::Wake, 16)?;
    println!("their wakes: {} bytes each", per(full, used(&url)?));

    let began = std::time::Instant::now();
    let mut seen = 0u64;
    store.scan(OWNER, Space::Wake, &[], None, &mut |_, _| {
        seen += 1;
        true
    })?;
    println!("{seen} wakes read back in order in {:.1?}", began.elapsed());
    Ok(())
}
