//! The log over real brokers: `tests/run kafka` starts them and says where they are.

#![expect(clippy::disallowed_methods, reason = "the tests wait for brokers and threads")]

mod contract;
mod faults;
mod house;
mod topics;
