//! Floor 1. The trie says what each of its filters says, through any history of changes.

use super::{Filter, FilterTrie, LeafId, Seg, Tail, Topic};
use crate::base::map::Seed;
use crate::base::rng::Rng;
use bytes::Bytes;

const TEXTS: [&str; 7] = ["", "a", "ab", "b", "$s", "abc", "a level of more than sixteen bytes"];

fn text(rng: &mut Rng) -> Bytes {
    Bytes::from_static(rng.pick(&TEXTS).unwrap().as_bytes())
}

fn random_filter(rng: &mut Rng) -> Filter {
    let depth = rng.below(4);
    let segs = (0..depth).map(|_| if rng.chance(1, 3) { Seg::One } else { Seg::Lit(text(rng)) });
    let segs = segs.collect();
    let tail = match rng.below(4) {
        0 | 1 => Tail::End,
        2 => Tail::Rest,
        _ => Tail::Starts(text(rng)),
    };
    Filter { segs, tail }
}

fn random_topic(rng: &mut Rng) -> Topic {
    let levels: Vec<Bytes> = (0..1 + rng.below(5)).map(|_| text(rng)).collect();
    Topic::from_levels(levels.iter().map(|level| &level[..]))
}

fn found(trie: &FilterTrie<Filter>, topic: &Topic) -> Vec<LeafId> {
    let mut into = Vec::new();
    trie.matches(topic, &mut into);
    into
}

/// Compare one topic's matches with asking every filter.
fn compare(trie: &FilterTrie<Filter>, set: &[Filter], topic: &Topic) {
    let ids = found(trie, topic);
    let mut once = ids.clone();
    once.sort();
    once.dedup();
    assert_eq!(once.len(), ids.len(), "a leaf was found twice for {topic:?}");
    let wanted: Vec<&Filter> = set.iter().filter(|filter| filter.matches(topic)).collect();
    assert_eq!(ids.len(), wanted.len(), "{topic:?}");
    for id in ids {
        assert!(wanted.contains(&trie.leaf(id).unwrap()), "{topic:?}");
    }
}

#[test]
fn matches_what_its_filters_match_through_random_changes() {
    for seed in 0..30 {
        let mut rng = Rng::new(seed);
        let mut trie = FilterTrie::new(Seed::with_seed(seed));
        let mut set: Vec<Filter> = Vec::new();
        for _ in 0..1_000 {
            let filter = random_filter(&mut rng);
            let before = trie.version();
            if rng.chance(3, 5) {
                let id = trie.entry(&filter, || filter.clone());
                assert_eq!(trie.find(&filter), Some(id));
                assert_eq!(trie.filter(id).as_ref(), Some(&filter));
                assert_eq!(trie.version() != before, !set.contains(&filter));
                if !set.contains(&filter) {
                    set.push(filter);
                }
            } else if let Some(id) = trie.find(&filter) {
                assert_eq!(trie.remove(id), Some(filter.clone()));
                assert_eq!((trie.remove(id), trie.find(&filter)), (None, None));
                assert_ne!(trie.version(), before);
                set.retain(|other| *other != filter);
            } else {
                assert!(!set.contains(&filter));
            }
            compare(&trie, &set, &random_topic(&mut rng));
        }
        assert_eq!(trie.len(), set.len());
        for filter in set {
            let id = trie.find(&filter).unwrap();
            trie.remove(id);
        }
        assert_eq!((trie.len(), trie.weight()), (0, 0), "something was left behind");
    }
}

#[test]
fn the_order_is_that_of_the_set_not_of_its_history() {
    let mut rng = Rng::new(11);
    let filters: Vec<Filter> = (0..200).map(|_| random_filter(&mut rng)).collect();
    let mut tries = [FilterTrie::new(Seed::with_seed(1)), FilterTrie::new(Seed::with_seed(2))];
    for (there, back) in filters.iter().zip(filters.iter().rev()) {
        tries[0].entry(there, || there.clone());
        tries[1].entry(back, || back.clone());
    }
    for _ in 0..500 {
        let topic = random_topic(&mut rng);
        let [one, two] = tries.each_ref().map(|trie| {
            found(trie, &topic).into_iter().map(|id| trie.filter(id).unwrap()).collect::<Vec<_>>()
        });
        assert_eq!(one, two);
    }
}

#[test]
fn prefixes_of_one_level_are_found_shortest_first() {
    let mut trie = FilterTrie::new(Seed::with_seed(1));
    let prefix = |text: &'static str| Filter {
        segs: Default::default(),
        tail: Tail::Starts(Bytes::from_static(text.as_bytes())),
    };
    for text in ["aab", "ab", "", "aa", "a", "aaaa", "b", "aac", "aabx", "$s"] {
        trie.entry(&prefix(text), || prefix(text));
    }
    let topic = Topic::from_levels([&b"aabc"[..], b"d"]);
    let texts: Vec<Filter> =
        found(&trie, &topic).into_iter().map(|id| trie.filter(id).unwrap()).collect();
    assert_eq!(texts, ["", "a", "aa", "aab"].map(prefix));
    assert_eq!(found(&trie, &Topic::from_levels([&b"$s"[..]])), [], "the root law");
}

#[test]
fn a_topic_deeper_than_the_inline_room_is_matched() {
    let mut trie = FilterTrie::new(Seed::with_seed(1));
    let ones = Filter { segs: (0..300).map(|_| Seg::One).collect(), tail: Tail::End };
    let topic = Topic::from_levels((0..300).map(|_| &b"a"[..]));
    let set = [ones, Filter::exact(&topic), Filter { segs: Default::default(), tail: Tail::Rest }];
    for filter in &set {
        trie.entry(filter, || filter.clone());
    }
    compare(&trie, &set, &topic);
    assert_eq!(found(&trie, &topic).len(), 3);
}

#[test]
fn a_publish_leaves_nothing_in_the_trie() {
    let mut trie = FilterTrie::new(Seed::with_seed(1));
    let topic = Topic::from_levels([&b"a"[..], b"b"]);
    trie.entry(&Filter::exact(&topic), || Filter::exact(&topic));
    let before = trie.weight();
    for i in 0..100 {
        let name = i.to_string();
        found(&trie, &Topic::from_levels([&b"a"[..], name.as_bytes()]));
    }
    assert_eq!(trie.weight(), before);
}
