//! Checkpoints that are written some steps after their owners sent them on their way.

use crate::world::World;
use sojourn_ports::{Aside, Task};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

/// Holds tasks back until the simulator runs them.
pub(crate) struct Later(Mutex<Held>);

struct Held {
    /// Whether tasks wait at all; otherwise each is run at once.
    waits: bool,
    tasks: VecDeque<Arc<dyn Task>>,
}

impl Later {
    pub(crate) fn new(waits: bool) -> Self {
        Self(Mutex::new(Held { waits, tasks: VecDeque::new() }))
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.0.lock().expect("one thread")
    }

    /// How many wait.
    pub(crate) fn waiting(&self) -> usize {
        self.lock().tasks.len()
    }
}

impl Aside for Later {
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

impl World {
    /// One checkpoint is written: those of different owners in any order.
    pub(crate) fn write_one(&mut self) {
        let chosen = self.random.below(self.aside.waiting());
        let task = self.aside.lock().tasks.remove(chosen);
        if let Some(task) = task {
            task.run();
            self.sight("a checkpoint was written while its owner went on");
        }
    }

    /// The machine went down with checkpoints on their way.
    pub(crate) fn lose_checkpoints(&mut self) {
        let lost = std::mem::take(&mut self.aside.lock().tasks);
        if !lost.is_empty() {
            self.sight("a crash lost a checkpoint on its way");
        }
    }

    /// From now on each is written at once; those that wait as well.
    pub(crate) fn write_all(&mut self) {
        let tasks = {
            let mut held = self.aside.lock();
            held.waits = false;
            std::mem::take(&mut held.tasks)
        };
        tasks.into_iter().for_each(|task| task.run());
    }
}
