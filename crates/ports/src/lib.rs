//! log, state, identity graph, gate and channel contracts with their suites.
