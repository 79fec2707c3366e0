//! Each planted bug is switched on and must be caught: a checker that nothing fails proves nothing.

/// What became of one mutation.
#[derive(Debug)]
pub struct Caught {
    /// Its name.
    pub mutation: String,
    /// The invariant that did not hold, and the seed; `None`: nobody noticed.
    pub by: Option<(&'static str, u64)>,
}

/// Faults of the edge, which the simulator plays itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Edge {
    /// LOG-1: a message is acknowledged before it is durable.
    AnswerBeforeDurable,
    /// CON-2: a revocation is acknowledged without closing the gate.
    AnswerBeforeMark,
}

impl Edge {
    #[cfg(feature = "planted-bugs")]
    const ALL: [Self; 2] = [Self::AnswerBeforeDurable, Self::AnswerBeforeMark];
}

#[cfg(feature = "planted-bugs")]
pub use switched::hunt;
#[cfg(feature = "planted-bugs")]
pub(crate) use switched::planted;

#[cfg(not(feature = "planted-bugs"))]
pub(crate) const fn planted(_mutation: Edge) -> bool {
    false
}

#[cfg(feature = "planted-bugs")]
mod switched {
    use super::{Caught, Edge};
    use crate::run::{STEPS, run};
    use std::cell::Cell;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    thread_local! {
        static PLANTED: Cell<Option<Edge>> = const { Cell::new(None) };
    }

    pub(crate) fn planted(mutation: Edge) -> bool {
        PLANTED.get() == Some(mutation)
    }

    #[derive(Debug, Clone, Copy)]
    enum Bug {
        Reader(sojourn_proto::Mutation),
        Engine(sojourn_engine::Mutation),
        Dispatcher(sojourn_dispatcher::Mutation),
        Identity(sojourn_identity::Mutation),
        Worker(sojourn_worker::Mutation),
        Edge(Edge),
    }

    impl Bug {
        fn name(self) -> String {
            match self {
                Self::Reader(mutation) => format!("{mutation:?}"),
                Self::Engine(mutation) => format!("{mutation:?}"),
                Self::Dispatcher(mutation) => format!("{mutation:?}"),
                Self::Identity(mutation) => format!("{mutation:?}"),
                Self::Worker(mutation) => format!("{mutation:?}"),
                Self::Edge(mutation) => format!("{mutation:?}"),
            }
        }

        /// In this thread only.
        fn plant(self, on: bool) {
            match self {
                Self::Reader(mutation) => sojourn_proto::plant(on.then_some(mutation)),
                Self::Engine(mutation) => {
                    sojourn_engine::plant(on.then_some(mutation));
                    // Nothing reaches an absorbed profile unless a mapping is out of date.
                    let stale = mutation == sojourn_engine::Mutation::TombstoneKeeps;
                    let stale = stale.then_some(sojourn_identity::Mutation::StaleMapping);
                    sojourn_identity::plant(stale.filter(|_| on));
                }
                Self::Dispatcher(mutation) => sojourn_dispatcher::plant(on.then_some(mutation)),
                Self::Identity(mutation) => sojourn_identity::plant(on.then_some(mutation)),
                Self::Worker(mutation) => sojourn_worker::plant(on.then_some(mutation)),
                Self::Edge(mutation) => PLANTED.set(on.then_some(mutation)),
            }
        }

        /// Whether the house stands it: see the test.
        fn is_harmless(self) -> bool {
            matches!(self, Self::Identity(sojourn_identity::Mutation::StaleMapping))
        }

        fn hunt(self, seeds: u64) -> Caught {
            self.plant(true);
            let by = (1..=seeds).find_map(|seed| {
                let report = run(seed, false, STEPS);
                report.violations.first().map(|violation| (violation.id, seed))
            });
            self.plant(false);
            Caught { mutation: self.name(), by }
        }
    }

    /// Hunts every mutation with at most `seeds` seeds each, or those whose name contains `only`.
    pub fn hunt(
        seeds: u64,
        threads: usize,
        only: &str,
        tell: impl Fn(&Caught) + Sync,
    ) -> Vec<Caught> {
        let bugs: Vec<Bug> = (sojourn_engine::Mutation::ALL.iter().copied().map(Bug::Engine))
            .chain(sojourn_proto::Mutation::ALL.iter().copied().map(Bug::Reader))
            .chain(sojourn_dispatcher::Mutation::ALL.iter().copied().map(Bug::Dispatcher))
            .chain(sojourn_identity::Mutation::ALL.iter().copied().map(Bug::Identity))
            .filter(|bug| !bug.is_harmless())
            .chain(sojourn_worker::Mutation::ALL.iter().copied().map(Bug::Worker))
            .chain(Edge::ALL.into_iter().map(Bug::Edge))
            .filter(|bug| bug.name().contains(only))
            .collect();
        let next = AtomicUsize::new(0);
        let caught = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    while let Some(bug) = bugs.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let result = bug.hunt(seeds);
                        tell(&result);
                        caught.lock().expect("the others tell only").push(result);
                    }
                });
            }
        });
        caught.into_inner().expect("the others tell only")
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        /// A cached mapping may be out of date: the absorbed profile's partition passes on what still
        /// arrives (architecture, identity across partitions).
        #[test]
        fn a_mapping_that_is_out_of_date_does_no_harm() {
            let caught = Bug::Identity(sojourn_identity::Mutation::StaleMapping).hunt(20);
            assert_eq!(caught.by, None);
        }
    }
}
