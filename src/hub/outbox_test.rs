//! Floor 2. The window of an outbox, by itself.

use std::sync::Arc;

use bytes::Bytes;

use super::message::{Body, Delivery, Message, Meter, SubIds, id_of};
use super::outbox::{Next, Outbox, Pushed, Room, SPAN_MAX};
use crate::base::id::Lsn;
use crate::topic::{Dialect, Star};

const ROOM: Room = Room { len: 20_000, bytes: 1 << 20 };

fn delivery() -> Delivery {
    let topic = Star { levels_max: 4 }.topic(&Bytes::from_static(b"a")).expect("a topic");
    let (body, props) = (Body::default(), Bytes::new());
    let charge = Meter::default().charge(1);
    let (qos, born, came, expires) = (1, 0, 0, 0);
    let serial = 0;
    let message =
        Arc::new(Message { topic, body, props, qos, serial, born, came, expires, charge });
    Delivery {
        message,
        ord: 0,
        qos: 1,
        retain: false,
        dup: false,
        asked: false,
        shared: false,
        timed: false,
        subs: SubIds::new(),
    }
}

fn hand_out(outbox: &mut Outbox, inflight_max: usize) -> u64 {
    let mut n = 0;
    while let Next::Deliver(_) = outbox.next(inflight_max) {
        n += 1;
    }
    n
}

#[test]
fn ids_in_flight_are_never_so_far_apart_that_they_could_be_taken_for_each_other() {
    let mut outbox = Outbox::default();
    for _ in 0..SPAN_MAX + 100 {
        assert_eq!(outbox.push(delivery(), None, true, ROOM), Pushed::Kept);
    }
    assert_eq!(hand_out(&mut outbox, usize::MAX), SPAN_MAX);
    for ord in 2..=SPAN_MAX {
        assert_eq!(outbox.settle(id_of(ord)).map(|(ord, _)| ord), Some(ord));
    }
    assert!(matches!(outbox.next(usize::MAX), Next::Wait), "the first one is still out");
    assert_eq!(outbox.settle(id_of(1)).map(|(ord, _)| ord), Some(1));
    assert_eq!(hand_out(&mut outbox, usize::MAX), 100);
}

#[test]
fn an_answer_out_of_order_makes_room_too() {
    let mut outbox = Outbox::default();
    for _ in 0..10 {
        outbox.push(delivery(), None, true, ROOM);
    }
    assert_eq!(hand_out(&mut outbox, 2), 2);
    assert_eq!(outbox.settle(id_of(2)).map(|(ord, _)| ord), Some(2));
    assert_eq!(hand_out(&mut outbox, 2), 1, "one is open, so one more may fly");
    assert_eq!(outbox.settle(id_of(2)).map(|(ord, _)| ord), None, "once");
    assert_eq!(outbox.in_flight(), 2);
}

#[test]
fn no_more_fly_than_the_window_has() {
    let mut outbox = Outbox::default();
    for _ in 0..10 {
        outbox.push(delivery(), None, true, ROOM);
    }
    assert_eq!(hand_out(&mut outbox, 3), 3);
    assert_eq!(outbox.settle(id_of(1)).map(|(ord, _)| ord), Some(1));
    assert_eq!(hand_out(&mut outbox, 3), 1);
}

#[test]
fn what_fits_fits_to_the_byte_and_to_the_last_reference() {
    let weight = delivery().message.weight();
    for room in [Room { len: 2, bytes: 1 << 20 }, Room { len: 9, bytes: 2 * weight }] {
        let mut outbox = Outbox::default();
        let pushed: Vec<_> = (0..3).map(|_| outbox.push(delivery(), None, true, room)).collect();
        assert_eq!(pushed, [Pushed::Kept, Pushed::Kept, Pushed::Dropped], "{room:?}");
    }
    let small = Room { len: 9, bytes: weight - 1 };
    let empty = Outbox::default();
    assert!(empty.fits(weight, true, small), "who is connected and holds nothing does not lag");
    assert!(!empty.fits(weight, false, small), "who is away may");
    assert!(!empty.fits(weight, true, Room { len: 0, ..small }));
}

#[test]
fn a_delivery_of_the_highest_quality_waits_until_all_of_its_record_is_safe() {
    let mut outbox = Outbox::durable(&Meter::default());
    outbox.push(Delivery { qos: 2, ..delivery() }, Some(Lsn(100)), true, ROOM);
    assert!(outbox.has_unsynced() && outbox.waits_for_disk(Lsn(99)));
    assert!(outbox.waits_for_disk(Lsn(100)), "what is safe ends where the record begins");
    assert!(!outbox.waits_for_disk(Lsn(101)) && !outbox.has_unsynced());
}

#[test]
fn another_quality_in_front_waits_for_no_disk() {
    let mut outbox = Outbox::durable(&Meter::default());
    outbox.push(delivery(), Some(Lsn(50)), true, ROOM);
    outbox.push(Delivery { qos: 2, ..delivery() }, Some(Lsn(100)), true, ROOM);
    assert!(!outbox.waits_for_disk(Lsn(1)));
    assert!(matches!(outbox.next(9), Next::Deliver(first) if first.qos == 1));
    assert!(outbox.waits_for_disk(Lsn(1)));
}

#[test]
fn what_flew_and_no_journal_has_comes_again_marked_and_is_not_timed() {
    for mut outbox in [Outbox::default(), Outbox::durable(&Meter::default())] {
        for _ in 0..2 {
            outbox.push(Delivery { timed: true, ..delivery() }, None, true, ROOM);
        }
        assert!(matches!(outbox.next(1), Next::Deliver(first) if first.timed && !first.dup));
        outbox.ground();
        let again: Vec<_> = core::iter::from_fn(|| match outbox.next(9) {
            Next::Deliver(d) => Some((d.dup, d.timed)),
            _ => None,
        })
        .collect();
        assert_eq!(again, [(true, false), (false, false)]);
    }
}
