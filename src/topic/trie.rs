//! Floor 1. Topic in, matching leaves out: every filter of a realm in one tree of levels.
//!
//! A filter is a path of segments and a place at its end, so no leaf is found twice for a topic.
//! Levels are numbers (`intern.rs`): a node with one child knows its number, further children
//! are in one index for the whole tree. A match walks down the literal child and comes back for
//! the open one: no recursion, and no allocation up to [`DEPTH_INLINE`] levels. Nodes are pruned
//! with their last leaf. Absent on purpose: what a leaf holds, and who is told.

use super::filter::{Filter, Seg, Tail};
use super::intern::{Interner, Sym, fold};
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
    names: Interner,
    nodes: Vec<Node>,
    free: Vec<u32>,
    /// Literal children beyond the first of each node.
    edges: Probe,
    /// Texts of `Tail::Starts` at a node, except the empty one.
    starts: Slab<BTreeMap<Box<[u8]>, u32>>,
    leaves: Slab<Leaf<L>>,
    version: u64,
}

/// One path of segments. Forty bytes; `NONE` where there is nothing.
#[derive(Clone, Copy, Debug)]
struct Node {
    parent: u32,
    /// The level that leads here from the parent; `NONE` for an open one.
    sym: u32,
    /// The child behind an open level.
    one: u32,
    /// One of the literal children, and its level.
    first: u32,
    first_sym: u32,
    /// How many literal children are in the index.
    others: u32,
    /// Leaves.
    end: u32,
    rest: u32,
    more: u32,
    /// In `starts`.
    starts: u32,
}

#[derive(Debug)]
struct Leaf<L> {
    node: u32,
    place: Place,
    value: L,
}

/// Which leaf of a node: one for each tail.
#[derive(Clone, Copy, Debug)]
enum Place {
    End,
    Rest,
    /// `Starts` with nothing: any one level or more.
    More,
    Starts(Sym),
}

impl<L> FilterTrie<L> {
    /// No filters yet.
    #[must_use]
    pub fn new(seed: Seed) -> Self {
        Self {
            names: Interner::new(seed.clone()),
            seed,
            nodes: vec![Node { parent: NONE, ..EMPTY }],
            free: Vec::new(),
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
                Seg::One => self.open_child(node),
                Seg::Lit(text) => self.literal_child(node, text),
            };
        }
        if let Some(leaf) = self.leaf_at(node, &filter.tail) {
            return LeafId(leaf);
        }
        let place = match &filter.tail {
            Tail::End => Place::End,
            Tail::Rest => Place::Rest,
            Tail::Starts(text) if text.is_empty() => Place::More,
            Tail::Starts(text) => Place::Starts(self.names.take(text)),
        };
        let leaf = self.leaves.insert(Leaf { node, place, value: make() }) as u32;
        self.hook(node, place, leaf);
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
                Seg::Lit(text) => self.literal(node, self.names.find(text)?.0)?,
            };
        }
        self.leaf_at(node, &filter.tail).map(LeafId)
    }

    /// Take a filter out of the set.
    pub fn remove(&mut self, id: LeafId) -> Option<L> {
        let leaf = self.leaves.try_remove(id.0 as usize)?;
        self.unhook(leaf.node, leaf.place);
        self.prune(leaf.node);
        self.version += 1;
        Some(leaf.value)
    }

    /// Append the leaves of all filters that match, each once. The order depends on the set and
    /// the topic alone: from the root down, literal levels before open ones, and at each node
    /// `Rest`, `Starts` from nothing up to the longest last, then `End`.
    pub fn matches(&self, topic: &Topic, into: &mut Vec<LeafId>) {
        let hidden = topic.is_hidden();
        let mut syms: SmallVec<[u32; DEPTH_INLINE]> = SmallVec::new();
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
            let sym = match syms.get(depth as usize) {
                Some(sym) => *sym,
                None => self.look_up(topic, depth as usize, level, &mut syms),
            };
            next = self.literal(at, sym).map(|child| (child, depth + 1));
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
        let text = |sym: u32| Bytes::copy_from_slice(self.names.text(Sym(sym)));
        let tail = match leaf.place {
            Place::End => Tail::End,
            Place::Rest => Tail::Rest,
            Place::More => Tail::Starts(Bytes::new()),
            Place::Starts(sym) => Tail::Starts(text(sym.0)),
        };
        let mut segs = SmallVec::new();
        let mut at = leaf.node;
        while at != ROOT {
            let node = self.node(at);
            segs.push(some(node.sym).map_or(Seg::One, |sym| Seg::Lit(text(sym))));
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

    /// Nodes and level texts in use: what must be back to `(1, 0)` when the last filter is gone.
    #[must_use]
    pub fn weight(&self) -> (usize, usize) {
        (self.nodes.len() - self.free.len(), self.names.len())
    }

    /// The numbers of the levels up to `depth`, found when first asked for.
    #[cold]
    #[inline(never)]
    fn look_up_skipped(
        &self,
        topic: &Topic,
        depth: usize,
        syms: &mut SmallVec<[u32; DEPTH_INLINE]>,
    ) {
        for skipped in topic.levels().skip(syms.len()).take(depth - syms.len()) {
            syms.push(self.names.find(skipped).map_or(NONE, |sym| sym.0));
        }
    }

    fn look_up(
        &self,
        topic: &Topic,
        depth: usize,
        level: &[u8],
        syms: &mut SmallVec<[u32; DEPTH_INLINE]>,
    ) -> u32 {
        if syms.len() < depth {
            self.look_up_skipped(topic, depth, syms);
        }
        let sym = self.names.find(level).map_or(NONE, |sym| sym.0);
        syms.push(sym);
        sym
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
        &self.nodes[at as usize]
    }

    fn node_mut(&mut self, at: u32) -> &mut Node {
        &mut self.nodes[at as usize]
    }

    fn edge_hash(&self, parent: u32, sym: u32) -> u32 {
        fold(self.seed.hash_one(u64::from(parent) << 32 | u64::from(sym)))
    }

    fn literal(&self, parent: u32, sym: u32) -> Option<u32> {
        let node = self.node(parent);
        if sym == NONE {
            return None;
        }
        if node.first_sym == sym {
            return Some(node.first);
        }
        if node.others == 0 {
            return None;
        }
        let is = |child| self.node(child).parent == parent && self.node(child).sym == sym;
        self.edges.find(self.edge_hash(parent, sym), is)
    }

    fn literal_child(&mut self, parent: u32, text: &Bytes) -> u32 {
        if let Some(sym) = self.names.find(text)
            && let Some(child) = self.literal(parent, sym.0)
        {
            return child;
        }
        let sym = self.names.take(text).0;
        let child = self.add(Node { parent, sym, ..EMPTY });
        let node = self.node_mut(parent);
        if node.first == NONE {
            (node.first, node.first_sym) = (child, sym);
        } else {
            node.others += 1;
            self.edges.insert(self.edge_hash(parent, sym), child);
        }
        child
    }

    fn open_child(&mut self, parent: u32) -> u32 {
        if let Some(child) = some(self.node(parent).one) {
            return child;
        }
        let child = self.add(Node { parent, ..EMPTY });
        self.node_mut(parent).one = child;
        child
    }

    fn add(&mut self, node: Node) -> u32 {
        match self.free.pop() {
            Some(at) => {
                *self.node_mut(at) = node;
                at
            }
            None => {
                self.nodes.push(node);
                self.nodes.len() as u32 - 1
            }
        }
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

    fn hook(&mut self, at: u32, place: Place, leaf: u32) {
        match place {
            Place::End => self.node_mut(at).end = leaf,
            Place::Rest => self.node_mut(at).rest = leaf,
            Place::More => self.node_mut(at).more = leaf,
            Place::Starts(sym) => {
                if self.node(at).starts == NONE {
                    self.node_mut(at).starts = self.starts.insert(BTreeMap::new()) as u32;
                }
                let key = self.node(at).starts as usize;
                self.starts[key].insert(self.names.text(sym).into(), leaf);
            }
        }
    }

    fn unhook(&mut self, at: u32, place: Place) {
        match place {
            Place::End => self.node_mut(at).end = NONE,
            Place::Rest => self.node_mut(at).rest = NONE,
            Place::More => self.node_mut(at).more = NONE,
            Place::Starts(sym) => {
                let key = self.node(at).starts as usize;
                self.starts[key].remove(self.names.text(sym));
                self.names.release(sym);
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
            let Node { parent, sym, .. } = *self.node(at);
            if sym == NONE {
                self.node_mut(parent).one = NONE;
            } else if self.node(parent).first == at {
                (self.node_mut(parent).first, self.node_mut(parent).first_sym) = (NONE, NONE);
                self.names.release(Sym(sym));
            } else {
                self.node_mut(parent).others -= 1;
                self.edges.remove(self.edge_hash(parent, sym), at);
                self.names.release(Sym(sym));
            }
            self.free.push(at);
            at = parent;
        }
    }
}

impl Node {
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

fn some(number: u32) -> Option<u32> {
    (number != NONE).then_some(number)
}

/// Topics up to this many levels are matched without allocating.
pub const DEPTH_INLINE: usize = 64;

const ROOT: u32 = 0;
const NONE: u32 = u32::MAX;
const EMPTY: Node = Node {
    parent: NONE,
    sym: NONE,
    one: NONE,
    first: NONE,
    first_sym: NONE,
    others: 0,
    end: NONE,
    rest: NONE,
    more: NONE,
    starts: NONE,
};
