//! Floor 1. Topic in, matching leaves out: every filter of a realm in one tree of levels.
//!
//! A filter is a path of segments and a place at its end, so no leaf is found twice for a topic.
//! A node carries its level's text and fills one cache line; it knows one literal child itself,
//! further ones are in one index for the whole tree. So a level costs one line of the index and
//! one of the node, which is what a match among a million filters is made of (numbers for texts
//! were tried: two more misses for every level). A match walks down the literal child and comes
//! back for the open one: no recursion, and no allocation up to [`DEPTH_INLINE`] levels. Nodes
//! are pruned with their last leaf. Absent on purpose: what a leaf holds, and who is told.

use super::filter::{Filter, Seg, Tail};
use super::name::Topic;
use super::probe::Probe;
use crate::base::map::Seed;
use bytes::Bytes;
use slab::Slab;
use smallvec::SmallVec;
use std::collections::BTreeMap;
use std::hash::BuildHasher;
use std::ops::Bound;

/// Where a filter's leaf is. Dies with [`FilterTrie::remove`]; its number may then be given to
/// another leaf, so whoever keeps ids across a removal compares [`FilterTrie::version`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct LeafId(pub u32);

/// A set of filters, each with something of the owner's.
#[derive(Debug)]
pub struct FilterTrie<L> {
    seed: Seed,
    nodes: Nodes,
    /// Literal children beyond the first of each node.
    edges: Probe,
    /// Texts of `Tail::Starts` at a node, except the empty one.
    starts: Slab<BTreeMap<Box<[u8]>, u32>>,
    leaves: Slab<Leaf<L>>,
    version: u64,
}

/// One path of segments; `NONE` where there is nothing. The alignment keeps it in one line.
#[derive(Debug)]
#[repr(align(64))]
struct Node {
    /// The level that leads here from the parent; empty for an open one.
    level: SmallVec<[u8; 16]>,
    parent: u32,
    /// The child behind an open level.
    one: u32,
    /// One of the literal children, and half the hash of its level.
    first: u32,
    first_hash: u32,
    /// How many literal children are in the index.
    others: u32,
    /// Leaves.
    end: u32,
    rest: u32,
    more: u32,
    /// In `starts`.
    starts: u32,
    is_open: bool,
}

#[derive(Debug)]
struct Leaf<L> {
    node: u32,
    place: Place,
    value: L,
}

/// Which leaf of a node: one for each tail.
#[derive(Debug)]
enum Place {
    End,
    Rest,
    /// `Starts` with nothing: any one level or more.
    More,
    Starts(Box<[u8]>),
}

/// The hashes of a topic's first levels.
type Hashes = SmallVec<[u64; DEPTH_INLINE]>;

impl<L> FilterTrie<L> {
    /// No filters yet.
    #[must_use]
    pub fn new(seed: Seed) -> Self {
        Self {
            seed,
            nodes: Nodes::with_root(),
            edges: Probe::default(),
            starts: Slab::new(),
            leaves: Slab::new(),
            version: 0,
        }
    }

    /// The leaf of this filter; if it has none yet, one that holds what `make` returns.
    pub fn entry(&mut self, filter: &Filter, make: impl FnOnce() -> L) -> LeafId {
        let mut node = ROOT;
        for seg in &filter.segs {
            node = match seg {
                Seg::One => self.make_open(node),
                Seg::Lit(text) => self.make_literal(node, text),
            };
        }
        if let Some(leaf) = self.leaf_at(node, &filter.tail) {
            return LeafId(leaf);
        }
        let place = match &filter.tail {
            Tail::End => Place::End,
            Tail::Rest => Place::Rest,
            Tail::Starts(text) if text.is_empty() => Place::More,
            Tail::Starts(text) => Place::Starts(text[..].into()),
        };
        let leaf = self.leaves.vacant_key() as u32;
        self.hook(node, &place, leaf);
        self.leaves.insert(Leaf { node, place, value: make() });
        self.version += 1;
        LeafId(leaf)
    }

    /// The leaf of this very filter, if it is in the set.
    #[must_use]
    pub fn find(&self, filter: &Filter) -> Option<LeafId> {
        let mut node = ROOT;
        for seg in &filter.segs {
            node = match seg {
                Seg::One => some(self.node(node).one)?,
                Seg::Lit(text) => self.literal(node, text, self.hash(text))?,
            };
        }
        self.leaf_at(node, &filter.tail).map(LeafId)
    }

    /// Take a filter out of the set.
    pub fn remove(&mut self, id: LeafId) -> Option<L> {
        let leaf = self.leaves.try_remove(id.0 as usize)?;
        self.unhook(leaf.node, &leaf.place);
        self.prune(leaf.node);
        self.version += 1;
        Some(leaf.value)
    }

    /// Append the leaves of all filters that match, each once. The order depends on the set and
    /// the topic alone: from the root down, literal levels before open ones, and at each node
    /// `Rest`, `Starts` from nothing up to the longest last, then `End`.
    pub fn matches(&self, topic: &Topic, into: &mut Vec<LeafId>) {
        let hidden = topic.is_hidden();
        let mut hashes = Hashes::new();
        let mut later: SmallVec<[(u32, u32); DEPTH_INLINE]> = SmallVec::new();
        let mut next = Some((ROOT, 0));
        while let Some((at, depth)) = next.or_else(|| later.pop()) {
            next = None;
            let node = self.node(at);
            let level = topic.level(depth as usize);
            // Wildcards at the root do not see `$`.
            let open = depth > 0 || !hidden;
            if open {
                self.push_tails(node, level, into);
            }
            let Some(level) = level else {
                into.extend(some(node.end).map(LeafId));
                continue;
            };
            if open && node.one != NONE {
                later.push((node.one, depth + 1));
            }
            if node.first == NONE && node.others == 0 {
                continue;
            }
            let hash = self.hash_at(topic, depth as usize, &mut hashes);
            next = self.literal(at, level, hash).map(|child| (child, depth + 1));
        }
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
        let tail = match &leaf.place {
            Place::End => Tail::End,
            Place::Rest => Tail::Rest,
            Place::More => Tail::Starts(Bytes::new()),
            Place::Starts(text) => Tail::Starts(Bytes::copy_from_slice(text)),
        };
        let mut segs = SmallVec::new();
        let mut at = leaf.node;
        while at != ROOT {
            let node = self.node(at);
            segs.push(match node.is_open {
                true => Seg::One,
                false => Seg::Lit(Bytes::copy_from_slice(&node.level)),
            });
            at = node.parent;
        }
        segs.reverse();
        Some(Filter { segs, tail })
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
        self.nodes.len - self.nodes.free.len() - 1 + self.starts.len()
    }

    /// The hash of the level at `depth`; each level is hashed once, and only if some filter has
    /// come so far.
    fn hash_at(&self, topic: &Topic, depth: usize, hashes: &mut Hashes) -> u64 {
        while hashes.len() <= depth {
            hashes.push(self.hash(topic.level(hashes.len()).unwrap_or_default()));
        }
        hashes.get(depth).copied().unwrap_or_default()
    }

    /// The leaves at a node that do not need the topic to end there.
    fn push_tails(&self, node: &Node, level: Option<&[u8]>, into: &mut Vec<LeafId>) {
        into.extend(some(node.rest).map(LeafId));
        let Some(level) = level else { return };
        into.extend(some(node.more).map(LeafId));
        if let Some(starts) = self.starts.get(node.starts as usize) {
            let from = into.len();
            push_prefixes(starts, level, into);
            into[from..].reverse();
        }
    }

    fn node(&self, at: u32) -> &Node {
        self.nodes.at(at)
    }

    fn node_mut(&mut self, at: u32) -> &mut Node {
        self.nodes.at_mut(at)
    }

    fn hash(&self, text: &[u8]) -> u64 {
        self.seed.hash_one(text) & HASH_BITS
    }

    fn literal(&self, parent: u32, text: &[u8], hash: u64) -> Option<u32> {
        let node = self.node(parent);
        if node.first_hash == hash as u32
            && let Some(first) = some(node.first)
            && self.node(first).level.as_slice() == text
        {
            return Some(first);
        }
        if node.others == 0 {
            return None;
        }
        let is = |child| {
            let child = self.node(child);
            child.parent == parent && child.level.as_slice() == text
        };
        self.edges.find(edge_hash(parent, hash), is)
    }

    fn make_literal(&mut self, parent: u32, text: &[u8]) -> u32 {
        let hash = self.hash(text);
        if let Some(child) = self.literal(parent, text, hash) {
            return child;
        }
        let child = self.nodes.add(Node::new(parent, Some(text)));
        let node = self.node_mut(parent);
        if node.first == NONE {
            (node.first, node.first_hash) = (child, hash as u32);
        } else {
            node.others += 1;
            self.edges.insert(edge_hash(parent, hash), child);
        }
        child
    }

    fn make_open(&mut self, parent: u32) -> u32 {
        if let Some(child) = some(self.node(parent).one) {
            return child;
        }
        let child = self.nodes.add(Node::new(parent, None));
        self.node_mut(parent).one = child;
        child
    }

    fn leaf_at(&self, node: u32, tail: &Tail) -> Option<u32> {
        let node = self.node(node);
        match tail {
            Tail::End => some(node.end),
            Tail::Rest => some(node.rest),
            Tail::Starts(text) if text.is_empty() => some(node.more),
            Tail::Starts(text) => self.starts.get(node.starts as usize)?.get(&text[..]).copied(),
        }
    }

    fn hook(&mut self, at: u32, place: &Place, leaf: u32) {
        match place {
            Place::End => self.node_mut(at).end = leaf,
            Place::Rest => self.node_mut(at).rest = leaf,
            Place::More => self.node_mut(at).more = leaf,
            Place::Starts(text) => {
                if self.node(at).starts == NONE {
                    self.node_mut(at).starts = self.starts.insert(BTreeMap::new()) as u32;
                }
                let key = self.node(at).starts as usize;
                self.starts[key].insert(text.clone(), leaf);
            }
        }
    }

    fn unhook(&mut self, at: u32, place: &Place) {
        match place {
            Place::End => self.node_mut(at).end = NONE,
            Place::Rest => self.node_mut(at).rest = NONE,
            Place::More => self.node_mut(at).more = NONE,
            Place::Starts(text) => {
                let key = self.node(at).starts as usize;
                self.starts[key].remove(text);
                if self.starts[key].is_empty() {
                    self.starts.remove(key);
                    self.node_mut(at).starts = NONE;
                }
            }
        }
    }

    /// Take away this node and those above it that lead nowhere any more.
    fn prune(&mut self, from: u32) {
        let mut at = from;
        while at != ROOT && self.node(at).is_bare() {
            let node = core::mem::replace(self.node_mut(at), Node::new(NONE, None));
            let hash = self.hash(&node.level);
            let parent = self.node_mut(node.parent);
            if node.is_open {
                parent.one = NONE;
            } else if parent.first == at {
                parent.first = NONE;
            } else {
                parent.others -= 1;
                self.edges.remove(edge_hash(node.parent, hash), at);
            }
            self.nodes.free.push(at);
            at = node.parent;
        }
    }
}

/// All nodes, in pieces that never move: growing costs one piece, not a copy of a million.
#[derive(Debug)]
struct Nodes {
    pieces: Vec<Vec<Node>>,
    free: Vec<u32>,
    len: usize,
}

impl Nodes {
    fn with_root() -> Self {
        let mut nodes = Self { pieces: Vec::new(), free: Vec::new(), len: 0 };
        nodes.add(Node::new(NONE, None));
        nodes
    }

    fn at(&self, at: u32) -> &Node {
        &self.pieces[at as usize / PIECE][at as usize % PIECE]
    }

    fn at_mut(&mut self, at: u32) -> &mut Node {
        &mut self.pieces[at as usize / PIECE][at as usize % PIECE]
    }

    fn add(&mut self, node: Node) -> u32 {
        if let Some(at) = self.free.pop() {
            *self.at_mut(at) = node;
            return at;
        }
        if self.len.is_multiple_of(PIECE) {
            self.pieces.push(Vec::with_capacity(PIECE));
        }
        self.pieces[self.len / PIECE].push(node);
        self.len += 1;
        self.len as u32 - 1
    }
}

impl Node {
    /// A node that leads nowhere yet, behind this level or an open one.
    fn new(parent: u32, level: Option<&[u8]>) -> Self {
        Self {
            level: SmallVec::from_slice(level.unwrap_or_default()),
            parent,
            one: NONE,
            first: NONE,
            first_hash: 0,
            others: 0,
            end: NONE,
            rest: NONE,
            more: NONE,
            starts: NONE,
            is_open: level.is_none(),
        }
    }

    fn is_bare(&self) -> bool {
        self.others == 0
            && [self.one, self.first, self.end, self.rest, self.more, self.starts] == [NONE; 6]
    }
}

/// The leaves of all texts that `level` begins with, longest first. Every text that does stands
/// not after `level` in the order, and whatever stands between them shares it as a beginning; so
/// each step looks at the last text not after the present one, and cuts to what they share.
fn push_prefixes(starts: &BTreeMap<Box<[u8]>, u32>, level: &[u8], into: &mut Vec<LeafId>) {
    let mut text = level;
    while !text.is_empty() {
        let upto = (Bound::Unbounded, Bound::Included(text));
        let Some((last, leaf)) = starts.range::<[u8], _>(upto).next_back() else {
            return;
        };
        let shared = last.iter().zip(text).take_while(|(a, b)| a == b).count();
        if shared == last.len() {
            into.push(LeafId(*leaf));
            text = &text[..shared - 1];
        } else {
            text = &text[..shared];
        }
    }
}

/// Of the two, only the level's hash must be hard to guess.
fn edge_hash(parent: u32, hash: u64) -> u32 {
    let mixed = (hash ^ u64::from(parent).wrapping_mul(SPREAD)).wrapping_mul(SPREAD);
    (mixed >> 32) as u32 & HASH_BITS as u32
}

fn some(number: u32) -> Option<u32> {
    (number != NONE).then_some(number)
}

/// Topics up to this many levels are matched without allocating.
pub const DEPTH_INLINE: usize = 64;

const ROOT: u32 = 0;
/// 32 KiB of nodes.
const PIECE: usize = 512;
const NONE: u32 = u32::MAX;
/// Unit tests keep so little of a hash that collisions, rare otherwise, are the rule.
const HASH_BITS: u64 = if cfg!(test) { 7 } else { u64::MAX };
/// Odd, and without a pattern: 2^64 divided by the golden ratio.
const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;
const _: () = assert!(size_of::<Node>() == 64, "a node fills one cache line");
