//! Floor 5. Tests of the list of requests: order, ids, bounds, and what a new connection repeats.
//!
//! No socket and no thread: packets in, bytes out, as the two threads would do it.

use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::desk::{Desk, Phase};
use super::entry::Ask;
use super::receipt::{Disconnected, Error, Qos, Receipt};
use super::store::{MemoryStore, Store, Stored};
use crate::base::outbound::Outbound;
use crate::base::rng::Rng;
use crate::proto::prx1::decode::BODY_MAX;
use crate::proto::prx1::packet::{Action, Packet, QAckCode, Queue};
use crate::proto::prx1::{Publish, next};

fn desk() -> Desk {
    Desk::new(Box::new(MemoryStore::default()), (100, 1 << 20), None).unwrap()
}

fn online() -> Desk {
    let mut desk = desk();
    desk.on_online(true);
    desk
}

fn publish(text: &str, qos: Qos) -> Ask {
    let payload = Bytes::copy_from_slice(text.as_bytes());
    Ask::Publish { topic: Bytes::from_static(b"a/b"), payload, qos, retain: false }
}

fn subscribe(topic: &'static str, qos: Qos) -> Ask {
    Ask::Subscribe { topic: Bytes::from_static(topic.as_bytes()), qos }
}

fn queue(message: &'static [u8]) -> Ask {
    let address = Some(Bytes::from_static(b"q"));
    let message = Some(Bytes::from_static(message));
    Ask::Queue(Queue { action: Action::Initialize, address, message, ..Queue::default() })
}

fn said(desk: &mut Desk) -> Vec<Packet> {
    let mut out = Outbound::default();
    desk.poll_transmit(&mut out, usize::MAX);
    let mut input = BytesMut::from(&out.to_vec()[..]);
    std::iter::from_fn(|| next(&mut input, BODY_MAX).unwrap()).collect()
}

/// (text, id, dup) of each Publish said.
fn publishes(desk: &mut Desk) -> Vec<(String, u16, bool)> {
    let text = |p: &Publish| String::from_utf8(p.payload.to_vec()).unwrap();
    let brief = |packet| match packet {
        Packet::Publish(p) => Some((text(&p), p.id, p.dup)),
        _ => None,
    };
    said(desk).into_iter().filter_map(brief).collect()
}

fn now(receipt: &mut Receipt) -> Option<Result<(), Error>> {
    receipt.poll()
}

const Q0: Qos = Qos::AtMostOnce;
const Q1: Qos = Qos::AtLeastOnce;

#[test]
fn ids_are_lowest_free_first_and_shared() {
    let mut desk = online();
    let mut first = desk.ask(publish("one", Q1)).unwrap();
    let mut second = desk.ask(subscribe("a/*", Q1)).unwrap();
    desk.ask(publish("three", Q1)).unwrap();
    assert_eq!(said(&mut desk).len(), 3);
    desk.on_packet(Packet::PubAck(2)).unwrap();
    assert_eq!(now(&mut second), None, "id 2 is a Subscribe: a PubAck is not its answer");
    desk.on_packet(Packet::SubAck(2)).unwrap();
    desk.on_packet(Packet::PubAck(1)).unwrap();
    desk.on_packet(Packet::PubAck(1)).unwrap();
    desk.on_packet(Packet::PubAck(999)).unwrap();
    assert_eq!((now(&mut first), now(&mut second)), (Some(Ok(())), Some(Ok(()))));
    for text in ["four", "five", "six"] {
        desk.ask(publish(text, Q1)).unwrap();
    }
    let ids: Vec<u16> = publishes(&mut desk).into_iter().map(|(_, id, _)| id).collect();
    assert_eq!(ids, [1, 2, 4]);
}

#[test]
fn a_new_connection_repeats_in_order_with_dup_and_the_same_ids() {
    let mut desk = online();
    for text in ["one", "two", "three"] {
        desk.ask(publish(text, Q1)).unwrap();
    }
    assert_eq!(publishes(&mut desk).len(), 3);
    desk.on_packet(Packet::PubAck(2)).unwrap();
    desk.on_offline();
    desk.ask(publish("four", Q1)).unwrap();
    for _ in 0..2 {
        desk.on_online(true);
        let again = publishes(&mut desk);
        assert_eq!(again[..2], [("one".into(), 1, true), ("three".into(), 3, true)]);
        assert_eq!((again[2].0.as_str(), again[2].1), ("four", 2));
        desk.on_offline();
    }
}

#[test]
fn an_answer_meant_for_an_earlier_connection_is_ignored() {
    let mut desk = online();
    let mut receipt = desk.ask(publish("one", Q1)).unwrap();
    said(&mut desk);
    desk.on_offline();
    desk.on_online(true);
    desk.on_packet(Packet::PubAck(1)).unwrap();
    assert_eq!(now(&mut receipt), None, "it has not been said on this connection");
    said(&mut desk);
    desk.on_packet(Packet::PubAck(1)).unwrap();
    assert_eq!(now(&mut receipt), Some(Ok(())));
}

#[test]
fn qos_0_needs_a_connection_and_is_never_repeated() {
    let mut desk = desk();
    assert_eq!(desk.ask(publish("lost", Q0)).unwrap_err(), Error::Offline);
    desk.on_online(true);
    assert_eq!(now(&mut desk.ask(publish("sent", Q0)).unwrap()), Some(Ok(())));
    assert_eq!(publishes(&mut desk), [("sent".into(), 0, false)]);
    desk.ask(publish("unsent", Q0)).unwrap();
    desk.on_offline();
    desk.on_online(true);
    assert_eq!(said(&mut desk), []);
    assert_eq!(desk.waiting(), 0);
}

#[test]
fn what_the_store_kept_is_sent_with_dup_and_forgotten_when_acknowledged() {
    let mut store = MemoryStore::default();
    for (number, text) in [(7, "seven"), (9, "nine")] {
        let payload = Bytes::from_static(text.as_bytes());
        let topic = Bytes::from_static(b"a/b");
        store.put(number, &Stored { topic, payload, retain: false }).unwrap();
    }
    let mut desk = Desk::new(Box::new(store), (100, 1 << 20), None).unwrap();
    desk.on_online(false);
    desk.ask(publish("ten", Q1)).unwrap();
    assert_eq!(
        publishes(&mut desk),
        [("seven".into(), 1, true), ("nine".into(), 2, true), ("ten".into(), 3, false)]
    );
    for id in [1, 2, 3] {
        desk.on_packet(Packet::PubAck(id)).unwrap();
    }
    assert_eq!(desk.waiting(), 0);
    assert_eq!(desk.stored(), 0);
}

#[test]
fn the_end_answers_everybody_and_keeps_the_store() {
    let mut desk = online();
    let mut sent = desk.ask(publish("sent", Q1)).unwrap();
    said(&mut desk);
    let mut unsent = desk.ask(subscribe("a", Q1)).unwrap();
    desk.on_stopped(Disconnected::Rejected);
    let end = Error::Stopped(Disconnected::Rejected);
    assert_eq!((now(&mut sent), now(&mut unsent)), (Some(Err(end)), Some(Err(end))));
    assert_eq!(desk.ask(publish("late", Q1)).unwrap_err(), end);
    assert_eq!((desk.phase(), desk.waiting()), (Phase::Stopped(Disconnected::Rejected), 0));
    assert_eq!(desk.stored(), 1, "another process may send it");
}

#[test]
fn the_list_is_bounded_by_number_and_by_bytes() {
    let mut desk = Desk::new(Box::new(MemoryStore::default()), (3, 1_000), None).unwrap();
    desk.on_online(true);
    desk.ask(publish(&"x".repeat(2_000), Q1)).expect("one request may be larger than the bound");
    assert_eq!(desk.ask(publish("x", Q1)).unwrap_err(), Error::Full);
    said(&mut desk);
    desk.on_packet(Packet::PubAck(1)).unwrap();
    for _ in 0..3 {
        desk.ask(publish("x", Q1)).unwrap();
    }
    assert_eq!(desk.ask(publish("x", Q1)).unwrap_err(), Error::Full);
    assert_eq!(desk.stored(), 3, "what is refused is not stored");
}

#[test]
fn queue_requests_are_answered_in_order_and_lost_with_the_connection() {
    let mut desk = online();
    let mut all: Vec<Receipt> =
        [b"1", b"2", b"3"].iter().map(|m| desk.ask(queue(*m)).unwrap()).collect();
    assert_eq!(said(&mut desk).len(), 3);
    let mut unsent = desk.ask(queue(b"4")).unwrap();
    desk.on_packet(Packet::QAck(QAckCode::Ok)).unwrap();
    desk.on_packet(Packet::QAck(QAckCode::Error)).unwrap();
    desk.on_offline();
    let answers: Vec<_> = all.iter_mut().map(now).collect();
    assert_eq!(answers, [Some(Ok(())), Some(Err(Error::Refused)), Some(Err(Error::Lost))]);
    assert_eq!(now(&mut unsent), None);
    desk.on_online(true);
    assert_eq!(said(&mut desk).len(), 1, "only what was never sent is sent now");
    desk.on_packet(Packet::QAck(QAckCode::Ok)).unwrap();
    desk.on_packet(Packet::QAck(QAckCode::Ok)).unwrap();
    assert_eq!(now(&mut unsent), Some(Ok(())));
}

#[test]
fn subscriptions_are_said_again_to_a_broker_that_has_forgotten_them() {
    let mut desk = online();
    for ask in [subscribe("a", Q0), subscribe("b", Q1), subscribe("c", Q1)] {
        desk.ask(ask).unwrap();
    }
    said(&mut desk);
    desk.on_packet(Packet::SubAck(1)).unwrap();
    desk.on_packet(Packet::SubAck(2)).unwrap();
    let gone = Ask::Unsubscribe { topic: Bytes::from_static(b"c"), qos: Q0 };
    desk.ask(gone).unwrap();
    said(&mut desk);
    desk.on_offline();
    desk.on_online(true);
    assert_eq!(said(&mut desk), [], "the broker has resumed the session");
    for _ in 0..3 {
        desk.on_offline();
        desk.on_online(false);
        let topics: Vec<(Bytes, u16)> = said(&mut desk)
            .into_iter()
            .map(|packet| match packet {
                Packet::Subscribe(s) => (s.topic, s.id),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(topics, [(Bytes::from_static(b"a"), 0), (Bytes::from_static(b"b"), 1)]);
    }
    desk.on_packet(Packet::SubAck(1)).unwrap();
    desk.ask(publish("x", Q1)).unwrap();
    assert_eq!(publishes(&mut desk), [("x".into(), 1, false)], "the id is free again");
}

#[test]
fn a_request_that_makes_the_broker_hang_up_is_given_up_when_asked_so() {
    let store = Box::new(MemoryStore::default());
    let mut desk = Desk::new(store, (100, 1 << 20), Some(3)).unwrap();
    desk.on_online(true);
    let mut denied = desk.ask(publish("denied", Q1)).unwrap();
    let mut innocent = desk.ask(publish("innocent", Q1)).unwrap();
    for _ in 0..3 {
        assert_eq!(now(&mut denied), None);
        said(&mut desk);
        desk.on_offline();
        desk.on_online(true);
    }
    assert_eq!(now(&mut denied), Some(Err(Error::Refused)));
    assert_eq!(publishes(&mut desk), [("innocent".into(), 2, true)]);
    desk.on_packet(Packet::PubAck(2)).unwrap();
    assert_eq!(now(&mut innocent), Some(Ok(())));
    assert_eq!(desk.stored(), 0);
}

#[test]
fn a_message_is_acknowledged_when_it_was_handed_over() {
    let mut desk = online();
    let p = Publish { qos: 3, id: 9, topic: Bytes::from_static(b"a"), ..Publish::default() };
    let (message, id) = desk.on_packet(Packet::Publish(p)).unwrap().unwrap();
    assert_eq!((message.qos, id), (Q1, Some(9)), "QoS 2 and 3 are read as 1");
    assert_eq!(said(&mut desk), []);
    desk.ask(publish("x", Q1)).unwrap();
    desk.acknowledge(9);
    assert_eq!(said(&mut desk)[0], Packet::PubAck(9), "acknowledgements go first");
    desk.acknowledge(10);
    desk.on_offline();
    desk.on_online(true);
    assert!(!said(&mut desk).contains(&Packet::PubAck(10)), "they die with the connection");
}

#[test]
fn random_lives_lose_nothing_and_leak_nothing() {
    for seed in 0..200 {
        let mut rng = Rng::new(seed);
        let mut desk = Desk::new(Box::new(MemoryStore::default()), (50, 1 << 20), None).unwrap();
        let (mut receipts, mut owed, mut number) = (Vec::new(), Vec::new(), 0u32);
        for _ in 0..400 {
            match rng.below(10) {
                0 if desk.phase() == Phase::Online => {
                    desk.on_offline();
                    owed.clear();
                }
                0 | 1 if desk.phase() == Phase::Offline => desk.on_online(rng.chance(1, 2)),
                2..=4 => {
                    number += 1;
                    receipts.extend(desk.ask(publish(&number.to_string(), Q1)));
                }
                5 if desk.phase() == Phase::Online => {
                    let texts = publishes(&mut desk);
                    let order = |(text, ..): &(String, u16, bool)| text.parse::<u32>().unwrap();
                    assert!(texts.is_sorted_by_key(order), "seed {seed}");
                    owed.extend(texts.into_iter().map(|(_, id, _)| id));
                }
                _ if !owed.is_empty() => {
                    let at = rng.below(owed.len() as u64) as usize;
                    desk.on_packet(Packet::PubAck(owed.swap_remove(at))).unwrap();
                }
                _ => {}
            }
        }
        desk.on_offline();
        desk.on_online(true);
        for (_, id, _) in publishes(&mut desk) {
            desk.on_packet(Packet::PubAck(id)).unwrap();
        }
        assert_eq!((desk.waiting(), desk.stored()), (0, 0));
        assert!(!receipts.is_empty());
        for receipt in &mut receipts {
            assert_eq!(receipt.wait(Duration::ZERO), Ok(()), "seed {seed}");
        }
        desk.ask(publish("first", Q1)).unwrap();
        assert_eq!(publishes(&mut desk), [("first".into(), 1, false)], "every id is free");
    }
}
