//! The seeded simulator: the whole system on one thread under a virtual clock, with faults, and a
//! checker per invariant.
//!
//! A seed is a run: the same seed gives the same trace, byte for byte. [`run::run`] drives one;
//! [`checkers`] look at what it left; [`planted`] shows that each of them catches what it is for.

pub mod checkers;
pub mod coverage;
mod draw;
mod later;
mod observe;
pub mod observed;
pub mod planted;
mod provider;
mod random;
mod roles;
pub mod run;
pub mod sightings;
mod story;
mod world;
mod zombies;
