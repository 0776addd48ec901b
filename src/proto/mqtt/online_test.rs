//! Floor 3. What an MQTT client may do once it is in: ladders, aliases, flow, groups.

use bytes::Bytes;

use crate::base::limits::Limits;
use crate::base::stats::Counter;
use crate::proto::fault::FaultKind;

use super::bench_test::*;
use super::encode_vec;
use super::packet::*;
use super::props::{Prop, Props};

#[test]
fn qos_1_and_2_go_up_and_down_the_ladder() {
    let mut b = Bench::new(Limits::default());
    let (reader, writer) = (b.join5("reader"), b.join5("writer"));
    b.listen(reader, "a/#", 2);
    assert_eq!(b.ask(writer, &publish("a/b", 1, 5)), [Packet::PubAck(ack(5, 0))]);
    let said = b.said(reader);
    let [first] = published(&said)[..] else { panic!("{said:?}") };
    assert_eq!(
        (first.qos, first.dup, first.retain, &first.topic[..]),
        (1, false, false, &b"a/b"[..])
    );
    let id = first.id;
    assert!(b.ask(reader, &Packet::PubAck(ack(id, 0))).is_empty());

    assert_eq!(b.ask(writer, &publish("a/b", 2, 6)), [Packet::PubRec(ack(6, 0))]);
    // Said once more before it was given free: received once.
    let again = Publish { dup: true, ..message("a/b", 2, 6) };
    assert_eq!(b.ask(writer, &Packet::Publish(again)), [Packet::PubRec(ack(6, 0))]);
    assert_eq!(b.ask(writer, &Packet::PubRel(ack(6, 0))), [Packet::PubComp(ack(6, 0))]);
    assert_eq!(b.ask(writer, &Packet::PubRel(ack(6, 0))), [Packet::PubComp(ack(6, 0x92))]);
    let said = b.said(reader);
    let [second] = published(&said)[..] else { panic!("{said:?}") };
    let id = second.id;
    assert_eq!(second.qos, 2);
    assert_eq!(b.ask(reader, &Packet::PubRec(ack(id, 0))), [Packet::PubRel(ack(id, 0))]);
    assert!(b.ask(reader, &Packet::PubComp(ack(id, 0))).is_empty());
    // What nobody knows is ignored, or answered by name.
    let ignored = b.count(Counter::Ignored);
    assert!(b.ask(reader, &Packet::PubAck(ack(999, 0))).is_empty());
    assert_eq!(b.ask(reader, &Packet::PubRec(ack(999, 0))), [Packet::PubRel(ack(999, 0x92))]);
    assert!(b.ask(reader, &Packet::PubComp(ack(999, 0))).is_empty());
    assert_eq!(b.count(Counter::Ignored), ignored + 3);
    assert_eq!((b.ended(reader), b.ended(writer)), (None, None));
}

#[test]
fn nobody_listening_is_said_in_5_only() {
    let mut b = Bench::new(Limits::default());
    let (new, old) = (b.join5("new"), b.join3("old"));
    assert_eq!(b.ask(new, &publish("x", 1, 1)), [Packet::PubAck(ack(1, 0x10))]);
    assert_eq!(b.ask(new, &publish("x", 2, 2)), [Packet::PubRec(ack(2, 0x10))]);
    assert_eq!(b.ask(old, &publish("x", 1, 1)), [Packet::PubAck(ack(1, 0))]);
}

#[test]
fn half_done_ladders_go_on_after_reconnect_and_restart() {
    for version in [Version::V311, Version::V5] {
        let mut b = Bench::new(Limits::default());
        let (reader, _) = b.join(durable(version, "reader"));
        b.listen(reader, "q/#", 2);
        let (writer, _) = b.join(durable(version, "writer"));
        for id in 1..=3 {
            b.send(writer, &publish("q/x", 2, id));
        }
        b.said(writer);
        let said = b.said(reader);
        let ids: Vec<u16> = published(&said).iter().map(|p| p.id).collect();
        assert_eq!(ids.len(), 3);
        // The first is received, the second is not, the third is done.
        assert_eq!(
            b.ask(reader, &Packet::PubRec(ack(ids[0], 0))),
            [Packet::PubRel(ack(ids[0], 0))]
        );
        b.ask(reader, &Packet::PubRec(ack(ids[2], 0)));
        b.ask(reader, &Packet::PubComp(ack(ids[2], 0)));
        b.ask(writer, &Packet::PubRel(ack(3, 0)));
        b.restart();
        let back = b.open(version);
        let said = b.ask(back, &Packet::Connect(Box::new(durable(version, "reader"))));
        let [Packet::ConnAck(welcome), Packet::PubRel(rel), Packet::Publish(p)] = &said[..] else {
            panic!("{said:?}")
        };
        assert!(welcome.present);
        assert_eq!((rel.id, p.id, p.dup, p.qos), (ids[0], ids[1], true, 2));
        assert!(b.ask(back, &Packet::PubComp(ack(ids[0], 0))).is_empty());
        let (writer, welcome) = b.join(durable(version, "writer"));
        assert!(welcome.present);
        // Its second publication is known, its third is not any more.
        let again = Publish { dup: true, ..message("q/x", 2, 2) };
        assert_eq!(b.ask(writer, &Packet::Publish(again)), [Packet::PubRec(ack(2, 0))]);
        assert_eq!(b.ask(writer, &publish("q/x", 2, 3)), [Packet::PubRec(ack(3, 0))]);
        assert_eq!(published(&b.said(back)).len(), 1, "only the new third");
    }
}

#[test]
fn a_refused_delivery_is_settled_and_its_id_free() {
    let mut b = Bench::new(Limits::default());
    let (reader, _) = b.join(durable(Version::V5, "reader"));
    b.listen(reader, "a", 2);
    let writer = b.join5("writer");
    b.ask(writer, &publish("a", 2, 1));
    let said = b.said(reader);
    let id = published(&said)[0].id;
    assert!(b.ask(reader, &Packet::PubRec(ack(id, 0x97))).is_empty());
    b.cut(reader);
    let back = b.open(Version::V5);
    let said = b.ask(back, &Packet::Connect(Box::new(durable(Version::V5, "reader"))));
    assert!(matches!(&said[..], [Packet::ConnAck(_)]), "{said:?}");
}

#[test]
fn aliases_of_a_publisher_are_resolved_and_bounded() {
    let mut b = Bench::new(Limits { alias_max: 2, ..Limits::default() });
    let (reader, writer) = (b.join5("reader"), b.join5("writer"));
    b.listen(reader, "#", 0);
    let with = |topic: &'static str, alias| {
        let props = Props::build(&[Prop::TopicAlias(alias)]);
        Packet::Publish(Publish { props, ..message(topic, 0, 0) })
    };
    for packet in [with("one", 1), with("", 1), with("two", 1), with("", 1)] {
        b.send(writer, &packet);
    }
    b.said(writer);
    let said = b.said(reader);
    let topics: Vec<&[u8]> = published(&said).iter().map(|p| &p.topic[..]).collect();
    assert_eq!(topics, [&b"one"[..], b"one", b"two", b"two"]);
    assert!(published(&said).iter().all(|p| p.props.is_empty()), "an alias is for one hop");
    let said = b.ask(writer, &with("", 2));
    assert!(matches!(&said[..], [Packet::Disconnect(bye)] if bye.reason == 0x94), "{said:?}");
    let other = b.join5("other");
    let said = b.ask(other, &with("three", 3));
    assert!(matches!(&said[..], [Packet::Disconnect(bye)] if bye.reason == 0x94), "{said:?}");
}

#[test]
fn a_reader_is_given_aliases_as_many_as_both_want() {
    let mut b = Bench::new(Limits { alias_max: 1, ..Limits::default() });
    let props = Props::build(&[Prop::TopicAliasMax(10)]);
    let (reader, _) = b.join(Connect { props, ..connect(Version::V5, "reader") });
    b.listen(reader, "#", 0);
    let writer = b.join3("writer");
    for topic in ["one", "one", "two"] {
        b.send(writer, &publish(topic, 0, 0));
    }
    b.said(writer);
    let said = b.said(reader);
    let topics: Vec<(&[u8], Option<u16>)> =
        published(&said).iter().map(|p| (&p.topic[..], p.props.topic_alias())).collect();
    assert_eq!(topics, [(&b"one"[..], Some(1)), (b"", Some(1)), (b"two", None)]);
}

#[test]
fn a_reader_is_sent_no_more_than_it_will_receive() {
    let mut b = Bench::new(Limits::default());
    let props = Props::build(&[Prop::ReceiveMax(2)]);
    let (reader, _) = b.join(Connect { props, ..connect(Version::V5, "reader") });
    b.listen(reader, "#", 1);
    let writer = b.join5("writer");
    for id in 1..=4 {
        b.send(writer, &publish("a", 1, id));
    }
    b.send(writer, &publish("free", 0, 0));
    b.said(writer);
    let said = b.said(reader);
    let ids: Vec<u16> = published(&said).iter().map(|p| p.id).collect();
    assert_eq!(ids.len(), 2);
    // Other packets go on.
    assert_eq!(b.ask(reader, &Packet::PingReq), [Packet::PingResp]);
    let said = b.ask(reader, &Packet::PubAck(ack(ids[0], 0)));
    assert_eq!(published(&said).len(), 1);
    let (third, second) = (published(&said)[0].id, ids[1]);
    b.send(reader, &Packet::PubAck(ack(second, 0)));
    let said = b.ask(reader, &Packet::PubAck(ack(third, 0)));
    assert_eq!(published(&said).len(), 2, "the fourth, and what needs no answer");
}

#[test]
fn who_exceeds_our_receive_maximum_is_told_so() {
    let mut b = Bench::new(Limits { receive_max: 2, ..Limits::default() });
    let (writer, welcome) = b.join(connect(Version::V5, "writer"));
    let told = prop(&welcome.props, |p| match p {
        Prop::ReceiveMax(max) => Some(max),
        _ => None,
    });
    assert_eq!(told, Some(2));
    for id in 1..=2 {
        b.ask(writer, &publish("a", 2, id));
    }
    // One is done: there is room for one more, and for no other.
    b.ask(writer, &Packet::PubRel(ack(1, 0)));
    assert_eq!(b.ask(writer, &publish("a", 2, 3)), [Packet::PubRec(ack(3, 0x10))]);
    b.send(writer, &publish("a", 2, 4));
    b.broke(writer, FaultKind::MqttReceiveMax, Some(0x93));
}

#[test]
fn a_delivery_too_large_for_its_reader_is_dropped_and_settled() {
    let mut b = Bench::new(Limits::default());
    let props = Props::build(&[Prop::MaximumPacketSize(30), Prop::SessionExpiry(60)]);
    let (reader, _) = b.join(Connect { props, ..connect(Version::V5, "reader") });
    for qos in 0..=2u8 {
        b.listen(reader, ["a", "b", "c"][usize::from(qos)], qos);
    }
    let writer = b.join5("writer");
    for (qos, topic) in [(0, "a"), (1, "b"), (2, "c")] {
        let payload = Bytes::from(vec![0; 40]);
        let id = u16::from(qos);
        b.send(writer, &Packet::Publish(Publish { payload, ..message(topic, qos, id) }));
        b.send(writer, &publish(topic, qos, id + 10 * id.min(1)));
    }
    b.said(writer);
    let said = b.said(reader);
    assert_eq!(published(&said).len(), 3, "the small ones");
    assert_eq!(b.count(Counter::DroppedLarge), 3);
    assert!(b.rig.engine.audit().expect("sound").owed <= 2, "what was dropped is not owed");
}

#[test]
fn a_group_takes_turns() {
    let mut b = Bench::new(Limits::default());
    let (one, two, writer) = (b.join5("one"), b.join5("two"), b.join5("writer"));
    b.listen(one, "$share/g/a/+", 1);
    b.listen(two, "$share/g/a/+", 1);
    for id in 1..=4 {
        b.send(writer, &publish("a/b", 1, id));
    }
    b.said(writer);
    let (first, second) = (b.said(one), b.said(two));
    assert_eq!((published(&first).len(), published(&second).len()), (2, 2));
    let unsubscribe = |filter: &'static [u8]| {
        let filters = [Bytes::from_static(filter)].into_iter().collect();
        Packet::Unsubscribe(Unsubscribe { id: 9, props: Props::none(), filters })
    };
    let said = b.ask(one, &unsubscribe(b"a/+"));
    assert!(matches!(&said[..], [Packet::UnsubAck(a)] if a.codes[..] == [0x11]), "{said:?}");
    let said = b.ask(one, &unsubscribe(b"$share/g/a/+"));
    assert!(matches!(&said[..], [Packet::UnsubAck(a)] if a.codes[..] == [0]), "{said:?}");
    b.ask(writer, &publish("a/b", 0, 0));
    assert_eq!((published(&b.said(one)).len(), published(&b.said(two)).len()), (0, 1));
    let local = Asked { no_local: true, ..asked("$share/g/x", 0) };
    let mut bytes = encode_vec(&subscribe(&[asked("$share/g/x", 0)]), Version::V5).unwrap();
    *bytes.last_mut().unwrap() = 4;
    assert!(local.no_local);
    b.raw(one, &bytes);
    let said = b.said(one);
    assert!(matches!(&said[..], [Packet::Disconnect(bye)] if bye.reason == 0x82), "{said:?}");
}

#[test]
fn kept_values_follow_a_subscription_as_it_asks() {
    let mut b = Bench::new(Limits::default());
    let writer = b.join5("writer");
    let kept = Publish { retain: true, ..message("k", 1, 1) };
    b.ask(writer, &Packet::Publish(kept.clone()));
    let reader = b.join5("reader");
    let mut with = |handling, as_published| {
        let asked = Asked { handling, as_published, ..asked("k", 1) };
        let said = b.ask(reader, &subscribe(&[asked]));
        assert!(matches!(&said[0], Packet::SubAck(_)), "the answer comes first");
        published(&said).iter().map(|p| p.retain).collect::<Vec<_>>()
    };
    assert!(with(2, false).is_empty());
    assert!(with(1, false).is_empty(), "it is not new");
    assert_eq!(with(0, false), [true]);
    assert_eq!(with(0, true), [true]);
    b.ask(writer, &Packet::Publish(kept.clone()));
    assert!(published(&b.said(reader))[0].retain, "as published");
    let old = b.join3("old");
    b.listen(old, "k", 0);
    b.ask(writer, &Packet::Publish(kept));
    assert!(!published(&b.said(old))[0].retain);
}

#[test]
fn overlapping_filters_give_one_copy_of_the_best_quality() {
    let mut b = Bench::new(Limits::default());
    let (reader, writer) = (b.join5("reader"), b.join5("writer"));
    for (number, filter, qos) in [(1, "a/+", 0), (2, "a/#", 2), (3, "a/b", 1)] {
        let props = Props::build(&[Prop::SubscriptionId(number)]);
        let filters = [asked(filter, qos)].into_iter().collect();
        b.ask(reader, &Packet::Subscribe(Subscribe { id: 1, props, filters }));
    }
    b.ask(writer, &publish("a/b", 2, 1));
    let said = b.said(reader);
    let [one] = published(&said)[..] else { panic!("{said:?}") };
    let mut numbers: Vec<u32> = one
        .props
        .iter()
        .filter_map(|p| match p {
            Prop::SubscriptionId(n) => Some(n),
            _ => None,
        })
        .collect();
    numbers.sort_unstable();
    assert_eq!((one.qos, numbers), (2, vec![1, 2, 3]));
}

#[test]
fn properties_travel_in_order_and_life_is_counted_down() {
    let mut b = Bench::new(Limits::default());
    let (reader, _) = b.join(durable(Version::V5, "reader"));
    b.listen(reader, "a", 1);
    b.cut(reader);
    let user =
        |k: &'static str| Prop::User(Bytes::from_static(k.as_bytes()), Bytes::from_static(b"v"));
    let said = [
        user("z"),
        Prop::ContentType(Bytes::from_static(b"text")),
        user("a"),
        Prop::PayloadFormat(1),
        Prop::ResponseTopic(Bytes::from_static(b"re")),
        Prop::CorrelationData(Bytes::from_static(b"\0\xff")),
        user("z"),
    ];
    let writer = b.join5("writer");
    let mut props = said.to_vec();
    props.insert(2, Prop::MessageExpiry(10));
    let long = Publish { props: Props::build(&props), ..message("a", 1, 1) };
    b.ask(writer, &Packet::Publish(long));
    let brief = Props::build(&[Prop::MessageExpiry(2)]);
    b.ask(writer, &Packet::Publish(Publish { props: brief, ..message("a", 1, 2) }));
    b.pass(3_000);
    let conn = b.open(Version::V5);
    let heard = b.ask(conn, &Packet::Connect(Box::new(durable(Version::V5, "reader"))));
    let [p] = published(&heard)[..] else { panic!("{heard:?}") };
    let props: Vec<Prop> = p.props.iter().collect();
    assert_eq!(props[0], Prop::MessageExpiry(7));
    assert_eq!(props[1..], said);
}

#[test]
fn a_filter_that_is_too_deep_costs_its_own_code_and_a_malformed_one_the_connection() {
    let mut b = Bench::new(Limits { levels_max: 3, ..Limits::default() });
    let (new, old) = (b.join5("new"), b.join3("old"));
    let filters = [asked("a/b/c/d", 0), asked("b", 1), asked("$share/g/a/b/c/d", 0)];
    for (conn, no) in [(new, 0x8f), (old, 0x80)] {
        let said = b.ask(conn, &subscribe(&filters));
        let [Packet::SubAck(ack)] = &said[..] else { panic!("{said:?}") };
        assert_eq!(ack.codes[..], [no, 1, no]);
        assert_eq!(b.ended(conn), None);
    }
    for filter in ["a/#/b", "a+", "$share/g", "$share/+/a", "$share//a"] {
        let conn = b.join5("other");
        b.send(conn, &subscribe(&[asked(filter, 0)]));
        b.broke(conn, FaultKind::MqttFilter, Some(0x8f));
    }
}

#[test]
fn a_payload_that_is_not_what_it_says_is_refused_where_that_is_checked() {
    let lie = |qos| {
        let props = Props::build(&[Prop::PayloadFormat(1)]);
        let payload = Bytes::from_static(b"\xff");
        Packet::Publish(Publish { props, payload, ..message("a", qos, u16::from(qos)) })
    };
    for check_payload_format in [false, true] {
        let mut b = Bench::new(Limits { check_payload_format, ..Limits::default() });
        let conn = b.join5("c");
        let code = if check_payload_format { 0x99 } else { 0x10 };
        let said = b.ask(conn, &lie(1));
        assert!(matches!(&said[..], [Packet::PubAck(a)] if a.reason == code), "{said:?}");
        let said = b.ask(conn, &lie(2));
        assert!(matches!(&said[..], [Packet::PubRec(a)] if a.reason == code), "{said:?}");
        b.send(conn, &lie(0));
        match check_payload_format {
            true => b.broke(conn, FaultKind::MqttPayloadFormat, Some(0x99)),
            false => assert!(b.said(conn).is_empty()),
        }
    }
}
