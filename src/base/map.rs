//! Floor 0. Maps and sets whose order and hashing are ours.
//!
//! The hasher is keyed with a seed that is injected once at start: random in production, so that
//! a client cannot choose colliding names, fixed in simulation, so that a run repeats. Absent on
//! purpose: the standard library's randomly keyed `HashMap` (banned by `clippy.toml`).

#[expect(clippy::disallowed_types, reason = "the one door to the std map, with our hasher")]
use std::collections::{HashMap, HashSet};

/// Builds keyed hashers: `Seed::with_seed(n)`. Two maps with equal seeds iterate alike.
pub use foldhash::fast::FixedState as Seed;

/// A map with the injected seed: `Map::with_hasher(seed)`.
#[expect(clippy::disallowed_types, reason = "the one door to the std map, with our hasher")]
pub type Map<K, V> = HashMap<K, V, Seed>;

/// A set with the injected seed.
#[expect(clippy::disallowed_types, reason = "the one door to the std set, with our hasher")]
pub type Set<K> = HashSet<K, Seed>;
