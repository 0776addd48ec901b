//! Floor 2. Wills that wait, and wills at the edge of a crash.

use bytes::Bytes;

use crate::base::id::SessionId;
use crate::base::limits::Limits;
use crate::base::time::Now;
use crate::topic::Dialect;

use super::Held;
use super::bench_test::{Bench, STAR};
use super::message::{Durability, id_of};
use super::policy::{Access, Admit, Claim, Login, Policy, Principal, Refusal};
use super::registry::{Attach, Fresh};
use super::session::Will;

/// A will that says `body`, which is longer than what a full journal has left.
fn will(body: &str, delay_s: u32) -> Option<Will> {
    Some(Will {
        topic: STAR.topic(&Bytes::from_static(b"w")).expect("a topic"),
        body: Bytes::from(format!("{body:<900}")),
        props: Bytes::new(),
        qos: 1,
        retain: false,
        expiry_s: 0,
        delay_s,
    })
}

/// A bench and somebody away who is owed every will.
fn bench() -> Bench {
    let mut b = Bench::new(Limits { segment_bytes: 16 << 10, ..Limits::default() });
    let watcher = b.client("watcher", |a| a.expiry_s = 1_000_000).session;
    b.subscribe(watcher, "w", 1);
    b.subscribe(watcher, "fill", 1);
    b.detach(watcher);
    b
}

/// Messages until there is no room for one more, nor for a will.
fn fill(b: &mut Bench) {
    for len in [4_000, 500, 10] {
        let body = vec![b'x'; len];
        let p = Bench::publication("fill", &body, 1, false);
        while b.hub.publish(b.now, None, Durability::Disk, &p).is_ok() {}
    }
}

/// The wills that the watcher was told of, in order.
fn heard(b: &mut Bench) -> Vec<String> {
    let watcher = b.client("watcher", |a| a.expiry_s = 1_000_000).session;
    let all = b.take_and_settle(watcher);
    b.detach(watcher);
    let wills = all.iter().filter(|d| d.message.topic.text()[..] == b"w"[..]);
    wills.map(|d| String::from_utf8_lossy(&d.message.body).trim_end().to_owned()).collect()
}

fn lives(b: &Bench, id: SessionId) -> bool {
    b.hub.session(id).is_some_and(|s| !s.ended)
}

#[test]
fn that_a_will_was_said_stands_in_the_record_of_what_was_said() {
    let mut b = bench();
    let id = b.client("late", |a| a.will = will("late", 5)).session;
    let silent = b.client("silent", |a| {
        a.will = will("silent", 5).map(|will| Will { qos: 0, ..will });
    });
    b.detach(id);
    b.detach(silent.session);
    b.pump();
    let before = b.hub.journal().map_or(0, |j| j.tally().records);
    b.sleep(6_000);
    let after = b.hub.journal().map_or(0, |j| j.tally().records);
    assert_eq!(after - before, 2, "one record for each, nothing that could come apart");
    assert_eq!(heard(&mut b), ["late"]);
    b.pump();
    let mut b = b.restart();
    let listener = b.client("listener", |_| ()).session;
    b.subscribe(listener, "w", 1);
    b.sleep(20_000);
    assert!(heard(&mut b).is_empty() && b.take(listener).is_empty(), "neither is said again");
}

#[test]
fn a_will_that_waits_for_room_survives_a_crash_whatever_its_owner_does() {
    let ends: [fn(&mut Bench, SessionId); 5] = [
        |_, _| (),
        |b, _| assert!(b.client("owner", |_| ()).present),
        |b, id| {
            b.client("owner", |_| ());
            b.leave(id);
        },
        |b, _| assert!(!b.client("owner", |a| (a.durable, a.fresh) = (false, Fresh::All)).present),
        |b, id| {
            b.sleep(61_000);
            assert!(!lives(b, id), "its time is over");
        },
    ];
    for (case, end) in ends.into_iter().enumerate() {
        let mut b = bench();
        let id = b.client("owner", |a| a.will = will("gone", 0)).session;
        fill(&mut b);
        b.detach(id);
        assert_eq!(b.hub.wills_waiting(), 1, "{case}");
        end(&mut b, id);
        assert_eq!(b.hub.wills_waiting(), 1, "{case}: whatever its owner does");
        let mut b = b.restart();
        b.sleep(1_000);
        assert_eq!(heard(&mut b), ["gone"], "{case}");
        assert_eq!(b.hub.wills_waiting(), 0);
        b.pump();
        let mut b = b.restart();
        b.sleep(70_000);
        assert!(heard(&mut b).is_empty(), "{case}: once");
    }
}

#[test]
fn a_will_that_waits_is_said_when_there_is_room_and_its_session_ends_with_it() {
    let mut b = bench();
    let id = b.client("owner", |a| (a.will, a.expiry_s) = (will("gone", 0), 1)).session;
    fill(&mut b);
    b.detach(id);
    b.sleep(2_000);
    assert!(b.hub.session(id).is_some(), "kept for the sake of its will");
    assert!(!b.client("owner", |a| a.durable = false).present, "and found by nobody");
    b.pump();
    b.sleep(100);
    assert!(b.hub.session(id).is_none());
    assert_eq!(heard(&mut b), ["gone"]);
    b.pump();
    let mut b = b.restart();
    assert!(!b.client("owner", |_| ()).present);
    assert!(heard(&mut b).is_empty());
}

#[test]
fn a_session_that_waits_for_its_will_hears_nothing_where_it_still_stands() {
    let mut b = bench();
    let id = b.client("owner", |a| a.will = will("gone", 0)).session;
    (0..200).for_each(|n| b.subscribe(id, &n.to_string(), 0));
    fill(&mut b);
    b.hub.forget(b.now, id);
    assert!(b.hub.session(id).is_some(), "kept for the sake of its will");
    assert!(b.hub.is_overgrown(), "it has not left everywhere");
    for n in 0..200 {
        assert_eq!(b.publish(&n.to_string(), b"x", 0, false).matched, 0, "{n}");
    }
}

#[test]
fn wills_of_several_connections_are_said_in_order_and_a_goodbye_voids_the_last_only() {
    for quiet in [false, true] {
        let mut b = bench();
        let id = b.client("owner", |a| a.will = will("first", 0)).session;
        fill(&mut b);
        b.detach(id);
        b.client("owner", |a| a.will = will("second", 0));
        if quiet {
            b.leave(id)
        } else {
            b.detach(id)
        }
        let mut b = b.restart();
        b.sleep(1_000);
        let said: &[&str] = if quiet { &["first"] } else { &["first", "second"] };
        assert_eq!(heard(&mut b), said);
    }
}

#[test]
fn a_session_that_was_replaced_leaves_its_will_even_if_the_crash_comes_between() {
    let mut b = bench();
    b.client("owner", |a| a.will = will("old", 10));
    // The record of the new session alone: what follows it in the same turn is lost.
    let before = b.hub.wills_waiting();
    let fresh = |a: &mut Attach| (a.fresh, a.will) = (Fresh::All, will("new", 10));
    fill_but_for_a_session(&mut b);
    b.client("owner", fresh);
    assert_eq!(b.hub.wills_waiting(), before + 1, "the new one found room, the old will did not");
    let mut b = b.restart();
    b.sleep(1_000);
    assert_eq!(heard(&mut b), ["old"], "it ended when the other began");
    b.sleep(10_000);
    assert_eq!(heard(&mut b), ["new"]);
}

/// Room for one session with a will, and then no more for a will.
fn fill_but_for_a_session(b: &mut Bench) {
    let room = |b: &Bench, bytes| {
        let journal = b.hub.journal().expect("a journal");
        journal.room_for(crate::journal::Class::Growth, bytes)
    };
    for len in [4_000, 500, 10] {
        let body = vec![b'x'; len];
        let p = Bench::publication("fill", &body, 1, false);
        while room(b, 1_400 + len) {
            b.hub.publish(b.now, None, Durability::Disk, &p).expect("room");
        }
    }
}

#[test]
fn nobody_is_let_in_with_a_will_that_is_not_on_record() {
    let mut b = bench();
    let first = b.client("owner", |a| a.will = will("first", 0));
    let other = b.client("other", |_| ()).session;
    fill(&mut b);
    // The reserve is used up too.
    let room = |b: &Bench| {
        let journal = b.hub.journal().expect("a journal");
        journal.room_for(crate::journal::Class::Relief, 1_100)
    };
    while room(&b) {
        b.detach(other);
        b.client("other", |_| ());
    }
    let before = b.hub.session(first.session).and_then(|s| s.conn);
    let attach = Attach { will: will("second", 0), ..b.ask("owner") };
    let again = attach.clone();
    assert_eq!(b.hub.attach(b.now, attach).map(|_| ()), Err(Held::Full.into()));
    let s = b.hub.session(first.session).expect("as it was");
    assert_eq!(s.conn, before, "as if it had not come");
    assert_eq!(s.will(), will("first", 0).as_ref());
    assert_eq!(b.hub.wills_waiting(), 0, "nobody took its place");
    b.pump();
    assert!(b.hub.attach(b.now, again).is_ok_and(|a| a.present && a.yielding == before));
    b.detach(first.session);
    assert_eq!(heard(&mut b), ["first", "second"]);
}

#[test]
fn that_somebody_left_is_written_down_as_soon_as_there_is_room() {
    let mut b = bench();
    let id = b.client("owner", |a| a.will = will("void", 0)).session;
    let other = b.client("other", |_| ()).session;
    fill(&mut b);
    let room = |b: &Bench| {
        let journal = b.hub.journal().expect("a journal");
        journal.room_for(crate::journal::Class::Relief, 64)
    };
    while room(&b) {
        b.detach(other);
        b.client("other", |_| ());
    }
    b.leave(id);
    b.pump();
    b.pump();
    let mut b = b.restart();
    b.sleep(1_000);
    assert!(heard(&mut b).is_empty(), "it had said goodbye");
}

/// Nobody may publish any more, once it is said so.
struct Strict(std::sync::Arc<std::sync::atomic::AtomicBool>);

impl Policy for Strict {
    fn admit(&mut self, _: Now, _: &Login<'_>) -> Admit {
        Admit::Busy
    }

    fn verified(&mut self, _: Now, _: &Claim, _: bool) -> Result<Principal, Refusal> {
        Err(Refusal::Unknown)
    }

    fn permit(&mut self, _: &Principal, access: &Access<'_>) -> bool {
        let strict = self.0.load(std::sync::atomic::Ordering::Relaxed);
        !(strict && matches!(access, Access::Publish(_)))
    }

    fn explain(&self, _: &Principal, _: &Access<'_>) -> String {
        String::new()
    }

    fn recall(&self, _: &Bytes) -> Option<Principal> {
        None
    }
}

#[test]
fn a_will_that_the_rules_no_longer_allow_is_not_said_now_or_after_a_crash() {
    let mut b = bench();
    let strict = std::sync::Arc::<std::sync::atomic::AtomicBool>::default();
    b.hub.policy = Box::new(Strict(std::sync::Arc::clone(&strict)));
    let id = b.client("owner", |a| a.will = will("gone", 0)).session;
    strict.store(true, std::sync::atomic::Ordering::Relaxed);
    b.detach(id);
    assert!(heard(&mut b).is_empty() && b.hub.wills_waiting() == 0);
    b.pump();
    let mut b = b.restart();
    b.sleep(1_000);
    assert!(heard(&mut b).is_empty(), "that it was not said is on record");
}

#[test]
fn the_welcome_waits_for_the_ladders_even_if_it_has_no_record_of_its_own() {
    let mut b = bench();
    let id = b.client("reader", |_| ()).session;
    let other = b.client("other", |_| ()).session;
    b.subscribe(id, "two", 2);
    b.publish("two", b"x", 2, false);
    let got = b.take(id);
    fill(&mut b);
    let packet = id_of(got[0].ord);
    let receipt = b.hub.pubrec(id, packet, Durability::Disk).expect("room").expect("in flight");
    let room = |b: &Bench| {
        let journal = b.hub.journal().expect("a journal");
        journal.room_for(crate::journal::Class::Relief, 64)
    };
    while room(&b) {
        b.detach(other);
        b.client("other", |_| ());
    }
    let again = b.client("reader", |_| ());
    assert!(receipt.after > b.hub.synced() && again.after >= receipt.after);
}
