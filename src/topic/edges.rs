//! Floor 1. What stands behind a literal level of a node: one table for the whole tree.
//!
//! An edge fills half a cache line and holds its text, so looking one up reads one line whether
//! it is there or not. Slots are in the order of hashes: a search ends at the first greater one,
//! and growing is two sequential passes. The table is in parts that grow by themselves, so that
//! no insert pays for a copy of everything; all parts fill alike, so each is full at another share
//! of its room, or most of them would grow within a few turns. Absent on purpose: what a parent or
//! a target is.

use super::packed::Short;

/// From a node, by a literal level, to another node or to the only leaf there.
#[derive(Clone, Copy, Debug)]
#[repr(align(32))]
pub(super) struct Edge {
    hash: u32,
    /// The node it leads away from.
    pub(super) parent: u32,
    /// A node or a leaf; the text knows which.
    pub(super) to: u32,
    pub(super) text: Short,
}

/// All edges.
#[derive(Debug)]
pub(super) struct Edges {
    /// By the first bits of the hash.
    parts: Vec<Part>,
    len: usize,
}

#[derive(Clone, Debug)]
struct Part {
    /// Longer than `size` when the last run is.
    slots: Vec<Edge>,
    /// Hashes are spread over so many.
    size: usize,
    len: u32,
    /// So many of `FULL` slots may be in use.
    full: u32,
}

impl Edge {
    pub(super) fn new(hash: u32, parent: u32, to: u32, text: Short) -> Self {
        Self { hash, parent, to, text }
    }

    /// From there to that?
    pub(super) fn is(&self, parent: u32, is_leaf: bool, to: u32) -> bool {
        self.to == to && self.parent == parent && self.text.is_leaf() == is_leaf
    }

    fn is_free(&self) -> bool {
        self.to == FREE.to
    }
}

impl Edges {
    pub(super) fn new() -> Self {
        Self { parts: (0..1 << PARTS_BITS).map(Part::new).collect(), len: 0 }
    }

    /// How many.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Where the search for this hash would begin: the hash that is there. Asked for early, it
    /// brings the line while something else is looked at; [`Edges::find`] wants it back.
    #[inline]
    pub(super) fn peek(&self, hash: u32) -> u32 {
        let part = self.part(hash);
        part.slots.get(part.home(hash)).map_or(u32::MAX, |edge| edge.hash)
    }

    /// The edge with this hash that `is` agrees to; `seen` is what `peek` said.
    #[inline]
    pub(super) fn find(&self, hash: u32, seen: u32, is: impl Fn(&Edge) -> bool) -> Option<&Edge> {
        if seen > hash {
            return None;
        }
        let part = self.part(hash);
        part.slots.get(part.search(hash, is)?)
    }

    /// The same, to change anything but its hash.
    pub(super) fn find_mut(&mut self, hash: u32, is: impl Fn(&Edge) -> bool) -> Option<&mut Edge> {
        let part = self.part_mut(hash);
        let at = part.search(hash, is)?;
        part.slots.get_mut(at)
    }

    /// Add one that is not there yet.
    pub(super) fn insert(&mut self, edge: Edge) {
        self.part_mut(edge.hash).insert(edge);
        self.len += 1;
    }

    /// Take the one out that `is` agrees to, if there is one.
    pub(super) fn remove(&mut self, hash: u32, is: impl Fn(&Edge) -> bool) -> Option<Edge> {
        let part = self.part_mut(hash);
        let at = part.search(hash, is)?;
        let edge = part.remove(at);
        self.len -= 1;
        Some(edge)
    }

    fn part(&self, hash: u32) -> &Part {
        &self.parts[(hash >> (u32::BITS - PARTS_BITS)) as usize]
    }

    fn part_mut(&mut self, hash: u32) -> &mut Part {
        &mut self.parts[(hash >> (u32::BITS - PARTS_BITS)) as usize]
    }
}

impl Part {
    /// The one of this number.
    fn new(number: u32) -> Self {
        Self { slots: Vec::new(), size: 0, len: 0, full: FULL_FIRST + number % FULL_STEPS }
    }

    #[inline]
    fn search(&self, hash: u32, is: impl Fn(&Edge) -> bool) -> Option<usize> {
        let mut at = self.home(hash);
        loop {
            let edge = self.slots.get(at)?;
            if edge.hash >= hash {
                if edge.hash > hash || edge.is_free() {
                    return None;
                }
                if is(edge) {
                    return Some(at);
                }
            }
            at += 1;
        }
    }

    fn insert(&mut self, edge: Edge) {
        if (self.len as usize + 1) * FULL > self.size * self.full as usize {
            self.resize((self.size * 3 / 2).max(SLOTS_MIN));
        }
        let mut at = self.home(edge.hash);
        while self.slots.get(at).is_some_and(|there| there.hash <= edge.hash && !there.is_free()) {
            at += 1;
        }
        let mut moving = edge;
        while let Some(there) = self.slots.get_mut(at) {
            moving = core::mem::replace(there, moving);
            if moving.is_free() {
                break;
            }
            at += 1;
        }
        if !moving.is_free() {
            self.slots.push(moving);
        }
        self.len += 1;
    }

    /// Later edges of the run move up, so that no search stops short of one.
    fn remove(&mut self, at: usize) -> Edge {
        let (mut gap, edge) = (at, self.slots[at]);
        while let Some(next) = self.slots.get(gap + 1)
            && !next.is_free()
            && self.home(next.hash) <= gap
        {
            self.slots[gap] = *next;
            gap += 1;
        }
        self.slots[gap] = FREE;
        self.len -= 1;
        if self.len as usize * 4 < self.size {
            self.resize(self.size / 2);
        }
        edge
    }

    fn resize(&mut self, size: usize) {
        let size = if self.len == 0 && size < SLOTS_MIN { 0 } else { size.max(SLOTS_MIN) };
        if size == self.size {
            return;
        }
        let old = core::mem::replace(&mut self.slots, vec![FREE; size]);
        self.size = size;
        let mut end = 0;
        for edge in old.into_iter().filter(|edge| !edge.is_free()) {
            let at = self.home(edge.hash).max(end);
            match self.slots.get_mut(at) {
                Some(slot) => *slot = edge,
                None => self.slots.push(edge),
            }
            end = at + 1;
        }
    }

    /// Monotone: a greater hash is never at home before a smaller one, whatever the size.
    #[inline]
    fn home(&self, hash: u32) -> usize {
        ((u64::from(hash << PARTS_BITS) * self.size as u64) >> 32) as usize
    }
}

/// Greater than any hash, so that a search ends here too. No number is `u32::MAX`.
const FREE: Edge = Edge { hash: u32::MAX, parent: u32::MAX, to: u32::MAX, text: Short::EMPTY };
/// 256 parts.
const PARTS_BITS: u32 = 8;
const SLOTS_MIN: usize = 4;
/// Parts grow by half, so they are spread over most of that: from 41 of 64 slots to 56 of 64.
const FULL: usize = 64;
const FULL_FIRST: u32 = 41;
const FULL_STEPS: u32 = 16;
const _: () = assert!(size_of::<Edge>() == 32, "two edges fill one cache line");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;

    fn edge(hash: u32, to: u32) -> Edge {
        Edge::new(hash, 0, to, Short::EMPTY)
    }

    fn find(edges: &Edges, hash: u32, to: u32) -> Option<u32> {
        let seen = edges.peek(hash);
        edges.find(hash, seen, |edge| edge.to == to).map(|edge| edge.to)
    }

    #[test]
    fn parts_do_not_grow_in_the_same_moment() {
        let (mut rng, mut edges) = (Rng::new(7), Edges::new());
        let (mut grown, mut most) = (0, 0);
        for to in 0..400_000 {
            edges.insert(edge(rng.next_u64() as u32, to));
            if to >= 200_000 && to % 1_000 == 0 {
                let before = core::mem::replace(&mut grown, slots(&edges));
                most = most.max(if before == 0 { 0 } else { grown - before });
            }
        }
        // All of them by half at once would be 150,000; evenly it is 1,500 in a thousand.
        assert!(most < 6_000, "{most} slots more for a thousand edges");
    }

    fn slots(edges: &Edges) -> usize {
        edges.parts.iter().map(|part| part.slots.len()).sum()
    }

    #[test]
    fn finds_what_is_there_and_nothing_else_through_crowding_and_overflow() {
        let mut rng = Rng::new(7);
        for round in 0..50 {
            let mut edges = Edges::new();
            let mut there: Vec<(u32, u32)> = Vec::new();
            for to in 0..2_000 {
                // Few distinct hashes near the end of a part: long runs that leave its range.
                let hash = u32::MAX - (rng.below(1 + round * 40) as u32) * 4096;
                if rng.chance(1, 2) || there.is_empty() {
                    edges.insert(edge(hash, to));
                    there.push((hash, to));
                } else {
                    let (hash, to) = there.swap_remove(rng.below(there.len() as u64) as usize);
                    assert!(edges.remove(hash, |edge| edge.to == to).is_some());
                    assert!(edges.remove(hash, |edge| edge.to == to).is_none());
                    assert_eq!(find(&edges, hash, to), None);
                }
                assert_eq!(edges.len(), there.len());
            }
            for (hash, to) in &there {
                assert_eq!(find(&edges, *hash, *to), Some(*to));
            }
            for (hash, to) in there.drain(..) {
                edges.remove(hash, |edge| edge.to == to);
            }
            assert_eq!((edges.len(), slots(&edges)), (0, 0), "memory is given back");
        }
    }

    #[test]
    fn half_of_the_room_is_in_use_at_least_however_many_there_are() {
        let (mut rng, mut edges) = (Rng::new(7), Edges::new());
        for to in 0..100_000 {
            edges.insert(edge(rng.next_u64() as u32, to));
            if to > 5_000 && to % 1_000 == 0 {
                let slots = slots(&edges);
                assert!(slots < 2 * edges.len() + 256 * 8, "{slots} for {}", edges.len());
            }
        }
    }
}
