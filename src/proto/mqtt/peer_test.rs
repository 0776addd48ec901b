//! Floor 3. How a connection goes on and ends: order, silence, last words.

use bytes::Bytes;

use crate::base::limits::Limits;
use crate::base::stats::Counter;
use crate::proto::fault::FaultKind;

use super::bench_test::*;
use super::encode_vec;
use super::packet::*;
use super::props::{Prop, Props};

#[test]
fn silence_ends_a_connection_to_the_millisecond() {
    let mut b = Bench::new(Limits::default());
    for version in [Version::V311, Version::V5] {
        let (conn, _) = b.join(Connect { keep_alive: 2, ..connect(version, "c") });
        b.pass(2_999);
        b.ask(conn, &Packet::PingReq);
        b.pass(2_999);
        assert_eq!(b.ended(conn), None);
        b.pass(1);
        assert_eq!(b.ended(conn), Some("idle_timeout"));
        let said = b.said(conn);
        match version {
            Version::V5 => {
                let [Packet::Disconnect(bye)] = &said[..] else { panic!("{said:?}") };
                assert_eq!(bye.reason, 0x8d);
                assert!(reason_text(&bye.props).is_some());
            }
            _ => assert!(said.is_empty(), "it knows no goodbye of a server"),
        }
    }
    let (conn, _) = b.join(connect(Version::V5, "patient"));
    b.pass(1 << 40);
    assert_eq!(b.ended(conn), None, "it asked for no deadline");
}

#[test]
fn reasons_are_told_in_words_to_who_wants_them() {
    let mut b = Bench::new(Limits::default());
    let silent = Props::build(&[Prop::RequestProblem(false)]);
    let small = Props::build(&[Prop::MaximumPacketSize(20)]);
    let mut denied = |props: Props, id: &'static str| {
        let conn = b.open(Version::V5);
        b.ask(conn, &Packet::Connect(Box::new(Connect { props, ..connect(Version::V5, id) })));
        let said = b.ask(conn, &publish("$SYS/x", 1, 1));
        let [Packet::PubAck(ack)] = &said[..] else { panic!("{said:?}") };
        assert_eq!(ack.reason, 0x87);
        reason_text(&ack.props).is_some()
    };
    assert!(denied(Props::none(), "a"));
    assert!(!denied(silent, "b"));
    assert!(!denied(small, "c"), "the words do not fit");
    let old = b.join3("old");
    let refused = b.count(Counter::PublishesRefused);
    assert_eq!(b.ask(old, &publish("$SYS/x", 1, 1)), [Packet::PubAck(ack(1, 0))]);
    assert_eq!(b.ask(old, &publish("$SYS/x", 2, 2)), [Packet::PubRec(ack(2, 0))]);
    assert_eq!(b.ask(old, &Packet::PubRel(ack(2, 0))), [Packet::PubComp(ack(2, 0))]);
    assert_eq!(b.count(Counter::PublishesRefused), refused + 2);
}

#[test]
fn what_came_behind_a_connect_waits_and_what_came_behind_a_goodbye_is_not_read() {
    let mut b = Bench::new(Limits::default());
    let conn = b.open(Version::V311);
    let mut bytes = Vec::new();
    let goodbye = Packet::Disconnect(Reason { reason: 0, props: Props::none() });
    let retained = Packet::Publish(Publish { retain: true, ..message("late", 0, 0) });
    for packet in [
        Packet::Connect(Box::new(connect(Version::V311, "all at once"))),
        subscribe(&[asked("a", 1)]),
        publish("a", 1, 1),
        Packet::PingReq,
        goodbye,
        retained,
    ] {
        bytes.extend(encode_vec(&packet, Version::V311).unwrap());
    }
    b.raw(conn, &bytes);
    assert!(b.rig.rest(1_000));
    assert_eq!(b.ended(conn), Some("left"));
    let other = b.join3("other");
    let said = b.ask(other, &subscribe(&[asked("late", 0)]));
    assert_eq!(said.len(), 1, "nothing is kept: {said:?}");
}

#[test]
fn a_second_connect_and_a_packet_of_a_server_end_it() {
    let mut b = Bench::new(Limits::default());
    for (packet, reason) in [
        (Packet::Connect(Box::new(connect(Version::V5, "again"))), 0x82),
        (
            Packet::SubAck(Codes { id: 1, props: Props::none(), codes: [0].into_iter().collect() }),
            0x82,
        ),
        (Packet::Auth(Reason { reason: 0x19, props: Props::none() }), 0x82),
    ] {
        let conn = b.join5("c");
        let said = b.ask(conn, &packet);
        let [Packet::Disconnect(bye)] = &said[..] else { panic!("{said:?}") };
        assert_eq!(bye.reason, reason);
        let conn = b.join3("d");
        let Ok(bytes) = encode_vec(&packet, Version::V311) else { continue };
        b.raw(conn, &bytes);
        assert!(b.said(conn).is_empty());
        assert!(b.ended(conn).is_some());
    }
}

#[test]
fn the_broker_says_goodbye_when_it_goes_down() {
    let mut b = Bench::new(Limits::default());
    let (new, old) = (b.join5("new"), b.join3("old"));
    let now = b.rig.now;
    b.rig.engine.stop(now);
    let said = b.said(new);
    assert!(matches!(&said[..], [Packet::Disconnect(bye)] if bye.reason == 0x8b), "{said:?}");
    assert!(b.said(old).is_empty());
}

/// Turns in which the disk answers nothing.
fn turn_without_disk(b: &mut Bench) {
    b.rig.disk_jobs = 0;
    for _ in 0..8 {
        b.rig.turn();
    }
}

#[test]
fn no_acknowledgement_outruns_the_disk_and_none_another() {
    let mut b = Bench::new(Limits::default());
    let (reader, _) = b.join(durable(Version::V5, "reader"));
    b.listen(reader, "a", 2);
    let writer = b.join3("writer");
    for packet in [publish("a", 1, 1), publish("a", 2, 2), publish("a", 1, 3), Packet::PingReq] {
        b.send(writer, &packet);
    }
    turn_without_disk(&mut b);
    assert!(b.rig.wires[&writer].heard.is_empty(), "nothing is promised yet");
    b.rig.disk_jobs = usize::MAX;
    let said = b.said(writer);
    let step = |step: fn(Ack) -> Packet, id| step(ack(id, 0));
    assert_eq!(
        said,
        [
            step(Packet::PubAck, 1),
            step(Packet::PubRec, 2),
            step(Packet::PubAck, 3),
            Packet::PingResp
        ]
    );
}

#[test]
fn a_sick_disk_ends_promises_and_nothing_else() {
    let mut b = Bench::new(Limits::default());
    let (reader, _) = b.join(durable(Version::V5, "reader"));
    b.listen(reader, "a", 1);
    let (new, old) = (b.join5("new"), b.join3("old"));
    b.disk.set_failing(true);
    // It is noticed by whoever waits for a promise.
    let first = b.join5("first");
    b.ask(first, &publish("a", 1, 1));
    assert_eq!(b.ended(first), Some("storage_failed"));
    let said = b.ask(new, &publish("a", 1, 1));
    assert!(matches!(&said[..], [Packet::PubAck(ack)] if ack.reason == 0x83), "{said:?}");
    let said = b.ask(new, &publish("a", 2, 2));
    assert!(matches!(&said[..], [Packet::PubRec(ack)] if ack.reason == 0x83), "{said:?}");
    b.said(reader);
    assert!(b.ask(new, &publish("a", 0, 0)).is_empty());
    assert_eq!(published(&b.said(reader)).len(), 1, "what needs no promise goes on");
    assert!(b.ask(old, &publish("a", 1, 1)).is_empty());
    b.broke(old, FaultKind::MqttStorage, None);
}

#[test]
fn who_finds_the_journal_full_waits_and_is_not_silent() {
    let mut b = Bench::new(Limits { packet_bytes_max: 1 << 20, ..Limits::default() });
    let (reader, _) = b.join(durable(Version::V5, "reader"));
    b.listen(reader, "a", 1);
    let (writer, _) = b.join(Connect { keep_alive: 10, ..connect(Version::V311, "writer") });
    b.rig.disk_jobs = 0;
    let payload = Bytes::from(vec![7; 10_000]);
    for id in 1..=40 {
        b.send(
            writer,
            &Packet::Publish(Publish { payload: payload.clone(), ..message("a", 1, id) }),
        );
    }
    turn_without_disk(&mut b);
    assert!(!b.rig.engine.wants_bytes(writer), "it waits for room");
    for _ in 0..10 {
        b.rig.pass(10_000);
        b.rig.turn();
    }
    assert_eq!(b.ended(writer), None, "it is the broker that does not read");
    b.rig.disk_jobs = usize::MAX;
    let said = b.said(writer);
    let acks: Vec<u16> = said
        .iter()
        .filter_map(|p| if let Packet::PubAck(a) = p { Some(a.id) } else { None })
        .collect();
    assert_eq!(acks, (1..=40).collect::<Vec<_>>());
    let mut count = 0;
    loop {
        let said = b.said(reader);
        if said.is_empty() {
            break;
        }
        for p in published(&said) {
            count += 1;
            assert!(!p.dup);
            b.send(reader, &Packet::PubAck(ack(p.id, 0)));
        }
    }
    assert_eq!(count, 40, "each once");
}

#[test]
fn a_client_ahead_of_its_pace_is_read_more_slowly() {
    let limits = Limits { messages_s_max: 10, bytes_s_max: 1_000, ..Limits::default() };
    let mut b = Bench::new(limits);
    let reader = b.join3("reader");
    b.listen(reader, "#", 0);
    b.pass(5_000);
    let (writer, _) = b.join(Connect { keep_alive: 1, ..connect(Version::V5, "writer") });
    for _ in 0..30 {
        b.send(writer, &publish("a", 0, 0));
    }
    let heard = |b: &mut Bench, ms| {
        b.pass(ms);
        published(&b.said(reader)).len()
    };
    assert!((10..=11).contains(&heard(&mut b, 0)), "a second's worth at once");
    assert_eq!(heard(&mut b, 500), 5);
    assert_eq!(heard(&mut b, 500), 5);
    assert_eq!(heard(&mut b, 5_000), 10, "the rest");
    assert_eq!(b.ended(writer), None, "who is not read is not silent");
    assert_eq!(b.count(Counter::Paced), 4);
}

#[test]
fn who_is_owed_many_answers_is_not_read_from() {
    let mut b = Bench::new(Limits { replies_max: 4, ..Limits::default() });
    let stored = b.join(durable(Version::V311, "stored")).0;
    b.listen(stored, "a", 1);
    let writer = b.join3("writer");
    b.rig.disk_jobs = 0;
    let before = b.count(Counter::MessagesReceived);
    for id in 1..=20 {
        b.send(writer, &publish("a", 1, id));
    }
    assert!(b.said(writer).is_empty(), "nothing is on the disk");
    assert_eq!(b.count(Counter::MessagesReceived) - before, 4);
    b.rig.disk_jobs = usize::MAX;
    assert_eq!(b.said(writer).len(), 20);
}
