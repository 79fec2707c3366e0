//! Load generator and benchmarks: job J1, the one job that every figure of the house is about.

#![allow(clippy::disallowed_methods, reason = "a benchmark measures the time on the wall")]

pub mod broker;
pub mod cli;
pub mod cpu;
pub mod engine;
pub mod http;
pub mod j1;
pub mod latency;
mod process;
mod raw;
