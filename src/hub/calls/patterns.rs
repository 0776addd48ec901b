//! Floor 2. Names and patterns of one realm, and which of them is the best for a called name.
//!
//! Exact names stand in a map, prefixes in a tree of bytes. Patterns with wildcards stand by their
//! shape, which says where the wildcards are; of the shapes with as many components as the name,
//! the one whose first difference is a literal goes first, which is the longest run of literals,
//! then the longest next run, and so on. A shape and a name make one text, and that is looked up.
//! So a match takes as many steps as the name has bytes and as there are shapes, not as there are
//! patterns. Absent on purpose: what is registered there, and what a good name is.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::base::map::{Map, Seed};

use super::prefixes::Prefixes;
use super::words::Kind;

/// Ends a component of a name.
const SEPARATOR: u8 = b'.';

/// A set of names and patterns, each with a number.
#[derive(Debug)]
pub(super) struct Patterns {
    seed: Seed,
    exact: Map<Bytes, u64>,
    prefix: Prefixes,
    wildcard: BTreeMap<Shape, Map<Bytes, u64>>,
    /// Of those with wildcards.
    len: usize,
}

/// Where a pattern has its wildcards. In order: by the number of components, and at the first
/// difference the literal first.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Shape {
    components: usize,
    is_open: Vec<bool>,
}

impl Shape {
    fn of(pattern: &[u8]) -> Self {
        let is_open: Vec<bool> =
            pattern.split(|byte| *byte == SEPARATOR).map(<[u8]>::is_empty).collect();
        Self { components: is_open.len(), is_open }
    }

    /// Before all shapes with so many components.
    fn first(components: usize) -> Self {
        Self { components, is_open: Vec::new() }
    }

    /// The pattern of this shape that matches the name, if any does.
    fn fit(&self, name: &[u8], into: &mut Vec<u8>) {
        into.clear();
        let components = name.split(|byte| *byte == SEPARATOR).zip(&self.is_open);
        for (i, (component, is_open)) in components.enumerate() {
            if i > 0 {
                into.push(SEPARATOR);
            }
            if !is_open {
                into.extend_from_slice(component);
            }
        }
    }
}

impl Patterns {
    /// None yet.
    pub(super) fn new(seed: Seed) -> Self {
        let exact = Map::with_hasher(seed.clone());
        Self { seed, exact, prefix: Prefixes::new(), wildcard: BTreeMap::new(), len: 0 }
    }

    /// The number of this very pattern.
    pub(super) fn find(&self, kind: Kind, text: &[u8]) -> Option<u64> {
        match kind {
            Kind::Exact => self.exact.get(text).copied(),
            Kind::Prefix => self.prefix.find(text),
            Kind::Wildcard => self.wildcard.get(&Shape::of(text))?.get(text).copied(),
        }
    }

    /// The number of the best pattern for this name.
    pub(super) fn best(&self, name: &[u8]) -> Option<u64> {
        let exact = self.exact.get(name).copied();
        exact.or_else(|| self.prefix.longest(name)).or_else(|| self.best_wildcard(name))
    }

    fn best_wildcard(&self, name: &[u8]) -> Option<u64> {
        if self.wildcard.is_empty() {
            return None;
        }
        let components = name.split(|byte| *byte == SEPARATOR).count();
        let shapes = self.wildcard.range(Shape::first(components)..Shape::first(components + 1));
        let mut text = Vec::new();
        for (shape, patterns) in shapes {
            shape.fit(name, &mut text);
            if let Some(id) = patterns.get(&text[..]) {
                return Some(*id);
            }
        }
        None
    }

    /// Is there room for this pattern among `most` shapes?
    pub(super) fn has_room(&self, kind: Kind, text: &[u8], most: usize) -> bool {
        kind != Kind::Wildcard
            || self.wildcard.len() < most
            || self.wildcard.contains_key(&Shape::of(text))
    }

    /// One more; it must not be there yet.
    pub(super) fn insert(&mut self, kind: Kind, text: Bytes, id: u64) {
        match kind {
            Kind::Exact => _ = self.exact.insert(text, id),
            Kind::Prefix => self.prefix.insert(&text, id),
            Kind::Wildcard => {
                let patterns = self.wildcard.entry(Shape::of(&text));
                let patterns = patterns.or_insert_with(|| Map::with_hasher(self.seed.clone()));
                patterns.insert(text, id);
                self.len += 1;
            }
        }
    }

    /// One less.
    pub(super) fn remove(&mut self, kind: Kind, text: &[u8]) {
        match kind {
            Kind::Exact => _ = self.exact.remove(text),
            Kind::Prefix => self.prefix.remove(text),
            Kind::Wildcard => {
                let shape = Shape::of(text);
                let Some(patterns) = self.wildcard.get_mut(&shape) else { return };
                self.len -= usize::from(patterns.remove(text).is_some());
                if patterns.is_empty() {
                    self.wildcard.remove(&shape);
                }
            }
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.exact.len() + self.prefix.len() + self.len
    }
}
