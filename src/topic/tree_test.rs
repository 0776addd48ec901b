//! Floor 1. A walk shows what matches, in order, once, whatever changes between its steps.

use super::{Cursor, Filter, Seg, Tail, Topic, TopicTree, Walk};
use crate::base::rng::Rng;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};

const TEXTS: [&str; 9] = ["", "a", "ab", "b", "$s", "\0", "\u{1}a", "a\0", "x/y"];

fn text(rng: &mut Rng) -> Bytes {
    Bytes::from_static(rng.pick(&TEXTS).unwrap().as_bytes())
}

fn random_topic(rng: &mut Rng) -> Topic {
    let levels: Vec<Bytes> = (0..1 + rng.below(4)).map(|_| text(rng)).collect();
    Topic::from_levels(levels.iter().map(|level| &level[..]))
}

fn random_filter(rng: &mut Rng) -> Filter {
    let depth = rng.below(4);
    let segs = (0..depth).map(|_| if rng.chance(1, 2) { Seg::One } else { Seg::Lit(text(rng)) });
    let segs = segs.collect();
    let tail = match rng.below(3) {
        0 => Tail::End,
        1 => Tail::Rest,
        _ => Tail::Starts(text(rng)),
    };
    Filter { segs, tail }
}

#[test]
fn keeps_one_value_for_each_topic_in_the_order_of_topics() {
    let mut rng = Rng::new(5);
    let mut tree = TopicTree::new();
    let mut model: BTreeMap<Topic, u64> = BTreeMap::new();
    for i in 0..20_000 {
        let topic = random_topic(&mut rng);
        match rng.below(4) {
            0 => assert_eq!(tree.remove(&topic), model.remove(&topic)),
            1 => assert_eq!(tree.get_mut(&topic), model.get_mut(&topic)),
            2 => assert_eq!(tree.get(&topic), model.get(&topic)),
            _ => assert_eq!(tree.set(&topic, i), model.insert(topic, i)),
        }
        assert_eq!((tree.len(), tree.is_empty()), (model.len(), model.is_empty()));
    }
    assert!(tree.len() > 1_000);
    assert!(tree.iter().map(|(topic, value)| (topic, *value)).eq(model));
}

#[test]
fn one_walk_shows_exactly_what_matches_in_order() {
    let mut rng = Rng::new(6);
    for _ in 0..300 {
        let mut tree = TopicTree::new();
        for i in 0..rng.below(200) {
            tree.set(&random_topic(&mut rng), i);
        }
        for _ in 0..10 {
            let filter = random_filter(&mut rng);
            let mut shown = Vec::new();
            let mut cursor = Cursor::default();
            let done = tree.walk(&filter, &mut cursor, usize::MAX, &mut |topic, value| {
                shown.push((topic.clone(), *value));
                Walk::Go
            });
            let wanted: Vec<_> = tree
                .iter()
                .filter(|(topic, _)| filter.matches(topic))
                .map(|(topic, value)| (topic, *value))
                .collect();
            assert_eq!(shown, wanted, "{filter:?}");
            assert!(done && cursor.is_over());
            let mut values = Vec::new();
            tree.walk_values(&filter, &mut Cursor::default(), usize::MAX, &mut |value| {
                values.push(*value);
                Walk::Go
            });
            assert!(values.iter().eq(shown.iter().map(|(_, value)| value)));
        }
    }
}

/// Walk with few steps, changing the tree in between; nothing that was there all the time may be
/// missed or shown twice, and nothing may be shown that is not there or does not match.
fn walk_while_changing(rng: &mut Rng) -> usize {
    let mut tree = TopicTree::new();
    for i in 0..300 {
        tree.set(&random_topic(rng), i);
    }
    let filter = random_filter(rng);
    let mut faithful: BTreeSet<Topic> =
        tree.iter().map(|(topic, _)| topic).filter(|topic| filter.matches(topic)).collect();
    let mut shown: Vec<Topic> = Vec::new();
    let mut cursor = Cursor::default();
    let mut calls = 0;
    loop {
        calls += 1;
        assert!(calls < 3_000, "{filter:?} does not end");
        let steps = rng.below(5) as usize;
        let stop = rng.chance(1, 4);
        let before = shown.len();
        let done = tree.walk(&filter, &mut cursor, steps, &mut |topic, _| {
            shown.push(topic.clone());
            if stop { Walk::Stop } else { Walk::Go }
        });
        let news = &shown[before..];
        assert!(news.len() <= steps && (!stop || news.len() <= 1));
        assert!(news.iter().all(|topic| tree.get(topic).is_some() && filter.matches(topic)));
        if done {
            break;
        }
        for _ in 0..rng.below(4) {
            let topic = random_topic(rng);
            if rng.chance(1, 2) {
                tree.remove(&topic);
                faithful.remove(&topic);
            } else {
                tree.set(&topic, 0);
            }
        }
    }
    assert!(shown.windows(2).all(|pair| pair[0] < pair[1]), "in order, so none twice");
    assert!(faithful.iter().all(|topic| shown.binary_search(topic).is_ok()), "{filter:?}");
    assert!(tree.walk(&filter, &mut cursor, 9, &mut |_, _| unreachable!()), "over stays over");
    faithful.len()
}

#[test]
fn a_cursor_outlives_changes_between_steps() {
    let mut rng = Rng::new(8);
    let seen: usize = (0..400).map(|_| walk_while_changing(&mut rng)).sum();
    assert!(seen > 5_000, "too few topics stayed to mean anything: {seen}");
}

#[test]
fn what_cannot_match_is_jumped_over() {
    let mut tree = TopicTree::new();
    for i in 0..1_000 {
        let room = format!("room{i:04}");
        for what in ["humidity", "light", "noise", "temp"] {
            tree.set(&Topic::from_levels([&b"com"[..], room.as_bytes(), what.as_bytes()]), i);
        }
        tree.set(&Topic::from_levels([&b"$SYS"[..], room.as_bytes()]), i);
    }
    let steps_for = |segs: &[&'static str], tail: Tail, wanted: usize| {
        let seg = |text: &&'static str| match *text {
            "+" => Seg::One,
            text => Seg::Lit(Bytes::from_static(text.as_bytes())),
        };
        let filter = Filter { segs: segs.iter().map(seg).collect(), tail };
        let (mut cursor, mut shown, mut steps) = (Cursor::default(), 0, 0);
        let mut each = |_: &Topic, _: &i32| {
            shown += 1;
            Walk::Go
        };
        while !tree.walk(&filter, &mut cursor, 1, &mut each) {
            steps += 1;
        }
        assert_eq!(shown, wanted, "{filter:?}");
        steps
    };
    assert!(steps_for(&["com", "room0500", "temp"], Tail::End, 1) <= 1);
    assert!(steps_for(&["com", "room0500"], Tail::Rest, 4) <= 5);
    assert!(steps_for(&["com", "+", "light"], Tail::End, 1_000) <= 3_002);
    assert!(steps_for(&["no", "+", "light"], Tail::End, 0) <= 1);
    assert!(steps_for(&[], Tail::Rest, 4_000) <= 4_002, "the hidden thousand is one step");
    assert!(steps_for(&["com"], Tail::Starts(Bytes::from_static(b"room09")), 400) <= 402);
}
