//! seeded whole-system simulator.
