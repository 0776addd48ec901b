//! Floor 1. Every filter of a realm in one tree of levels; `walk.rs` asks it who matches.
//!
//! A filter is a path of segments and a place at its end, so no leaf is found twice for a topic.
//! A filter that shares no more levels with others ends in the edge that it has for itself; there
//! are nodes only where several part (nodes for every level, and numbers for texts, were tried:
//! more lines of memory, one after another). Nodes are pruned with their last leaf; an edge does
//! not get a filter back from a node. Absent on purpose: what a leaf holds, and who is told.

use super::edges::{Edge, Edges};
use super::filter::{Filter, Seg, Tail};
use super::node::{NONE, Node, some};
use super::packed::{Long, Packed, Short};
use super::pieces::Pieces;
use crate::base::map::Seed;
use bytes::Bytes;
use slab::Slab;
use smallvec::SmallVec;
use std::collections::BTreeMap;
use std::hash::BuildHasher;

/// Where a filter's leaf is. Dies with [`FilterTrie::remove`]; its number may then be given to
/// another leaf, so whoever keeps ids across a removal compares [`FilterTrie::version`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct LeafId(pub u32);

/// What a leaf takes with what its owners note about it.
const LEAF: usize = 96;

/// A set of filters, each with something of the owner's.
#[derive(Debug)]
pub struct FilterTrie<L> {
    seed: Seed,
    pub(super) nodes: Pieces<Node>,
    /// What stands behind literal levels.
    pub(super) edges: Edges,
    /// Texts that are too long for an edge.
    pub(super) texts: Pieces<Long>,
    /// Texts of `Tail::Starts` at a node, except the empty one.
    pub(super) starts: Slab<BTreeMap<Box<[u8]>, u32>>,
    leaves: Slab<Leaf<L>>,
    version: u64,
}

#[derive(Debug)]
struct Leaf<L> {
    node: u32,
    place: Place,
    value: L,
}

/// Which leaf of a node: one for each tail, or that of an edge.
#[derive(Debug)]
enum Place {
    End,
    Rest,
    /// `Starts` with nothing: any one level or more.
    More,
    Starts(Box<[u8]>),
    /// The edge with this hash that leads from the node to the leaf.
    Edge(u32),
}

impl<L> FilterTrie<L> {
    /// No filters yet.
    #[must_use]
    pub fn new(seed: Seed) -> Self {
        let mut nodes = Pieces::new();
        nodes.add(Node::new(NONE, None));
        Self {
            seed,
            nodes,
            edges: Edges::new(),
            texts: Pieces::new(),
            starts: Slab::new(),
            leaves: Slab::new(),
            version: 0,
        }
    }

    /// The leaf of this filter; if it has none yet, one that holds what `make` returns.
    pub fn entry(&mut self, filter: &Filter, make: impl FnOnce() -> L) -> LeafId {
        if let Some(leaf) = self.find(filter) {
            return leaf;
        }
        let leaf = self.leaves.vacant_key() as u32;
        let (node, place) = self.hang(ROOT, filter, leaf);
        self.leaves.insert(Leaf { node, place, value: make() });
        self.version += 1;
        LeafId(leaf)
    }

    /// The leaf of this very filter, if it is in the set.
    #[must_use]
    pub fn find(&self, filter: &Filter) -> Option<LeafId> {
        let mut node = ROOT;
        for (i, seg) in filter.segs.iter().enumerate() {
            node = match seg {
                Seg::One => some(self.nodes.at(node).one)?,
                Seg::Lit(text) => {
                    let edge = self.edge(node, text, self.hash(text))?;
                    if edge.text.is_leaf() {
                        let same = match edge.text.place() {
                            None => Packed::leaf(filter, i)? == edge.text,
                            Some(at) => Packed::leaf(filter, i)? == self.texts.at(at).0,
                        };
                        return same.then_some(LeafId(edge.to));
                    }
                    edge.to
                }
            };
        }
        self.leaf_at(node, &filter.tail).map(LeafId)
    }

    /// Take a filter out of the set.
    pub fn remove(&mut self, id: LeafId) -> Option<L> {
        let leaf = self.leaves.try_remove(id.0 as usize)?;
        match &leaf.place {
            Place::Edge(hash) => self.cut(leaf.node, *hash, true, id.0),
            place => self.unhook(leaf.node, place),
        }
        self.prune(leaf.node);
        self.version += 1;
        Some(leaf.value)
    }

    /// What the leaf holds.
    #[must_use]
    pub fn leaf(&self, id: LeafId) -> Option<&L> {
        self.leaves.get(id.0 as usize).map(|leaf| &leaf.value)
    }

    /// What the leaf holds, to change.
    pub fn leaf_mut(&mut self, id: LeafId) -> Option<&mut L> {
        self.leaves.get_mut(id.0 as usize).map(|leaf| &mut leaf.value)
    }

    /// The filter of a leaf, put together again.
    #[must_use]
    pub fn filter(&self, id: LeafId) -> Option<Filter> {
        let leaf = self.leaves.get(id.0 as usize)?;
        let mut behind = Filter { segs: SmallVec::new(), tail: Tail::End };
        let mut segs: SmallVec<[Seg; 6]> = SmallVec::new();
        match &leaf.place {
            Place::End => {}
            Place::Rest => behind.tail = Tail::Rest,
            Place::More => behind.tail = Tail::Starts(Bytes::new()),
            Place::Starts(text) => behind.tail = Tail::Starts(Bytes::copy_from_slice(text)),
            Place::Edge(hash) => {
                let edge = self.edges.find(*hash, 0, |edge| edge.is(leaf.node, true, id.0))?;
                let level;
                (level, behind) = self.read(&edge.text);
                segs.push(Seg::Lit(level));
            }
        }
        let mut at = leaf.node;
        while at != ROOT {
            let node = self.nodes.at(at);
            segs.push(match node.is_open {
                true => Seg::One,
                false => Seg::Lit(Bytes::copy_from_slice(&node.level)),
            });
            at = node.parent;
        }
        segs.reverse();
        segs.append(&mut behind.segs);
        Some(Filter { segs, tail: behind.tail })
    }

    /// All leaves, by number.
    pub fn iter(&self) -> impl Iterator<Item = (LeafId, &L)> {
        self.leaves.iter().map(|(id, leaf)| (LeafId(id as u32), &leaf.value))
    }

    /// Another number after every change of the set.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// How many filters.
    #[must_use]
    pub fn len(&self) -> usize {
        self.leaves.len()
    }

    /// No filters.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.leaves.is_empty()
    }

    /// What is in use besides the root and the leaves: nothing when the last filter is gone.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.nodes.len() - 1 + self.edges.len() + self.texts.len() + self.starts.len()
    }

    /// Memory that the filters take, about: every level of every filter costs some.
    #[must_use]
    pub fn heap(&self) -> usize {
        // A quarter of the places for edges is free.
        let edges = self.edges.len() * size_of::<Edge>() / 3 * 4;
        let nodes = (self.nodes.len() - 1) * size_of::<Node>();
        nodes + edges + self.texts.len() * size_of::<Long>() + self.leaves.len() * LEAF
    }

    pub(super) fn hash(&self, text: &[u8]) -> u64 {
        self.seed.hash_one(text) & HASH_BITS
    }

    /// Does this edge lead from here by this level?
    #[inline]
    pub(super) fn leads(&self, edge: &Edge, from: u32, level: &[u8]) -> bool {
        edge.parent == from && edge.text.is_level(level).unwrap_or_else(|| self.is(edge, level))
    }

    /// The same for a level that is not in the edge.
    fn is(&self, edge: &Edge, level: &[u8]) -> bool {
        match edge.text.place() {
            Some(at) => self.texts.at(at).0.level() == level,
            None => *self.nodes.at(edge.to).level == *level,
        }
    }

    /// The level of a leaf, and what follows it as a filter of its own.
    fn read(&self, text: &Short) -> (Bytes, Filter) {
        let (level, behind) = match text.place() {
            None => (text.level(), text.behind()),
            Some(at) => (self.texts.at(at).0.level(), self.texts.at(at).0.behind()),
        };
        (Bytes::copy_from_slice(level), behind)
    }

    /// The text of a leaf's edge, if one line has room for it.
    fn write(&mut self, filter: &Filter, from: usize) -> Option<Short> {
        Packed::leaf(filter, from).or_else(|| {
            let long = Packed::leaf(filter, from).map(Long)?;
            Some(Short::elsewhere(self.texts.add(long)))
        })
    }

    /// No edge has this text any more.
    fn wipe(&mut self, text: &Short) {
        if let Some(at) = text.place() {
            self.texts.take(at, Long(Packed::EMPTY));
        }
    }

    fn edge(&self, from: u32, level: &[u8], hash: u64) -> Option<&Edge> {
        self.edges.find(edge_hash(from, hash), 0, |edge| self.leads(edge, from, level))
    }

    /// Find a place below a node for a filter that has none there, and make what is missing.
    fn hang(&mut self, from: u32, filter: &Filter, leaf: u32) -> (u32, Place) {
        let mut at = from;
        for (i, seg) in filter.segs.iter().enumerate() {
            let Seg::Lit(text) = seg else {
                at = self.make_open(at);
                continue;
            };
            let hash = self.hash(text);
            if let Some(edge) = self.edge(at, text, hash) {
                at = match (edge.text.is_leaf(), edge.to) {
                    (true, other) => self.part_ways(at, hash, text, other),
                    (false, child) => child,
                };
                continue;
            }
            let hash = edge_hash(at, hash);
            self.nodes.at_mut(at).edges += 1;
            if let Some(text) = self.write(filter, i) {
                self.edges.insert(Edge::new(hash, at, leaf, text));
                return (at, Place::Edge(hash));
            }
            let child = self.nodes.add(Node::new(at, Some(text)));
            self.edges.insert(Edge::new(hash, at, child, Short::node(text)));
            at = child;
        }
        let place = match &filter.tail {
            Tail::End => Place::End,
            Tail::Rest => Place::Rest,
            Tail::Starts(text) if text.is_empty() => Place::More,
            Tail::Starts(text) => Place::Starts(text[..].into()),
        };
        self.hook(at, &place, leaf);
        (at, place)
    }

    /// The leaf of an edge gets company: from now on the edge leads to a node, and what the leaf
    /// wants behind its level hangs below that.
    fn part_ways(&mut self, from: u32, hash: u64, level: &[u8], leaf: u32) -> u32 {
        let child = self.nodes.add(Node::new(from, Some(level)));
        let is = |edge: &Edge| edge.is(from, true, leaf);
        if let Some(edge) = self.edges.find_mut(edge_hash(from, hash), is) {
            edge.to = child;
            let text = core::mem::replace(&mut edge.text, Short::node(level));
            let (_, behind) = self.read(&text);
            self.wipe(&text);
            let (node, place) = self.hang(child, &behind, leaf);
            if let Some(leaf) = self.leaves.get_mut(leaf as usize) {
                (leaf.node, leaf.place) = (node, place);
            }
        }
        child
    }

    fn make_open(&mut self, parent: u32) -> u32 {
        if let Some(child) = some(self.nodes.at(parent).one) {
            return child;
        }
        let child = self.nodes.add(Node::new(parent, None));
        self.nodes.at_mut(parent).one = child;
        child
    }

    fn leaf_at(&self, node: u32, tail: &Tail) -> Option<u32> {
        let node = self.nodes.at(node);
        match tail {
            Tail::End => some(node.end),
            Tail::Rest => some(node.rest),
            Tail::Starts(text) if text.is_empty() => some(node.more),
            Tail::Starts(text) => self.starts.get(node.starts as usize)?.get(&text[..]).copied(),
        }
    }

    fn hook(&mut self, at: u32, place: &Place, leaf: u32) {
        let node = self.nodes.at_mut(at);
        match place {
            Place::End => node.end = leaf,
            Place::Rest => node.rest = leaf,
            Place::More => node.more = leaf,
            Place::Starts(text) => {
                if node.starts == NONE {
                    node.starts = self.starts.insert(BTreeMap::new()) as u32;
                }
                self.starts[node.starts as usize].insert(text.clone(), leaf);
            }
            Place::Edge(_) => {}
        }
    }

    fn unhook(&mut self, at: u32, place: &Place) {
        let node = self.nodes.at_mut(at);
        match place {
            Place::End => node.end = NONE,
            Place::Rest => node.rest = NONE,
            Place::More => node.more = NONE,
            Place::Starts(text) => {
                let key = node.starts as usize;
                self.starts[key].remove(text);
                if self.starts[key].is_empty() {
                    self.starts.remove(key);
                    node.starts = NONE;
                }
            }
            Place::Edge(_) => {}
        }
    }

    /// Take away this node and those above it that lead nowhere any more.
    fn prune(&mut self, from: u32) {
        let mut at = from;
        while at != ROOT && self.nodes.at(at).is_bare() {
            let node = self.nodes.take(at, Node::new(NONE, None));
            if node.is_open {
                self.nodes.at_mut(node.parent).one = NONE;
            } else {
                let hash = edge_hash(node.parent, self.hash(&node.level));
                self.cut(node.parent, hash, false, at);
            }
            at = node.parent;
        }
    }

    fn cut(&mut self, from: u32, hash: u32, is_leaf: bool, to: u32) {
        if let Some(edge) = self.edges.remove(hash, |edge| edge.is(from, is_leaf, to)) {
            self.nodes.at_mut(from).edges -= 1;
            self.wipe(&edge.text);
        }
    }
}

/// Of the two, only the level's hash must be hard to guess.
pub(super) fn edge_hash(parent: u32, hash: u64) -> u32 {
    let mixed = (hash ^ u64::from(parent).wrapping_mul(SPREAD)).wrapping_mul(SPREAD);
    (mixed >> 32) as u32 & EDGE_BITS
}

pub(super) const ROOT: u32 = 0;
/// Unit tests keep so little of a hash that collisions, rare otherwise, are the rule.
const HASH_BITS: u64 = if cfg!(test) { 7 } else { u64::MAX };
const EDGE_BITS: u32 = if cfg!(test) { 0xC000_0003 } else { u32::MAX };
/// Odd, and without a pattern: 2^64 divided by the golden ratio.
const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;
