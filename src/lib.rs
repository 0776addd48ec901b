//! Floor 6. spindle: a message broker as a library.
pub mod base;
pub mod journal;
