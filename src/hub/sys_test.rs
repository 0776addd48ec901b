//! Floor 2. What the broker says about itself, to whom, and what that leaves alone.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::base::id::SessionId;
use crate::base::limits::Limits;
use crate::base::stats::Counter;

use super::bench_test::*;
use super::registry::Fresh;
use super::sys::Outside;
use super::timings::Timing;

fn outside(connected: usize) -> Outside {
    Outside {
        connected,
        sockets: connected + 1,
        unsent: (2, 300),
        resident: Some(4_096),
        disk: None,
    }
}

fn heard(b: &mut Bench, reader: SessionId) -> BTreeMap<String, String> {
    let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
    let all = b.take_and_settle(reader);
    all.iter().map(|d| (text(d.message.topic.text()), text(&d.message.body.to_bytes()))).collect()
}

#[test]
fn the_known_names_have_their_values() {
    let mut b = Bench::new(Limits::default());
    let reader = b.attach("reader", Fresh::No).session;
    b.subscribe(reader, "$SYS/*", 1);
    b.subscribe(reader, "room/*", 1);
    b.publish("room/1", b"12345", 1, true);
    assert_eq!(b.take_and_settle(reader).len(), 1);
    b.now.mono = 61_000_000_000;
    b.hub.timings.record(Timing::Drift, 40);
    b.hub.stats.add(Counter::BytesReceived, 6_100);
    b.hub.publish_sys(b.now, &outside(1));
    let said = heard(&mut b, reader);
    let value = |name: &str| said.get(&format!("$SYS/broker/{name}")).map(String::as_str);
    for (name, want) in [
        ("version", concat!("spindle version ", env!("CARGO_PKG_VERSION"))),
        ("uptime", "61 seconds"),
        ("clients/connected", "1"),
        ("clients/disconnected", "0"),
        ("clients/expired", "0"),
        ("clients/maximum", "1"),
        ("clients/total", "1"),
        ("bytes/received", "6100"),
        ("publish/messages/received", "1"),
        ("publish/messages/sent", "1"),
        ("publish/bytes/received", "5"),
        ("publish/bytes/sent", "5"),
        ("retained messages/count", "1"),
        ("subscriptions/count", "2"),
        ("shared_subscriptions/count", "0"),
        ("packet/out/count", "2"),
        ("packet/out/bytes", "300"),
        ("connections/socket/count", "2"),
        ("heap/current", "4096"),
        ("load/bytes/received/1min", "6000.00"),
        ("load/bytes/received/15min", "6000.00"),
        ("loop/drift_us_p50", "40"),
        ("loop/drift_us_max", "40"),
        ("durable/lag_us", "0"),
    ] {
        assert_eq!(value(name), Some(want), "{name}");
    }
    for name in ["messages/received", "messages/sent", "store/messages/count"] {
        assert!(value(name).is_some(), "{name}");
    }
    assert_eq!(said.keys().filter(|k| k.contains("/load/")).count(), 27);
}

#[test]
fn averages_fade_as_those_of_others_do() {
    let mut b = Bench::new(Limits::default());
    let reader = b.attach("reader", Fresh::No).session;
    b.subscribe(reader, "$SYS/broker/load/publish/received/1min", 0);
    b.now.mono = 60_000_000_000;
    b.hub.stats.add(Counter::MessagesReceived, 100);
    b.hub.publish_sys(b.now, &outside(1));
    let mut all = vec![heard(&mut b, reader)];
    for _ in 0..2 {
        b.now.mono += 60_000_000_000;
        b.hub.publish_sys(b.now, &outside(1));
        all.push(heard(&mut b, reader));
    }
    let values: Vec<&str> = all.iter().flat_map(|said| said.values().map(String::as_str)).collect();
    // A minute without anything leaves the 1/e-th part of an average over a minute.
    assert_eq!(values, ["100.00", "36.79", "13.53"]);
}

#[test]
fn what_did_not_change_is_not_said_again_and_who_comes_late_is_told() {
    let mut b = Bench::new(Limits::default());
    let early = b.attach("early", Fresh::No).session;
    b.subscribe(early, "$SYS/broker/clients/*", 0);
    b.hub.publish_sys(b.now, &outside(1));
    assert_eq!(heard(&mut b, early).len(), 5);
    b.hub.publish_sys(b.now, &outside(1));
    assert_eq!(heard(&mut b, early), BTreeMap::new());
    let late = b.attach("late", Fresh::No).session;
    b.subscribe(late, "$SYS/broker/clients/*", 0);
    let said = b.take(late);
    assert_eq!(said.len(), 5);
    assert!(said.iter().all(|d| d.retain));
    b.hub.publish_sys(b.now, &outside(2));
    let said = b.take(early);
    assert!(said.len() >= 3 && said.iter().all(|d| !d.retain), "{said:?}");
}

#[test]
fn saying_it_changes_nothing_that_is_said_and_nothing_that_is_kept() {
    let limits = Limits { retained_max: 1, retained_bytes_max: 5, ..Limits::default() };
    let mut b = Bench::new(limits);
    let reader = b.attach("reader", Fresh::No).session;
    b.subscribe(reader, "*", 1);
    b.subscribe(reader, "*/broker/*", 1);
    b.pump();
    let counted = |b: &Bench| {
        let [records, received, dropped] =
            [Counter::JournalRecords, Counter::MessagesReceived, Counter::DroppedFull];
        [records, received, dropped].map(|counter| b.hub.stats.get(counter))
    };
    let before = counted(&b);
    for n in 0..5 {
        b.now.mono += 10_000_000_000;
        b.hub.publish_sys(b.now, &outside(n));
    }
    b.pump();
    assert_eq!(b.take(reader).len(), 0, "no wildcard at the root opens it");
    assert_eq!(counted(&b), before);
    b.subscribe(reader, "$SYS/broker/retained messages/count", 0);
    assert_eq!(bodies(&b.take(reader)), ["0"]);
    let mut b = b.restart();
    let reader = b.attach("reader", Fresh::No).session;
    b.subscribe(reader, "$SYS/*", 1);
    assert_eq!(b.take(reader).len(), 0, "memory only");
}

#[test]
fn subscriptions_are_counted_where_they_come_and_go() {
    let mut b = Bench::new(Limits::default());
    let [one, two] = ["one", "two"].map(|name| b.attach(name, Fresh::No).session);
    for id in [one, two] {
        b.subscribe(id, "a", 1);
        b.subscribe(id, "a", 0);
        b.subscribe(id, "b", 1);
    }
    assert_eq!(b.hub.subscriptions_len(), (4, 0));
    let b = b.restart();
    assert_eq!(b.hub.subscriptions_len(), (4, 0));
    let mut b = b;
    b.hub.forget(b.now, one);
    assert_eq!(b.hub.subscriptions_len(), (2, 0));
}
