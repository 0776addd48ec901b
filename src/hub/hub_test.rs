//! Floor 2. What the hub promises to readers and publishers, over a journal in memory.

use bytes::Bytes;

use crate::base::id::{Lsn, SessionId};
use crate::base::limits::{Limit, Limits};
use crate::base::time::Now;
use crate::topic::{Dialect, Match};

use super::Held;
use super::message::{Delivery, Durability, id_of};
use super::policy::{Policy, Principal};
use super::queue::Queued;
use super::registry::{Fresh, Parting};
use super::session::SubOpts;
use super::subscribe::{Replays, Subscribed};

pub(super) use super::bench_test::*;

#[test]
fn a_message_reaches_each_reader_once_with_the_better_quality() {
    let mut b = Bench::new(Limits::default());
    let reader = b.attach("reader", Fresh::No).session;
    b.subscribe(reader, "a/*", 0);
    b.subscribe(reader, "a/b", 1);
    assert_eq!(b.publish("a/b", b"x", 1, false).matched, 1);
    let got = b.take(reader);
    assert_eq!(bodies(&got), ["x"]);
    assert_eq!((got[0].qos, got[0].ord, got[0].dup), (1, 1, false));
}

#[test]
fn an_acknowledgement_waits_only_for_what_is_durable() {
    let mut b = Bench::new(Limits::default());
    assert_eq!(b.publish("a/b", b"x", 1, false).after, Lsn::START, "nobody is owed it");
    let reader = b.attach("reader", Fresh::No);
    assert!(reader.after > Lsn::START, "a session is a promise too");
    b.subscribe(reader.session, "a/b", 1);
    let receipt = b.publish("a/b", b"x", 1, false);
    assert!(receipt.after > b.hub.synced());
    b.pump();
    assert!(receipt.after <= b.hub.synced());
    assert_eq!(b.publish("a/b", b"x", 0, false).after, Lsn::START);
}

#[test]
fn who_begins_anew_is_welcome_when_what_was_before_cannot_come_back() {
    let mut b = Bench::new(Limits::default());
    for durable in [false, true] {
        b.client("reader", |a| a.durable = true);
        b.pump();
        let fresh = b.client("reader", |a| (a.durable, a.fresh) = (durable, Fresh::All));
        assert!(!fresh.present && fresh.after > b.hub.synced(), "durable: {durable}");
        b.pump();
        assert!(fresh.after <= b.hub.synced());
        let tail = b.hub.journal().map(crate::journal::Journal::tail);
        assert_eq!(tail.filter(|_| durable), durable.then_some(fresh.after), "its end is in it");
    }
    let wiped = b.client("reader", |a| a.fresh = Fresh::Debts);
    assert!(wiped.present && wiped.after > b.hub.synced(), "what it was owed is gone for good");
    b.client("guest", |a| (a.durable, a.unique) = (false, true));
    b.pump();
    let again = b.client("guest", |a| (a.durable, a.unique, a.fresh) = (false, true, Fresh::All));
    assert_eq!(again.after, Lsn::START, "nothing of it was written down");
}

#[test]
fn what_is_owed_waits_for_its_reader_and_comes_in_order() {
    let mut b = Bench::new(Limits::default());
    let reader = b.attach("reader", Fresh::No).session;
    b.subscribe(reader, "a/*", 1);
    b.detach(reader);
    for n in 0..50 {
        b.publish("a/b", n.to_string().as_bytes(), 1, false);
        b.publish("a/c", b"gone", 0, false);
    }
    let back = b.attach("reader", Fresh::No);
    assert_eq!((back.session, back.present, back.resumed), (reader, true, 50));
    let got = b.take(reader);
    assert_eq!(bodies(&got), numbers(0..50));
    assert!(got.iter().all(|d| !d.dup), "never sent before");
    for d in &got[..20] {
        assert!(b.hub.settle(reader, id_of(d.ord)));
    }
    b.detach(reader);
    let again = b.attach("reader", Fresh::No).session;
    let got = b.take_and_settle(again);
    assert_eq!(bodies(&got), numbers(20..50));
    assert!(got.iter().all(|d| d.dup), "sent before");
    assert_eq!(b.hub.session(reader).map(|s| s.outbox.owed()), Some(0));
}

#[test]
fn ids_are_the_same_after_a_restart_and_what_was_sent_is_marked() {
    let mut b = Bench::new(Limits { inflight_max: 5, ..Limits::default() });
    let reader = b.attach("reader", Fresh::No).session;
    b.subscribe(reader, "a/*", 1);
    for n in 0..20 {
        b.publish("a/b", n.to_string().as_bytes(), 1, false);
    }
    let sent = b.take(reader);
    assert_eq!(sent.len(), 5, "the window");
    b.hub.settle(reader, id_of(sent[0].ord));
    b.hub.settle(reader, id_of(sent[3].ord));
    b.pump();
    let mut b = b.restart();
    let back = b.attach("reader", Fresh::No);
    assert!(back.present);
    let got = b.take_and_settle(back.session);
    let mut expected = vec!["1".to_string(), "2".into(), "4".into()];
    expected.extend(numbers(5..20));
    assert_eq!(bodies(&got), expected);
    let ords: Vec<u64> = got.iter().map(|d| d.ord).collect();
    assert_eq!(ords[..4], [2, 3, 5, 6], "each keeps its number, and so its id");
    assert!(got.iter().all(|d| d.dup), "each may have been sent, for all a journal can tell");
    assert!(b.take(back.session).is_empty());
    b.publish("a/b", b"new", 1, false);
    let new = b.take(back.session);
    assert!(new[0].ord > 20, "no number is used twice");
    assert!(!new[0].dup, "this cannot have been");
}

#[test]
fn overflow_is_forgotten_and_read_back() {
    let limits = Limits { outbox_len_max: 4, inflight_max: 3, ..Limits::default() };
    let mut b = Bench::new(limits);
    let reader = b.attach("reader", Fresh::No).session;
    b.subscribe(reader, "a/*", 1);
    let mut expected = 0;
    for round in 0..10 {
        for n in 0..=round * 2 {
            b.publish("a/b", (expected + n).to_string().as_bytes(), 1, false);
        }
        let held = b.hub.session(reader).map_or(0, |s| s.outbox.held());
        assert!(held <= 4, "{held} references in memory");
        let got = b.take_and_settle(reader);
        assert_eq!(bodies(&got), numbers(expected..expected + round * 2 + 1));
        expected += round * 2 + 1;
    }
}

#[test]
fn a_reader_without_a_name_is_dropped_from_when_it_is_slow() {
    let limits = Limits { outbox_len_max: 4, ..Limits::default() };
    let mut b = Bench::new(limits);
    let reader = b.attach("", Fresh::No).session;
    b.subscribe(reader, "a/*", 1);
    for n in 0..10 {
        b.publish("a/b", n.to_string().as_bytes(), 1, false);
    }
    assert_eq!(bodies(&b.take(reader)), numbers(0..4));
    assert_eq!(b.hub.stats.get(crate::base::stats::Counter::DroppedFull), 6);
    b.detach(reader);
    assert!(b.hub.session(reader).is_none());
}

#[test]
fn kept_values_come_to_whoever_subscribes_large_ones_from_disk() {
    let limits = Limits { retained_inline_bytes: 8, ..Limits::default() };
    let mut b = Bench::new(limits);
    for n in 0..300 {
        let body = if n % 2 == 0 { format!("{n}") } else { format!("{n}{}", "x".repeat(100)) };
        b.publish(&format!("k/{n}"), body.as_bytes(), 1, true);
    }
    b.publish("k/0", b"", 1, true);
    b.publish("k/2", b"two", 0, true);
    for round in 0..2 {
        let reader = b.attach(&format!("reader{round}"), Fresh::No).session;
        b.subscribe(reader, "k/*", 1);
        let got = b.take_and_settle(reader);
        assert_eq!(got.len(), 299, "round {round}");
        assert!(got.iter().all(|d| d.retain));
        let two = got.iter().find(|d| &d.message.body[..] == b"two").expect("replaced");
        assert_eq!(two.qos, 0, "the lesser of both");
        b.pump();
        b = b.restart();
    }
}

#[test]
fn a_replay_that_a_crash_interrupts_begins_again_and_says_so() {
    let limits = Limits { inflight_max: 10, ..Limits::default() };
    let mut b = Bench::new(limits);
    for n in 0..200 {
        b.publish(&format!("k/{n:03}"), n.to_string().as_bytes(), 1, true);
    }
    let reader = b.attach("reader", Fresh::No).session;
    b.subscribe(reader, "k/*", 1);
    let first = b.take(reader);
    assert_eq!(first.len(), 10);
    let mut b = b.restart();
    let reader = b.attach("reader", Fresh::No).session;
    let got = b.take_and_settle(reader);
    for n in 0..200 {
        let text = n.to_string();
        let copies: Vec<&Delivery> =
            got.iter().filter(|d| d.message.body[..] == *text.as_bytes()).collect();
        assert!(!copies.is_empty(), "{n} is missing");
        let unmarked = copies.iter().filter(|d| !d.dup).count();
        assert!(unmarked <= usize::from(n >= 10), "{n}: only what was never sent may be unmarked");
        assert!(copies[1..].iter().all(|d| d.dup), "{n}: a copy must say so");
    }
}

#[test]
fn a_clean_start_forgets_debts_and_keeps_subscriptions() {
    let mut b = Bench::new(Limits::default());
    let reader = b.attach("reader", Fresh::No).session;
    b.subscribe(reader, "a/*", 1);
    b.detach(reader);
    b.publish("a/b", b"old", 1, false);
    let back = b.attach("reader", Fresh::Debts);
    assert_eq!(back.session, reader);
    b.publish("a/b", b"new", 1, false);
    let got = b.take(reader);
    assert_eq!((bodies(&got), got[0].ord), (vec!["new".to_string()], 1));
    let mut b = b.restart();
    let reader = b.attach("reader", Fresh::No).session;
    assert_eq!(bodies(&b.take(reader)), ["new"], "and it stays so");
    assert_eq!(b.hub.subscriptions(reader).len(), 1);
}

#[test]
fn the_newcomer_takes_over_and_the_old_connection_is_named() {
    let mut b = Bench::new(Limits::default());
    let first = b.attach("reader", Fresh::No);
    let old = b.hub.session(first.session).and_then(|s| s.conn);
    let second = b.attach("reader", Fresh::No);
    assert_eq!(second.yielding, old);
    // The old connection's end changes nothing for the new one.
    b.hub.detach(b.now, first.session, old.expect("was connected"), Parting::Lost);
    assert!(b.hub.session(second.session).is_some_and(|s| s.conn.is_some()));
}

#[test]
fn sessions_are_forgotten_in_time_and_their_journal_with_them() {
    let mut b = Bench::new(Limits::default());
    let reader = b.attach("reader", Fresh::No).session;
    b.subscribe(reader, "a/*", 1);
    b.detach(reader);
    b.publish("a/b", b"x", 1, false);
    let (at, id) = b.hub.poll_timer().expect("a deadline to arm");
    b.now = Now { mono: at.0 - 1, ..b.now };
    b.hub.on_session_deadline(b.now, id);
    assert!(b.hub.session(reader).is_some(), "not yet");
    b.now = Now { mono: at.0, ..b.now };
    b.hub.on_session_deadline(b.now, id);
    assert!(b.hub.session(reader).is_none());
    assert_eq!(b.publish("a/b", b"x", 1, false).matched, 0);
    b.pump();
    assert_eq!(b.hub.journal().map(|j| j.tally().refs), Some(0), "nothing is owned any more");
    let mut b = b.restart();
    assert!(!b.attach("reader", Fresh::No).present);
}

#[test]
fn a_queue_hands_each_item_to_one_drainer_in_order() {
    let mut b = Bench::new(Limits::default());
    let (address, creator) = (Bytes::from_static(b"jobs/new"), Bytes::from_static(b"boss"));
    for durable in [false, true] {
        let opened = b.hub.queue_open(REALM, &address, &creator, durable, Durability::Disk);
        assert!(matches!(opened, Ok(Queued::Yes(_))));
        for n in 0..100 {
            let p = Bench::publication("jobs/new", n.to_string().as_bytes(), 1, false);
            let pushed = b.hub.queue_push(b.now, &address, &p, Durability::Disk);
            assert!(matches!(pushed, Ok(Queued::Yes(r)) if (r.after > Lsn::START) == durable));
        }
        b.pump();
        if durable {
            b = b.restart();
        }
        let worker = b.attach("worker", Fresh::All).session;
        let path = STAR.topic(&Bytes::from_static(b"jobs/mine")).ok();
        assert!(matches!(b.hub.queue_drain(REALM, &address, worker, path), Queued::Yes(_)));
        let mut got = Vec::new();
        for _ in 0..20 {
            b.hub.drain_some(b.now, 30);
            b.pump();
            got.extend(b.take(worker));
            if got.len() == 50 && durable {
                break;
            }
        }
        let left = b.hub.queue(REALM, &address).map_or(0, |q| q.outbox.owed());
        assert_eq!(got.len() as u64 + left, 100, "each item is in one place");
        if durable {
            // Crash with some in the queue, some with the worker, none in both.
            b.pump();
            b = b.restart();
            let worker = b.attach("worker", Fresh::No).session;
            b.hub.queue_drain(REALM, &address, worker, None);
            let mut all = Vec::new();
            for _ in 0..20 {
                b.hub.drain_some(b.now, 30);
                b.pump();
                all.extend(b.take_and_settle(worker));
            }
            assert_eq!(bodies(&all), numbers(0..100));
        } else {
            assert_eq!(bodies(&got), numbers(0..100));
            assert_eq!(&got[0].message.topic.text()[..], b"jobs/mine");
        }
        let stranger = Bytes::from_static(b"stranger");
        let level = Durability::Disk;
        let denied = b.hub.queue_destroy(REALM, &address, &stranger, level);
        assert_eq!(denied, Ok(Queued::NotYours));
        let gone = b.hub.queue_destroy(REALM, &address, &creator, level);
        assert!(matches!(gone, Ok(Queued::Yes(_))));
        assert!(b.hub.queue(REALM, &address).is_none());
    }
}

#[test]
fn the_journal_shrinks_although_one_reader_never_returns() {
    let limits = Limits { segment_bytes: 64 << 10, ..Limits::default() };
    let mut b = Bench::new(limits);
    let away = b.attach("away", Fresh::No).session;
    b.subscribe(away, "rare/*", 1);
    b.detach(away);
    let busy = b.attach("busy", Fresh::No).session;
    b.subscribe(busy, "often/*", 1);
    b.publish("kept/it", b"value", 1, true);
    let body = [b'x'; 500];
    for n in 0..6_000 {
        if n % 1_000 == 0 {
            b.publish("rare/a", n.to_string().as_bytes(), 1, false);
        }
        b.publish("often/a", &body, 1, false);
        if n % 50 == 0 {
            b.take_and_settle(busy);
            b.pump();
        }
    }
    b.take_and_settle(busy);
    for _ in 0..50 {
        b.pump();
    }
    let segments = b.hub.journal().map_or(0, |j| j.tally().segments);
    assert!(segments <= 8, "{segments} segments for seven messages");
    let rare = ["0", "1000", "2000", "3000", "4000", "5000"];
    let mut b = b.restart();
    let away = b.attach("away", Fresh::No).session;
    assert_eq!(bodies(&b.take_and_settle(away)), rare, "in order, after being carried and moved");
    b.subscribe(away, "kept/*", 0);
    assert_eq!(bodies(&b.take(away)), ["value"]);
    let busy = b.attach("busy", Fresh::No);
    assert!(busy.present && b.take(busy.session).is_empty());
}

#[test]
fn without_room_nothing_happened_and_the_publisher_may_try_again() {
    let limits = Limits { segment_bytes: 64 << 10, ..Limits::default() };
    let mut b = Bench::new(limits);
    let reader = b.attach("reader", Fresh::No).session;
    b.subscribe(reader, "a/*", 1);
    b.detach(reader);
    let p = Bench::publication("a/b", &[1; 1_000], 1, false);
    let mut taken = 0;
    let held = loop {
        match b.hub.publish(b.now, None, Durability::Disk, &p) {
            Ok(_) => taken += 1,
            Err(why) => break why,
        }
    };
    assert_eq!(held, Held::Full, "nobody prepared another segment");
    b.pump();
    assert!(b.hub.publish(b.now, None, Durability::Disk, &p).is_ok());
    let reader = b.attach("reader", Fresh::No).session;
    assert_eq!(b.take_and_settle(reader).len(), taken + 1);
}

/// The value kept at a topic, as somebody who subscribes now is told.
pub(super) fn kept(b: &mut Bench, topic: &str) -> Vec<String> {
    let asker = b.attach("asker", Fresh::All).session;
    b.subscribe(asker, topic, 0);
    let all = b.take(asker);
    bodies(&all)
}

#[test]
fn a_value_stays_cleared_although_a_durable_reader_was_owed_the_clearing() {
    let mut b = Bench::new(Limits::default());
    let reader = b.attach("reader", Fresh::No).session;
    b.subscribe(reader, "a/b", 1);
    b.publish("a/b", b"old", 1, true);
    assert_eq!(kept(&mut b, "a/b"), ["old"]);
    let cleared = b.publish("a/b", b"", 1, true);
    b.pump();
    assert!(cleared.after <= b.hub.synced());
    let mut b = b.restart();
    assert!(kept(&mut b, "a/b").is_empty(), "it was acknowledged that there is none");
}

#[test]
fn a_value_that_only_memory_replaced_does_not_come_back_from_disk() {
    let mut b = Bench::new(Limits::default());
    b.publish("a/b", b"old", 1, true);
    let p = Bench::publication("a/b", b"new", 1, true);
    b.hub.publish(b.now, None, Durability::Memory, &p).expect("room");
    assert_eq!(kept(&mut b, "a/b"), ["new"]);
    b.pump();
    let mut b = b.restart();
    assert!(kept(&mut b, "a/b").is_empty(), "older than the last one that was kept");
}

/// A reader that nobody can come back to: what it is owed is in memory only.
pub(super) fn nameless(b: &mut Bench) -> SessionId {
    b.attach("", Fresh::No).session
}

#[test]
fn who_never_acknowledges_holds_no_more_than_an_outbox() {
    let limits = Limits { outbox_bytes_max: 10_000, ..Limits::default() };
    let mut b = Bench::new(limits);
    let reader = nameless(&mut b);
    b.subscribe(reader, "a/b", 1);
    let mut got = Vec::new();
    for _ in 0..100 {
        b.publish("a/b", &[7; 1_000], 1, false);
        got.extend(b.take(reader).iter().map(|d| d.ord));
    }
    assert_eq!(got.len(), 9, "what is in flight counts too");
    assert!(b.hub.memory_used() < 11_000);
    for ord in got {
        assert!(b.hub.settle(reader, id_of(ord)));
    }
    b.publish("a/b", &[7; 1_000], 1, false);
    assert_eq!(b.take(reader).len(), 1, "and no longer than it flies");
}

#[test]
fn stored_messages_leave_room_for_those_that_move() {
    let limits = Limits { memory_bytes_max: 1 << 20, ..Limits::default() };
    let mut b = Bench::new(limits);
    let (address, boss) = (Bytes::from_static(b"jobs"), Bytes::from_static(b"boss"));
    b.hub.queue_open(REALM, &address, &boss, false, Durability::Disk).expect("room");
    let (item, long) = (vec![1; 10_000], "x".repeat(5_000));
    let mut refused = 0;
    for n in 0..300 {
        let p = Bench::publication("jobs", &item, 1, false);
        let pushed = b.hub.queue_push(b.now, &address, &p, Durability::Disk);
        refused += u32::from(pushed == Ok(Queued::TooMany));
        let p = Bench::publication(&format!("{long}/{n}"), b"kept", 1, true);
        b.hub.publish(b.now, None, Durability::Memory, &p).expect("publishers go on");
    }
    assert!(refused > 0 && !b.hub.memory_is_short());
    let away = b.attach("away", Fresh::No).session;
    b.subscribe(away, "news", 1);
    b.detach(away);
    b.publish("news", b"x", 1, false);
    let away = b.attach("away", Fresh::No).session;
    assert_eq!(b.take_and_settle(away).len(), 1, "and there is room to read back");
}

#[test]
fn a_prompt_reader_is_not_cut_short_because_others_lag() {
    let limits = Limits { memory_bytes_max: 1 << 20, ..Limits::default() };
    let mut b = Bench::new(limits);
    let (lagging, prompt) = (nameless(&mut b), nameless(&mut b));
    b.subscribe(lagging, "slow", 0);
    b.subscribe(prompt, "quick", 0);
    for _ in 0..100 {
        b.publish("slow", &[1; 20_000], 0, false);
    }
    assert!(b.hub.memory_used() > (1 << 20) / 10 * 8, "memory is lean");
    b.publish("quick", &[2; 70_000], 0, false);
    assert_eq!(b.take(prompt).len(), 1);
}

#[test]
fn what_is_held_for_a_reader_keeps_no_read_buffer_alive() {
    let mut b = Bench::new(Limits::default());
    let reader = nameless(&mut b);
    b.subscribe(reader, "a/b", 0);
    b.hub.note_lag(reader, true);
    let buffer = Bytes::from(vec![9; 64 << 10]);
    let mut p = Bench::publication("a/b", b"", 0, false);
    p.body = buffer.slice(100..200);
    b.hub.publish(b.now, None, Durability::Disk, &p).expect("room");
    drop(p);
    assert!(buffer.is_unique(), "nobody holds a part of it");
    assert_eq!(b.take(reader)[0].message.body.len(), 100);
}

#[test]
fn draining_into_memory_drops_nothing() {
    let limits = Limits { outbox_bytes_max: 10_000, ..Limits::default() };
    let mut b = Bench::new(limits);
    let (address, boss) = (Bytes::from_static(b"jobs"), Bytes::from_static(b"boss"));
    b.hub.queue_open(REALM, &address, &boss, true, Durability::Disk).expect("room");
    for n in 0..50 {
        let mut item = vec![b'.'; 1_000];
        item[..2].copy_from_slice(format!("{n:02}").as_bytes());
        let p = Bench::publication("jobs", &item, 1, false);
        b.hub.queue_push(b.now, &address, &p, Durability::Disk).expect("room");
    }
    let worker = nameless(&mut b);
    b.hub.queue_drain(REALM, &address, worker, None);
    let mut got = Vec::new();
    for _ in 0..50 {
        b.hub.drain_some(b.now, 256);
        b.pump();
        got.extend(b.take_and_settle(worker));
    }
    let got: Vec<String> = bodies(&got).iter().map(|body| body[..2].to_owned()).collect();
    let all: Vec<String> = (0..50).map(|n| format!("{n:02}")).collect();
    assert_eq!(got, all);
}

#[test]
fn asking_to_drain_again_and_again_costs_nothing() {
    let mut b = Bench::new(Limits::default());
    let (address, boss) = (Bytes::from_static(b"jobs"), Bytes::from_static(b"boss"));
    b.hub.queue_open(REALM, &address, &boss, false, Durability::Disk).expect("room");
    let worker = nameless(&mut b);
    for n in 0..100 {
        b.hub.queue_drain(REALM, &address, worker, None);
        let path = STAR.topic(&Bytes::from(format!("jobs/{n}"))).ok();
        b.hub.queue_drain(REALM, &address, worker, path);
    }
    let waiting = b.hub.queue(REALM, &address).map_or(0, |q| q.drains.len());
    assert!(waiting <= 8, "{waiting} requests of one session");
}

#[test]
fn a_queue_is_not_acknowledged_to_anybody_before_it_is_on_disk() {
    let mut b = Bench::new(Limits::default());
    let (address, boss) = (Bytes::from_static(b"jobs"), Bytes::from_static(b"boss"));
    for _ in 0..2 {
        let opened = b.hub.queue_open(REALM, &address, &boss, true, Durability::Disk);
        assert!(matches!(opened, Ok(Queued::Yes(r)) if r.after > b.hub.synced()));
    }
    b.pump();
    let opened = b.hub.queue_open(REALM, &address, &boss, true, Durability::Disk);
    assert!(matches!(opened, Ok(Queued::Yes(r)) if r.after <= b.hub.synced()));
}

#[test]
fn coming_and_going_leaves_one_timer() {
    let mut b = Bench::new(Limits::default());
    for _ in 0..100 {
        let id = b.attach("restless", Fresh::No).session;
        b.now.mono += 1_000_000;
        b.detach(id);
    }
    let timers: Vec<_> = std::iter::from_fn(|| b.hub.poll_timer()).collect();
    assert_eq!(timers.len(), 1);
    let (at, id) = timers[0];
    b.now.mono = at.0;
    b.hub.on_session_deadline(b.now, id);
    let (last, _) = b.hub.poll_timer().expect("it was renewed meanwhile");
    b.now.mono = last.0;
    b.hub.on_session_deadline(b.now, id);
    assert!(b.hub.session(id).is_none());
}

#[test]
fn the_number_of_sessions_that_wait_is_bounded_without_a_journal_too() {
    let mut b = Bench::new(Limits { sessions_max: 3, ..Limits::default() });
    b.hub.journal = None;
    for n in 0..10 {
        let id = b.attach(&format!("user{n}"), Fresh::No).session;
        b.detach(id);
    }
    assert_eq!(b.hub.sessions().count(), 3);
}

#[test]
fn what_sessions_take_that_wait_is_bounded_whatever_they_are_called() {
    let mut b = Bench::new(Limits { sessions_bytes_max: 64 << 10, ..Limits::default() });
    let long = "x".repeat(10_000);
    for n in 0..10 {
        let id = b.attach(&format!("{n}{long}"), Fresh::No).session;
        b.detach(id);
    }
    let kept = b.hub.durables();
    assert!((2..=7).contains(&kept), "{kept}");
    assert!(b.hub.durables_bytes() < (64 << 10) + 40_000);
    assert_eq!(b.hub.stats.limit(Limit::sessions_bytes_max), 10 - kept as u64);
    // Who has a place may begin anew in it.
    let again = b.attach(&format!("0{long}"), Fresh::All).session;
    b.detach(again);
    assert_eq!(b.hub.durables(), kept);
    let all: Vec<_> = b.hub.sessions().map(|s| s.id).collect();
    for id in all {
        b.hub.forget(b.now, id);
    }
    assert_eq!((b.hub.durables(), b.hub.durables_bytes()), (0, 0));
}

#[test]
fn the_weight_of_a_session_follows_whom_it_acts_for() {
    let mut b = Bench::new(Limits::default());
    let id = b.attach("reader", Fresh::No).session;
    let before = b.hub.durables_bytes();
    let who = b.hub.session(id).expect("it is there").principal();
    let other = Principal { user: "u".repeat(1_000).into(), ..who.as_ref().clone() };
    b.hub.set_principal(id, std::sync::Arc::new(other));
    assert!(b.hub.durables_bytes() >= before + 900);
    b.detach(id);
    b.attach("reader", Fresh::No);
    assert_eq!(b.hub.durables_bytes(), before, "it is back as whom it was");
    b.hub.forget(b.now, id);
    assert_eq!(b.hub.durables_bytes(), 0);
}

#[test]
fn the_subscriptions_of_a_session_fit_into_one_record() {
    let mut b = Bench::new(Limits { segment_bytes: 64 << 10, ..Limits::default() });
    let reader = b.attach("reader", Fresh::No).session;
    let opts = SubOpts { qos: 1, ..SubOpts::default() };
    let mut refused = 0;
    for n in 0..20 {
        let text = Bytes::from(format!("{n}/{}", "x".repeat(5_000)));
        let filter = STAR.filter(&text, Match::Native).expect("filter");
        let answer = b.hub.subscribe(b.now, reader, &filter, None, opts, Replays::Never);
        refused += u32::from(matches!(answer, Ok(Subscribed::TooMany)));
        b.pump();
    }
    assert!(refused > 0);
    let again = b.attach("reader", Fresh::Debts);
    assert!(again.present, "a clean start writes them all down again");
}

/// Whoever is told so may receive nothing under `secret`, once the rules have changed.
struct Narrows(std::sync::Arc<std::sync::atomic::AtomicBool>);

impl Policy for Narrows {
    fn admit(&mut self, _: Now, _: &super::policy::Login<'_>) -> super::policy::Admit {
        super::policy::Admit::Busy
    }

    fn verified(
        &mut self,
        _: Now,
        _: &super::policy::Claim,
        _: bool,
    ) -> Result<Principal, super::policy::Refusal> {
        Err(super::policy::Refusal::Unknown)
    }

    fn permit(&mut self, _: &Principal, access: &super::policy::Access<'_>) -> bool {
        let secret = |topic: &crate::topic::Topic| topic.level(0) == Some(b"secret");
        !matches!(access, super::policy::Access::Receive(t) if self.checks_receive() && secret(t))
    }

    fn explain(&self, _: &Principal, _: &super::policy::Access<'_>) -> String {
        String::new()
    }

    fn recall(&self, _: &Bytes) -> Option<Principal> {
        None
    }

    fn checks_receive(&self) -> bool {
        self.0.load(std::sync::atomic::Ordering::Relaxed)
    }
}

#[test]
fn what_is_owed_is_not_delivered_when_the_rules_no_longer_allow_it() {
    let mut b = Bench::new(Limits::default());
    let narrow = std::sync::Arc::<std::sync::atomic::AtomicBool>::default();
    b.hub.policy = Box::new(Narrows(std::sync::Arc::clone(&narrow)));
    let reader = b.attach("reader", Fresh::No).session;
    b.subscribe(reader, "*/a", 1);
    b.detach(reader);
    b.publish("secret/a", b"1", 1, false);
    b.publish("open/a", b"2", 1, false);
    let (address, boss) = (Bytes::from_static(b"secret/q"), Bytes::from_static(b"boss"));
    b.hub.queue_open(REALM, &address, &boss, true, Durability::Disk).expect("room");
    let p = Bench::publication("secret/q", b"3", 1, false);
    b.hub.queue_push(b.now, &address, &p, Durability::Disk).expect("room");
    narrow.store(true, std::sync::atomic::Ordering::Relaxed);
    let reader = b.attach("reader", Fresh::No).session;
    b.hub.queue_drain(REALM, &address, reader, None);
    let mut got = Vec::new();
    for _ in 0..4 {
        b.pump();
        b.hub.drain_some(b.now, 10);
        got.extend(b.take_and_settle(reader));
    }
    assert_eq!(bodies(&got), ["2", "3"], "a drained item was asked for, and is no subscription's");
    assert_eq!(b.hub.session(reader).map(|s| s.outbox.owed()), Some(0), "nor is it owed for ever");
}
