//! Floor 1. Two segments and three tails say what each grammar says, and nothing else.

use super::dialect::Match;
use super::laws::{self, Bounds, product};
use super::{Filter, Seg, Star, Tail, Topic};
use bytes::Bytes;

/// The star rule in its own words: a filter longer than the name says no, a shorter one only
/// says yes with a last star; level by level a star is anything.
fn star_rule(pattern: &[u8], name: &[u8]) -> bool {
    let pattern: Vec<&[u8]> = pattern.split(|b| *b == b'/').collect();
    let name: Vec<&[u8]> = name.split(|b| *b == b'/').collect();
    if pattern[0] == b"*" && name[0].starts_with(b"$") {
        return false;
    }
    if pattern.len() > name.len() {
        return false;
    }
    if pattern.len() < name.len() && pattern.last() != Some(&&b"*"[..]) {
        return false;
    }
    pattern.iter().zip(&name).all(|(p, n)| *p == b"*" || p == n)
}

#[test]
fn the_star_grammar_by_exhaustion() {
    let alphabet = &["", "a", "b*", "*", "$s"];
    for how in [Match::Native, Match::Exact] {
        let bounds = Bounds { how, sep: b'/', alphabet, depth: 4 };
        let oracle = |p: &[u8], n: &[u8]| {
            if how == Match::Exact { p == n } else { star_rule(p, n) }
        };
        let pairs = laws::check(&Star { levels_max: 8 }, bounds, &oracle);
        assert!(pairs > 100_000, "only {pairs} pairs");
    }
}

/// Every filter over a few texts.
fn filters(texts: &[&'static str], depth: usize) -> Vec<Filter> {
    let lit = |text: &&'static str| Some(*text);
    let segs: Vec<Option<&str>> = texts.iter().map(lit).chain([None]).collect();
    let mut runs = product(&segs, depth);
    runs.push(Vec::new());
    let starts = |text: &'static str| Tail::Starts(Bytes::from_static(text.as_bytes()));
    let tails = [Tail::End, Tail::Rest, starts(""), starts("a"), starts("$")];
    let seg = |text: &Option<&'static str>| match text {
        Some(text) => Seg::Lit(Bytes::from_static(text.as_bytes())),
        None => Seg::One,
    };
    let with = |tail: &Tail| {
        let tail = tail.clone();
        runs.iter()
            .map(|run| Filter { segs: run.iter().map(seg).collect(), tail: tail.clone() })
            .collect::<Vec<_>>()
    };
    tails.iter().flat_map(with).collect()
}

#[test]
fn covering_is_being_a_superset() {
    let filters = filters(&["a", "$s"], 3);
    // Letters no filter names, and more levels than any filter has, stand for all others.
    let names = product(&["", "a", "ab", "$s", "$z", "z"], 5);
    let topics: Vec<Topic> =
        names.iter().map(|n| Topic::from_levels(n.iter().map(|l| l.as_bytes()))).collect();
    let sets: Vec<Vec<bool>> =
        filters.iter().map(|f| topics.iter().map(|t| f.matches(t)).collect()).collect();
    let (mut yes, mut no) = (0, 0);
    for (a, mine) in filters.iter().zip(&sets) {
        for (b, theirs) in filters.iter().zip(&sets) {
            let superset = mine.iter().zip(theirs).all(|(mine, theirs)| *mine || !theirs);
            let empty = !theirs.contains(&true);
            let covers = a.covers(b);
            assert!(covers == superset || (empty && !covers), "{a:?} covers {b:?}: {covers}");
            if covers { yes += 1 } else { no += 1 }
        }
    }
    assert!(yes > 1_000 && no > 10_000, "{yes} and {no}");
}

#[test]
fn an_exact_filter_matches_its_topic_only() {
    let names = product(&["", "a", "*", "$s"], 3);
    let all: Vec<Topic> =
        names.iter().map(|n| Topic::from_levels(n.iter().map(|l| l.as_bytes()))).collect();
    for one in &all {
        let filter = Filter::exact(one);
        assert!(filter.is_exact() && filter.depth() == one.depth());
        for other in &all {
            assert_eq!(filter.matches(other), one == other);
        }
    }
    let odd = filters(&["a"], 2).into_iter().filter(Filter::is_exact).count();
    assert_eq!(odd, 2, "`a` and `a/a`, but nothing open");
}

#[test]
fn filters_come_back_from_their_bytes_and_no_others_do() {
    for filter in filters(&["", "a", "\0\u{1}"], 3) {
        let mut coded = Vec::new();
        filter.encode(&mut coded);
        assert_eq!(Filter::decode(&coded).as_ref(), Some(&filter));
        assert_eq!(filter.detached(), filter);
        for cut in 0..coded.len() {
            assert_eq!(Filter::decode(&coded[..cut]), None, "{filter:?} cut at {cut}");
        }
        coded.push(0);
        assert_eq!(Filter::decode(&coded), None, "{filter:?} with more behind it");
    }
    for bad in [&b"\x00\x03"[..], b"\x01\x02\x00", b"\xff\xff\xff\x7f\x00"] {
        assert_eq!(Filter::decode(bad), None);
    }
}
