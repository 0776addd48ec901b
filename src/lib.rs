//! Floor 6. spindle: a message broker as a library.

pub mod access;
pub mod base;
#[cfg(feature = "os")]
pub mod client;
pub mod engine;
pub mod hub;
pub mod journal;
#[cfg(feature = "os")]
pub mod os;
pub mod proto;
#[cfg(feature = "testing")]
pub mod testing;
pub mod topic;
