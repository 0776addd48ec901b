//! Floor 6. Matching and retained topics by size: what a million costs more than a thousand.
//!
//! `cargo bench --bench trie -- 1M` picks the large ones. A set is built when its bench is chosen,
//! so the small ones stay quick. Under `cargo test` everything runs once, with small sets.

use bytes::Bytes;
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use spindle::base::map::Seed;
use spindle::base::rng::Rng;
use spindle::topic::{
    Cursor, Dialect, Filter, FilterTrie, LeafId, Match, Star, Topic, TopicTree, Walk,
};
use std::hint::black_box;

const GRAMMAR: Star = Star { levels_max: 128 };
/// Debug builds are tests; they only show that the bench works.
const LARGE: usize = if cfg!(debug_assertions) { 5_000 } else { 1_000_000 };
const SIZES: [(&str, usize); 2] = [("1k", 1_000), ("1M", LARGE)];
/// Topics asked for in turn: more than the caches of the first levels hold.
const ASKED: usize = 10_000;

fn name(i: usize) -> String {
    format!("com/site{}/device{i:06}/temp", i % 100)
}

fn topic(i: usize) -> Topic {
    GRAMMAR.topic(&Bytes::from(name(i))).expect("a good name")
}

fn filter(text: String) -> Filter {
    GRAMMAR.filter(&Bytes::from(text), Match::Native).expect("a good filter")
}

/// One filter for every device; of the mixed ones three in four are open somewhere.
fn device_filter(i: usize, mixed: bool) -> Filter {
    let site = i % 100;
    filter(match i % 4 {
        1 if mixed => format!("com/site{site}/device{i:06}/*"),
        2 if mixed => format!("com/*/device{i:06}/temp"),
        3 if mixed => format!("*/site{site}/device{i:06}/*"),
        _ => name(i),
    })
}

fn asked(size: usize) -> Vec<Topic> {
    let mut rng = Rng::new(7);
    (0..ASKED.min(size)).map(|_| topic(rng.below(size as u64) as usize)).collect()
}

fn build(size: usize, mixed: bool) -> FilterTrie<u32> {
    let mut trie = FilterTrie::new(Seed::with_seed(1));
    for i in 0..size {
        trie.entry(&device_filter(i, mixed), || i as u32);
    }
    trie
}

fn matching(c: &mut Criterion) {
    let mut group = c.benchmark_group("trie/matches");
    for (kind, mixed) in [("exact", false), ("mixed", true)] {
        for (label, size) in SIZES {
            group.bench_function(BenchmarkId::new(kind, label), |b| {
                let trie = build(size, mixed);
                let topics = asked(size);
                let mut found: Vec<LeafId> = Vec::new();
                let mut turn = topics.iter().cycle();
                b.iter(|| {
                    found.clear();
                    if let Some(topic) = turn.next() {
                        trie.matches(topic, &mut found);
                    }
                    assert_eq!(found.len(), 1);
                });
            });
        }
    }
    group.finish();
}

fn changing(c: &mut Criterion) {
    let mut group = c.benchmark_group("trie/entry and remove");
    for (label, size) in SIZES {
        group.bench_function(label, |b| {
            let mut trie = build(size, true);
            let mut i = size;
            b.iter(|| {
                i += 1;
                let id = trie.entry(&device_filter(i, true), || 0);
                black_box(trie.remove(id));
            });
        });
    }
    group.finish();
}

fn retained(c: &mut Criterion) {
    let mut group = c.benchmark_group("tree");
    for (label, size) in SIZES {
        let full = move || {
            let mut tree = TopicTree::new();
            for i in 0..size {
                tree.set(&topic(i), i);
            }
            tree
        };
        group.bench_function(BenchmarkId::new("set", label), |b| {
            let mut tree = full();
            let topics = asked(size);
            let mut turn = topics.iter().cycle();
            b.iter(|| turn.next().map(|topic| tree.set(topic, 0)));
        });
        for (what, text) in [("all", "*"), ("one of each", "com/*/device000007/temp")] {
            let id = BenchmarkId::new(format!("1000 steps, {what}"), label);
            group.throughput(Throughput::Elements(1_000));
            group.bench_function(id, |b| {
                let (tree, filter) = (full(), filter(text.to_owned()));
                b.iter_batched(
                    Cursor::default,
                    |mut cursor| {
                        let mut shown = 0;
                        tree.walk_values(&filter, &mut cursor, 1_000, &mut |_| {
                            shown += 1;
                            Walk::Go
                        });
                        assert!(shown > 0);
                    },
                    BatchSize::SmallInput,
                );
            });
        }
    }
    group.finish();
}

fn parsing(c: &mut Criterion) {
    let text = Bytes::from(name(7));
    c.bench_function("star/topic", |b| b.iter(|| GRAMMAR.topic(black_box(&text))));
}

criterion_group!(benches, matching, changing, retained, parsing);
criterion_main!(benches);
