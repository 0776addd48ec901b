//! Floor 1. The star grammar against the rule it was taken from.

use super::dialect::{Dialect, Match, TopicFault};
use super::{Filter, Seg, Star, TEXT_MAX, Tail, Topic};
use bytes::Bytes;

const STAR_GRAMMAR: Star = Star { levels_max: 8 };

fn filter(text: &str) -> Filter {
    STAR_GRAMMAR.filter(&Bytes::copy_from_slice(text.as_bytes()), Match::Native).unwrap()
}

fn topic(text: &str) -> Topic {
    STAR_GRAMMAR.topic(&Bytes::copy_from_slice(text.as_bytes())).unwrap()
}

fn matched(pattern: &str, name: &str) -> bool {
    filter(pattern).matches(&topic(name))
}

#[test]
fn a_last_star_is_one_or_more_and_an_inner_star_is_one() {
    assert!(matched("a/*", "a/b") && matched("a/*", "a/b/c") && matched("a/*", "a/"));
    assert!(!matched("a/*", "a"));
    assert!(matched("a/*/c", "a/b/c") && matched("a/*/c", "a//c"));
    assert!(!matched("a/*/c", "a/b/b/c") && !matched("a/*/c", "a/b"));
    assert!(matched("*", "a") && matched("*/b", "a/b") && matched("*/*", "a/b/c"));
}

#[test]
fn a_star_inside_a_level_is_a_letter() {
    assert!(matched("a/*b", "a/*b") && !matched("a/*b", "a/xb"));
    assert!(matched("a/b*", "a/b*") && !matched("a/b*", "a/bc"));
}

#[test]
fn stars_at_the_root_do_not_open_dollar_levels() {
    assert!(!matched("*", "$SYS/x") && !matched("*/x", "$SYS/x"));
    assert!(matched("$SYS/*", "$SYS/x") && matched("a/*", "a/$x"));
}

#[test]
fn what_is_refused_is_refused_for_its_reason() {
    let name = |text: &[u8]| STAR_GRAMMAR.topic(&Bytes::copy_from_slice(text)).map(|_| ());
    assert_eq!(name(b""), Err(TopicFault::Empty));
    assert_eq!(name(b"a/*"), Err(TopicFault::Wildcard));
    assert_eq!(name(b"*"), Err(TopicFault::Wildcard));
    assert_eq!(name(b"///////"), Ok(()));
    assert_eq!(name(b"////////"), Err(TopicFault::TooDeep));
    assert_eq!(name(&vec![b'a'; TEXT_MAX]), Ok(()));
    assert_eq!(name(&vec![b'a'; TEXT_MAX + 1]), Err(TopicFault::TooLong));
    let text = Bytes::from_static(b"a/*");
    assert_eq!(STAR_GRAMMAR.filter(&text, Match::Prefix), Err(TopicFault::Malformed));
    assert_eq!(STAR_GRAMMAR.filter(&text, Match::Exact), Err(TopicFault::Wildcard));
}

#[test]
fn what_has_no_spelling_is_not_spelled() {
    let mut out = b"kept".to_vec();
    for levels in [&["a/b"][..], &["a", "*"], &[""], &["a"; 9]] {
        let topic = Topic::from_levels(levels.iter().map(|level| level.as_bytes()));
        assert!(!STAR_GRAMMAR.spell(&topic, &mut out), "{topic:?}");
    }
    let lit = |text: &'static str| Seg::Lit(Bytes::from_static(text.as_bytes()));
    for (segs, tail) in [
        (vec![lit("a"), Seg::One], Tail::End),
        (vec![lit("a")], Tail::Rest),
        (vec![lit("a")], Tail::Starts(Bytes::from_static(b"b"))),
        (vec![lit("*")], Tail::End),
        (vec![lit("a/b"), lit("c")], Tail::End),
        (vec![lit("")], Tail::End),
        (vec![], Tail::End),
    ] {
        let filter = Filter { segs: segs.into(), tail };
        assert!(!STAR_GRAMMAR.spell_filter(&filter, &mut out), "{filter:?}");
    }
    assert_eq!(out, b"kept");
}
