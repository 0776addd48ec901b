//! Floor 2. Durations as the hub counts them, over a journal in memory and a clock by hand.

use crate::base::hist::Windows;
use crate::base::id::Lsn;
use crate::base::limits::Limits;
use crate::base::time::{MS, Now};
use crate::journal::perform;

use super::bench_test::*;
use super::message::Durability;
use super::registry::Fresh;
use super::timings::{TIMINGS, Timing, Timings};

fn seen(windows: &Windows) -> (u64, u64) {
    (windows.all().count(), windows.all().max())
}

fn at(ms: u64) -> Now {
    Now { mono: ms * MS, wall: 0 }
}

#[test]
fn a_delivery_is_measured_from_its_publication_to_its_encoding() {
    let mut b = Bench::new(Limits::default());
    let reader = b.attach("reader", Fresh::No).session;
    b.subscribe(reader, "a", 1);
    b.publish("a", b"x", 1, false);
    b.now.mono += 3 * MS;
    assert_eq!(bodies(&b.take_and_settle(reader)), ["x"]);
    assert_eq!(seen(b.hub.timings.of(Timing::Deliver)), (1, 3_000));
}

#[test]
fn what_waited_for_an_absent_reader_is_no_duration_of_ours() {
    let mut b = Bench::new(Limits::default());
    b.publish("kept", b"v", 1, true);
    let reader = b.attach("reader", Fresh::No).session;
    b.subscribe(reader, "*", 1);
    b.detach(reader);
    for level in [Durability::Disk, Durability::Memory] {
        let p = Bench::publication("a", b"x", 1, false);
        b.hub.publish(b.now, None, level, &p).unwrap();
    }
    b.sleep(20_000);
    let back = b.attach("reader", Fresh::No).session;
    b.subscribe(back, "kept", 1);
    assert!(b.take_and_settle(back).len() >= 3);
    // Handed out, lost with the connection, and sent again.
    b.publish("a", b"y", 1, false);
    assert_eq!(b.take(back).len(), 1);
    b.detach(back);
    b.sleep(20_000);
    let back = b.attach("reader", Fresh::No).session;
    assert_eq!(bodies(&b.take_and_settle(back)), ["y"]);
    assert_eq!(seen(b.hub.timings.of(Timing::Deliver)), (1, 0));
}

#[test]
fn of_a_large_fan_out_some_are_measured_and_all_are_counted() {
    let mut timings = Timings::default();
    let mut measured = 0;
    for turn in 0..20 {
        timings.on_turn(at(turn));
        for _ in 0..10_000 {
            if timings.is_measured() {
                timings.on_delivered(at(turn + 5), at(turn).mono);
                measured += 1;
            }
        }
    }
    // The first turn knows nothing of what is to come.
    assert!((10_000 + 19 * 60..10_000 + 19 * 70).contains(&measured), "{measured}");
    let (count, max) = seen(timings.of(Timing::Deliver));
    assert!(count.abs_diff(200_000) < 500, "{count}");
    assert_eq!(max, 5_000);
}

#[test]
fn an_acknowledgement_takes_as_long_as_the_sync_it_waits_for() {
    let mut b = Bench::new(Limits::default());
    let reader = b.attach("reader", Fresh::No).session;
    b.subscribe(reader, "a", 1);
    b.pump();
    let began = b.now;
    assert!(b.publish("a", b"1", 1, false).after > b.hub.synced());
    b.publish("a", b"2", 1, false);
    let level = Durability::Os;
    b.hub.publish(b.now, None, level, &Bench::publication("a", b"3", 1, false)).unwrap();
    b.hub.note_tail(b.now);
    b.now.mono += 2 * MS;
    assert_eq!(b.hub.timings.lag_us(b.now), 2_000);
    let mut jobs = Vec::new();
    while let Some(job) = b.hub.journal.as_mut().unwrap().poll_job(b.now) {
        jobs.push(job);
    }
    b.hub.timings.on_sync_asked(b.now);
    b.now.mono += 5 * MS;
    assert_eq!(b.hub.timings.lag_us(b.now), 7_000, "a sync that runs is not yet done");
    for job in jobs {
        let done = perform(&mut b.disk, job);
        b.hub.on_disk(b.now, done);
    }
    b.hub.timings.on_turn_over(began, b.now);
    let timings = &b.hub.timings;
    assert_eq!(seen(timings.of(Timing::AckDisk)), (2, 7_000));
    assert_eq!(seen(timings.of(Timing::AckOs)), (1, 7_000), "at the end of its turn");
    assert_eq!(seen(timings.of(Timing::Sync)), (1, 5_000));
    assert_eq!(seen(timings.of(Timing::Lag)), (1, 7_000));
    assert_eq!(seen(timings.of(Timing::Turn)), (1, 7_000));
    assert_eq!(timings.lag_us(b.now), 0);
}

#[test]
fn the_journal_lags_behind_what_was_written_and_not_behind_silence() {
    let mut b = Bench::new(Limits::default());
    let reader = b.attach("reader", Fresh::No).session;
    b.subscribe(reader, "a", 1);
    // All of it was brought to the disk by somebody who measured nothing, as at a start.
    b.pump();
    b.hub.note_tail(b.now);
    b.now.mono += 60_000 * MS;
    b.publish("a", b"1", 1, false);
    b.hub.note_tail(b.now);
    b.now.mono += 3 * MS;
    assert_eq!(b.hub.timings.lag_us(b.now), 3_000);
}

#[test]
fn a_disk_that_takes_for_ever_costs_a_bounded_list() {
    let mut timings = Timings::default();
    let far = Lsn(1 << 40);
    for turn in 1..=5_000 {
        timings.on_published(at(turn), Durability::Disk, Lsn(turn), Lsn::START);
        timings.on_published(at(turn), Durability::Disk, Lsn(turn), Lsn::START);
    }
    assert_eq!(timings.waiting_len(), 1_024);
    timings.on_synced(at(6_000), Lsn(1_000));
    assert_eq!(seen(timings.of(Timing::AckDisk)), (2_000, 5_999_000));
    timings.on_synced(at(6_000), far);
    assert_eq!(timings.of(Timing::AckDisk).all().count(), 10_000);
    assert_eq!(timings.waiting_len(), 0);
    timings.on_published(at(7_000), Durability::Disk, far, Lsn::START);
    timings.on_disk_failed();
    assert_eq!(timings.waiting_len(), 0, "nobody is answered any more");
}

#[test]
fn the_table_is_in_the_order_of_its_names() {
    for (n, (row, _)) in Timings::default().iter().enumerate() {
        assert_eq!(row.what as usize, n);
        assert!(row.doc.ends_with('.'), "{}", row.label);
    }
    assert_eq!(Timings::default().iter().count(), TIMINGS.len());
}
