//! Floor 1. Names, and who matches them: one space of topics for every dialect.
//!
//! Read `name.rs` (a topic is levels), `filter.rs` (two segments, three tails), `dialect.rs` (how
//! a protocol spells them), `trie.rs` and `walk.rs` (topic in,
//! filters out), `tree.rs` (filter in, topics out); `star.rs` is the grammar that access rules
//! share with PRX1, `plus.rs` the one of MQTT.
//!
//! Matching knows levels only; separators and wildcard letters end at the dialect. One law holds
//! in the whole space: a wildcard at the root never opens a level that begins with `$`. Absent on
//! purpose: sessions, messages, rights, and what a match means.

pub mod dialect;
mod edges;
pub mod filter;
#[cfg(any(test, feature = "testing"))]
pub mod fuzzing;
#[cfg(any(test, feature = "testing"))]
pub mod laws;
pub mod name;
mod node;
mod packed;
mod pieces;
pub mod plus;
pub mod star;
pub mod tree;
pub mod trie;
mod walk;

pub use dialect::{Dialect, Match, TopicFault};
pub use filter::{Filter, Seg, Tail};
pub use name::{TEXT_MAX, Topic};
pub use plus::Plus;
pub use star::Star;
pub use tree::{Cursor, TopicTree, Walk};
pub use trie::{FilterTrie, LeafId};

#[cfg(test)]
mod filter_test;
#[cfg(test)]
mod name_test;
#[cfg(test)]
mod plus_test;
#[cfg(test)]
mod star_test;
#[cfg(test)]
mod tree_test;
#[cfg(test)]
mod trie_test;
