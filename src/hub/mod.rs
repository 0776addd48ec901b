//! Floor 2. The middle that speaks no protocol: topics, sessions, queues, and who may use them.
//!
//! Absent on purpose: wire formats, sockets, clocks, files.

pub mod policy;

#[cfg(test)]
mod policy_test;
