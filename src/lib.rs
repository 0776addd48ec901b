//! Floor 6. spindle: a message broker as a library.
pub mod base;
#[cfg(feature = "os")]
pub mod client;
pub mod proto;
