//! Floor 6. spindle: a message broker as a library.
pub mod access;
pub mod base;
pub mod hub;
#[cfg(feature = "os")]
pub mod os;
pub mod topic;
