//! Floor 2. What comes of calls, in mailboxes that have room and in those that have none.

use bytes::Bytes;

use super::calls::{Able, Act, Answer, Ask, Invoke, Kind, Offer, Payload, Terms, Why};
use super::hub_test::*;
use super::parties::Mail;
use super::parties_test::joining;
use crate::base::id::SessionId;
use crate::base::limits::Limits;
use crate::base::stats::Counter;

fn party(b: &mut Bench, n: u32) -> SessionId {
    let session = b.client(&format!("party {n}"), |a| a.durable = false).session;
    b.hub.parties.join(joining(u64::from(n), session, REALM, "user"));
    while b.hub.poll_awake().is_some() {}
    session
}

fn scene() -> (Bench, SessionId, SessionId) {
    let mut b = Bench::new(Limits { outbox_len_max: 2, ..Limits::default() });
    let (caller, callee) = (party(&mut b, 1), party(&mut b, 2));
    let procedure = Bytes::from_static(b"p");
    let terms = Terms { can: Able::ALL, ..Terms::default() };
    let offer = Offer { procedure, kind: Kind::Exact, invoke: Invoke::Single, terms };
    b.hub.calls.register(b.now, REALM, callee, &offer).expect("room");
    (b, caller, callee)
}

fn call(b: &mut Bench, caller: SessionId, request: u64, timeout_ms: u64) {
    let ask = Ask {
        realm: REALM,
        caller,
        request,
        procedure: Bytes::from_static(b"p"),
        payload: Payload::default(),
        more: false,
        pieces: true,
        timeout_ms,
        disclose: false,
        trust: 0,
        needs: Able::NONE,
        can: Able::ALL,
        shard: None,
    };
    let mut acts = Vec::new();
    b.hub.calls.call(b.now, ask, &mut acts).expect("no violation");
    b.hub.pass_on(&mut acts);
    assert!(acts.is_empty());
}

fn outcomes(b: &mut Bench, caller: SessionId) -> Vec<(u64, Option<Why>)> {
    let mut all = Vec::new();
    while let Some(mail) = b.hub.parties.take(caller) {
        match mail {
            Mail::Act(Act::Fail { request, why, .. }) => all.push((request, Some(why))),
            Mail::Act(Act::Result { request, .. }) => all.push((request, None)),
            other => panic!("{other:?}"),
        }
    }
    all
}

#[test]
fn whoever_has_mail_is_woken_once() {
    let (mut b, caller, callee) = scene();
    call(&mut b, caller, 1, 0);
    call(&mut b, caller, 2, 0);
    let conn = b.hub.session(callee).and_then(|s| s.conn);
    assert_eq!((b.hub.poll_awake(), b.hub.poll_awake()), (conn, None));
    assert_eq!(b.hub.parties.get(callee).map(|party| party.waiting().0), Some(2));
}

#[test]
fn a_call_to_a_full_mailbox_fails_and_the_callee_stays() {
    let (mut b, caller, callee) = scene();
    for request in 1..=4 {
        call(&mut b, caller, request, 0);
    }
    assert_eq!(outcomes(&mut b, caller), [(3, Some(Why::Blocked)), (4, Some(Why::Blocked))]);
    assert_eq!(b.hub.stats.get(Counter::CallsBlocked), 2);
    assert_eq!(b.hub.poll_overrun(), None, "nobody is cut off for that");
    while b.hub.parties.take(callee).is_some() {}
    call(&mut b, caller, 5, 0);
    let mail = b.hub.parties.take(callee);
    let Some(Mail::Act(Act::Invoke(it))) = mail else { panic!("{mail:?}") };
    assert_eq!(it.number, 3, "numbers have no gaps");
}

#[test]
fn a_caller_that_does_not_fetch_what_it_asked_for_is_cut_off() {
    let (mut b, caller, callee) = scene();
    call(&mut b, caller, 1, 0);
    let mut acts = Vec::new();
    for piece in 0..9 {
        assert!(!b.hub.has_overrun(), "piece {piece}");
        let answer = Answer::Piece(Payload::default(), Able::NONE);
        b.hub.calls.answer(b.now, callee, 1, answer, &mut acts).expect("it was asked");
        b.hub.pass_on(&mut acts);
    }
    let conn = b.hub.session(caller).and_then(|s| s.conn);
    assert!(b.hub.has_overrun());
    assert_eq!((b.hub.poll_overrun(), b.hub.poll_overrun()), (conn, None));
}

#[test]
fn calls_whose_time_is_over_fail_when_it_is_and_not_before() {
    let (mut b, caller, _) = scene();
    call(&mut b, caller, 1, 1_000);
    let now = b.now;
    assert!(!b.hub.expire_calls(now) && outcomes(&mut b, caller).is_empty());
    b.sleep(1_000);
    let now = b.now;
    assert!(!b.hub.expire_calls(now), "there are no more of them");
    assert_eq!(outcomes(&mut b, caller), [(1, Some(Why::Timeout))]);
}

#[test]
fn what_must_be_told_is_told_or_its_hearer_is_cut_off() {
    let (mut b, caller, _) = scene();
    let go = || Mail::Go { reason: Bytes::from_static(b"r"), message: Bytes::new() };
    for _ in 0..8 {
        b.hub.tell(caller, go());
        assert!(!b.hub.has_overrun());
    }
    b.hub.tell(caller, go());
    assert_eq!(b.hub.poll_overrun(), b.hub.session(caller).and_then(|s| s.conn));
    let gone = SessionId { index: 99, life: 0 };
    assert!(!b.hub.post(gone, go()));
    b.hub.tell(gone, go());
    assert!(!b.hub.has_overrun(), "nobody is there");
}
