//! Floor 1. What a fuzzer asks of this folder: trie, tree and filter say the same, whatever the
//! bytes.
//!
//! The input is a script over a tiny alphabet, so that collisions are common; the oracle is a
//! list of filters, each asked by itself. Absent on purpose: anything a fuzzer cannot reach by
//! bytes alone.

use super::filter::{Filter, Seg, Tail};
use super::name::Topic;
use super::tree::{Cursor, TopicTree, Walk};
use super::trie::FilterTrie;
use crate::base::map::Seed;
use bytes::Bytes;

/// Run `data` as a script of changes and questions, and as canonical bytes.
///
/// # Panics
/// When two of them disagree.
pub fn filter(data: &[u8]) {
    canonical(data);
    let mut script = Script { rest: data };
    let mut trie = FilterTrie::new(Seed::with_seed(u64::from(script.byte())));
    let mut tree = TopicTree::new();
    let mut set: Vec<Filter> = Vec::new();
    while !script.rest.is_empty() {
        match script.byte() % 4 {
            0 => {
                let filter = script.filter();
                let id = trie.entry(&filter, || filter.clone());
                assert_eq!(trie.filter(id).as_ref(), Some(&filter));
                if !set.contains(&filter) {
                    set.push(filter);
                }
            }
            1 => {
                let filter = script.filter();
                let gone = trie.find(&filter).and_then(|id| trie.remove(id));
                assert_eq!(gone.is_some(), set.contains(&filter));
                set.retain(|other| *other != filter);
            }
            2 => {
                let topic = script.topic();
                compare_matches(&trie, &set, &topic);
                tree.set(&topic, ());
            }
            _ => compare_walk(&tree, &script.filter()),
        }
    }
    assert_eq!(trie.len(), set.len());
}

fn compare_matches(trie: &FilterTrie<Filter>, set: &[Filter], topic: &Topic) {
    let mut ids = Vec::new();
    trie.matches(topic, &mut ids);
    let wanted = set.iter().filter(|filter| filter.matches(topic)).count();
    assert_eq!(ids.len(), wanted, "{topic:?}");
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), wanted, "twice for {topic:?}");
    let right = |filter: &Filter| filter.matches(topic);
    assert!(ids.iter().all(|id| trie.leaf(*id).is_some_and(right)), "{topic:?}");
}

fn compare_walk(tree: &TopicTree<()>, filter: &Filter) {
    let mut shown = Vec::new();
    let mut cursor = Cursor::default();
    while !tree.walk(filter, &mut cursor, 2, &mut |topic, ()| {
        shown.push(topic.clone());
        Walk::Go
    }) {}
    let wanted = tree.iter().map(|(topic, ())| topic).filter(|topic| filter.matches(topic));
    assert!(wanted.eq(shown), "{filter:?}");
}

fn canonical(data: &[u8]) {
    let mut again = Vec::new();
    if let Some(topic) = Topic::decode(data) {
        topic.encode(&mut again);
        assert_eq!(again, data);
    }
    again.clear();
    if let Some(filter) = Filter::decode(data) {
        filter.encode(&mut again);
        assert_eq!(again, data);
    }
}

struct Script<'a> {
    rest: &'a [u8],
}

impl Script<'_> {
    fn byte(&mut self) -> u8 {
        let (first, rest) = self.rest.split_first().unwrap_or((&0, &[]));
        self.rest = rest;
        *first
    }

    fn text(&mut self) -> &'static [u8] {
        const TEXTS: [&[u8]; 8] = [b"", b"a", b"ab", b"b", b"$", b"\0", b"\x01", b"a/b"];
        TEXTS[usize::from(self.byte() % 8)]
    }

    fn topic(&mut self) -> Topic {
        let depth = 1 + self.byte() % 5;
        let levels: Vec<&[u8]> = (0..depth).map(|_| self.text()).collect();
        Topic::from_levels(levels)
    }

    fn filter(&mut self) -> Filter {
        let shape = self.byte();
        let seg = |script: &mut Self, open: bool| match open {
            true => Seg::One,
            false => Seg::Lit(Bytes::from_static(script.text())),
        };
        let segs = (0..shape % 5).map(|i| seg(self, shape >> (i + 4) & 1 == 1)).collect();
        let tail = match self.byte() % 3 {
            0 => Tail::End,
            1 => Tail::Rest,
            _ => Tail::Starts(Bytes::from_static(self.text())),
        };
        Filter { segs, tail }
    }
}

#[cfg(test)]
mod tests {
    use crate::base::rng::Rng;

    #[test]
    fn the_laws_hold_for_random_scripts() {
        let mut rng = Rng::new(9);
        for _ in 0..500 {
            let data: Vec<u8> = (0..rng.below(600)).map(|_| rng.next_u64() as u8).collect();
            super::filter(&data);
        }
    }
}
