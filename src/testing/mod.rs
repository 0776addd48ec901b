//! Floor 5. The fake world: disk, network, clock and people, all of them values with a seed.
//!
//! Reading order: `disk`, `rig` (one broker and its turn), `words`, `script` and `stage` (scenes
//! written as text), then the simulator: `dice`, `net`, `model`, `world` with its halves `watch`
//! and `fate`, and its door for fuzzers, `fuzzing`. What benches say is in `workload`. What a fake
//! promises is what the real thing promises and no more: a disk keeps what was synced, a
//! network keeps the order of one connection. Absent on purpose: real sockets, files, clocks and
//! threads, and anything that floors 0 to 4 would have to know about.

mod deeds;
mod device;
pub mod dice;
pub mod disk;
mod fate;
pub mod fuzzing;
mod heed;
pub mod model;
pub mod net;
pub mod rig;
mod rooms;
pub mod script;
pub mod stage;
mod watch;
pub mod words;
pub mod workload;
pub mod world;

#[cfg(test)]
mod rig_test;
