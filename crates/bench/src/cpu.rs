//! CPU time of this thread, this process, another process.

use rustix::time::{ClockId, clock_gettime};
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
    const TICKS_PER_SECOND: u64 = 100;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold blanks; fields are counted after its closing bracket.
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
    let ticks = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    Some(Duration::from_millis(ticks * 1_000 / TICKS_PER_SECOND))
}

/// Resident memory of this process in bytes, from `/proc`.
pub fn resident() -> u64 {
    const PAGE: u64 = 4_096;
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * PAGE
}
