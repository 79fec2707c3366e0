//! Threads that write checkpoints and commits, so that identity and the owners of partitions need
//! not wait for the store. Several at once: the embedded store commits together what comes together.

use parking_lot::Mutex;
use sojourn_ports::{Aside, Task};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

/// Threads at most.
const THREADS_MAX: usize = 4;

/// Takes checkpoints on. Each owner has one on its way at most, so that they are few (LIM-1). Its
/// threads end when it is dropped and everything is written.
pub(crate) struct Writers(Sender<Arc<dyn Task>>);

impl Writers {
    /// For so many owners, with what its threads have to run.
    pub(crate) fn new(owners: usize) -> (Arc<Self>, Vec<impl FnOnce() + Send + 'static>) {
        let (sender, receiver) = channel();
        let receiver = Arc::new(Mutex::new(receiver));
        let threads = (0..owners.clamp(1, THREADS_MAX)).map(|_| {
            let receiver = receiver.clone();
            move || write(&receiver)
        });
        (Arc::new(Self(sender)), threads.collect())
    }
}

fn write(tasks: &Mutex<Receiver<Arc<dyn Task>>>) {
    loop {
        // One thread waits, the others wait for the lock.
        let Ok(task) = tasks.lock().recv() else { return };
        task.run();
    }
}

impl Aside for Writers {
    fn take(&self, task: Arc<dyn Task>) {
        // A task that no thread takes is run by its owner, who waits for it in the end.
        if self.0.send(task).is_err() {
            tracing::error!("the threads that write checkpoints have ended");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sojourn_ports::Errand;

    #[test]
    fn what_was_taken_on_is_done_before_the_threads_end() {
        let (writers, threads) = Writers::new(3);
        let threads: Vec<_> = threads.into_iter().map(std::thread::spawn).collect();
        assert_eq!(threads.len(), 3);
        let errands: Vec<_> = (0..50).map(|nth| Errand::new(move || nth)).collect();
        errands.iter().for_each(|errand| writers.take(errand.clone()));
        drop(writers);
        threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
        assert!(errands.iter().enumerate().all(|(nth, errand)| errand.poll() == Some(nth)));
    }
}
