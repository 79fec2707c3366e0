//! the pure step from a record to its effects.
