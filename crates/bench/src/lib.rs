//! load generator and benchmarks of job J1.
