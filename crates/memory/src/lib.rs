//! log, state and graph in memory, with seeded faults.
