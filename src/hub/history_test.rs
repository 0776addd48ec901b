//! Floor 2. What is remembered, and what is not.

use bytes::Bytes;

use super::audience::{Audience, List};
use super::calls::Kind;
use super::hub_test::*;
use super::parties_test::{joining, session};
use super::realm::{Remembered, Terms};
use crate::base::limits::Limits;
use crate::topic::{Dialect, Match};

fn remembered(pattern: &str, limit: usize) -> Remembered {
    let pattern = Bytes::copy_from_slice(pattern.as_bytes());
    let filter = STAR.filter(&pattern, Match::Native).expect("filter");
    Remembered { pattern, kind: Kind::Exact, filter, limit, lasting: false }
}

fn tell(b: &mut Bench, all: &[(&str, usize)]) {
    let histories = all.iter().map(|(pattern, limit)| remembered(pattern, *limit)).collect();
    b.hub.tell_realm(b.now, REALM, Terms { histories, ..Terms::default() });
}

fn id(b: &Bench, pattern: &str) -> Option<u64> {
    let pattern = Bytes::copy_from_slice(pattern.as_bytes());
    b.hub.interests.lookup(REALM, Kind::Exact, &pattern).map(u64::from)
}

fn past(b: &Bench, pattern: &str) -> Vec<String> {
    let all = id(b, pattern).and_then(|id| b.hub.history(REALM, id)).expect("remembered");
    all.map(|past| String::from_utf8_lossy(&past.body).into_owned()).collect()
}

fn say(b: &mut Bench, body: &[u8], audience: Audience) {
    let mut p = Bench::publication("a", body, 0, false);
    b.hub.say_for(b.now, &mut p, audience).expect("room");
}

#[test]
fn the_newest_are_remembered_whoever_says_them_and_whoever_listens() {
    let mut b = Bench::new(Limits::default());
    tell(&mut b, &[("a", 3), ("a/*", 2)]);
    for n in 0..5 {
        b.publish("a", n.to_string().as_bytes(), 1, false);
        b.publish("a/b", n.to_string().as_bytes(), 0, false);
        b.publish("c", b"no", 0, false);
    }
    assert_eq!((past(&b, "a"), past(&b, "a/*")), (numbers(2..5), numbers(3..5)));
    let other = id(&b, "a").map(|id| id + 100);
    assert!(b.hub.history(REALM, other.unwrap_or_default()).is_none());
}

#[test]
fn other_terms_keep_what_is_remembered_further() {
    let mut b = Bench::new(Limits::default());
    tell(&mut b, &[("a", 3), ("b", 3)]);
    for n in 0..5 {
        b.publish("a", n.to_string().as_bytes(), 0, false);
    }
    let before = id(&b, "a");
    tell(&mut b, &[("c", 1), ("a", 2)]);
    assert_eq!((past(&b, "a"), id(&b, "a")), (numbers(3..5), before));
    assert_eq!(id(&b, "b"), None, "what stood for it is gone");
    tell(&mut b, &[]);
    assert_eq!((id(&b, "a"), b.hub.memory_used()), (None, 0));
    b.publish("a", b"x", 0, false);
    assert_eq!(b.hub.memory_used(), 0);
}

#[test]
fn what_was_for_some_sessions_only_is_not_remembered() {
    let mut b = Bench::new(Limits::default());
    tell(&mut b, &[("a", 9)]);
    say(&mut b, b"for one", Audience { eligible: Some(vec![1]), ..Audience::default() });
    say(&mut b, b"for others", Audience { exclude: vec![1], ..Audience::default() });
    say(&mut b, b"for this one", Audience { only: Some(session(70)), ..Audience::default() });
    let values = vec![Bytes::from_static(b"user")];
    let list = List { attribute: "authrole".into(), eligible: true, values };
    say(&mut b, b"for users", Audience { lists: vec![list], ..Audience::default() });
    assert_eq!(past(&b, "a"), ["for users"]);
    b.hub.parties.join(joining(1, session(70), REALM, "user"));
    b.hub.parties.join(joining(2, session(71), REALM, "guest"));
    let past = b.hub.history(REALM, id(&b, "a").expect("there")).expect("kept").next();
    let past = past.expect("one");
    let party = |id| b.hub.parties.numbered(REALM, id).expect("there");
    assert_eq!((past.is_for(party(1)), past.is_for(party(2))), (true, false));
}

#[test]
fn a_history_weighs_and_gives_way_when_memory_is_short() {
    let limits = Limits { memory_bytes_max: 100_000, ..Limits::default() };
    let mut b = Bench::new(limits);
    tell(&mut b, &[("a", 10_000)]);
    let body = vec![b'x'; 1_000];
    for _ in 0..200 {
        b.publish("a", &body, 0, false);
    }
    let kept = past(&b, "a").len();
    assert!((20..60).contains(&kept), "{kept} of 200");
    let used = b.hub.memory_stored();
    assert!((20_000..=52_000).contains(&used), "{used}");
    assert!(b.hub.store(1).is_some());
}

#[test]
fn what_is_remembered_keeps_no_read_buffer_alive() {
    let mut b = Bench::new(Limits::default());
    tell(&mut b, &[("a", 9)]);
    let read = Bytes::from(b"xxxxaaaa".to_vec());
    let mut p = Bench::publication("a", b"", 0, false);
    (p.body, p.props) = (read.slice(..4), read.slice(4..));
    let values = vec![read.slice(2..)];
    let list = List { attribute: "authrole".into(), eligible: false, values };
    let audience = Audience { lists: vec![list], ..Audience::default() };
    b.hub.say_for(b.now, &mut p, audience).expect("room");
    drop(p);
    assert_eq!(past(&b, "a"), ["xxxx"]);
    assert!(read.is_unique());
}
