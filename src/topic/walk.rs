//! Floor 1. Topic in, matching leaves out.
//!
//! What a match among a million costs is lines of memory that are in no cache: one for each edge
//! it asks for. So all edges of a depth are asked for before the first is looked at, and their
//! lines come together; what is found stands in order among what is yet to be looked at. No
//! recursion, and no allocation for usual topics. Absent on purpose: changing anything.

use super::name::Topic;
use super::node::{NONE, Node, each_prefix};
use super::packed::Short;
use super::trie::{FilterTrie, LeafId, ROOT, edge_hash};
use smallvec::SmallVec;

/// What a match has found, in order, and where it has yet to look.
#[derive(Clone, Copy)]
enum Item {
    Found(u32),
    /// A node that the first `depth` levels lead to; the hash of the edge it may have for the next
    /// level, and what the table has shown for that.
    Look {
        node: u32,
        depth: u32,
        hash: u32,
        seen: u32,
    },
}

/// A topic, and the hashes of its first levels: each is hashed once, and only if some filter has
/// come so far.
struct Asked<'a> {
    topic: &'a Topic,
    hidden: bool,
    hashes: SmallVec<[u64; DEPTH_INLINE]>,
}

type Items = SmallVec<[Item; 4 * WIDE]>;

impl<L> FilterTrie<L> {
    /// Append the leaves of all filters that match, each once. The order depends on the set and
    /// the topic alone: from the root down, literal levels before open ones, and at each node
    /// `Rest`, `Starts` from nothing up to the longest last, then `End`.
    ///
    /// Items stand in that order all the time: each is replaced by what follows from it, all of a
    /// depth as long as they are few, so that their lines come together; then only the first one,
    /// so that a topic for which very many filters part costs no more room than it has levels.
    pub fn matches(&self, topic: &Topic, into: &mut Vec<LeafId>) {
        let mut asked = Asked { topic, hidden: topic.is_hidden(), hashes: SmallVec::new() };
        let mut items = Items::new();
        items.push(self.look(ROOT, 0, &mut asked));
        let (mut from, mut depth) = (0, 0);
        while from < items.len() && items.len() - from <= WIDE {
            let upto = items.len();
            let level = topic.level(depth);
            for i in from..upto {
                self.step(items[i], level, &mut asked, upto, &mut items, into);
            }
            (from, depth) = (upto, depth + 1);
            if from > WIDE {
                items.drain(..from);
                from = 0;
            }
        }
        if from < items.len() {
            items.drain(..from);
            self.finish(items, &mut asked, into);
        }
    }

    /// What is left of a match, one item after the other.
    #[cold]
    fn finish(&self, mut items: Items, asked: &mut Asked<'_>, into: &mut Vec<LeafId>) {
        items.reverse();
        while let Some(item) = items.pop() {
            let left = items.len();
            let level = match item {
                Item::Found(_) => None,
                Item::Look { depth, .. } => asked.topic.level(depth as usize),
            };
            self.step(item, level, asked, left, &mut items, into);
            items[left..].reverse();
        }
    }

    /// Append what follows from an item to `items`; what is found goes to its place at once when
    /// nothing stands before it, which is when there are no more than `upto`.
    #[inline]
    fn step(
        &self,
        item: Item,
        level: Option<&[u8]>,
        asked: &mut Asked<'_>,
        upto: usize,
        items: &mut Items,
        into: &mut Vec<LeafId>,
    ) {
        let mut found = |items: &mut Items, leaf: u32| match items.len() == upto {
            true => into.push(LeafId(leaf)),
            false => items.push(Item::Found(leaf)),
        };
        let (at, depth, hash, seen) = match item {
            Item::Found(leaf) => return found(items, leaf),
            Item::Look { node, depth, hash, seen } => (node, depth, hash, seen),
        };
        let node = self.nodes.at(at);
        // Wildcards at the root do not see `$`.
        let open = depth > 0 || !asked.hidden;
        if open {
            self.push_tails(node, level, &mut |leaf| found(items, leaf));
        }
        let Some(level) = level else {
            if node.end != NONE {
                found(items, node.end);
            }
            return;
        };
        if let Some(edge) = self.edges.find(hash, seen, |edge| self.leads(edge, at, level)) {
            if !edge.text.is_leaf() {
                items.push(self.look(edge.to, depth + 1, asked));
            } else if self.wants(&edge.text, asked.topic, depth as usize + 1) {
                found(items, edge.to);
            }
        }
        if open && node.one != NONE {
            items.push(self.look(node.one, depth + 1, asked));
        }
    }

    /// Look at this node next. The edge that it may have for the next level depends on nothing
    /// that is written in the node, so one line need not wait for the other.
    #[inline]
    fn look(&self, node: u32, depth: u32, asked: &mut Asked<'_>) -> Item {
        let hash = match asked.hashes.get(depth as usize) {
            Some(hash) => *hash,
            None => self.hash_at(depth as usize, asked),
        };
        let hash = edge_hash(node, hash);
        Item::Look { node, depth, hash, seen: self.edges.peek(hash) }
    }

    fn hash_at(&self, depth: usize, asked: &mut Asked<'_>) -> u64 {
        while asked.hashes.len() <= depth {
            let level = asked.topic.level(asked.hashes.len());
            asked.hashes.push(level.map_or(0, |level| self.hash(level)));
        }
        asked.hashes.get(depth).copied().unwrap_or_default()
    }

    /// The leaves at a node that do not need the topic to end there.
    fn push_tails(&self, node: &Node, level: Option<&[u8]>, found: &mut impl FnMut(u32)) {
        if node.rest != NONE {
            found(node.rest);
        }
        let Some(level) = level else { return };
        if node.more != NONE {
            found(node.more);
        }
        if let Some(starts) = self.starts.get(node.starts as usize) {
            let mut longest_first: SmallVec<[u32; WIDE]> = SmallVec::new();
            each_prefix(starts, level, |leaf| longest_first.push(leaf));
            longest_first.into_iter().rev().for_each(found);
        }
    }

    /// Does what follows the level, of a leaf, match the topic from `depth` on?
    #[inline]
    fn wants(&self, text: &Short, topic: &Topic, depth: usize) -> bool {
        match text.place() {
            None => text.wants(topic, depth),
            Some(at) => self.texts.at(at).0.wants(topic, depth),
        }
    }
}

/// Topics up to this many levels are matched without allocating, as long as few places have to be
/// looked at together.
const DEPTH_INLINE: usize = 64;

/// So many places are looked at together.
const WIDE: usize = 16;
