//! Floor 3. Requests and answers that are publications, where no scene can look.

use bytes::Bytes;

use crate::base::id::RealmId;
use crate::base::limits::Limits;
use crate::base::stats::Counter;
use crate::hub::realm::Terms;
use crate::proto::procedure;

use super::bench_test::*;
use super::packet::*;
use super::props::{Prop, Props};

fn bench(limits: Limits) -> Bench {
    let mut b = Bench::new(limits);
    let pattern = |text| procedure::pattern(text, &Limits::default()).expect("good").2;
    let procedures = ["prefix:rpc.", "prefix:wamp."].map(pattern).into();
    let terms = Terms { procedures, ..Terms::default() };
    let now = b.rig.now;
    b.rig.engine.hub_mut().tell_realm(now, RealmId(0), terms);
    b
}

fn request(mark: &'static [u8], body: &'static [u8]) -> Packet {
    let back = Prop::ResponseTopic(Bytes::from_static(b"back"));
    let mark = Prop::CorrelationData(Bytes::from_static(mark));
    let payload = Bytes::from_static(body);
    Packet::Publish(Publish {
        props: Props::build(&[back, mark]),
        payload,
        ..message("rpc/a", 0, 0)
    })
}

#[test]
fn nobody_serves_what_the_router_keeps_for_itself_and_who_listens_there_may_listen() {
    let mut b = bench(Limits::default());
    let (server, client) = (b.join5("s"), b.join5("c"));
    b.listen(server, "wamp/a", 0);
    b.listen(client, "back", 0);
    let Packet::Publish(asks) = request(b"1", b"x") else { panic!("a publication") };
    b.send(client, &Packet::Publish(Publish { topic: Bytes::from_static(b"wamp/a"), ..asks }));
    assert_eq!(published(&b.said(server)).len(), 0);
    let said = only(&b.said(client));
    assert_eq!(error_of(&said).as_deref(), Some(&b"wamp.error.no_such_procedure"[..]));
}

fn answer(to: &Publish, body: &'static [u8]) -> Packet {
    let mark = mark_of(to).map(Prop::CorrelationData);
    let props = Props::build(&mark.into_iter().collect::<Vec<_>>());
    let payload = Bytes::from_static(body);
    Packet::Publish(Publish { props, payload, ..message("$procedure/reply", 0, 0) })
}

fn mark_of(p: &Publish) -> Option<Bytes> {
    prop(&p.props, |it| if let Prop::CorrelationData(mark) = it { Some(mark) } else { None })
}

fn error_of(p: &Publish) -> Option<Bytes> {
    prop(&p.props, |it| if let Prop::User(_, name) = it { Some(name) } else { None })
}

/// The only publication among what was said.
fn only(said: &[Packet]) -> Publish {
    let [p] = published(said)[..] else { panic!("{said:?}") };
    p.clone()
}

/// A client that takes packets up to this length.
fn small(b: &mut Bench, id: &'static str, most: u32) -> crate::base::id::ConnId {
    let props = Props::build(&[Prop::MaximumPacketSize(most)]);
    b.join(Connect { props, ..connect(Version::V5, id) }).0
}

#[test]
fn what_is_longer_than_a_client_takes_becomes_an_error_on_either_side() {
    let mut b = bench(Limits::default());
    let (server, client) = (small(&mut b, "s", 100), small(&mut b, "c", 100));
    b.listen(server, "rpc/a", 0);
    b.listen(client, "back", 0);
    const LONG: &[u8] = &[b'x'; 90];
    b.send(client, &request(b"1", LONG));
    assert_eq!(published(&b.said(server)).len(), 0);
    let said = only(&b.said(client));
    assert_eq!(error_of(&said).as_deref(), Some(&b"wamp.error.payload_size_exceeded"[..]));
    b.send(client, &request(b"2", b"short"));
    let asked = only(&b.said(server));
    b.send(server, &answer(&asked, LONG));
    let said = only(&b.said(client));
    assert_eq!(error_of(&said).as_deref(), Some(&b"wamp.error.payload_size_exceeded"[..]));
    assert_eq!((mark_of(&said).as_deref(), &said.payload[..]), (Some(&b"2"[..]), &b""[..]));
}

#[test]
fn a_server_that_never_answers_is_never_full() {
    let mut b = bench(Limits { calls_per_callee_max: 2, ..Limits::default() });
    let (server, client) = (b.join5("s"), b.join5("c"));
    b.listen(server, "rpc/a", 0);
    b.listen(client, "back", 0);
    for _ in 0..3 {
        for mark in [b"1", b"2"] {
            b.send(client, &request(mark, b"x"));
            assert_eq!(only(&b.said(server)).payload, "x");
        }
        b.send(client, &request(b"3", b"x"));
        assert_eq!(published(&b.said(server)).len(), 0);
        let said = only(&b.said(client));
        assert_eq!(error_of(&said).as_deref(), Some(&b"wamp.error.unavailable"[..]), "two at once");
        b.pass(61_000);
        let said = b.said(client);
        let names: Vec<_> = published(&said).into_iter().filter_map(error_of).collect();
        assert_eq!(names, ["wamp.error.timeout", "wamp.error.timeout"]);
    }
    assert_eq!(b.rig.engine.hub().calls.audit().expect("sound").calls, 0);
}

#[test]
fn who_was_unsubscribed_by_others_is_not_asked() {
    let mut b = bench(Limits::default());
    let (server, client) = (b.join5("s"), b.join5("c"));
    b.listen(server, "rpc/a", 0);
    b.listen(client, "back", 0);
    let now = b.rig.now;
    let hub = b.rig.engine.hub_mut();
    let session = hub.sessions().find(|s| s.label() == "s").expect("there").id;
    let filter = hub.subscriptions(session)[0].filter.clone();
    hub.unsubscribe(now, session, &filter, None).expect("room");
    b.send(client, &request(b"1", b"x"));
    assert_eq!(published(&b.said(server)).len(), 0);
    let said = only(&b.said(client));
    assert_eq!(error_of(&said).as_deref(), Some(&b"wamp.error.no_available_callee"[..]));
}

#[test]
fn two_who_serve_take_turns_also_as_a_group_and_each_filter_counts() {
    let mut b = bench(Limits::default());
    let (one, two, client) = (b.join5("1"), b.join5("2"), b.join5("c"));
    b.listen(one, "rpc/a", 0);
    b.listen(one, "$share/g/rpc/a", 0);
    b.listen(two, "$share/g/rpc/a", 0);
    b.listen(client, "back", 0);
    let mut asked = [0, 0];
    for _ in 0..4 {
        b.send(client, &request(b"1", b"x"));
        for (at, conn) in [one, two].into_iter().enumerate() {
            asked[at] += published(&b.said(conn)).len();
        }
    }
    assert_eq!(asked, [2, 2]);
    let unsubscribe = |text: &'static str| {
        let filters = [Bytes::from_static(text.as_bytes())].into_iter().collect();
        Packet::Unsubscribe(Unsubscribe { id: 9, props: Props::none(), filters })
    };
    b.ask(one, &unsubscribe("rpc/a"));
    b.ask(two, &unsubscribe("$share/g/rpc/a"));
    b.send(client, &request(b"1", b"x"));
    assert_eq!(published(&b.said(one)).len(), 1, "by the group it serves still");
    b.ask(one, &unsubscribe("$share/g/rpc/a"));
    b.send(client, &request(b"5", b"x"));
    let said = b.said(client);
    let last = published(&said).pop().expect("an answer");
    assert_eq!(error_of(last).as_deref(), Some(&b"wamp.error.no_such_procedure"[..]));
}

#[test]
fn a_client_of_an_earlier_version_serves_nothing() {
    let mut b = bench(Limits::default());
    let (old, client) = (b.join3("old"), b.join5("c"));
    b.listen(old, "rpc/a", 0);
    b.listen(client, "back", 0);
    b.send(client, &request(b"1", b"x"));
    assert_eq!(published(&b.said(old)).len(), 0);
    let said = only(&b.said(client));
    assert_eq!(error_of(&said).as_deref(), Some(&b"wamp.error.no_such_procedure"[..]));
    assert_eq!(b.count(Counter::CallsFailed), 1);
}

#[test]
fn who_is_told_to_go_goes() {
    let mut b = bench(Limits::default());
    let server = b.join5("s");
    b.listen(server, "rpc/a", 0);
    let hub = b.rig.engine.hub_mut();
    let session = hub.sessions().find(|s| s.label() == "s").expect("there").id;
    let (reason, message) = (Bytes::from_static(b"wamp.close.killed"), Bytes::new());
    hub.tell(session, crate::hub::parties::Mail::Go { reason, message });
    b.said(server);
    b.pass(1);
    assert_eq!(b.ended(server), Some("kicked"));
}
