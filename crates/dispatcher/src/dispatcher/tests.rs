//! Turns over ports in memory and a fake provider.

mod crashes;
mod house;
#[cfg(feature = "planted-bugs")]
mod planted;
mod turns;
