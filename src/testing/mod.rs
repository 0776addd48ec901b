//! Floor 5. The fake world: what benches and tests say to the broker, as values with a seed.
//!
//! Absent on purpose: real sockets, files, clocks and threads.

pub mod workload;
