//! Work beside an owner's thread: an owner that has its checkpoint written goes on with the next
//! records meanwhile.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Something to run once.
pub trait Task: Send + Sync {
    /// Runs it, unless somebody has begun it already.
    fn run(&self);
}

/// Runs tasks, somewhere and at some time: nothing may depend on when, only on the outcome.
pub trait Aside: Send + Sync {
    /// Takes a task on. One that is never run is as good as lost in a crash.
    fn take(&self, task: Arc<dyn Task>);
}

/// Runs each task at once, on the thread of whoever hands it over.
#[derive(Debug, Clone, Copy, Default)]
pub struct AtOnce;

impl Aside for AtOnce {
    fn take(&self, task: Arc<dyn Task>) {
        task.run();
    }
}

/// A task whose outcome comes back to whoever sent it. Whoever comes first runs it: the thread
/// aside, or the sender when it must wait.
pub struct Errand<T> {
    state: Mutex<State<T>>,
    ended: Condvar,
}

type Work<T> = Box<dyn FnOnce() -> T + Send>;

enum State<T> {
    Waiting(Work<T>),
    Running,
    Done(T),
    /// The outcome was taken.
    Taken,
    /// The work has panicked.
    Broken,
}

/// Leaves `Broken` behind when the work panics, so that nobody waits for ever.
struct Ending<'e, T>(&'e Errand<T>, State<T>);

impl<T> Drop for Ending<'_, T> {
    fn drop(&mut self) {
        *self.0.lock() = std::mem::replace(&mut self.1, State::Broken);
        self.0.ended.notify_all();
    }
}

impl<T> Errand<T> {
    /// An errand that nobody runs yet.
    pub fn new(work: impl FnOnce() -> T + Send + 'static) -> Arc<Self> {
        let state = Mutex::new(State::Waiting(Box::new(work)));
        Arc::new(Self { state, ended: Condvar::new() })
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // Work runs outside the lock: a panic cannot leave a half-changed state.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self) {
        let work = {
            let mut state = self.lock();
            match std::mem::replace(&mut *state, State::Running) {
                State::Waiting(work) => work,
                other => {
                    *state = other;
                    return;
                }
            }
        };
        let mut ending = Ending(self, State::Broken);
        ending.1 = State::Done(work());
    }

    /// The outcome, when it is there; once.
    ///
    /// # Panics
    /// When the work has panicked.
    pub fn poll(&self) -> Option<T> {
        let mut state = self.lock();
        match std::mem::replace(&mut *state, State::Taken) {
            State::Done(outcome) => Some(outcome),
            State::Broken => panic!("work beside this thread has panicked"),
            other => {
                *state = other;
                None
            }
        }
    }

    /// Waits for the outcome; runs the work here when nobody has begun it.
    ///
    /// # Panics
    /// When the work has panicked, or the outcome was taken before.
    pub fn wait(&self) -> T {
        self.begin();
        let mut state = self.lock();
        loop {
            match std::mem::replace(&mut *state, State::Taken) {
                State::Done(outcome) => return outcome,
                State::Broken => panic!("work beside this thread has panicked"),
                State::Taken => panic!("the outcome was taken before"),
                running => *state = running,
            }
            state = self.ended.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl<T: Send> Task for Errand<T> {
    fn run(&self) {
        self.begin();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn work_is_done_once_whoever_comes_first() {
        let count = Arc::new(AtomicU32::new(0));
        let errand = || {
            let count = count.clone();
            Errand::new(move || count.fetch_add(1, Ordering::SeqCst))
        };
        let waited = errand();
        assert_eq!(waited.poll(), None);
        assert_eq!(waited.wait(), 0);
        waited.run();
        assert_eq!((waited.poll(), count.load(Ordering::SeqCst)), (None, 1));
        let sent = errand();
        AtOnce.take(sent.clone());
        assert_eq!((sent.poll(), sent.poll()), (Some(1), None));
    }

    #[test]
    #[expect(
        clippy::disallowed_methods,
        reason = "work that takes a while, on a thread of its own"
    )]
    fn who_waits_hears_of_an_outcome_and_of_a_panic() {
        let (begun, begin) = std::sync::mpsc::channel();
        let errand = Errand::new(move || {
            begun.send(()).expect("heard");
            std::thread::sleep(std::time::Duration::from_millis(20));
            7
        });
        let aside: Arc<dyn Task> = errand.clone();
        let thread = std::thread::spawn(move || aside.run());
        begin.recv().expect("it runs");
        assert_eq!(errand.wait(), 7);
        thread.join().expect("no panic");
        let broken: Arc<Errand<()>> = Errand::new(|| panic!("planned"));
        let aside: Arc<dyn Task> = broken.clone();
        assert!(std::thread::spawn(move || aside.run()).join().is_err());
        assert!(std::panic::catch_unwind(|| broken.wait()).is_err());
    }
}
