//! Floor 3. Messages that came with arguments, as MQTT clients have them.

use bytes::Bytes;

use crate::base::id::RealmId;
use crate::base::limits::Limits;
use crate::base::stats::Counter;
use crate::hub::message::{Durability, Publication};
use crate::proto::carried::{ARGS, Head, LISTED};
use crate::topic::Topic;
use crate::value::Form;

use super::bench_test::*;
use super::packet::*;
use super::props::{Prop, Props};

fn say(b: &mut Bench, form: Form, flags: u8, args: &[u8], (qos, retain): (u8, bool)) {
    let (now, hub) = (b.rig.now, b.rig.engine.hub_mut());
    let publication = Publication {
        realm: RealmId(0),
        topic: Topic::split(Bytes::from_static(b"a.b"), b'.'),
        body: Bytes::copy_from_slice(args),
        props: Head { form, flags: ARGS | flags, number: 5 }.put(b"\xff of its own"),
        qos,
        retain,
        expires: 0,
        inbound: None,
    };
    hub.publish(now, None, Durability::Disk, &publication).expect("taken in");
}

fn content_type() -> [Prop; 2] {
    let json = Bytes::from_static(b"application/json");
    [Prop::PayloadFormat(1), Prop::ContentType(json)]
}

#[test]
fn a_body_is_made_of_them_and_nothing_else_is_told_but_what_it_is() {
    let mut b = Bench::new(Limits::default());
    let (new, old) = (b.join5("new"), b.join3("old"));
    b.listen(new, "a/#", 1);
    b.listen(old, "a/#", 1);
    let cases: [(Form, &[u8], &[u8], Props); 4] = [
        (Form::MsgPack, &[0x91, 0xA2, b'h', b'i'], b"hi", Props::build(&[Prop::PayloadFormat(1)])),
        (Form::Cbor, &[0x81, 0x41, 0xFF], &[0xFF], Props::none()),
        (Form::Json, b"[1,2]", b"[1,2]", Props::build(&content_type())),
        (Form::Json, b"[[1,2]]", b"[1,2]", Props::build(&content_type())),
    ];
    for (qos, (form, args, payload, props)) in [0, 1].into_iter().cycle().zip(cases) {
        say(&mut b, form, 0, args, (qos, false));
        for (conn, props) in [(new, props), (old, Props::none())] {
            let said = b.said(conn);
            let [p] = published(&said)[..] else { panic!("{said:?}") };
            assert_eq!((&p.topic[..], &p.payload[..], p.qos), (&b"a/b"[..], payload, qos));
            assert_eq!(p.props, props);
        }
    }
}

#[test]
fn what_cannot_be_read_is_counted_and_not_owed_for_ever() {
    let mut b = Bench::new(Limits::default());
    let (reader, _) = b.join(durable(Version::V5, "reader"));
    b.listen(reader, "a/#", 1);
    say(&mut b, Form::Json, 0, b"[1", (1, false));
    assert!(b.said(reader).is_empty());
    assert_eq!(b.count(Counter::Unspellable), 1);
    b.cut(reader);
    let back = b.open(Version::V5);
    let said = b.ask(back, &Packet::Connect(Box::new(durable(Version::V5, "reader"))));
    assert!(matches!(&said[..], [Packet::ConnAck(_)]), "{said:?}");
}

#[test]
fn what_was_kept_for_some_is_not_for_whoever_comes_later() {
    let mut b = Bench::new(Limits::default());
    say(&mut b, Form::Json, LISTED, b"[\"secret\"]", (1, true));
    let reader = b.join5("reader");
    b.listen(reader, "a/#", 1);
    assert!(published(&b.said(reader)).is_empty());
    assert_eq!(b.count(Counter::Unspellable), 1);
    say(&mut b, Form::Json, 0, b"[\"open\"]", (1, true));
    b.said(reader);
    let late = b.join5("late");
    let said = b.ask(late, &subscribe(&[asked("a/#", 1)]));
    let [p] = published(&said)[..] else { panic!("{said:?}") };
    assert_eq!((&p.payload[..], p.retain), (&b"open"[..], true));
}

#[test]
fn the_bound_of_a_client_s_packets_is_for_what_it_is_told() {
    let mut b = Bench::new(Limits::default());
    let props = Props::build(&[Prop::MaximumPacketSize(64)]);
    let (reader, _) = b.join(Connect { props, ..connect(Version::V5, "reader") });
    b.listen(reader, "a/#", 0);
    // Nine bytes of CBOR become four of JSON, and three of MessagePack thirteen.
    let short: Vec<u8> =
        core::iter::once(0x98).chain([8]).chain([0xFB, 0, 0, 0, 0, 0, 0, 0, 0].repeat(8)).collect();
    say(&mut b, Form::Cbor, 0, &short, (0, false));
    let said = b.said(reader);
    let [p] = published(&said)[..] else { panic!("{said:?}") };
    assert!(p.payload.len() < short.len(), "{:?}", p.payload);
    let long = [vec![0x9C], [0xC4, 1, 0xFF].repeat(12)].concat();
    say(&mut b, Form::MsgPack, 0, &long, (0, false));
    assert!(b.said(reader).is_empty());
    assert_eq!(b.count(Counter::DroppedLarge), 1);
}
