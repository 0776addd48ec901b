//! Floor 6. spindle: a message broker as a library.

pub mod access;
pub mod base;
pub mod engine;
pub mod hub;
pub mod journal;
pub mod proto;
pub mod topic;
