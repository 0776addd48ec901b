//! Floor 2. What the router asks: who is asked, how it ends, and what is remembered.

use bytes::Bytes;

use super::calls::{Able, Act, Answer, Invoke, Kind, Offer, Payload, Terms, Why};
use super::hub_test::*;
use super::inquiries::{Inquiry, Told};
use super::parties::Mail;
use super::parties_test::joining;
use crate::base::id::{ConnId, SessionId};
use crate::base::limits::Limits;
use crate::base::time::{Deadline, MS, Now};

const CONN: ConnId = ConnId { index: 9, life: 1 };

fn scene(name: &'static str, kind: Kind) -> (Bench, SessionId) {
    let mut b = Bench::new(Limits::default());
    let callee = b.client("callee", |a| a.durable = false).session;
    b.hub.parties.join(joining(1, callee, REALM, "user"));
    let terms = Terms { can: Able::ALL, discloses: true, takes_timeout: true, within_ms: 0 };
    let procedure = Bytes::from_static(name.as_bytes());
    let offer = Offer { procedure, kind, invoke: Invoke::Single, terms };
    b.hub.calls.register(b.now, REALM, callee, &offer).expect("room");
    (b, callee)
}

fn ask(b: &mut Bench) -> u64 {
    let (procedure, payload) = (Bytes::from_static(b"p.q"), Payload::default());
    let it = Inquiry { realm: Some(REALM), conn: CONN, procedure, payload, wait_ms: 1_000 };
    b.hub.inquire(b.now, it)
}

fn number(b: &mut Bench, callee: SessionId) -> Option<u64> {
    match b.hub.parties.take(callee) {
        Some(Mail::Act(Act::Invoke(it))) => {
            assert_eq!(it.timeout_ms, 0, "the time is watched here");
            Some(it.number)
        }
        None => None,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_question_has_one_answer_and_it_is_for_whom_it_was_asked() {
    let (mut b, callee) = scene("p.q", Kind::Exact);
    let (one, two) = (ask(&mut b), ask(&mut b));
    let (first, second) = (number(&mut b, callee), number(&mut b, callee));
    let mut acts = Vec::new();
    for (number, args) in [(second, "b"), (first, "a"), (first, "late")] {
        let payload = Payload { args: args.into(), ..Payload::default() };
        let answer = Answer::Result(payload, Able::NONE);
        let number = number.expect("it was asked");
        b.hub.calls.answer(b.now, callee, number, answer, &mut acts).expect("it was asked");
        b.hub.pass_on(&mut acts);
    }
    for (asked, args) in [(two, "b"), (one, "a")] {
        let Some((CONN, number, Told::Answer(payload))) = b.hub.inquiries.poll() else {
            panic!("no answer")
        };
        assert_eq!((number, &payload.args[..]), (asked, args.as_bytes()));
    }
    assert!(b.hub.inquiries.poll().is_none() && b.hub.inquiries.is_empty());
}

#[test]
fn nobody_is_asked_whose_pattern_only_happens_to_fit() {
    for (name, kind) in [("p.", Kind::Prefix), ("p.", Kind::Wildcard), ("p", Kind::Exact)] {
        let (mut b, callee) = scene(name, kind);
        let asked = ask(&mut b);
        assert_eq!(number(&mut b, callee), None);
        let told = Some((CONN, asked, Told::Nothing(Why::NoProcedure)));
        assert_eq!(b.hub.inquiries.poll(), told);
    }
}

#[test]
fn whoever_is_slow_or_leaves_has_not_answered() {
    let (mut b, callee) = scene("p.q", Kind::Exact);
    let asked = ask(&mut b);
    number(&mut b, callee).expect("it is asked");
    let late = Now { mono: b.now.mono + 1_000 * MS, ..b.now };
    b.hub.expire_calls(late);
    assert_eq!(b.hub.inquiries.poll(), Some((CONN, asked, Told::Nothing(Why::Timeout))));
    let asked = ask(&mut b);
    let mut acts = Vec::new();
    b.hub.calls.leave(callee, &mut acts);
    b.hub.pass_on(&mut acts);
    assert_eq!(b.hub.inquiries.poll(), Some((CONN, asked, Told::Nothing(Why::Gone))));
}

#[test]
fn what_is_given_up_is_answered_to_nobody() {
    let (mut b, callee) = scene("p.q", Kind::Exact);
    let asked = ask(&mut b);
    let first = number(&mut b, callee).expect("it is asked");
    b.hub.give_up(asked);
    assert!(b.hub.inquiries.is_empty());
    let stopped = b.hub.parties.take(callee);
    assert!(matches!(stopped, Some(Mail::Act(Act::Interrupt { number, .. })) if number == first));
    let mut acts = Vec::new();
    let answer = Answer::Result(Payload::default(), Able::NONE);
    b.hub.calls.answer(b.now, callee, first, answer, &mut acts).expect("late is no fault");
    b.hub.pass_on(&mut acts);
    assert!(!b.hub.inquiries.has_told());
}

#[test]
fn what_was_answered_is_remembered_for_a_while_and_so_much_of_it() {
    let (mut b, _) = scene("p.q", Kind::Exact);
    let payload = Payload { args: "yes".into(), ..Payload::default() };
    let until = Deadline(b.now.mono + 5);
    for key in [b"a", b"b", b"c"] {
        b.hub.inquiries.remember(key, until, &payload, 2);
    }
    let later = Now { mono: b.now.mono + 5, ..b.now };
    let known = |now, key: &[u8]| b.hub.inquiries.known(now, key).is_some();
    assert!(!known(b.now, b"a") && known(b.now, b"b") && known(b.now, b"c"));
    assert!(!known(later, b"b"));
    let long = Payload { args: vec![0; 5_000].into(), ..Payload::default() };
    b.hub.inquiries.remember(b"d", until, &long, 2);
    assert!(b.hub.inquiries.known(b.now, b"d").is_none(), "too long");
}
