//! Floor 4. Time passes over calls, and over those who do not fetch what comes of them.

use bytes::Bytes;

use crate::base::id::{ConnId, RealmId, SessionId};
use crate::base::limits::{Limit, Limits};
use crate::base::time::{Deadline, MS};
use crate::hub::calls::{Able, Act, Ask, Invoke, Kind, Offer, Payload, Terms, Why};
use crate::hub::parties::{Joining, Mail};
use crate::proto::Protocol;

use super::engine_test::Bench;

/// Somebody who is let in and can call.
fn party(b: &mut Bench, name: &'static str) -> (ConnId, SessionId) {
    let conn = b.login(name);
    b.rest();
    let session = b.engine.conns.get(conn).and_then(|c| c.peer.session()).expect("let in");
    let parties = &mut b.engine.hub_mut().parties;
    let (id, none) = (parties.number(), Bytes::new());
    parties.join(Joining {
        id,
        session,
        realm: RealmId(0),
        conn,
        authid: Bytes::from_static(name.as_bytes()),
        authrole: none.clone(),
        authmethod: none.clone(),
        authprovider: none,
        details: Vec::new(),
    });
    (conn, session)
}

fn offer(b: &mut Bench, session: SessionId) {
    let procedure = Bytes::from_static(b"do.it");
    let terms = Terms { can: Able::ALL, ..Terms::default() };
    let offer = Offer { procedure, kind: Kind::Exact, invoke: Invoke::Single, terms };
    let now = b.now;
    b.engine.hub_mut().calls.register(now, RealmId(0), session, &offer).expect("free");
}

fn ask(b: &mut Bench, caller: SessionId, request: u64, timeout_ms: u64) {
    let (now, mut acts) = (b.now, Vec::new());
    let ask = Ask {
        realm: RealmId(0),
        caller,
        request,
        procedure: Bytes::from_static(b"do.it"),
        payload: Payload::default(),
        more: false,
        pieces: false,
        timeout_ms,
        disclose: false,
        trust: 0,
        needs: Able::NONE,
        can: Able::ALL,
        shard: None,
    };
    let hub = b.engine.hub_mut();
    hub.calls.call(now, ask, &mut acts).expect("no violation");
    hub.pass_on(&mut acts);
}

#[test]
fn a_call_that_nobody_answers_fails_when_its_time_is_over() {
    let mut b = Bench::new(Limits::default());
    let ((_, callee), (_, caller)) = (party(&mut b, "callee"), party(&mut b, "caller"));
    offer(&mut b, callee);
    ask(&mut b, caller, 7, 50);
    b.work();
    b.speak();
    let due = Deadline(b.now.mono + 50 * MS);
    assert!(b.engine.poll_deadline().is_some_and(|at| at <= due), "it comes back for that");
    b.pass(49);
    b.work();
    assert!(!b.engine.hub().parties.has_mail(caller), "not before");
    b.pass(1);
    b.work();
    let told = b.engine.hub_mut().parties.take(caller);
    let Some(Mail::Act(Act::Fail { request: 7, why: Why::Timeout, .. })) = told else {
        panic!("{told:?}")
    };
    assert!(b.engine.dirty_len() > 0, "and it is heard");
}

#[test]
fn who_does_not_fetch_what_it_asked_for_is_ended_in_the_same_turn() {
    let mut b = Bench::new(Limits { outbox_len_max: 2, ..Limits::default() });
    let (conn, caller) = party(&mut b, "caller");
    // Its socket takes nothing.
    b.engine.on_blocked(b.now, conn);
    for request in 1..=8 {
        ask(&mut b, caller, request, 0);
    }
    assert!(!b.engine.hub().has_overrun(), "so much is kept for it");
    b.work();
    b.speak();
    assert!(!b.engine.is_doomed(conn));
    assert_ne!(b.engine.poll_deadline(), Some(Deadline(0)), "nothing is to be done");
    ask(&mut b, caller, 9, 0);
    assert_eq!(b.engine.poll_deadline(), Some(Deadline(0)), "there must be a turn");
    b.work();
    assert!(b.engine.is_doomed(conn));
    assert_eq!(b.engine.hub().stats.limit(Limit::outbox_len_max), 1);
}
