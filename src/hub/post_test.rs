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
fn what_is_not_said_in_its_turn_holds_no_read_buffer() {
    let (mut b, caller, _) = scene();
    let read = Bytes::from(vec![7; 12]);
    let payload = Payload { form: 0, meta: Bytes::new(), args: read.slice(4..) };
    let result = Act::Result { to: caller, request: 1, more: false, payload };
    assert!(b.hub.post(caller, Mail::Act(result)));
    assert!(!read.is_unique(), "it may be said in this turn");
    b.hub.note_lag(caller, false);
    assert!(read.is_unique());
    assert_eq!(outcomes(&mut b, caller), [(1, None)]);
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

#[test]
fn a_list_of_acts_is_used_again_unless_it_is_long() {
    let (mut b, ..) = scene();
    b.hub.pass_on(&mut Vec::with_capacity(8));
    assert!(b.hub.spare_acts().capacity() >= 8);
    assert_eq!(b.hub.spare_acts().capacity(), 0, "whoever has it has it alone");
    b.hub.pass_on(&mut Vec::with_capacity(1_000));
    assert_eq!(b.hub.spare_acts().capacity(), 0);
}

#[test]
fn what_goes_with_messages_lies_side_by_side_and_its_room_is_used_again() {
    let (mut b, ..) = scene();
    let (one, two) = (b.hub.aside(b"ab", b"c"), b.hub.aside(b"d", b""));
    assert_eq!((&one[..], &two[..]), (&b"abc"[..], &b"d"[..]));
    let place = one.as_ptr() as usize;
    assert_eq!(two.as_ptr() as usize, place + 3);
    drop((one, two));
    for _ in 0..10_000 {
        let it = b.hub.aside(&[7; 11], b"");
        assert_eq!(&it[..], [7; 11]);
        assert!((it.as_ptr() as usize).wrapping_sub(place) < 4 << 10);
    }
    assert_eq!(b.hub.aside(&[7; 11], &[8; 5_000]).len(), 5_011, "longer than the room");
}
