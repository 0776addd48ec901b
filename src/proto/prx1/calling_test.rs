//! Floor 3. Calls of PRX1 clients, from frame to frame.

use bytes::{Bytes, BytesMut};

use crate::base::id::{ConnId, RealmId, SessionId};
use crate::base::limits::{Limit, Limits};
use crate::base::stats::Counter;
use crate::base::time::Now;
use crate::hub::calls::{Able, Ask, Payload};
use crate::hub::parties::Mail;
use crate::hub::policy::{Access, Address, Admit, Claim, Login, Open, Policy, Principal, Refusal};
use crate::proto::fault::FaultKind;
use crate::testing::disk::FakeDisk;
use crate::testing::rig::{Rig, Setup};

use super::extended::*;
use super::packet::{Connect, Packet, Publish};

struct Bench(Rig);

impl Bench {
    fn new() -> Self {
        Self::with(&Setup::default())
    }

    fn with(setup: &Setup) -> Self {
        let now = Now { mono: 1_000_000_000, wall: 1_700_000_000_000 };
        Self(Rig::start(setup, &FakeDisk::default(), now).expect("it starts"))
    }

    fn join(&mut self, name: &'static str) -> ConnId {
        let conn = self.0.open(Address::Local).expect("a slot");
        let username = Some(text(name));
        self.say(conn, &Packet::Connect(Connect { username, ..Connect::default() }));
        self.hear(conn);
        conn
    }

    fn say(&mut self, conn: ConnId, packet: &Packet) {
        let said = super::encode_vec(packet).expect("it can be said");
        self.0.wires.get_mut(&conn).expect("open").inward.extend_from_slice(&said);
    }

    fn hear(&mut self, conn: ConnId) -> Vec<Packet> {
        assert!(self.0.rest(1_000), "it comes to rest");
        let heard = core::mem::take(&mut self.0.wires.get_mut(&conn).expect("open").heard);
        let mut heard = BytesMut::from(&heard[..]);
        let next = || super::next(&mut heard, 1 << 18).expect("well-formed");
        core::iter::from_fn(next).collect()
    }

    fn ask(&mut self, conn: ConnId, it: Extended) -> Vec<Packet> {
        self.say(conn, &Packet::Extended(it));
        self.hear(conn)
    }

    /// It serves this from now on.
    fn serve(&mut self, conn: ConnId, topic: &'static str, share: u8) {
        let said =
            self.ask(conn, Extended::Register(Register { id: 9, share, topic: text(topic) }));
        assert_eq!(said, [answer(9, reason::NONE)]);
    }

    /// What one is asked: the number and the request.
    fn asked(&mut self, conn: ConnId) -> Request {
        let heard = self.hear(conn);
        let [Packet::Extended(Extended::Request(it))] = &heard[..] else { panic!("{heard:?}") };
        it.clone()
    }

    fn session(&self, conn: ConnId) -> SessionId {
        let hub = self.0.engine.hub();
        hub.sessions().find(|s| s.conn == Some(conn)).map(|s| s.id).expect("a session")
    }

    fn count(&self, what: Counter) -> u64 {
        self.0.engine.hub().stats.get(what)
    }
}

fn text(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

fn answer(id: u16, reason: u8) -> Packet {
    Packet::Extended(Extended::Answer(Answer { id, reason }))
}

fn request(id: u64, topic: &'static str) -> Request {
    Request { id, topic: text(topic), payload: text("please"), ..Request::default() }
}

fn response(id: u64, what: What) -> Extended {
    Extended::Response(Response { id, what })
}

fn outcome(id: u64, what: What) -> Packet {
    Packet::Extended(response(id, what))
}

fn failed(id: u64, reason: u8) -> Packet {
    outcome(id, What::Error { reason, name: Bytes::new(), payload: Bytes::new() })
}

#[test]
fn one_asks_and_another_answers() {
    let mut b = Bench::new();
    let (server, client) = (b.join("server"), b.join("client"));
    b.serve(server, "a/b", share::SINGLE);
    assert!(b.ask(client, Extended::Request(request(5, "a/b"))).is_empty());
    assert_eq!(b.asked(server), request(1, "a/b"), "its own number, counted from 1");
    b.say(server, &outcome(1, What::Final(text("done"))));
    b.hear(server);
    assert_eq!(b.hear(client), [outcome(5, What::Final(text("done")))]);
    assert_eq!((b.count(Counter::CallsTaken), b.count(Counter::CallsFailed)), (1, 0));
    // The number is free again, and an error has a name.
    b.ask(client, Extended::Request(Request { pieces: true, ..request(5, "a/b") }));
    assert!(b.asked(server).pieces);
    b.say(server, &outcome(2, What::Piece(text("half"))));
    let error = |name| What::Error { reason: reason::NONE, name, payload: text("why") };
    b.say(server, &outcome(2, error(text("app/failed"))));
    b.hear(server);
    let heard = b.hear(client);
    assert_eq!(
        heard,
        [outcome(5, What::Piece(text("half"))), outcome(5, error(text("app/failed")))]
    );
    // A name that is none is called so.
    b.ask(client, Extended::Request(request(6, "a/b")));
    b.asked(server);
    b.say(server, &outcome(3, error(text("no good name"))));
    b.hear(server);
    assert_eq!(b.hear(client), [outcome(6, error(text("prx1/error/unnamed")))]);
}

#[test]
fn who_says_no_extended_frame_hears_none_and_is_no_party() {
    let mut b = Bench::new();
    let quiet = b.join("quiet");
    assert_eq!(b.0.engine.hub().parties.len(), 0);
    assert!(b.ask(quiet, Extended::Answer(Answer::default())).is_empty(), "it means nothing");
    assert_eq!((b.0.engine.hub().parties.len(), b.count(Counter::Ignored)), (0, 1));
    b.ask(quiet, Extended::Request(request(1, "a")));
    let session = b.session(quiet);
    let party = b.0.engine.hub().parties.get(session).expect("now it is one");
    assert_eq!((&party.authid[..], &party.authrole[..]), (&b"quiet"[..], &b""[..]));
}

#[test]
fn what_is_not_done_is_answered() {
    let mut b = Bench::new();
    let (server, client) = (b.join("server"), b.join("client"));
    b.serve(server, "a/b", share::SINGLE);
    let register = |share, topic| Extended::Register(Register { id: 2, share, topic: text(topic) });
    let cases = [
        (share::SINGLE, "a/b", reason::EXISTS),
        (share::RANDOM, "a/b", reason::EXISTS),
        (9, "c", reason::UNSUPPORTED),
        (share::SINGLE, "a/*", reason::WRONG),
        (share::SINGLE, "", reason::WRONG),
        (share::SINGLE, "a//b", reason::WRONG),
        (share::SINGLE, "a.b", reason::WRONG),
        (share::SINGLE, "a b", reason::WRONG),
        (share::SINGLE, "wamp/session", reason::WRONG),
    ];
    for (share, topic, reason) in cases {
        assert_eq!(b.ask(client, register(share, topic)), [answer(2, reason)], "{topic}");
    }
    let unregister = |topic| Extended::Unregister(Unregister { id: 3, topic: text(topic) });
    assert_eq!(b.ask(client, unregister("a/b")), [answer(3, reason::NO_PROCEDURE)]);
    assert_eq!(
        b.ask(client, Extended::Request(request(1, "x"))),
        [failed(1, reason::NO_PROCEDURE)]
    );
    assert_eq!(b.ask(client, Extended::Request(request(1, "a.b"))), [failed(1, reason::WRONG)]);
    let high = 1 << 63 | 1;
    assert_eq!(
        b.ask(client, Extended::Request(request(high, "a/b"))),
        [failed(high, reason::WRONG)]
    );
    let many = Request { many: Some(0), ..request(1, "x") };
    assert_eq!(b.ask(client, Extended::Request(many)), [failed(1, reason::NO_PROCEDURE)]);
    assert_eq!(b.ask(server, unregister("a/b")), [answer(3, reason::NONE)]);
    assert_eq!(
        b.ask(client, Extended::Request(request(1, "a/b"))),
        [failed(1, reason::NO_PROCEDURE)]
    );
    // What nobody asked is no answer.
    let ignored = b.count(Counter::Ignored);
    assert!(b.ask(client, response(77, What::Final(text("x")))).is_empty());
    assert_eq!(b.count(Counter::Ignored), ignored + 1);
}

#[test]
fn what_is_not_permitted_is_refused_and_the_connection_goes_on() {
    let mut b = Bench::new();
    b.0.engine.hub_mut().policy = Box::new(Never);
    let client = b.join("client");
    let register = Register { id: 1, share: 0, topic: text("a") };
    assert_eq!(b.ask(client, Extended::Register(register)), [answer(1, reason::DENIED)]);
    b.0.engine.hub_mut().policy = Box::new(Open);
    let server = b.join("server");
    b.serve(server, "a", share::SINGLE);
    b.0.engine.hub_mut().policy = Box::new(Never);
    assert_eq!(b.ask(client, Extended::Request(request(1, "a"))), [failed(1, reason::DENIED)]);
    assert!(b.hear(server).is_empty() && b.0.wires[&client].ended.is_none());
}

#[test]
fn a_number_is_not_used_again_before_its_outcome() {
    for many in [None, Some(1)] {
        let mut b = Bench::new();
        let (server, client) = (b.join("server"), b.join("client"));
        b.serve(server, "a", share::RANDOM);
        b.ask(client, Extended::Request(Request { many, ..request(5, "a") }));
        b.ask(client, Extended::Request(request(5, "a")));
        assert_eq!(b.0.wires[&client].ended, Some(FaultKind::Prx1Reused.name()));
    }
}

#[test]
fn time_is_over_and_it_is_told_to_stop() {
    let mut b = Bench::new();
    let (server, client) = (b.join("server"), b.join("client"));
    b.serve(server, "a", share::SINGLE);
    b.ask(client, Extended::Request(Request { timeout_ms: 50, ..request(5, "a") }));
    assert_eq!(b.asked(server).timeout_ms, 0, "the broker watches it");
    b.0.pass(50);
    assert_eq!(b.hear(client), [failed(5, reason::TIMEOUT)]);
    let stop = Cancel { id: 1, mode: mode::KILL_NO_WAIT };
    assert_eq!(b.hear(server), [Packet::Extended(Extended::Cancel(stop))]);
    assert!(b.ask(server, response(1, What::Final(text("late")))).is_empty());
    assert!(b.hear(client).is_empty(), "an outcome is one");
}

#[test]
fn a_call_is_canceled_in_each_way() {
    let mut b = Bench::new();
    let (server, client) = (b.join("server"), b.join("client"));
    b.serve(server, "a", share::SINGLE);
    let cancel = |id, mode| Extended::Cancel(Cancel { id, mode });
    b.ask(client, Extended::Request(request(1, "a")));
    b.asked(server);
    assert_eq!(b.ask(client, cancel(1, mode::SKIP)), [failed(1, reason::CANCELED)]);
    assert!(b.hear(server).is_empty());
    b.ask(client, Extended::Request(request(2, "a")));
    b.asked(server);
    assert!(b.ask(client, cancel(2, mode::KILL)).is_empty());
    assert_eq!(b.hear(server), [Packet::Extended(cancel(2, mode::KILL))]);
    b.ask(server, response(2, What::Final(text("half"))));
    assert_eq!(b.hear(client), [outcome(2, What::Final(text("half")))]);
    assert!(b.ask(client, cancel(2, mode::KILL)).is_empty(), "it is over");
}

#[test]
fn all_who_serve_it_are_asked_and_their_answers_gathered() {
    let mut b = Bench::new();
    let servers = ["one", "two", "three"].map(|name| b.join(name));
    for server in servers {
        b.serve(server, "a", share::ROUND_ROBIN);
    }
    let client = b.join("client");
    b.ask(client, Extended::Request(Request { many: Some(0), ..request(5, "a") }));
    let numbers = servers.map(|server| b.asked(server).id);
    b.ask(servers[1], response(numbers[1], What::Final(text("two"))));
    assert_eq!(b.hear(client), [outcome(5, What::Piece(text("two")))]);
    let error = What::Error { reason: reason::UNAVAILABLE, name: text(""), payload: text("") };
    b.ask(servers[0], response(numbers[0], error));
    assert!(b.hear(client).is_empty());
    assert!(b.hear(servers[1]).is_empty(), "it is not asked in another's place");
    b.0.wires.get_mut(&servers[2]).expect("open").fin = Some(true);
    let end = |answered, failed| What::Gathered { asked: 3, answered, failed };
    assert_eq!(b.hear(client), [outcome(5, end(1, 2))]);
    b.ask(client, Extended::Request(Request { many: Some(0), ..request(5, "a") }));
    for server in [servers[0], servers[1]] {
        b.asked(server);
    }
}

#[test]
fn enough_have_answered_or_time_is_over_or_nobody_wants_it() {
    let mut b = Bench::new();
    let servers = ["one", "two"].map(|name| b.join(name));
    for server in servers {
        b.serve(server, "a", share::RANDOM);
    }
    let client = b.join("client");
    let gathered = |answered, failed| What::Gathered { asked: 2, answered, failed };
    let stop = |id| Packet::Extended(Extended::Cancel(Cancel { id, mode: mode::KILL_NO_WAIT }));
    b.ask(client, Extended::Request(Request { many: Some(1), ..request(5, "a") }));
    servers.iter().for_each(|server| drop(b.asked(*server)));
    b.ask(servers[0], response(1, What::Final(text("one"))));
    let heard = b.hear(client);
    assert_eq!(heard, [outcome(5, What::Piece(text("one"))), outcome(5, gathered(1, 0))]);
    assert_eq!(b.hear(servers[1]), [stop(1)]);

    let timed = Request { many: Some(0), timeout_ms: 20, ..request(6, "a") };
    b.ask(client, Extended::Request(timed));
    servers.iter().for_each(|server| drop(b.asked(*server)));
    b.0.pass(20);
    assert_eq!(b.hear(client), [outcome(6, gathered(0, 2))]);
    servers.iter().for_each(|server| assert_eq!(b.hear(*server), [stop(2)]));

    b.ask(client, Extended::Request(Request { many: Some(0), ..request(7, "a") }));
    servers.iter().for_each(|server| drop(b.asked(*server)));
    let cancel = Extended::Cancel(Cancel { id: 7, mode: mode::SKIP });
    assert_eq!(b.ask(client, cancel), [failed(7, reason::CANCELED)]);
    servers.iter().for_each(|server| assert_eq!(b.hear(*server), [stop(3)]));
    assert!(b.0.engine.hub().calls.audit().is_ok());
}

#[test]
fn a_request_to_many_has_no_more_parts_than_a_caller_may_have_calls() {
    let limits = Limits { calls_per_caller_max: 3, ..Setup::default().limits };
    let mut b = Bench::with(&Setup { limits, ..Setup::default() });
    for server in ["one", "two"].map(|name| b.join(name)) {
        b.serve(server, "a", share::RANDOM);
    }
    let client = b.join("client");
    let many = |id| Extended::Request(Request { many: Some(0), ..request(id, "a") });
    assert!(b.ask(client, many(1)).is_empty());
    assert_eq!(b.ask(client, many(2)), [failed(2, reason::FULL)]);
}

#[test]
fn what_is_more_than_may_be_is_refused_and_counted() {
    let limits =
        Limits { registrations_max: 1, calls_per_caller_max: 1, ..Setup::default().limits };
    let mut b = Bench::with(&Setup { limits, ..Setup::default() });
    let (server, client) = (b.join("server"), b.join("client"));
    b.serve(server, "a", share::RANDOM);
    let more = Register { id: 2, share: share::RANDOM, topic: text("b") };
    assert_eq!(b.ask(server, Extended::Register(more)), [answer(2, reason::FULL)]);
    b.serve(client, "a", share::RANDOM);
    let many = Request { many: Some(0), ..request(1, "a") };
    assert_eq!(b.ask(client, Extended::Request(many)), [failed(1, reason::FULL)]);
    let stats = &b.0.engine.hub().stats;
    for limit in [Limit::registrations_max, Limit::calls_per_caller_max] {
        assert_eq!(stats.limit(limit), 1, "{limit:?}");
    }
}

#[test]
fn nobody_is_asked_before_it_knows_that_it_serves() {
    let mut b = Bench::new();
    let (server, client) = (b.join("server"), b.join("client"));
    // Its answer stands behind one that waits for the disk.
    b.0.disk_jobs = 0;
    let (topic, payload) = (text("kept"), text("x"));
    let kept = Publish { qos: 1, id: 1, retain: true, topic, payload, ..Publish::default() };
    b.say(server, &Packet::Publish(kept));
    let register = Register { id: 2, share: share::SINGLE, topic: text("a") };
    assert!(b.ask(server, Extended::Register(register)).is_empty());
    assert!(b.ask(client, Extended::Request(request(7, "a"))).is_empty());
    assert!(b.hear(server).is_empty());
    b.0.disk_jobs = usize::MAX;
    let heard = b.hear(server);
    let [Packet::PubAck(1), known, Packet::Extended(Extended::Request(it))] = &heard[..] else {
        panic!("{heard:?}");
    };
    assert_eq!((known, &it.topic[..]), (&answer(2, reason::NONE), &b"a"[..]));
}

#[test]
fn who_offers_much_at_once_has_it_taken_over_several_turns() {
    let mut b = Bench::new();
    let server = b.join("server");
    for id in 1..=60 {
        let topic = Bytes::from(format!("topic/{id}"));
        let it = Register { id, share: share::SINGLE, topic };
        b.say(server, &Packet::Extended(Extended::Register(it)));
    }
    b.0.turn();
    let heard = core::mem::take(&mut b.0.wires.get_mut(&server).expect("open").heard);
    // Each answer has six octets.
    assert!(heard.len() < 60 * 6, "not all of it in one turn");
    assert!(!b.hear(server).is_empty(), "and the rest later");
    assert_eq!(b.0.engine.hub().calls.audit().expect("well").registrations, 60);
}

#[test]
fn who_leaves_fails_what_it_was_asked_and_serves_nothing_more() {
    let mut b = Bench::new();
    let (server, client) = (b.join("server"), b.join("client"));
    b.serve(server, "a", share::SINGLE);
    b.ask(client, Extended::Request(request(1, "a")));
    b.asked(server);
    b.0.wires.get_mut(&server).expect("open").fin = Some(true);
    assert_eq!(b.hear(client), [failed(1, reason::GONE)]);
    assert_eq!(
        b.ask(client, Extended::Request(request(2, "a"))),
        [failed(2, reason::NO_PROCEDURE)]
    );
    assert_eq!(b.0.engine.hub().parties.len(), 1);
}

#[test]
fn another_connection_of_the_same_user_begins_anew() {
    let mut b = Bench::new();
    let (old, client) = (b.join("server"), b.join("client"));
    b.serve(old, "a", share::SINGLE);
    b.ask(client, Extended::Request(request(1, "a")));
    b.asked(old);
    // It says all of this at once, before anybody sees that the other is to go.
    let new = b.0.open(Address::Local).expect("a slot");
    let username = Some(text("server"));
    b.say(new, &Packet::Connect(Connect { username, ..Connect::default() }));
    let register = Register { id: 4, share: share::SINGLE, topic: text("b") };
    b.say(new, &Packet::Extended(Extended::Register(register)));
    let heard = b.hear(new);
    assert_eq!(heard.last(), Some(&answer(4, reason::NONE)), "{heard:?}");
    assert!(b.0.wires[&old].ended.is_some());
    assert_eq!(b.hear(client), [failed(1, reason::GONE)]);
    b.ask(client, Extended::Request(request(2, "b")));
    assert_eq!(b.asked(new), request(1, "b"), "it is asked, and its numbers begin anew");
    assert_eq!(
        b.ask(client, Extended::Request(request(3, "a"))),
        [failed(3, reason::NO_PROCEDURE)]
    );
}

/// As if somebody asked who writes arguments.
fn ask_with(b: &mut Bench, caller: SessionId, number: u64, form: u8, args: &'static [u8]) {
    let (now, mut acts) = (b.0.now, Vec::new());
    let payload = Payload { form, meta: Bytes::from_static(&[1]), args: Bytes::from_static(args) };
    let ask = Ask {
        realm: RealmId(0),
        caller,
        request: number,
        procedure: text("a.b"),
        payload,
        more: false,
        pieces: false,
        timeout_ms: 0,
        disclose: false,
        trust: 0,
        needs: Able::NONE,
        can: Able::ALL,
        shard: None,
    };
    let hub = b.0.engine.hub_mut();
    hub.calls.call(now, ask, &mut acts).expect("no violation");
    hub.pass_on(&mut acts);
}

#[test]
fn what_comes_with_arguments_is_asked_with_a_body_and_what_is_no_body_fails() {
    let mut b = Bench::new();
    let (server, client) = (b.join("server"), b.join("client"));
    b.serve(server, "a/b", share::SINGLE);
    b.ask(client, Extended::Request(request(1, "nobody")));
    let caller = b.session(client);
    ask_with(&mut b, caller, 2, 2, &[0x91, 0xA2, b'h', b'i']);
    assert_eq!(&b.asked(server).payload[..], b"hi");
    ask_with(&mut b, caller, 3, 2, &[0x91, 0xC1]);
    assert!(b.hear(server).is_empty());
    let heard = b.hear(client);
    let [Packet::Extended(Extended::Response(Response { id: 3, what }))] = &heard[..] else {
        panic!("{heard:?}")
    };
    let name = text("wamp/error/invalid_argument");
    assert_eq!(*what, What::Error { reason: reason::NONE, name, payload: Bytes::new() });
}

#[test]
fn what_no_frame_holds_becomes_an_error_and_who_is_to_go_goes() {
    let mut b = Bench::new();
    let (server, client) = (b.join("server"), b.join("client"));
    b.serve(server, "a/b", share::SINGLE);
    b.ask(client, Extended::Request(request(1, "a/b")));
    b.asked(server);
    let (now, session) = (b.0.now, b.session(server));
    let args = Bytes::from(vec![b'x'; 70_000]);
    let answer = crate::hub::calls::Answer::Result(
        Payload { form: 0, meta: Bytes::new(), args },
        Able::NONE,
    );
    let (hub, mut acts) = (b.0.engine.hub_mut(), Vec::new());
    hub.calls.answer(now, session, 1, answer, &mut acts).expect("it was asked");
    hub.pass_on(&mut acts);
    assert_eq!(b.hear(client), [failed(1, reason::TOO_LARGE)]);
    let (hub, none) = (b.0.engine.hub_mut(), Bytes::new());
    assert!(hub.post(session, Mail::Unregistered { id: 1, reason: none.clone() }));
    let heard = b.hear(server);
    let ended = Unregister { id: 0, topic: text("a/b") };
    assert_eq!(heard, [Packet::Extended(Extended::Unregister(ended))]);
    let hub = b.0.engine.hub_mut();
    assert!(hub.post(session, Mail::Go { reason: none.clone(), message: none }));
    b.hear(server);
    b.0.pass(1);
    b.hear(server);
    assert!(b.0.wires[&server].ended.is_some());
}

/// Lets everybody in and permits nothing.
struct Never;

impl Policy for Never {
    fn admit(&mut self, now: Now, login: &Login<'_>) -> Admit {
        Open.admit(now, login)
    }
    fn verified(&mut self, now: Now, claim: &Claim, ok: bool) -> Result<Principal, Refusal> {
        Open.verified(now, claim, ok)
    }
    fn permit(&mut self, _: &Principal, _: &Access<'_>) -> bool {
        false
    }
    fn explain(&self, _: &Principal, _: &Access<'_>) -> String {
        String::new()
    }
    fn recall(&self, _: &Bytes) -> Option<Principal> {
        None
    }
}

#[test]
fn what_it_does_not_serve_any_more_it_is_neither_asked_nor_told_to_stop() {
    let mut b = Bench::new();
    // Who came first is heard first in a turn.
    let (client, server) = (b.join("client"), b.join("server"));
    b.serve(server, "a/b", share::SINGLE);
    b.say(client, &Packet::Extended(Extended::Request(request(5, "a/b"))));
    b.say(client, &Packet::Extended(Extended::Cancel(Cancel { id: 5, mode: mode::KILL_NO_WAIT })));
    let gone = Extended::Unregister(Unregister { id: 3, topic: text("a/b") });
    assert_eq!(b.ask(server, gone), [answer(3, reason::NONE)]);
    assert_eq!(b.hear(client), [failed(5, reason::CANCELED)]);
}

#[test]
fn nobody_takes_back_a_part_or_says_what_only_the_router_gathers() {
    let mut b = Bench::new();
    let (client, server) = (b.join("client"), b.join("server"));
    b.serve(server, "a/b", share::SINGLE);
    let many = Request { many: Some(0), ..request(5, "a/b") };
    assert!(b.ask(client, Extended::Request(many)).is_empty());
    let asked = b.asked(server).id;
    let part = 1 | super::gather::PART;
    let back = Extended::Cancel(Cancel { id: part, mode: mode::KILL_NO_WAIT });
    assert!(b.ask(client, back).is_empty() && b.hear(server).is_empty());
    let gathered = What::Gathered { asked: 1, answered: 1, failed: 0 };
    assert!(b.ask(server, response(asked, gathered.clone())).is_empty());
    assert!(b.hear(client).is_empty());
    assert_eq!(b.count(Counter::Ignored), 2);
    b.ask(server, response(asked, What::Final(text("done"))));
    assert_eq!(b.hear(client), [outcome(5, What::Piece(text("done"))), outcome(5, gathered)]);
}

#[test]
fn what_is_longer_than_a_frame_is_neither_asked_nor_answered() {
    let mut b = Bench::new();
    let (server, client) = (b.join("server"), b.join("client"));
    b.serve(server, "a/b", share::SINGLE);
    b.ask(client, Extended::Request(request(1, "nobody")));
    let (now, caller, callee) = (b.0.now, b.session(client), b.session(server));
    let long: &'static [u8] = Box::leak(vec![b'x'; 70_000].into_boxed_slice());
    ask_with(&mut b, caller, 2, 0, long);
    assert!(b.hear(server).is_empty());
    let name = text("wamp/error/payload_size_exceeded");
    let error = |name| What::Error { reason: reason::NONE, name, payload: Bytes::new() };
    assert_eq!(b.hear(client), [outcome(2, error(name))]);
    // A piece takes the call back; an error is said without what it came with.
    let answers: [fn(Payload) -> crate::hub::calls::Answer; 2] = [
        |long| crate::hub::calls::Answer::Piece(long, Able::NONE),
        |long| crate::hub::calls::Answer::Error(text("app.failed"), long),
    ];
    let wanted = [failed(3, reason::CANCELED), outcome(4, error(text("app/failed")))];
    for ((number, answer), wanted) in (3..).zip(answers).zip(wanted) {
        b.ask(client, Extended::Request(Request { pieces: true, ..request(number, "a/b") }));
        let asked = b.asked(server).id;
        let long = Payload { form: 0, meta: Bytes::new(), args: Bytes::from_static(long) };
        let (hub, mut acts) = (b.0.engine.hub_mut(), Vec::new());
        hub.calls.answer(now, callee, asked, answer(long), &mut acts).expect("it was asked");
        hub.pass_on(&mut acts);
        assert_eq!(b.hear(client), [wanted]);
        b.hear(server);
    }
}
