//! Floor 5. What an MQTT client owes, without a socket.

use bytes::Bytes;

use super::desk::Desk;
use super::setup::Plan;
use super::{Builder, Error, Event};
use crate::proto::mqtt::{Ack, ConnAck, Packet, Prop, Props, Publish};

fn plan(in_flight: u16, queue: usize) -> Plan {
    Builder::default().in_flight(in_flight).queue(queue, 1 << 20).into_plan()
}

fn desk(in_flight: u16, queue: usize) -> Desk {
    let mut desk = Desk::new(&plan(in_flight, queue));
    desk.on_connected(&welcome(false, &[]));
    desk
}

fn welcome(present: bool, props: &[Prop]) -> ConnAck {
    ConnAck { present, code: 0, props: Props::build(props) }
}

fn message(qos: u8, id: u16) -> Publish {
    let (topic, payload) = (Bytes::from_static(b"a"), Bytes::from_static(b"x"));
    Publish { dup: false, qos, retain: false, topic, id, props: Props::none(), payload }
}

fn ack(id: u16, reason: u8) -> Ack {
    Ack { id, reason, props: Props::none() }
}

/// What the desk says, in short.
fn said(desk: &mut Desk) -> Vec<String> {
    let mut words = Vec::new();
    while let Some(packet) = desk.poll_packet() {
        words.push(match packet {
            Packet::Publish(p) => format!("publish {}{}", p.id, if p.dup { " dup" } else { "" }),
            Packet::PubAck(a) => format!("puback {}", a.id),
            Packet::PubRec(a) => format!("pubrec {}", a.id),
            Packet::PubRel(a) => format!("pubrel {}", a.id),
            Packet::PubComp(a) => format!("pubcomp {}", a.id),
            other => format!("{other:?}"),
        });
    }
    words
}

#[test]
fn both_ladders_are_climbed_to_their_end() {
    let mut desk = desk(10, 10);
    assert_eq!(desk.publish(message(0, 0)).unwrap(), None);
    assert_eq!(desk.publish(message(1, 0)).unwrap(), Some(1));
    assert_eq!(desk.publish(message(2, 0)).unwrap(), Some(2));
    assert_eq!(said(&mut desk), ["publish 0", "publish 1", "publish 2"]);
    desk.on_packet(Packet::PubAck(ack(1, 0x10))).unwrap();
    desk.on_packet(Packet::PubRec(ack(2, 0))).unwrap();
    assert_eq!(said(&mut desk), ["pubrel 2"]);
    assert!(!desk.is_settled());
    desk.on_packet(Packet::PubComp(ack(2, 0))).unwrap();
    assert!(desk.is_settled());
    let props = Props::none();
    let done = |id, reason| Some(Event::Published { id, reason, props: props.clone() });
    assert_eq!(desk.poll_event(), done(1, 0x10));
    assert_eq!(desk.poll_event(), done(2, 0));
    assert_eq!(desk.poll_event(), None);
}

#[test]
fn a_refused_pubrec_ends_the_ladder() {
    let mut desk = desk(10, 10);
    desk.publish(message(2, 0)).unwrap();
    said(&mut desk);
    desk.on_packet(Packet::PubRec(ack(1, 0x87))).unwrap();
    assert!(said(&mut desk).is_empty() && desk.is_settled());
    assert!(matches!(desk.poll_event(), Some(Event::Published { id: 1, reason: 0x87, .. })));
}

#[test]
fn the_window_is_the_smaller_of_both_wishes() {
    let mut desk = desk(3, 10);
    for _ in 0..5 {
        desk.publish(message(1, 0)).unwrap();
    }
    assert_eq!(said(&mut desk).len(), 3);
    desk.on_packet(Packet::PubAck(ack(2, 0))).unwrap();
    assert_eq!(said(&mut desk), ["publish 4"]);
    desk.on_connected(&welcome(true, &[Prop::ReceiveMax(1)]));
    assert_eq!(said(&mut desk), ["publish 1 dup"]);
}

#[test]
fn what_is_not_acknowledged_is_said_again() {
    let mut desk = desk(10, 10);
    desk.publish(message(1, 0)).unwrap();
    desk.publish(message(2, 0)).unwrap();
    desk.publish(message(2, 0)).unwrap();
    said(&mut desk);
    desk.on_packet(Packet::PubRec(ack(2, 0))).unwrap();
    desk.on_connected(&welcome(true, &[]));
    assert_eq!(said(&mut desk), ["publish 1 dup", "pubrel 2", "publish 3 dup"]);
}

#[test]
fn more_than_the_queue_holds_is_refused() {
    let mut desk = desk(1, 2);
    desk.publish(message(1, 0)).unwrap();
    desk.publish(message(1, 0)).unwrap();
    assert!(matches!(desk.publish(message(1, 0)), Err(Error::Full)));
    said(&mut desk);
    desk.on_packet(Packet::PubAck(ack(1, 0))).unwrap();
    assert_eq!(desk.publish(message(1, 0)).unwrap(), Some(3));
}

#[test]
fn an_arrived_message_is_acknowledged_when_it_is_taken() {
    let mut desk = desk(10, 10);
    desk.on_packet(Packet::Publish(message(1, 7))).unwrap();
    desk.on_packet(Packet::Publish(message(2, 8))).unwrap();
    assert!(said(&mut desk).is_empty());
    assert!(matches!(desk.poll_event(), Some(Event::Message(m)) if m.id == 7));
    assert_eq!(said(&mut desk), ["puback 7"]);
    // Again, before it was taken: nothing is said and nothing is told twice.
    desk.on_packet(Packet::Publish(message(2, 8))).unwrap();
    assert!(said(&mut desk).is_empty());
    assert!(matches!(desk.poll_event(), Some(Event::Message(m)) if m.id == 8));
    assert_eq!(said(&mut desk), ["pubrec 8"]);
    // And after: only the answer is repeated.
    desk.on_packet(Packet::Publish(message(2, 8))).unwrap();
    assert_eq!((said(&mut desk), desk.poll_event()), (vec!["pubrec 8".to_owned()], None));
    desk.on_packet(Packet::PubRel(ack(8, 0))).unwrap();
    assert_eq!(said(&mut desk), ["pubcomp 8"]);
    desk.on_packet(Packet::Publish(message(2, 8))).unwrap();
    assert!(matches!(desk.poll_event(), Some(Event::Message(m)) if m.id == 8));
}

#[test]
fn an_alias_stands_for_the_topic_it_came_with() {
    let mut plan = plan(10, 10);
    plan.connect.props = Props::build(&[Prop::TopicAliasMax(2)]);
    let mut desk = Desk::new(&plan);
    let aliased = |topic: &'static [u8], alias| {
        let props = Props::build(&[Prop::TopicAlias(alias)]);
        Packet::Publish(Publish { topic: Bytes::from_static(topic), props, ..message(0, 0) })
    };
    desk.on_packet(aliased(b"room", 2)).unwrap();
    desk.on_packet(aliased(b"", 2)).unwrap();
    for _ in 0..2 {
        assert!(matches!(desk.poll_event(), Some(Event::Message(m)) if &m.topic[..] == b"room"));
    }
    assert!(matches!(desk.on_packet(aliased(b"", 1)), Err(Error::Unexpected)));
    assert!(matches!(desk.on_packet(aliased(b"room", 3)), Err(Error::Unexpected)));
}

#[test]
fn what_the_broker_does_not_take_is_not_sent() {
    let mut desk = desk(10, 10);
    for wrong in [&b"a/#"[..], b"+", b"", b"a\0"] {
        let publish = Publish { topic: Bytes::from_static(wrong), ..message(0, 0) };
        assert!(matches!(desk.publish(publish), Err(Error::Topic)), "{wrong:?}");
    }
    desk.on_connected(&welcome(
        false,
        &[Prop::MaximumQos(1), Prop::RetainAvailable(false), Prop::MaximumPacketSize(20)],
    ));
    assert!(matches!(desk.publish(message(2, 0)), Err(Error::Qos)));
    assert!(matches!(desk.publish(Publish { retain: true, ..message(0, 0) }), Err(Error::Retain)));
    let payload = Bytes::from_static(&[0; 30]);
    assert!(matches!(desk.publish(Publish { payload, ..message(0, 0) }), Err(Error::TooLarge)));
    assert!(said(&mut desk).is_empty());
}

#[test]
fn an_answer_nobody_asked_for_is_a_fault() {
    let mut desk = desk(10, 10);
    let codes =
        |id| crate::proto::mqtt::Codes { id, props: Props::none(), codes: smallvec::smallvec![0] };
    let id = desk.ask().unwrap();
    desk.on_packet(Packet::SubAck(codes(id))).unwrap();
    assert!(matches!(desk.on_packet(Packet::SubAck(codes(id))), Err(Error::Unexpected)));
    assert!(matches!(desk.on_packet(Packet::PingReq), Err(Error::Unexpected)));
}
