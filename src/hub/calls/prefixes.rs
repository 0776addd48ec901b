//! Floor 2. Texts of which the longest that a name begins with is found in one walk along the name.
//!
//! A tree of bytes in which only texts part: a node has a text of its own or two children at least
//! (but the root), so there are at most two nodes for a text, and a walk never looks at a byte of
//! the name twice, however the texts nest and part. Absent on purpose: the texts themselves, which
//! are put together of the labels on the way.

use std::collections::BTreeMap;

use slab::Slab;

const ROOT: usize = 0;

/// A set of texts, each with a number.
#[derive(Debug)]
pub(super) struct Prefixes {
    nodes: Slab<Node>,
    len: usize,
}

#[derive(Debug, Default)]
struct Node {
    /// What leads here from the node above; not empty but at the root.
    label: Box<[u8]>,
    /// The number of the text that ends here.
    id: Option<u64>,
    /// By the first byte of their labels.
    children: BTreeMap<u8, usize>,
}

impl Prefixes {
    /// None yet.
    pub(super) fn new() -> Self {
        let mut nodes = Slab::new();
        nodes.insert(Node::default());
        Self { nodes, len: 0 }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The number of this very text.
    pub(super) fn find(&self, text: &[u8]) -> Option<u64> {
        let mut walk = self.walk(text);
        let (at, _) = walk.by_ref().last()?;
        if walk.rest.is_empty() { self.nodes.get(at)?.id } else { None }
    }

    /// The number of the longest text that the name begins with.
    pub(super) fn longest(&self, name: &[u8]) -> Option<u64> {
        self.walk(name).filter_map(|(at, _)| self.nodes.get(at)?.id).last()
    }

    /// The nodes along this text, and the first byte of what led to each.
    fn walk<'a>(&'a self, text: &'a [u8]) -> Along<'a> {
        Along { all: self, next: Some((ROOT, 0)), rest: text }
    }

    /// One more; it must not be there yet.
    pub(super) fn insert(&mut self, text: &[u8], id: u64) {
        let mut walk = self.walk(text);
        let at = walk.by_ref().last().map_or(ROOT, |(at, _)| at);
        let rest: Box<[u8]> = walk.rest.into();
        self.len += 1;
        let Some(first) = rest.first().copied() else {
            self.nodes.get_mut(at).into_iter().for_each(|node| node.id = Some(id));
            return;
        };
        let child = self.nodes.get(at).and_then(|node| node.children.get(&first).copied());
        let Some(at) = child else { return self.hang(at, &rest, id) };
        // It parts from the label of this child, or ends in it.
        let Some(node) = self.nodes.get_mut(at) else { return };
        let common = node.label.iter().zip(&rest).take_while(|(a, b)| a == b).count();
        let (label, behind) = node.label.split_at(common);
        let (label, behind) = (Box::from(label), Box::from(behind));
        let lower = Node { label: behind, ..core::mem::take(node) };
        node.label = label;
        self.link(at, lower);
        match rest.get(common..) {
            Some(rest) if !rest.is_empty() => self.hang(at, rest, id),
            _ => self.nodes.get_mut(at).into_iter().for_each(|node| node.id = Some(id)),
        }
    }

    /// A text ends behind this label below this node.
    fn hang(&mut self, at: usize, label: &[u8], id: u64) {
        self.link(at, Node { label: label.into(), id: Some(id), children: BTreeMap::new() });
    }

    fn link(&mut self, at: usize, child: Node) {
        let Some(first) = child.label.first().copied() else { return };
        let child = self.nodes.insert(child);
        if let Some(node) = self.nodes.get_mut(at) {
            node.children.insert(first, child);
        }
    }

    /// One less.
    pub(super) fn remove(&mut self, text: &[u8]) {
        let mut walk = self.walk(text);
        let (mut above, mut at) = (ROOT, (ROOT, 0));
        for step in walk.by_ref() {
            (above, at) = (at.0, step);
        }
        if !walk.rest.is_empty() {
            return;
        }
        let (at, first) = at;
        let Some(node) = self.nodes.get_mut(at) else { return };
        if node.id.take().is_none() {
            return;
        }
        self.len -= 1;
        if at != ROOT && node.children.is_empty() {
            self.nodes.remove(at);
            self.nodes.get_mut(above).into_iter().for_each(|node| _ = node.children.remove(&first));
            self.join(above);
        } else {
            self.join(at);
        }
    }

    /// Where no text ends and none part any more, there is no node.
    fn join(&mut self, at: usize) {
        let Some(node) = self.nodes.get(at) else { return };
        if at == ROOT || node.id.is_some() || node.children.len() != 1 {
            return;
        }
        let Some(child) = node.children.values().next().copied() else { return };
        let Some(mut lower) = self.nodes.try_remove(child) else { return };
        if let Some(node) = self.nodes.get_mut(at) {
            lower.label = [&node.label[..], &lower.label[..]].concat().into();
            *node = lower;
        }
    }

    /// Nodes there are: one when the last text is gone.
    #[cfg(test)]
    pub(super) fn nodes(&self) -> usize {
        self.nodes.len()
    }
}

/// A walk along a text, as far as labels go.
struct Along<'a> {
    all: &'a Prefixes,
    next: Option<(usize, u8)>,
    /// Of the text, behind the node that was told last.
    rest: &'a [u8],
}

impl Iterator for Along<'_> {
    type Item = (usize, u8);

    fn next(&mut self) -> Option<Self::Item> {
        let here = self.next.take()?;
        let way = || {
            let first = self.rest.first()?;
            let child = *self.all.nodes.get(here.0)?.children.get(first)?;
            let rest = self.rest.strip_prefix(&self.all.nodes.get(child)?.label[..])?;
            Some(((child, *first), rest))
        };
        // What was told last ends before the way to the next.
        if let Some((next, rest)) = way() {
            (self.next, self.rest) = (Some(next), rest);
        }
        Some(here)
    }
}
