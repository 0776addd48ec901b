//! Floor 2. What the hub does when there is too much: of memory in use, of queues, of reads.

use bytes::Bytes;

use crate::base::id::SessionId;
use crate::base::limits::{Limit, Limits};
use crate::topic::{Dialect, Match, Star};

use super::hub_test::{Bench, REALM, kept, nameless};
use super::message::Durability;
use super::queue::Queued;
use super::registry::Fresh;
use super::session::SubOpts;
use super::subscribe::{Replays, Subscribed};
use super::{Held, READS_MAX};

#[test]
fn publishers_wait_while_memory_is_short() {
    let mut b = Bench::new(Limits { memory_bytes_max: 1 << 20, ..Limits::default() });
    let readers: Vec<SessionId> = (0..20).map(|_| nameless(&mut b)).collect();
    for (n, reader) in readers.iter().enumerate() {
        b.subscribe(*reader, &format!("r/{n}"), 0);
    }
    // Whoever holds nothing is given one, so it is many readers that use memory up.
    let send = |b: &mut Bench, n: usize| {
        let p = Bench::publication(&format!("r/{n}"), &[1; 60_000], 0, false);
        b.hub.publish(b.now, None, Durability::Disk, &p).map(|_| ())
    };
    let full = (0..20).find(|n| send(&mut b, *n) == Err(Held::Memory));
    assert_eq!(full, Some(16), "nine tenths of the bound");
    let (address, boss) = (Bytes::from_static(b"jobs"), Bytes::from_static(b"boss"));
    b.hub.queue_open(REALM, &address, &boss, true, Durability::Disk).expect("room");
    let item = Bench::publication("jobs", b"x", 1, false);
    let pushed = b.hub.queue_push(b.now, &address, &item, Durability::Disk);
    assert_eq!(pushed, Err(Held::Memory));
    assert!(b.hub.memory_used() <= 1 << 20);
    for reader in &readers {
        b.take(*reader);
    }
    assert_eq!(send(&mut b, 16), Ok(()));
}

/// What they are owed is on the disk and in their ledgers, and of those a run takes no more memory
/// when it grows longer.
#[test]
fn sessions_left_behind_take_no_more_memory_for_being_owed_more() {
    let mut b = Bench::new(Limits::default());
    let all: Vec<SessionId> = (0..50)
        .map(|n| {
            let id = b.attach(&format!("left-{n}"), Fresh::No).session;
            b.subscribe(id, "left", 1);
            b.leave(id);
            id
        })
        .collect();
    let heap = |b: &Bench| -> usize {
        all.iter().filter_map(|id| b.hub.session(*id)).map(|s| s.outbox.heap()).sum()
    };
    let mut took = Vec::new();
    for owed in [10, 1_000, 3_000] {
        let before = b.hub.session(all[0]).map_or(0, |s| s.outbox.owed());
        for _ in before..owed {
            b.publish("left", b"little", 1, false);
            b.pump();
        }
        took.push((heap(&b) / all.len(), b.hub.memory_used()));
    }
    let [first, .., last] = took[..] else { panic!("three of them") };
    assert!(last.0 <= first.0.max(512) && last.1 <= first.1 + 1_024, "{took:?}");
}

/// A message that is owed to many lies in memory once, but each of them has a reference to it.
#[test]
fn references_of_many_who_lag_count_and_end_at_the_bound() {
    let mut b = Bench::new(Limits { memory_bytes_max: 1 << 20, ..Limits::default() });
    let all: Vec<SessionId> = (0..200).map(|_| nameless(&mut b)).collect();
    for id in &all {
        b.subscribe(*id, "all", 0);
    }
    let heap = |b: &Bench| -> usize {
        all.iter().filter_map(|id| b.hub.session(*id)).map(|s| s.outbox.heap()).sum()
    };
    for _ in 0..2_000 {
        let p = Bench::publication("all", b"little", 0, false);
        let _ = b.hub.publish(b.now, None, Durability::Disk, &p);
        for id in &all {
            b.hub.note_lag(*id, true);
        }
    }
    let (took, used) = (heap(&b), b.hub.memory_used());
    assert!(took < 3 << 20, "{took} bytes of references, {used} counted");
    assert!(used > 1 << 19, "{used} counted of {took}");
    for id in &all {
        b.take(*id);
    }
    assert_eq!(b.hub.memory_used(), 0, "what was taken is given back");
}

#[test]
fn memory_is_short_when_more_than_its_share_is_used_and_not_before() {
    let mut b = Bench::new(Limits::default());
    let reader = nameless(&mut b);
    b.subscribe(reader, "a", 0);
    b.publish("a", &[1; 5_000], 0, false);
    b.publish("kept", &[2; 5_000], 1, true);
    b.hub.limits.memory_low_percent = 1;
    b.hub.limits.memory_high_percent = 1;
    let (used, stored) = (b.hub.memory_used(), b.hub.memory_stored());
    assert!(used > stored && stored > 0);
    for (less, short) in [(0, false), (1, true)] {
        b.hub.limits.memory_bytes_max = (used - less) * 100;
        assert_eq!((b.hub.memory_is_short(), b.hub.reads_are_short()), (short, short));
        b.hub.limits.memory_bytes_max = (stored - less) * 2;
        assert_eq!(b.hub.storage_is_short(), short);
    }
}

#[test]
fn who_lags_is_cut_short_before_publishers_are() {
    let most = 8 << 20;
    let mut b = Bench::new(Limits { memory_bytes_max: most, ..Limits::default() });
    let readers: Vec<SessionId> = (0..20).map(|_| nameless(&mut b)).collect();
    for (n, reader) in readers.iter().enumerate() {
        b.subscribe(*reader, &format!("r/{n}"), 0);
    }
    let mut held = |n: usize| {
        for _ in 0..1_000 {
            b.publish(&format!("r/{n}"), &[1; 10_000], 0, false);
        }
        (b.hub.session(readers[n]).map_or(0, |s| s.outbox.held()), b.hub.memory_used())
    };
    let (first, used) = held(0);
    assert!(first > 600 && used / (most / 100) == 80, "one alone may use eight tenths: {first}");
    assert_eq!(held(1).0, 6, "then each may hold 64 KiB");
    let (last, used) = (2..20).map(held).last().expect("readers");
    assert_eq!(last, 1, "and at last one message");
    assert!(used < most / 10 * 9, "so that nobody who publishes has to wait");
}

#[test]
fn there_are_so_many_queues_and_so_many_kept_values() {
    let mut b = Bench::new(Limits { queues_max: 2, retained_max: 2, ..Limits::default() });
    let boss = Bytes::from_static(b"boss");
    let mut open = |name: &'static str| {
        let address = Bytes::from_static(name.as_bytes());
        b.hub.queue_open(REALM, &address, &boss, true, Durability::Disk)
    };
    assert!(matches!(open("a"), Ok(Queued::Yes(_))));
    assert!(matches!(open("b"), Ok(Queued::Yes(_))));
    assert_eq!(open("c"), Ok(Queued::TooMany));
    assert!(matches!(open("a"), Ok(Queued::Yes(_))), "it is there already");
    for (topic, body) in [("v/a", "1"), ("v/b", "1"), ("v/c", "1"), ("v/a", "2")] {
        b.publish(topic, body.as_bytes(), 1, true);
    }
    let mut values = kept(&mut b, "v/*");
    values.sort();
    assert_eq!(values, ["1", "2"], "a value that is there can be replaced");
}

#[test]
fn so_many_reads_are_under_way_and_nobody_is_forgotten() {
    let mut b = Bench::new(Limits::default());
    let readers: Vec<SessionId> = (0..READS_MAX + 20)
        .map(|n| {
            let id = b.attach(&format!("r{n}"), Fresh::No).session;
            b.subscribe(id, "a/b", 1);
            b.detach(id);
            id
        })
        .collect();
    b.publish("a/b", b"while you were away", 1, false);
    b.pump();
    for n in 0..readers.len() {
        b.attach(&format!("r{n}"), Fresh::No);
    }
    for reader in &readers {
        assert!(b.hub.next(b.now, *reader).is_none(), "it must be read first");
        assert!(b.hub.reads.len() <= READS_MAX);
    }
    b.pump();
    b.hub.feed_hungry(usize::MAX);
    for reader in &readers {
        assert_eq!(b.take(*reader).len(), 1);
    }
}

#[test]
fn what_is_owed_is_weighed_and_dated_until_it_is_paid() {
    let mut b = Bench::new(Limits::default());
    let [one, two] = ["one", "two"].map(|name| {
        let reader = b.attach(name, Fresh::No).session;
        b.subscribe(reader, "a/*", 1);
        b.detach(reader);
        reader
    });
    assert_eq!((b.hub.queue_bytes(), b.hub.oldest_owed()), (0, None));
    let begun = b.now.wall;
    b.publish("a/b", &[1; 10_000], 1, false);
    let both = b.hub.queue_bytes();
    assert!((20_000..22_000).contains(&both), "it counts for each of them: {both}");
    b.now.wall += 60_000;
    b.publish("a/b", &[2; 10_000], 1, false);
    assert_eq!(b.hub.oldest_owed(), Some(begun));
    assert_eq!(b.hub.queue_bytes(), 2 * both);
    let back = b.attach("one", Fresh::No).session;
    assert_eq!((back, b.take_and_settle(back).len()), (one, 2));
    assert_eq!((b.hub.queue_bytes(), b.hub.oldest_owed()), (both, Some(begun)));
    b.pump();
    let mut b = b.restart();
    assert_eq!(b.hub.oldest_owed(), Some(begun), "a start forgets no age");
    assert_eq!(b.hub.queue_bytes(), 0, "what was owed before is not weighed");
    let two = b.hub.sessions().find(|s| s.name() == "two").map_or(two, |s| s.id);
    b.publish("a/b", &[3; 10_000], 1, false);
    assert!(b.hub.queue_bytes() > both / 2, "one is away, and so is two");
    b.hub.forget(b.now, two);
    let back = b.attach("one", Fresh::No).session;
    b.take_and_settle(back);
    assert_eq!((b.hub.queue_bytes(), b.hub.oldest_owed()), (0, None), "nobody is owed anything");
}

#[test]
fn filters_share_a_bounded_memory_and_its_end_is_for_those_who_have_few() {
    let most = 256 << 10;
    let mut b = Bench::new(Limits { filters_bytes_max: most, ..Limits::default() });
    let deep = "/x".repeat(100);
    let (bomber, good) = (nameless(&mut b), nameless(&mut b));
    let mut ask = |who: SessionId, n: usize| {
        let text = Bytes::from(format!("{n}{deep}"));
        let filter = Star { levels_max: 128 }.filter(&text, Match::Native).expect("a filter");
        let asked = b.hub.subscribe(b.now, who, &filter, None, SubOpts::default(), Replays::Never);
        (matches!(asked, Ok(Subscribed::Yes(_))), b.hub.filters_heap())
    };
    let taken = (0..1_000).take_while(|n| ask(bomber, *n).0).count();
    assert!((15..100).contains(&taken), "{taken}");
    assert!(ask(good, 2_000).0, "who has few gets one more");
    let crowd = (3_000..4_000).take_while(|n| ask(good, *n).0).count();
    assert!(crowd < 16, "and then has as many as others: {crowd}");
    let (_, heap) = ask(good, 0);
    // One filter may lie across the end.
    assert!(heap > most / 4 * 3 && heap < most + (16 << 10), "{heap}");
    assert_eq!(b.hub.stats.limit(Limit::filters_bytes_max), 3);
}
