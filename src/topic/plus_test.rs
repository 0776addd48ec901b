//! Floor 1. The plus grammar against the rules of MQTT (3.1.1 and 5.0, §4.7).

use super::dialect::{Dialect, Match, TopicFault};
use super::laws::{Bounds, check};
use super::{Filter, Plus, Seg, TEXT_MAX, Tail, Topic};
use bytes::Bytes;

const PLUS: Plus = Plus { levels_max: 8 };

fn filter(text: &str) -> Result<Filter, TopicFault> {
    PLUS.filter(&Bytes::copy_from_slice(text.as_bytes()), Match::Native)
}

fn matched(pattern: &str, name: &str) -> bool {
    let name = PLUS.topic(&Bytes::copy_from_slice(name.as_bytes())).unwrap();
    filter(pattern).unwrap().matches(&name)
}

/// The standard's own words, level by level; knows nothing of segments and tails.
fn oracle(pattern: &[u8], name: &[u8]) -> bool {
    let wild = matches!(pattern.first(), Some(b'+' | b'#'));
    if wild && name.first() == Some(&b'$') {
        return false;
    }
    let mut levels = name.split(|&b| b == b'/');
    for want in pattern.split(|&b| b == b'/') {
        if want == b"#" {
            return true;
        }
        match levels.next() {
            Some(level) if want == b"+" || want == level => {}
            _ => return false,
        }
    }
    levels.next().is_none()
}

#[test]
fn the_laws_hold_for_everything_small() {
    let alphabet = &["", "a", "b", "+", "#", "$s", "a+", "é"];
    let bounds = Bounds { how: Match::Native, sep: b'/', alphabet, depth: 4 };
    assert!(check(&PLUS, bounds, &oracle) > 10_000);
    let exact = Bounds { how: Match::Exact, ..bounds };
    assert!(check(&PLUS, exact, &|filter, name| filter == name) > 10_000);
}

#[test]
fn the_examples_of_the_standard() {
    let sport = "sport/tennis/player1/#";
    assert!(matched(sport, "sport/tennis/player1"));
    assert!(matched(sport, "sport/tennis/player1/ranking"));
    assert!(matched(sport, "sport/tennis/player1/score/wimbledon"));
    assert!(matched("sport/#", "sport") && matched("#", "sport/") && matched("#", "/"));
    assert!(matched("sport/tennis/+", "sport/tennis/player1"));
    assert!(!matched("sport/tennis/+", "sport/tennis/player1/ranking"));
    assert!(!matched("sport/+", "sport") && matched("sport/+", "sport/"));
    assert!(matched("+/+", "/finance") && matched("/+", "/finance") && !matched("+", "/finance"));
    assert!(!matched("#", "$SYS/x") && !matched("+/monitor/Clients", "$SYS/monitor/Clients"));
    assert!(matched("$SYS/#", "$SYS/x") && matched("$SYS/monitor/+", "$SYS/monitor/Clients"));
}

#[test]
fn what_is_refused_is_refused_for_its_reason() {
    for text in ["a#", "#/a", "a/#/b", "a+", "+a/b", "a/+b", "a/b#", "##", "++", "+#"] {
        assert_eq!(filter(text), Err(TopicFault::Malformed), "{text}");
    }
    for text in ["#", "+", "+/tennis/#", "sport/+/player1", "/#", "+/#", "a//b", "/", "$a/+/#"] {
        assert!(filter(text).is_ok(), "{text}");
    }
    assert_eq!(filter(""), Err(TopicFault::Empty));
    assert_eq!(filter("////////"), Err(TopicFault::TooDeep));
    let name = |text: &[u8]| PLUS.topic(&Bytes::copy_from_slice(text)).map(|_| ());
    assert_eq!(name(b""), Err(TopicFault::Empty));
    for wild in [&b"a/#"[..], b"+", b"a+b", b"a/b#"] {
        assert_eq!(name(wild), Err(TopicFault::Wildcard));
    }
    assert_eq!(name("\u{feff}/é".as_bytes()), Ok(()), "a byte order mark is a letter");
    assert_eq!(name(b"///////"), Ok(()));
    assert_eq!(name(b"////////"), Err(TopicFault::TooDeep));
    assert_eq!(name(&vec![b'/'; TEXT_MAX]), Err(TopicFault::TooDeep));
    assert_eq!(name(&vec![b'a'; TEXT_MAX]), Ok(()));
    assert_eq!(name(&vec![b'a'; TEXT_MAX + 1]), Err(TopicFault::TooLong));
    let text = Bytes::from_static(b"a/+");
    assert_eq!(PLUS.filter(&text, Match::Prefix), Err(TopicFault::Malformed));
    assert_eq!(PLUS.filter(&text, Match::Exact), Err(TopicFault::Wildcard));
}

#[test]
fn what_mqtt_cannot_say_is_not_spelled() {
    let mut out = b"kept".to_vec();
    let bad: [&[&[u8]]; 9] = [
        &[b"a/b"],
        &[b"a", b"+"],
        &[b"a#"],
        &[b"#"],
        &[b""],
        &[b"a\0"],
        &[b"\xed\xa0\x80"],
        &[b"\xc0\xaf"],
        &[&b"a"[..]; 9],
    ];
    for levels in bad {
        let topic = Topic::from_levels(levels.iter().copied());
        assert!(!PLUS.spell(&topic, &mut out), "{topic:?}");
    }
    let lit = |text: &'static [u8]| Seg::Lit(Bytes::from_static(text));
    for (segs, tail) in [
        (vec![lit(b"a")], Tail::Starts(Bytes::new())),
        (vec![lit(b"a+")], Tail::End),
        (vec![lit(b"a/b"), lit(b"c")], Tail::Rest),
        (vec![lit(b"\xff")], Tail::Rest),
        (vec![lit(b"a\0b")], Tail::End),
        (vec![lit(b"")], Tail::End),
        (vec![], Tail::End),
    ] {
        let filter = Filter { segs: segs.into(), tail };
        assert!(!PLUS.spell_filter(&filter, &mut out), "{filter:?}");
    }
    assert_eq!(out, b"kept");
}

#[test]
fn a_star_is_a_letter_and_levels_of_another_dialect_are_levels() {
    let topic = Topic::split(Bytes::from_static(b"a.b*.c"), b'.');
    let mut out = Vec::new();
    assert!(PLUS.spell(&topic, &mut out));
    assert_eq!(out, b"a/b*/c");
}
