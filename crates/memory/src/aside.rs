//! Work beside an owner's thread, held back until a test or the simulator runs it.

use sojourn_ports::{Aside, Task};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

/// Holds tasks back.
pub struct HeldBack(Mutex<Held>);

struct Held {
    /// Whether tasks wait at all; otherwise each is run at once.
    waits: bool,
    tasks: VecDeque<Arc<dyn Task>>,
}

impl Default for HeldBack {
    fn default() -> Self {
        Self::new(true)
    }
}

impl HeldBack {
    /// `waits`: whether tasks are held back at all; otherwise each is run at once.
    pub fn new(waits: bool) -> Self {
        Self(Mutex::new(Held { waits, tasks: VecDeque::new() }))
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.0.lock().expect("no task runs under the lock")
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.lock().tasks.len()
    }

    /// Runs the one at `place` of those that wait; false: there is none.
    pub fn run_one(&self, place: usize) -> bool {
        let task = self.lock().tasks.remove(place);
        task.inspect(|task| task.run()).is_some()
    }

    /// Runs all that wait; says how many.
    pub fn run_all(&self) -> usize {
        let tasks = std::mem::take(&mut self.lock().tasks);
        tasks.iter().for_each(|task| task.run());
        tasks.len()
    }

    /// What waits dies with its process; says how many.
    pub fn lose(&self) -> usize {
        std::mem::take(&mut self.lock().tasks).len()
    }

    /// From now on each is run at once; those that wait as well.
    pub fn hold_no_more(&self) {
        self.lock().waits = false;
        self.run_all();
    }
}

impl Aside for HeldBack {
    fn take(&self, task: Arc<dyn Task>) {
        let mut held = self.lock();
        if held.waits {
            held.tasks.push_back(task);
        } else {
            drop(held);
            task.run();
        }
    }
}
