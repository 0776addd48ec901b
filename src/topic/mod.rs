//! Floor 1. Names, and who matches them: one space of topics for every dialect.
//!
//! Read `name.rs` (a topic is levels), `filter.rs` (two segments, three tails), `dialect.rs` (how
//! a protocol spells them), then `star.rs` for the grammar that access rules share with PRX1.
//! Matching knows levels only; separators and wildcard letters end at the dialect. One law holds
//! in the whole space: a wildcard at the root never opens a level that begins with `$`. Absent on
//! purpose: sessions, messages, rights, and what a match means.

pub mod dialect;
pub mod filter;
pub mod name;
pub mod star;

pub use dialect::{Dialect, Match, TopicFault};
pub use filter::{Filter, Seg, Tail};
pub use name::{TEXT_MAX, Topic};
pub use star::Star;

#[cfg(test)]
mod star_test;
