//! one folder per channel adapter.

pub mod token;
