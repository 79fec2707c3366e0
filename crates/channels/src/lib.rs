//! one folder per channel adapter.
