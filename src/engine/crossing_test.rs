//! Floor 4. Messages that came with arguments, as those have them who know only bodies.

use bytes::{Bytes, BytesMut};

use crate::base::id::{ConnId, RealmId};
use crate::base::limits::Limits;
use crate::base::stats::Counter;
use crate::hub::message::{Durability, Publication};
use crate::hub::policy::{Address, Principal};
use crate::proto::carried::{ARGS, Head, LISTED};
use crate::proto::local::{Verb, Word};
use crate::proto::prx1;
use crate::proto::prx1::packet::{Action, Packet, Queue, Subscribe};
use crate::topic::Topic;
use crate::value::Form;

use super::engine_test::Bench;

/// One text, in MessagePack.
const HI: &[u8] = &[0x91, 0xA2, b'h', b'i'];

fn publication(flags: u8, args: &[u8], retain: bool) -> Publication {
    Publication {
        realm: RealmId(0),
        topic: Topic::split(Bytes::from_static(b"a.b"), b'.'),
        body: Bytes::copy_from_slice(args),
        props: Head { form: Form::MsgPack, flags: ARGS | flags, number: 5 }.put(b"of its own"),
        qos: 1,
        retain,
        expires: 0,
        inbound: None,
    }
}

fn say(b: &mut Bench, flags: u8, args: &[u8], retain: bool) {
    let now = b.now;
    let publication = publication(flags, args, retain);
    b.engine.hub_mut().publish(now, None, Durability::Memory, &publication).expect("taken in");
}

fn heard(b: &mut Bench, conn: ConnId) -> Vec<Packet> {
    let said = b.rest().into_iter().filter(|(to, _)| *to == conn);
    let mut said = BytesMut::from(&said.flat_map(|(_, said)| said).collect::<Vec<u8>>()[..]);
    let next = || prx1::next(&mut said, 1 << 18).expect("well-formed");
    core::iter::from_fn(next).collect()
}

fn payloads(heard: &[Packet]) -> Vec<&[u8]> {
    let of = |packet: &Packet| matches!(packet, Packet::Publish(_));
    let all = heard.iter().filter(|packet| of(packet));
    all.map(|packet| if let Packet::Publish(p) = packet { &p.payload[..] } else { b"" }).collect()
}

fn subscribe(b: &mut Bench, conn: ConnId) {
    let topic = Bytes::from_static(b"a/*");
    b.send(conn, &Packet::Subscribe(Subscribe { qos: 1, id: 1, topic, ..Subscribe::default() }));
}

#[test]
fn prx1_has_them_as_a_body() {
    let mut b = Bench::new(Limits::default());
    let reader = b.login("reader");
    subscribe(&mut b, reader);
    heard(&mut b, reader);
    say(&mut b, 0, HI, false);
    say(&mut b, 0, &[0x91, 0xC1], false);
    say(&mut b, LISTED, HI, false);
    assert_eq!(payloads(&heard(&mut b, reader)), [b"hi", b"hi"]);
    let hub = b.engine.hub();
    assert_eq!(hub.stats.get(Counter::Unspellable), 1, "the second is no value");
    // The body is too long for it when it is made, however short it was.
    let long = [&[0xDC, 0x80, 0][..], &[0xCA, 0, 0, 0, 0].repeat(0x8000)[..]].concat();
    say(&mut b, 0, &long, false);
    assert!(payloads(&heard(&mut b, reader)).is_empty());
    assert_eq!(b.engine.hub().stats.get(Counter::Unspellable), 2);
    let session = b.engine.hub().sessions().next().expect("a session");
    assert_eq!(session.outbox.owed(), 2, "only what it has is owed");
}

#[test]
fn what_was_kept_for_some_is_not_replayed_to_others() {
    let mut b = Bench::new(Limits::default());
    say(&mut b, LISTED, HI, true);
    let reader = b.login("reader");
    subscribe(&mut b, reader);
    assert!(payloads(&heard(&mut b, reader)).is_empty());
    say(&mut b, 0, HI, true);
    heard(&mut b, reader);
    let late = b.login("late");
    subscribe(&mut b, late);
    assert_eq!(payloads(&heard(&mut b, late)), [b"hi"]);
}

#[test]
fn out_of_a_queue_they_come_as_a_body_too() {
    let mut b = Bench::new(Limits::default());
    let reader = b.login("reader");
    heard(&mut b, reader);
    let (now, address) = (b.now, Bytes::from_static(b"q"));
    let hub = b.engine.hub_mut();
    let (realm, level) = (RealmId(0), Durability::Memory);
    hub.queue_open(realm, &address, &Bytes::from_static(b"reader"), false, level).expect("opened");
    hub.queue_push(now, &address, &publication(0, HI, false), level).expect("in it");
    let drain = Queue { action: Action::Drain, address: Some(address), ..Queue::default() };
    b.send(reader, &Packet::Queue(drain));
    assert_eq!(payloads(&heard(&mut b, reader)), [b"hi"]);
}

#[test]
fn the_embedding_program_has_them_as_a_body_without_properties() {
    let mut b = Bench::new(Limits::default());
    let inside = b.engine.on_local(b.now, Bytes::new(), Principal::default()).expect("a slot");
    let filter = Bytes::from_static(b"a/*");
    b.engine.on_verb(b.now, inside, Verb::Subscribe { no: 1, filter, qos: 1 });
    b.rest();
    say(&mut b, 0, HI, false);
    say(&mut b, 0, &[0x91, 0xC1], false);
    b.rest();
    let mut words = Vec::new();
    b.engine.poll_words(b.now, inside, usize::MAX, &mut words);
    let [Word::Done { no: 1, .. }, Word::Message(d)] = &words[..] else { panic!("{words:?}") };
    assert_eq!((&d.message.body[..], d.message.props.len()), (&b"hi"[..], 0));
    assert_eq!(b.engine.hub().stats.get(Counter::Unspellable), 1);
    let session = b.engine.hub().sessions().find(|s| s.conn == Some(inside)).expect("a session");
    assert_eq!(session.outbox.owed(), 1, "only what it has is owed");
}

fn get(b: &mut Bench, conn: ConnId, target: &str) -> String {
    let head = format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n");
    b.engine.on_bytes(b.now, conn, &mut BytesMut::from(head.as_bytes()));
    text(b, conn)
}

fn text(b: &mut Bench, conn: ConnId) -> String {
    let said = b.rest().into_iter().filter(|(to, _)| *to == conn);
    String::from_utf8_lossy(&said.flat_map(|(_, said)| said).collect::<Vec<u8>>()).into_owned()
}

#[test]
fn whoever_administers_reads_bodies_and_not_what_was_kept_for_some() {
    let mut b = Bench::new(Limits::default());
    let admin = b.engine.on_accept(b.now, 2, Address::Local, true).expect("a slot");
    say(&mut b, 0, HI, true);
    let said = get(&mut b, admin, "/api/v1/retained/value?topic=a/b");
    assert!(said.contains("\"payload\":\"hi\"") && said.contains("\"bytes\":2"), "{said}");
    say(&mut b, LISTED, HI, true);
    let said = get(&mut b, admin, "/api/v1/retained/value?topic=a/b");
    assert!(said.contains("404") && !said.contains("\"hi\""), "{said}");
}

#[test]
fn whoever_watches_sees_bodies() {
    let mut b = Bench::new(Limits::default());
    let viewer = b.engine.on_accept(b.now, 2, Address::Local, true).expect("a slot");
    let reader = b.login("reader");
    subscribe(&mut b, reader);
    b.rest();
    let said = get(&mut b, viewer, "/api/v1/trace?topic=a/b");
    assert!(said.contains("200 OK"), "{said}");
    let (now, level) = (b.now, Durability::Memory);
    let writer = b.engine.hub().sessions().next().map(|s| s.id).expect("a session");
    let from = (writer, &Principal::default());
    b.engine.hub_mut().accept(now, from, level, &mut publication(0, HI, false)).expect("taken in");
    b.rest();
    b.pass(1_000);
    let said = text(&mut b, viewer);
    for what in ["published", "delivered"] {
        let line = said.lines().find(|line| line.contains(what)).unwrap_or_default();
        assert!(line.contains("\"payload\":\"hi\"") && line.contains("\"bytes\":2"), "{said}");
    }
}
