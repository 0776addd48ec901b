//! Floor 3. One folder per protocol, the same rooms in each.
//!
//! `packet` names what is said, `decode` and `encode` are pure, `fault` knows the last words.
//! Protocols do not know each other; the files beside the folders are their common staircase.
//! Absent on purpose: sockets, threads, clocks, and anything about other connections.

pub mod fault;
pub mod prx1;
