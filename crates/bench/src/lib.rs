//! Load generator and benchmarks: job J1, the one job that every figure of the house is about.

pub mod j1;
