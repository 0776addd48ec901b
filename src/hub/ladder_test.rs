//! Floor 2. QoS 2 both ways, wills, groups and what ends by itself: also across a crash.

use std::sync::Arc;

use bytes::Bytes;

use crate::base::limits::{Limits, ShareStrategy};
use crate::topic::{Dialect, Match, Star};

use super::hub_test::{Bench, bodies};
use super::message::{Durability, id_of};
use super::registry::{Attach, Fresh};
use super::session::{SubOpts, Will};
use super::subscribe::Replays;
use crate::base::id::SessionId;

const STAR: Star = Star { levels_max: 16 };

fn will(topic: &'static str, delay_s: u32) -> Option<Will> {
    Some(Will {
        topic: STAR.topic(&Bytes::from_static(topic.as_bytes())).expect("a topic"),
        body: Bytes::from_static(b"gone"),
        props: Bytes::new(),
        qos: 1,
        retain: false,
        expiry_s: 0,
        delay_s,
    })
}

fn share(b: &mut Bench, id: SessionId, group: &'static str, filter: &'static str) {
    let group = Bytes::from_static(group.as_bytes());
    let filter = STAR.filter(&Bytes::from_static(filter.as_bytes()), Match::Native).expect("one");
    let opts = SubOpts { qos: 1, ..SubOpts::default() };
    let done = b.hub.subscribe(b.now, id, &filter, Some(&group), opts, Replays::Always);
    assert!(done.is_ok());
}

fn released(b: &mut Bench, id: SessionId) -> Vec<u16> {
    core::iter::from_fn(|| b.hub.next_released(id)).collect()
}

#[test]
fn a_delivery_of_the_highest_quality_is_acknowledged_in_two_steps() {
    let mut b = Bench::new(Limits { inflight_max: 2, ..Limits::default() });
    let reader = b.client("reader", |_| ()).session;
    b.subscribe(reader, "a", 2);
    for body in ["0", "1", "2"] {
        b.publish("a", body.as_bytes(), 2, false);
    }
    let got = b.take(reader);
    assert_eq!((bodies(&got), got[0].qos), (vec!["0".to_string(), "1".into()], 2));
    let ids: Vec<u16> = got.iter().map(|d| id_of(d.ord)).collect();
    assert!(!b.hub.puback(reader, ids[0]), "not the answer to this quality");
    assert!(!b.hub.pubcomp(reader, ids[0]), "it was not told to forget it");
    let first = b.hub.pubrec(reader, ids[0], Durability::Disk).expect("room").expect("flies");
    assert!(first.after > b.hub.synced(), "that it received it is on record before it forgets");
    assert!(b.take(reader).is_empty(), "the window is as full as before");
    let again = b.hub.pubrec(reader, ids[0], Durability::Disk).expect("room");
    assert!(again.is_some(), "asked again, told again");
    assert!(!b.hub.pubrec_refused(reader, ids[0]), "too late to refuse");
    assert!(b.hub.pubcomp(reader, ids[0]));
    assert!(!b.hub.pubcomp(reader, ids[0]), "once");
    assert_eq!(bodies(&b.take(reader)), ["2"], "one place in the window");
    assert!(b.hub.pubrec_refused(reader, ids[1]));
    assert_eq!(b.hub.pubrec(reader, ids[1], Durability::Disk), Ok(None), "refused is over");
    assert_eq!(b.hub.pubrec(reader, 4_711, Durability::Disk), Ok(None), "never sent");
}

#[test]
fn who_waits_for_the_disk_is_noted_once_and_nobody_else_is() {
    let mut b = Bench::new(Limits::default());
    let reader = b.client("reader", |_| ()).session;
    let other = b.client("other", |_| ()).session;
    b.subscribe(reader, "a", 2);
    b.pump();
    let p = Bench::publication("a", b"0", 2, false);
    b.hub.publish(b.now, None, Durability::Disk, &p).expect("room");
    for _ in 0..3 {
        assert!(b.hub.next(b.now, reader).is_none(), "its record is not on the disk");
        assert!(b.hub.next(b.now, other).is_none(), "there is nothing for it");
    }
    assert_eq!(b.hub.held_up, [reader]);
    b.pump();
    assert!(b.hub.held_up.is_empty());
    assert!(b.hub.next(b.now, reader).is_some());
}

#[test]
fn what_was_received_is_not_sent_again_after_a_crash_and_its_id_is_released_again() {
    for step in 0..3 {
        let mut b = Bench::new(Limits::default());
        let reader = b.client("reader", |_| ()).session;
        b.subscribe(reader, "a", 2);
        for body in ["0", "1"] {
            b.publish("a", body.as_bytes(), 2, false);
        }
        let got = b.take(reader);
        let id = id_of(got[0].ord);
        if step > 0 {
            assert!(b.hub.pubrec(reader, id, Durability::Disk).expect("room").is_some());
            b.pump();
        }
        if step > 1 {
            assert!(b.hub.pubcomp(reader, id));
            b.pump();
        }
        let mut b = b.restart();
        let back = b.client("reader", |_| ());
        assert!(back.present);
        let open = if step == 1 { vec![id] } else { vec![] };
        if step == 1 {
            assert!(b.take(back.session).is_empty(), "what is open comes first");
        }
        assert_eq!(released(&mut b, back.session), open, "step {step}");
        let got = b.take(back.session);
        let left = if step == 0 { vec!["0".to_string(), "1".into()] } else { vec!["1".into()] };
        assert_eq!(bodies(&got), left, "step {step}");
        assert!(got.iter().all(|d| d.dup));
        if step == 1 {
            assert!(b.hub.pubcomp(back.session, id));
        }
    }
}

#[test]
fn an_open_release_waits_for_the_next_connection_and_holds_its_place_in_the_window() {
    let mut b = Bench::new(Limits { inflight_max: 1, ..Limits::default() });
    let reader = b.client("reader", |_| ()).session;
    b.subscribe(reader, "a", 2);
    b.publish("a", b"0", 2, false);
    b.publish("a", b"1", 2, false);
    let id = id_of(b.take(reader)[0].ord);
    b.hub.pubrec(reader, id, Durability::Disk).expect("room").expect("flies");
    b.detach(reader);
    b.client("reader", |_| ());
    assert_eq!(released(&mut b, reader), [id]);
    assert!(b.take(reader).is_empty(), "one at a time, and one is open");
    b.hub.pubcomp(reader, id);
    assert_eq!(bodies(&b.take(reader)), ["1"]);
}

#[test]
fn released_and_received_numbers_outlive_the_segment_they_were_written_in() {
    let limits = Limits { segment_bytes: 64 << 10, ..Limits::default() };
    let mut b = Bench::new(limits);
    let reader = b.client("reader", |_| ()).session;
    b.subscribe(reader, "a", 2);
    b.publish("a", b"0", 2, false);
    let id = id_of(b.take(reader)[0].ord);
    b.hub.pubrec(reader, id, Durability::Disk).expect("room").expect("flies");
    let mut p = Bench::publication("a", b"1", 2, false);
    p.inbound = Some(77);
    b.hub.publish(b.now, Some(reader), Durability::Disk, &p).expect("room");
    p.topic = STAR.topic(&Bytes::from_static(b"nobody")).expect("a topic");
    p.inbound = Some(78);
    b.hub.publish(b.now, Some(reader), Durability::Disk, &p).expect("room");
    let busy = b.attach("busy", Fresh::No).session;
    b.subscribe(busy, "b", 1);
    for _ in 0..600 {
        b.publish("b", &[7; 1_000], 1, false);
        b.take_and_settle(busy);
    }
    let head = b.hub.journal().map(|j| j.head_segment());
    assert!(head > Some(1), "the first segment is gone, its head is now {head:?}");
    let mut b = b.restart();
    let back = b.client("reader", |_| ()).session;
    assert_eq!(released(&mut b, back), [id]);
    assert!(b.hub.inbound_known(back, 77) && b.hub.inbound_known(back, 78));
}

#[test]
fn the_number_of_a_publication_is_known_until_it_is_given_free_also_after_a_crash() {
    let mut b = Bench::new(Limits::default());
    let sender = b.client("sender", |_| ()).session;
    let reader = b.client("reader", |_| ()).session;
    b.subscribe(reader, "a", 1);
    let mut p = Bench::publication("a", b"x", 2, false);
    p.inbound = Some(9);
    let told = b.hub.publish(b.now, Some(sender), Durability::Disk, &p).expect("room");
    assert!(told.after > b.hub.synced());
    p.topic = STAR.topic(&Bytes::from_static(b"nobody")).expect("a topic");
    p.inbound = Some(10);
    let alone = b.hub.publish(b.now, Some(sender), Durability::Disk, &p).expect("room");
    assert!(alone.after > told.after, "nobody is owed it, but the number is on record");
    b.hub.inbound_note(sender, 11, Durability::Disk).expect("room");
    b.pump();
    let mut b = b.restart();
    let back = b.client("sender", |_| ()).session;
    for packet in [9, 10, 11] {
        assert!(b.hub.inbound_known(back, packet), "{packet}");
    }
    assert_eq!(b.hub.inbound_len(back), 3);
    let free = b.hub.inbound_free(back, 9, Durability::Disk).expect("room").expect("known");
    assert!(free.after > b.hub.synced(), "that it is free is on record before it is said");
    assert_eq!(b.hub.inbound_free(back, 9, Durability::Disk), Ok(None), "it is free");
    b.pump();
    let mut b = b.restart();
    let back = b.client("sender", |_| ()).session;
    assert!(!b.hub.inbound_known(back, 9) && b.hub.inbound_known(back, 10));
    let reader = b.client("reader", |_| ()).session;
    assert_eq!(bodies(&b.take(reader)), ["x"], "and none of that is a message");
    b.client("sender", |a| a.fresh = Fresh::All);
    let mut b = b.restart();
    let fresh = b.client("sender", |_| ()).session;
    assert_eq!(b.hub.inbound_len(fresh), 0);
}

#[test]
fn a_will_is_said_when_the_connection_is_lost_and_not_after_a_goodbye() {
    let mut b = Bench::new(Limits::default());
    let watcher = b.client("watcher", |_| ()).session;
    b.subscribe(watcher, "w/*", 1);
    let ends = [("lost", "w/lost", 0, false), ("left", "w/left", 0, true)];
    for (name, topic, delay, quiet) in ends {
        let id = b.client(name, |a| a.will = will(topic, delay)).session;
        if quiet { b.leave(id) } else { b.detach(id) }
    }
    let topics = |b: &mut Bench| {
        let got = b.take_and_settle(watcher);
        let text = |d: &super::message::Delivery| d.message.topic.text().clone();
        got.iter().map(text).map(|t| String::from_utf8_lossy(&t).into_owned()).collect::<Vec<_>>()
    };
    assert_eq!(topics(&mut b), ["w/lost"]);
    // A delay ends with the owner's return, with the session, or by itself.
    let id = b.client("back", |a| a.will = will("w/back", 10)).session;
    b.detach(id);
    b.sleep(9_000);
    b.client("back", |_| ());
    b.sleep(9_000);
    assert!(topics(&mut b).is_empty());
    let id = b.client("late", |a| a.will = will("w/late", 10)).session;
    b.detach(id);
    b.sleep(9_000);
    assert!(topics(&mut b).is_empty());
    b.sleep(2_000);
    assert_eq!(topics(&mut b), ["w/late"]);
    let short = |a: &mut Attach| (a.will, a.expiry_s) = (will("w/end", 10), 3);
    let id = b.client("end", short).session;
    b.detach(id);
    b.sleep(4_000);
    assert_eq!(topics(&mut b), ["w/end"], "a session's end is the last moment");
    let id = b.client("new", |a| a.will = will("w/new", 10)).session;
    b.detach(id);
    b.client("new", |a| a.fresh = Fresh::All);
    assert_eq!(topics(&mut b), ["w/new"], "so is a fresh start");
    // Somebody takes its place while it is connected.
    b.client("twin", |a| a.will = will("w/twin", 0));
    b.client("twin", |_| ());
    assert_eq!(topics(&mut b), ["w/twin"]);
    b.client("calm", |a| a.will = will("w/calm", 5));
    b.client("calm", |_| ());
    b.sleep(6_000);
    assert!(topics(&mut b).is_empty(), "the session went on");
}

#[test]
fn a_crash_is_a_loss_of_the_connection_too() {
    let mut b = Bench::new(Limits::default());
    let watcher = b.client("watcher", |_| ()).session;
    b.subscribe(watcher, "w/*", 1);
    b.client("was here", |a| a.will = will("w/here", 0));
    let left = b.client("had left", |a| a.will = will("w/left", 0)).session;
    b.leave(left);
    let away = b.client("was away", |a| a.will = will("w/away", 5)).session;
    b.detach(away);
    b.pump();
    let mut b = b.restart();
    b.sleep(1_000);
    let watcher = b.client("watcher", |_| ()).session;
    assert_eq!(b.take_and_settle(watcher).len(), 1, "w/here");
    b.sleep(5_000);
    assert_eq!(b.take_and_settle(watcher).len(), 1, "w/away");
    b.pump();
    let mut b = b.restart();
    b.sleep(10_000);
    let watcher = b.client("watcher", |_| ()).session;
    assert!(b.take(watcher).is_empty(), "each was said once");
}

#[test]
fn a_session_waits_as_long_as_it_was_asked_to() {
    let mut b = Bench::new(Limits::default());
    let brief = b.client("brief", |a| a.expiry_s = 2).session;
    let ever = b.client("ever", |a| a.expiry_s = u64::MAX).session;
    let none = b.client("none", |_| ()).session;
    let clean = b.client("clean", |a| a.durable = false).session;
    b.hub.set_expiry(none, 0);
    for id in [brief, ever, none, clean] {
        b.leave(id);
    }
    assert!(b.hub.session(none).is_none() && b.hub.session(clean).is_none());
    b.sleep(1_500);
    assert!(b.client("brief", |a| a.expiry_s = 2).present);
    b.leave(brief);
    b.pump();
    let mut b = b.restart();
    b.sleep(2_500);
    assert!(!b.client("brief", |_| ()).present);
    b.sleep(1_000_000);
    assert!(b.client("ever", |_| ()).present);
}

#[test]
fn a_name_has_one_owner_at_a_time() {
    let mut b = Bench::new(Limits::default());
    let first = b.client("x", |a| a.durable = false);
    let second = b.client("x", |a| a.durable = false);
    assert!(second.yielding.is_some() && !second.present);
    assert!(b.hub.session(first.session).is_none());
    let third = b.client("x", |_| ());
    assert!(third.yielding.is_some() && !third.present, "what was not durable is not found");
    b.subscribe(third.session, "a", 1);
    let ann = |a: &mut Attach| Arc::make_mut(&mut a.principal).user = Bytes::from_static(b"ann");
    let named = b.client("x", ann);
    assert!(named.yielding.is_some(), "who gave no name owns nothing by one");
    assert!(!named.present, "and still it is not handed over");
    assert!(b.client("x", ann).present);
}

#[test]
fn a_group_is_told_once_and_takes_turns() {
    let mut b = Bench::new(Limits::default());
    let all: Vec<SessionId> = (0..3).map(|n| b.client(&format!("m{n}"), |_| ()).session).collect();
    for id in &all {
        share(&mut b, *id, "g", "a/*");
    }
    let alone = b.client("alone", |_| ()).session;
    share(&mut b, alone, "other", "a/*");
    for n in 0..6 {
        assert_eq!(b.publish("a/b", n.to_string().as_bytes(), 1, false).matched, 2);
    }
    assert_eq!(b.take_and_settle(alone).len(), 6, "a group of another name is told too");
    for id in &all {
        assert_eq!(b.take_and_settle(*id).len(), 2);
    }
    // Who is away is told only when nobody is there.
    b.leave(all[0]);
    b.leave(all[1]);
    b.publish("a/b", b"here", 1, false);
    b.publish("a/b", b"here", 1, false);
    assert_eq!(b.take_and_settle(all[2]).len(), 2);
    b.leave(all[2]);
    b.publish("a/b", b"away", 1, false);
    b.pump();
    let mut b = b.restart();
    let waiting = (0..3).map(|n| {
        let id = b.client(&format!("m{n}"), |_| ()).session;
        b.take_and_settle(id).len()
    });
    assert_eq!(waiting.collect::<Vec<_>>().iter().sum::<usize>(), 1);
    let back: Vec<SessionId> = (0..3).map(|n| b.client(&format!("m{n}"), |_| ()).session).collect();
    b.publish("a/b", b"again", 1, false);
    let told: usize = back.iter().map(|id| b.take_and_settle(*id).len()).sum();
    assert_eq!(told, 1, "memberships are durable");
    let filter = STAR.filter(&Bytes::from_static(b"a/*"), Match::Native).expect("one");
    let group = Bytes::from_static(b"g");
    for id in &back {
        assert_eq!(b.hub.unsubscribe(b.now, *id, &filter, None), Ok(None), "not that way");
        assert!(b.hub.unsubscribe(b.now, *id, &filter, Some(&group)).expect("room").is_some());
    }
    assert_eq!(b.publish("a/b", b"none", 1, false).matched, 1, "only the other group is left");
}

#[test]
fn what_a_member_left_goes_to_another_when_its_session_ends() {
    let mut b = Bench::new(Limits::default());
    let one = b.client("one", |a| a.durable = false).session;
    share(&mut b, one, "g", "a");
    for body in ["0", "1", "2"] {
        b.publish("a", body.as_bytes(), 1, false);
    }
    let got = b.take(one);
    assert!(b.hub.puback(one, id_of(got[1].ord)));
    b.publish("a", b"3", 1, false);
    let two = b.client("two", |_| ()).session;
    share(&mut b, two, "g", "a");
    let other = b.client("other", |_| ()).session;
    share(&mut b, other, "h", "a");
    b.detach(one);
    let mut left = bodies(&b.take_and_settle(two));
    left.sort();
    assert_eq!(left, ["0", "2", "3"], "what was acknowledged is not told again");
    assert!(b.take(other).is_empty(), "another group was told, or was not there");
}

#[test]
fn a_group_chooses_as_it_was_told_to() {
    let pick = |strategy| {
        let mut b = Bench::new(Limits { share_strategy: strategy, ..Limits::default() });
        let ids: Vec<_> = (0..3).map(|n| b.client(&format!("m{n}"), |_| ()).session).collect();
        for id in &ids {
            share(&mut b, *id, "g", "a");
        }
        let from = b.client("from", |_| ()).session;
        for _ in 0..9 {
            let p = Bench::publication("a", b"x", 1, false);
            b.hub.publish(b.now, Some(from), Durability::Disk, &p).expect("room");
        }
        // The first one settles nothing of what it takes, and nine more come.
        b.take(ids[0]);
        let first: Vec<u64> = ids[..].iter().map(|id| owed(&b, *id)).collect();
        b.take_and_settle(ids[1]);
        b.take_and_settle(ids[2]);
        for _ in 0..9 {
            let p = Bench::publication("a", b"x", 1, false);
            b.hub.publish(b.now, Some(from), Durability::Disk, &p).expect("room");
        }
        let second: Vec<u64> = ids.iter().map(|id| owed(&b, *id)).collect();
        (first, second)
    };
    assert_eq!(pick(ShareStrategy::RoundRobin), (vec![3, 3, 3], vec![6, 3, 3]));
    let (mut first, _) = pick(ShareStrategy::Sticky);
    first.sort_unstable();
    assert_eq!(first, [0, 0, 9], "one publisher, one member");
    let (first, second) = pick(ShareStrategy::LeastOwed);
    assert_eq!(first, [3, 3, 3]);
    assert!(second[0] <= 4 && second.iter().sum::<u64>() == 12, "{second:?}");
}

fn owed(b: &Bench, id: SessionId) -> u64 {
    b.hub.session(id).map_or(0, |s| s.outbox.owed())
}

#[test]
fn a_kept_value_goes_when_its_time_is_over() {
    let mut b = Bench::new(Limits::default());
    let mut p = Bench::publication("k/1", b"old", 1, true);
    p.expires = b.now.wall + 1_000;
    b.hub.publish(b.now, None, Durability::Disk, &p).expect("room");
    b.publish("k/2", b"stays", 1, true);
    b.pump();
    b.sleep(3_000);
    assert_eq!(b.hub.realm(super::hub_test::REALM).map(|r| r.retained.len()), Some(1));
    assert!(!b.hub.sweep_retained(b.now), "nothing more to wait for");
    let reader = b.client("reader", |_| ()).session;
    b.subscribe(reader, "k/*", 1);
    assert_eq!(bodies(&b.take(reader)), ["stays"]);
}

#[test]
fn a_second_subscription_brings_what_is_kept_when_it_is_asked_to() {
    let mut b = Bench::new(Limits::default());
    b.publish("k", b"v", 1, true);
    let reader = b.client("reader", |_| ()).session;
    let filter = STAR.filter(&Bytes::from_static(b"k"), Match::Native).expect("one");
    let mut ask = |replays| {
        let opts = SubOpts { qos: 1, ..SubOpts::default() };
        b.hub.subscribe(b.now, reader, &filter, None, opts, replays).expect("room");
        b.take_and_settle(reader).len()
    };
    assert_eq!(ask(Replays::Never), 0);
    assert_eq!(ask(Replays::IfNew), 0, "it is not new");
    assert_eq!(ask(Replays::Always), 1);
    assert_eq!(ask(Replays::Always), 1);
    b.hub.unsubscribe(b.now, reader, &filter, None).expect("room");
    let opts = SubOpts { qos: 1, ..SubOpts::default() };
    b.hub.subscribe(b.now, reader, &filter, None, opts, Replays::IfNew).expect("room");
    assert_eq!(b.take_and_settle(reader).len(), 1);
}

#[test]
fn a_share_goes_only_to_the_group_its_member_was_chosen_for() {
    let mut b = Bench::new(Limits::default());
    let one = b.client("one", |a| a.durable = false).session;
    let two = b.client("two", |_| ()).session;
    share(&mut b, one, "g", "a");
    share(&mut b, two, "h", "a");
    b.publish("a", b"0", 1, false);
    assert_eq!(bodies(&b.take_and_settle(two)), ["0"], "the only one of its group");
    share(&mut b, one, "h", "a");
    let three = b.client("three", |_| ()).session;
    share(&mut b, three, "g", "a");
    b.detach(one);
    assert_eq!(bodies(&b.take(three)), ["0"], "of the group that one was chosen for");
    assert!(b.take(two).is_empty(), "of a group that one joined later, and was told");
}
