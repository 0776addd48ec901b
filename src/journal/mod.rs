//! Floor 1. What survives: an append-only log in segments.

pub mod job;
pub mod record;
pub mod storage;

#[cfg(test)]
mod record_test;
