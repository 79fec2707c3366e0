//! from identifiers to a profile.
