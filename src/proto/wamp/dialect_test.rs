//! Floor 3. The dots of WAMP in the space of topics, against the plain rules on text.

use bytes::Bytes;

use super::dialect::Spelling;
use super::options::Matching;
use super::uri::{self, Rule};
use crate::base::limits::Limits;
use crate::topic::laws::{Bounds, check};
use crate::topic::{Dialect, Filter, Match, Seg, Tail, Topic, TopicFault};

fn spelling(rule: Rule) -> Spelling {
    Spelling::new(&Limits::default(), rule)
}

fn filter(text: &str, how: Matching) -> Result<Filter, TopicFault> {
    spelling(Rule::Loose).filter(&Bytes::copy_from_slice(text.as_bytes()), how.how())
}

#[test]
fn the_laws_hold_for_everything_small() {
    let alphabet = &["", "a", "ab", "b", "$s", "#", "a b", "é"];
    for how in Matching::ALL {
        let plainly = |pattern: &[u8], name: &[u8]| {
            let text = |bytes| core::str::from_utf8(bytes).expect("the alphabet is text");
            uri::matches(text(pattern), *how, text(name))
        };
        let bounds = Bounds { how: how.how(), sep: b'.', alphabet, depth: 4 };
        let pairs = check(&spelling(Rule::Loose), bounds, &plainly);
        assert!(pairs > 100_000, "{pairs}");
        let strict = check(&spelling(Rule::Strict), Bounds { depth: 3, ..bounds }, &plainly);
        assert!((1_000..pairs).contains(&strict), "{strict}");
    }
}

#[test]
fn patterns_become_the_segments_of_the_table() {
    let lit = |text: &'static str| Seg::Lit(Bytes::from_static(text.as_bytes()));
    let starts = |text: &'static str| Tail::Starts(Bytes::from_static(text.as_bytes()));
    for (text, how, segs, tail) in [
        ("a.b", Matching::Exact, vec![lit("a"), lit("b")], Tail::End),
        ("a..c", Matching::Wildcard, vec![lit("a"), Seg::One, lit("c")], Tail::End),
        ("a.em", Matching::Prefix, vec![lit("a")], starts("em")),
        ("a.", Matching::Prefix, vec![lit("a")], starts("")),
        ("", Matching::Prefix, vec![], starts("")),
        ("", Matching::Wildcard, vec![Seg::One], Tail::End),
    ] {
        let expected = Filter { segs: segs.into(), tail };
        assert_eq!(filter(text, how), Ok(expected.clone()), "{text}");
        assert_eq!(Spelling::matching(&expected), Some(how));
        let mut out = Vec::new();
        assert!(spelling(Rule::Loose).spell_filter(&expected, &mut out));
        assert_eq!(out, text.as_bytes());
    }
    let native = spelling(Rule::Loose).filter(&Bytes::from_static(b"a.b"), Match::Native);
    assert_eq!(native, filter("a.b", Matching::Exact));
}

#[test]
fn what_has_no_good_uri_is_not_spelled() {
    let level = |text: &str| Topic::from_levels([&b"a"[..], text.as_bytes()]);
    for text in ["", "x.y", "x y", "#", "\n"] {
        let mut out = b"kept".to_vec();
        assert!(!spelling(Rule::Loose).spell(&level(text), &mut out), "{text}");
        assert_eq!((out, spelling(Rule::Loose).as_spelled(&level(text))), (b"kept".to_vec(), None));
    }
    let mut out = Vec::new();
    let high = Topic::from_levels([&b"A"[..], &b"\xff"[..]]);
    assert!(!spelling(Rule::Loose).spell(&high, &mut out), "no UTF-8");
    let high = Topic::from_levels([&b"A"[..], &b"b"[..]]);
    assert!(!spelling(Rule::Strict).spell(&high, &mut out), "not in a strict realm");
    assert!(spelling(Rule::Loose).spell(&high, &mut out));
    assert_eq!(out, b"A.b");
    let own = Topic::split(Bytes::from_static(b"a.b"), b'.');
    assert_eq!(spelling(Rule::Strict).as_spelled(&own), Some(&Bytes::from_static(b"a.b")));
    for text in [&b"a..b"[..], b"a b", b"a.#", b"\xff"] {
        let own = Topic::split(Bytes::from_static(text), b'.');
        assert_eq!(spelling(Rule::Loose).as_spelled(&own), None, "{}", text.escape_ascii());
    }
    for (segs, tail) in [
        (vec![Seg::One], Tail::Starts(Bytes::new())),
        (vec![], Tail::Rest),
        (vec![], Tail::End),
        (vec![], Tail::Starts(Bytes::from_static(b"a.b"))),
        (vec![Seg::Lit(Bytes::new()), Seg::One], Tail::End),
        (vec![Seg::Lit(Bytes::from_static(b"a.b"))], Tail::End),
        (vec![Seg::Lit(Bytes::from_static(b"a b"))], Tail::End),
    ] {
        let filter = Filter { segs: segs.into(), tail };
        let mut out = b"kept".to_vec();
        assert!(!spelling(Rule::Loose).spell_filter(&filter, &mut out), "{filter:?}");
        assert_eq!(out, b"kept");
    }
}

#[test]
fn texts_are_bounded_and_judged() {
    let limits = Limits { levels_max: 3, topic_bytes_max: 6, ..Limits::default() };
    let spelling = Spelling::new(&limits, Rule::Loose);
    let topic = |text: &'static str| spelling.topic(&Bytes::from_static(text.as_bytes())).map(drop);
    assert_eq!(topic("a.b.c"), Ok(()));
    assert_eq!(topic("a.b.c.d"), Err(TopicFault::TooLong));
    assert_eq!(topic("abcdefg"), Err(TopicFault::TooLong));
    assert_eq!(topic(""), Err(TopicFault::Empty));
    assert_eq!(topic("a..b"), Err(TopicFault::Malformed));
    let wide = Spelling { bytes_max: 7, ..spelling };
    let deep = Bytes::from_static(b"a.b.c.d");
    assert_eq!(wide.topic(&deep).map(drop), Err(TopicFault::TooDeep));
    assert_eq!(wide.filter(&deep, Match::Prefix).map(drop), Err(TopicFault::TooDeep));
    let mut out = Vec::new();
    assert!(!wide.spell(&Topic::split(deep.clone(), b'.'), &mut out));
    assert_eq!(wide.as_spelled(&Topic::split(deep, b'.')), None);
    let long = Topic::split(Bytes::from_static(b"abcdefgh"), b'.');
    assert!(!wide.spell(&long, &mut out) && out.is_empty());
    assert_eq!(wide.as_spelled(&long), None);
    let bytes = Bytes::from_static(b"a\xff");
    assert_eq!(wide.topic(&bytes).map(drop), Err(TopicFault::Malformed));
}
