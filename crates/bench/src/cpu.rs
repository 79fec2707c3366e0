//! CPU time of this thread, this process, another process.

use rustix::time::{ClockId, clock_gettime};
use std::collections::BTreeMap;
use std::time::Duration;

fn of(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// CPU time of the calling thread.
pub fn thread() -> Duration {
    of(ClockId::ThreadCPUTime)
}

/// CPU time of all threads of this process.
pub fn process() -> Duration {
    of(ClockId::ProcessCPUTime)
}

/// User and system time of another process, from `/proc`; in steps of a hundredth of a second.
pub fn of_process(pid: u32) -> Option<Duration> {
    ticks(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// The same per name of a thread; a thread that ended meanwhile is not in it. Numbers at the end of
/// a name are left out: `profiles 3` counts as `profiles`.
pub fn of_threads(pid: u32) -> Option<BTreeMap<String, Duration>> {
    let mut times = BTreeMap::new();
    for entry in std::fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten() {
        // It may end while it is looked at.
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else { continue };
        let name = stat.split_once('(')?.1.rsplit_once(')')?.0;
        let name = name.trim_end_matches(|c: char| c.is_ascii_digit() || "-/ ".contains(c));
        *times.entry(name.to_owned()).or_default() += ticks(&stat)?;
    }
    Some(times)
}

fn ticks(stat: &str) -> Option<Duration> {
    const TICKS_PER_SECOND: u64 = 100;
    // The name may hold blanks; fields are counted after its closing bracket.
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
    let ticks = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    Some(Duration::from_millis(ticks * 1_000 / TICKS_PER_SECOND))
}

/// Resident memory of this process in bytes, from `/proc`.
pub fn resident() -> u64 {
    resident_of(std::process::id()).unwrap_or(0)
}

/// Resident memory of another process in bytes, from `/proc`.
pub fn resident_of(pid: u32) -> Option<u64> {
    const PAGE: u64 = 4_096;
    let statm = std::fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    Some(statm.split(' ').nth(1)?.parse::<u64>().ok()? * PAGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_are_counted_by_name() {
        let busy = std::thread::Builder::new().name("busy 1".to_owned());
        let busy = busy.spawn(|| {
            let mut sum = 0u64;
            while thread() < Duration::from_millis(200) {
                sum = std::hint::black_box(sum + 1);
            }
            of_threads(std::process::id())
        });
        let seen = busy.expect("a thread").join().expect("no panic").expect("the process is there");
        assert!(seen["busy"] >= Duration::from_millis(100), "{seen:?}");
        let all = of_process(std::process::id()).expect("the process is there");
        assert!(all >= seen["busy"], "{all:?} {seen:?}");
        assert_eq!(of_threads(0), None);
    }
}
