//! Who is told what about appended records: from the call to the brokers' answer.
//!
//! The brokers answer per record, in order within a partition. The first record of an [`Append`]
//! tells its offset, the last one that all of it is stored; those between carry no mark.
//!
//! **Invariant:** after the first record that could not be stored nothing more is taken. Every call
//! that waits is told `Unknown`, every later one `Stopped`: whoever appended without `done` learns
//! it from `sync`, so no checkpoint can claim what is not in the log (LOG-2).
//!
//! [`Append`]: sojourn_ports::Append

use crate::options::PENDING_BYTES_MAX;
use parking_lot::{Condvar, Mutex};
use sojourn_ports::{Done, LogError};
use std::time::Instant;

/// See the module.
pub(crate) struct Book {
    pages: Mutex<Pages>,
    /// Rung when records were answered, or the log has stopped.
    answered: Condvar,
}

struct Pages {
    /// Records handed to the client library, per partition.
    sent: Vec<u64>,
    /// Of these, how many the brokers have answered.
    settled: Vec<u64>,
    pending_bytes: usize,
    marks: Slab<Mark>,
    calls: Slab<Call>,
    stopped: Option<LogError>,
    closing: bool,
}

/// One call of `append`.
struct Call {
    /// Appends whose last record is not answered.
    left: usize,
    /// First offset of each append.
    offsets: Vec<u64>,
    done: Option<Done>,
}

/// What the answer to a record means.
struct Mark {
    call: usize,
    /// Which append of the call.
    append: usize,
    first: bool,
    /// Of the last record: partition, records, bytes of the whole append.
    last: Option<(usize, u64, usize)>,
}

/// Numbers for things that come and go; zero is never one.
struct Slab<T> {
    slots: Vec<Option<T>>,
    free: Vec<usize>,
}

impl<T> Slab<T> {
    fn new() -> Self {
        Self { slots: vec![None], free: Vec::new() }
    }

    fn put(&mut self, value: T) -> usize {
        let place = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        self.slots[place] = Some(value);
        place
    }

    fn take(&mut self, place: usize) -> Option<T> {
        let value = self.slots.get_mut(place)?.take();
        if value.is_some() {
            self.free.push(place);
        }
        value
    }

    fn get(&mut self, place: usize) -> Option<&mut T> {
        self.slots.get_mut(place)?.as_mut()
    }
}

/// Marks of one append: for its first and its last record (the same when it has one).
pub(crate) struct Marked {
    pub(crate) first: usize,
    pub(crate) last: usize,
}

/// What an append brings to its partition.
pub(crate) struct Load {
    pub(crate) index: usize,
    pub(crate) records: usize,
    pub(crate) bytes: usize,
}

impl Book {
    pub(crate) fn new(partitions: usize) -> Self {
        let pages = Pages {
            sent: vec![0; partitions],
            settled: vec![0; partitions],
            pending_bytes: 0,
            marks: Slab::new(),
            calls: Slab::new(),
            stopped: None,
            closing: false,
        };
        Self { pages: Mutex::new(pages), answered: Condvar::new() }
    }

    /// Why nothing is taken any more.
    pub(crate) fn refusal(&self) -> Option<LogError> {
        self.pages.lock().refusal()
    }

    /// Waits for room for a call's bytes. Larger calls than all the room are taken alone.
    pub(crate) fn admit(&self, bytes: usize, deadline: Instant) -> Result<(), LogError> {
        let mut pages = self.pages.lock();
        loop {
            if let Some(error) = pages.refusal() {
                return Err(error);
            }
            if pages.pending_bytes == 0 || pages.pending_bytes + bytes <= PENDING_BYTES_MAX {
                pages.pending_bytes += bytes;
                return Ok(());
            }
            if self.answered.wait_until(&mut pages, deadline).timed_out() {
                let reason = format!(
                    "{} bytes wait for the brokers (at most {PENDING_BYTES_MAX})",
                    pages.pending_bytes
                );
                return Err(LogError::Unavailable { reason });
            }
        }
    }

    /// Opens a call whose bytes were admitted. `known` are the offsets of appends without records.
    pub(crate) fn open(
        &self,
        loads: &[Load],
        known: Vec<u64>,
        done: Option<Done>,
    ) -> Result<Vec<Marked>, LogError> {
        let mut pages = self.pages.lock();
        if let Some(error) = pages.refusal() {
            pages.pending_bytes -= loads.iter().map(|load| load.bytes).sum::<usize>();
            return Err(error);
        }
        let left = loads.iter().filter(|load| load.records > 0).count();
        let call = pages.calls.put(Call { left, offsets: known, done });
        let mut marked = Vec::with_capacity(loads.len());
        for (append, load) in loads.iter().enumerate() {
            pages.sent[load.index] += load.records as u64;
            let last = Some((load.index, load.records as u64, load.bytes));
            marked.push(match load.records {
                0 => Marked { first: 0, last: 0 },
                1 => {
                    let mark = pages.marks.put(Mark { call, append, first: true, last });
                    Marked { first: mark, last: mark }
                }
                _ => Marked {
                    first: pages.marks.put(Mark { call, append, first: true, last: None }),
                    last: pages.marks.put(Mark { call, append, first: false, last }),
                },
            });
        }
        Ok(marked)
    }

    /// A record is stored at `offset`. Says where its partition goes on, when it was the last one of
    /// its append.
    pub(crate) fn stored(&self, mark: usize, offset: u64) -> Option<(usize, u64)> {
        if mark == 0 {
            return None;
        }
        let (told, end) = {
            let mut pages = self.pages.lock();
            // After a stop, late answers find nobody who waits for them.
            let Mark { call, append, first, last } = pages.marks.take(mark)?;
            let open = pages.calls.get(call)?;
            if first {
                open.offsets[append] = offset;
            }
            let (index, records, bytes) = last?;
            open.left -= 1;
            let finished = open.left == 0;
            pages.settled[index] += records;
            pages.pending_bytes -= bytes;
            let told = if finished { pages.calls.take(call) } else { None };
            (told, (index, offset + 1))
        };
        self.answered.notify_all();
        if let Some(Call { offsets, done: Some(done), .. }) = told {
            done(Ok(offsets));
        }
        Some(end)
    }

    /// A record was not stored, or nobody knows: the log takes nothing more.
    pub(crate) fn stop(&self, reason: &str) {
        let waiting: Vec<Done> = {
            let mut pages = self.pages.lock();
            pages.stopped.get_or_insert_with(|| LogError::Stopped { reason: reason.to_owned() });
            pages.marks = Slab::new();
            pages.pending_bytes = 0;
            pages.settled = pages.sent.clone();
            let calls = std::mem::replace(&mut pages.calls, Slab::new());
            calls.slots.into_iter().flatten().filter_map(|call| call.done).collect()
        };
        self.answered.notify_all();
        for done in waiting {
            done(Err(LogError::Unknown { reason: reason.to_owned() }));
        }
    }

    /// Takes nothing more; what was taken is still answered.
    pub(crate) fn close(&self) {
        self.pages.lock().closing = true;
        self.answered.notify_all();
    }

    /// Whether the log has stopped by itself.
    pub(crate) fn is_stopped(&self) -> bool {
        self.pages.lock().stopped.is_some()
    }

    /// Waits until everything sent so far is stored: of one partition, or of all.
    pub(crate) fn settle(&self, of: Option<usize>, deadline: Instant) -> Settled {
        let mut pages = self.pages.lock();
        let range = of.map_or(0..pages.sent.len(), |index| index..index + 1);
        let wanted = pages.sent[range.clone()].to_vec();
        loop {
            if let Some(error) = &pages.stopped {
                return Settled::Stopped(error.clone());
            }
            if pages.settled[range.clone()].iter().zip(&wanted).all(|(is, wanted)| is >= wanted) {
                return Settled::All;
            }
            if self.answered.wait_until(&mut pages, deadline).timed_out() {
                return Settled::Late;
            }
        }
    }
}

/// How waiting for answers ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Settled {
    /// Everything is stored.
    All,
    /// Not in time.
    Late,
    /// Never, in this log.
    Stopped(LogError),
}

impl Pages {
    fn refusal(&self) -> Option<LogError> {
        let closed = || LogError::Stopped { reason: "the log was closed".to_owned() };
        self.stopped.clone().or_else(|| self.closing.then(closed))
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "the cases wait for a moment at most")]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::time::Duration;

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(20)
    }

    #[test]
    fn a_call_is_done_when_all_its_partitions_have_answered() {
        let book = Book::new(2);
        let (tell, told) = mpsc::channel();
        let done = |tell: &mpsc::Sender<_>| -> Option<Done> {
            let tell = tell.clone();
            Some(Box::new(move |result| tell.send(result).unwrap()))
        };
        book.admit(30, soon()).unwrap();
        let loads =
            [Load { index: 0, records: 3, bytes: 20 }, Load { index: 1, records: 1, bytes: 10 }];
        let marked = book.open(&loads, vec![0, 0], done(&tell)).unwrap();
        assert_eq!(book.settle(None, soon()), Settled::Late);
        assert_eq!(book.stored(marked[0].first, 70), None);
        assert_eq!(book.stored(0, 71), None);
        assert_eq!(book.stored(marked[1].first, 5), Some((1, 6)));
        assert_eq!(book.settle(Some(1), soon()), Settled::All);
        assert_eq!(book.settle(Some(0), soon()), Settled::Late);
        assert!(told.try_recv().is_err());
        assert_eq!(book.stored(marked[0].last, 72), Some((0, 73)));
        assert_eq!(told.try_recv().unwrap(), Ok(vec![70, 5]));
        assert_eq!(book.settle(None, soon()), Settled::All);
    }

    #[test]
    fn a_stop_tells_everybody_once_and_for_good() {
        let book = Book::new(1);
        let (tell, told) = mpsc::channel();
        book.admit(1, soon()).unwrap();
        let loads = [Load { index: 0, records: 1, bytes: 1 }];
        let done: Done = Box::new(move |result| tell.send(result).unwrap());
        let marked = book.open(&loads, vec![0], Some(done)).unwrap();
        book.stop("gone");
        assert!(matches!(told.try_recv().unwrap(), Err(LogError::Unknown { .. })));
        assert_eq!(book.stored(marked[0].first, 1), None, "too late");
        book.stop("again");
        let stopped = LogError::Stopped { reason: "gone".to_owned() };
        assert_eq!(book.settle(None, soon()), Settled::Stopped(stopped.clone()));
        assert_eq!(book.admit(1, soon()), Err(stopped));
    }

    #[test]
    fn beyond_the_limit_a_call_waits_and_then_is_refused_whole() {
        let book = Book::new(1);
        book.admit(PENDING_BYTES_MAX, soon()).unwrap();
        let error = book.admit(1, soon()).unwrap_err();
        assert!(matches!(error, LogError::Unavailable { .. }), "{error}");
    }
}
