//! Floor 1. Appending, rolling over, reserves, the full disk, the sick disk, carrying forward.

use super::job::{DiskDone, DiskJob, Fetch, Pick};
use super::ledger::Ledger;
use super::record::Record;
use super::record_test::{message, one_of_each, owed};
use super::rig_test::{Disk, Rig, SEGMENT, debt, note, ready, recover, synced};
use super::storage::Storage;
use super::*;
use crate::base::id::OwnerNo;
use crate::base::time::{MS, Now};

#[test]
fn what_was_appended_is_read_again_in_order_and_at_its_place() {
    let mut rig = Rig::new(Disk::default());
    let mut spots = Vec::new();
    let all: Vec<Record> =
        one_of_each().into_iter().filter(|r| !matches!(r, Record::Seal { .. })).collect();
    for record in &all {
        let spot = rig.journal.append(Class::Growth, record).expect("room");
        if let Record::Message(message) = record {
            assert_eq!(message.as_ref().size(), spot.len as usize);
        }
        spots.push(spot);
    }
    let again = rig.again();
    let want: Vec<_> = spots.iter().map(|s| s.lsn).zip(all).collect();
    assert_eq!(again.read, want);
    assert_eq!(again.report.cut, None);
    assert_eq!(again.journal.tail(), spots.last().map(|s| s.end).expect("some"));
}

#[test]
fn replies_wait_for_the_end_of_their_record_and_for_one_sync_at_a_time() {
    let mut rig = Rig::new(Disk::default());
    let first = rig.say("one");
    assert!(rig.journal.synced() < first.end);
    let jobs = ready(&mut rig.journal, rig.now);
    assert_eq!(jobs.len(), 1, "{jobs:?}");
    let second = rig.say("two");
    assert_eq!(ready(&mut rig.journal, rig.now).len(), 0, "one sync is outstanding");
    let news = rig.journal.on_done(rig.now, synced(&jobs[0]));
    assert!(matches!(news, Some(News::Synced { upto, .. }) if upto == first.end), "{news:?}");
    assert!(rig.journal.synced() < second.end, "written while the sync ran");
    rig.pump();
    assert_eq!(rig.journal.synced(), second.end);
    assert!(rig.journal.is_settled());
}

#[test]
fn a_start_is_not_settled_before_what_it_read_is_on_the_disk_again() {
    let mut rig = Rig::new(Disk::default());
    rig.say("one");
    let mut rig = Rig::raw(Disk { memory: rig.disk.memory, ..Disk::default() });
    assert!(!rig.journal.is_settled());
    let job = rig.journal.poll_job(rig.now).expect("a sync first of all");
    assert!(
        matches!(&job, DiskJob::Sync { upto, seq: 1, .. } if *upto == rig.journal.tail()),
        "{job:?}"
    );
    let _ = rig.done(job);
    assert!(rig.journal.is_settled());
}

#[test]
fn segments_follow_each_other_and_nothing_is_lost_between_them() {
    let mut rig = Rig::new(Disk::default());
    let mut want = Vec::new();
    for i in 0..2000 {
        want.push(format!("note {i}"));
        let spot = rig.say(&want[i]);
        assert!(Journal::offset_of(spot.end) <= SEGMENT);
        rig.pump();
    }
    let again = rig.again();
    assert_eq!(again.said(), want);
    assert!(again.report.segments > 5, "{:?}", again.report);
    assert_eq!(again.journal.tally().segments, again.report.segments);
}

#[test]
fn records_of_every_length_fill_segments_to_the_last_byte() {
    let mut rig = Rig::new(Disk::default());
    let largest = rig.journal.largest();
    let frame = debt(1, 0).as_ref().size();
    let mut ord = 0;
    for bytes in (0..64).chain(largest - frame - 40..=largest - frame) {
        ord += 1;
        rig.owe(ord, bytes).expect("room");
        rig.pump();
    }
    let too_large = rig.owe(ord + 1, largest - frame + 8);
    assert_eq!(too_large, Err(AppendError::TooLarge));
    let again = rig.again();
    assert_eq!(again.read.len() as u64, ord);
}

/// Fill up without making anything ready; how many records went in.
fn fill(rig: &mut Rig, class: Class) -> usize {
    let text = "x".repeat(500);
    let mut n = 0;
    while rig.try_say(class, &text).is_ok() {
        n += 1;
        rig.sync();
        assert!(n < 1000, "there is no end to it");
    }
    n
}

#[test]
fn growth_leaves_the_reserve_and_relief_takes_it() {
    let mut rig = Rig::new(Disk::default());
    assert_eq!(rig.journal.tally().prepared, 2);
    let grown = fill(&mut rig, Class::Growth);
    assert_eq!(rig.journal.tally().prepared, 1, "one of the two is growth's");
    assert!(!rig.journal.room_for(Class::Growth, 600));
    assert!(rig.journal.room_for(Class::Relief, 600));
    let relieved = fill(&mut rig, Class::Relief);
    assert!(relieved * 2 >= grown - 1, "{relieved} of a whole segment, {grown} of two");
    assert_eq!(rig.journal.tally().prepared, 0);
    assert_eq!(rig.try_say(Class::Relief, &"x".repeat(500)), Err(AppendError::NoRoom));
    let news = rig.pump();
    assert!(news.iter().any(|n| matches!(n, News::RoomAgain)), "{news:?}");
    rig.say("again");
    assert_eq!(rig.again().read.len(), grown + relieved + 1);
}

#[test]
fn growth_stays_out_of_a_reserve_that_was_begun() {
    let mut rig = Rig::new(Disk { room: Some(3), ..Disk::default() });
    fill(&mut rig, Class::Growth);
    rig.try_say(Class::Relief, &"x".repeat(4000)).expect("the reserve");
    assert_eq!(rig.try_say(Class::Growth, "small"), Err(AppendError::NoRoom));
    rig.try_say(Class::Relief, "small").expect("the reserve");
    rig.disk.room = Some(4);
    rig.pump();
    rig.say("with another in reserve it may");
}

#[test]
fn a_full_disk_is_asked_every_quarter_second_and_resumes() {
    let mut rig = Rig::raw(Disk { room: Some(2), ..Disk::default() });
    let news = rig.pump();
    assert!(matches!(news[..], [News::Synced { .. }, News::Full]), "{news:?}");
    assert_eq!(rig.journal.state(), &State::Full);
    assert_eq!(rig.journal.deadline(), Some(rig.now.after_ms(250)));
    rig.say("what is ready is used");
    rig.now.mono += 249 * MS;
    assert!(rig.pump().iter().all(|n| matches!(n, News::Synced { .. })), "not yet");
    fill(&mut rig, Class::Growth);
    assert_eq!(rig.journal.tally().prepared, 1);
    rig.now.mono += MS;
    assert!(rig.pump().iter().all(|n| matches!(n, News::Synced { .. })), "still full, told once");
    assert_eq!(rig.journal.deadline(), Some(rig.now.after_ms(250)));
    rig.disk.room = None;
    rig.now.mono += 250 * MS;
    let news = rig.pump();
    assert!(matches!(news[..], [News::RoomAgain]), "{news:?}");
    assert_eq!((rig.journal.state(), rig.journal.deadline()), (&State::Running, None));
    rig.say("again");
}

#[test]
fn a_start_on_a_full_disk_uses_the_room_there_is() {
    let mut rig = Rig::new(Disk::default());
    rig.say("before");
    rig.disk.room = Some(0);
    let mut again = Rig::new(rig.disk);
    assert_eq!(again.journal.state(), &State::Full);
    again.say("after");
    assert_eq!(again.again().said(), ["before", "after"]);
    let mut nothing = Rig::new(Disk { room: Some(0), ..Disk::default() });
    assert_eq!(nothing.try_say(Class::Relief, "no segment"), Err(AppendError::NoRoom));
    nothing.disk.room = None;
    nothing.now.mono += 250 * MS;
    nothing.pump();
    nothing.say("now");
    assert_eq!(nothing.again().said(), ["now"]);
}

#[test]
fn the_first_error_is_final() {
    type Sicken = fn(&mut Disk);
    let ways: [Sicken; 2] = [|disk| disk.sync_fails = true, |disk| disk.create_fails = true];
    for sicken in ways {
        let mut rig = Rig::raw(Disk::default());
        sicken(&mut rig.disk);
        let spot = rig.say("lost");
        let news = rig.pump();
        let failed = news.iter().filter(|n| matches!(n, News::Failed(_))).count();
        assert_eq!(failed, 1, "{news:?}");
        let acknowledged = rig.journal.synced();
        rig.disk = Disk { memory: rig.disk.memory, ..Disk::default() };
        rig.now.mono += 1000 * MS;
        assert!(rig.pump().is_empty(), "nothing is tried again");
        assert_eq!(rig.journal.synced(), acknowledged);
        assert!(matches!(rig.journal.state(), State::Failed(_)));
        assert_eq!(rig.try_say(Class::Relief, "no"), Err(AppendError::Failed));
        assert!(!rig.journal.room_for(Class::Relief, 40));
        let late = DiskDone::Synced { upto: spot.end, seq: 1, result: Ok(()) };
        assert!(rig.journal.on_done(rig.now, late).is_none(), "a late answer changes nothing");
        assert_eq!(rig.journal.synced(), acknowledged);
    }
}

#[test]
fn a_failed_journal_still_reads() {
    let mut rig = Rig::new(Disk::default());
    let spot = rig.owe(1, 10).expect("room");
    rig.disk.sync_fails = true;
    rig.pump();
    rig.journal.request(Pick { token: 5, at: vec![(spot.lsn, spot.len)] });
    let news = rig.pump();
    assert!(matches!(&news[..], [News::Picked(p)] if p.items[0] == Ok(debt(1, 10))), "{news:?}");
}

#[test]
fn a_backlog_is_read_in_order_without_what_others_are_owed() {
    let mut rig = Rig::new(Disk::default());
    let mut ledger = Ledger::default();
    for ord in 1..=300u64 {
        let debts = [owed(2, ord + 7), owed(1, ord)];
        let bytes = vec![b'y'; ord as usize * 20 % 3000];
        let record = message(&bytes, &debts[..1 + usize::from(ord % 3 != 0)]);
        let spot = rig.journal.append_message(Class::Growth, &record.as_ref()).expect("room");
        if ord % 3 != 0 {
            ledger.owe(ord, spot.lsn);
        }
        rig.pump();
    }
    let mut got = Vec::new();
    let mut at = 1;
    while let Some(run) = ledger.run_at(at).copied() {
        let (mut offset, end) = (run.offset, rig.journal.end_in(run.segment));
        while offset < end {
            let (owner, segment, lo, hi) = (OwnerNo(1), run.segment, run.lo, run.hi);
            let bytes_max = 5000;
            rig.journal.request(Fetch { owner, token: 9, segment, offset, end, lo, hi, bytes_max });
            let news = rig.pump();
            let [News::Fetched(fetched)] = &news[..] else { panic!("{news:?}") };
            assert_eq!((fetched.token, &fetched.result), (9, &Ok(())));
            assert!(fetched.next_offset > offset, "no progress");
            offset = fetched.next_offset;
            got.extend(fetched.items.iter().map(|item| item.ord));
            let lengths = fetched.items.iter().all(|item| {
                item.message.body.len() == item.ord as usize * 20 % 3000
                    && item.owed.ord == item.ord
            });
            assert!(lengths);
            if got.last() == Some(&run.hi) {
                break;
            }
        }
        at = run.hi + 1;
    }
    let want: Vec<u64> = (1..=300).filter(|ord| ord % 3 != 0).collect();
    assert_eq!(got, want);
}

#[test]
fn a_rotten_record_is_reported_where_it_stands_and_never_served() {
    let mut rig = Rig::new(Disk::default());
    let spots: Vec<Spot> = (1..=3).map(|ord| rig.owe(ord, 50).expect("room")).collect();
    rig.pump();
    let mut slate = rig.disk.memory.open(1).expect("there");
    slate.write(Journal::offset_of(spots[1].lsn) + 100, b"?");
    let (owner, end) = (OwnerNo(1), rig.journal.end_in(1));
    let (token, segment, offset, lo, hi) = (0, 1, PAGE, 1, 3);
    let bytes_max = 1 << 20;
    rig.journal.request(Fetch { owner, token, segment, offset, end, lo, hi, bytes_max });
    let at = vec![(spots[1].lsn, spots[1].len), (spots[2].lsn, spots[2].len), (spots[2].lsn, 9999)];
    rig.journal.request(Pick { token: 1, at });
    let news = rig.pump();
    let [News::Fetched(fetched), News::Picked(picked)] = &news[..] else { panic!("{news:?}") };
    let error = fetched.result.as_ref().expect_err("damaged");
    assert_eq!((error.segment, error.offset), (1, u64::from(Journal::offset_of(spots[1].lsn))));
    assert_eq!(fetched.items.len(), 1);
    assert!(picked.items[0].is_err() && picked.items[1] == Ok(debt(3, 50)));
    assert!(rig.journal.state() == &State::Running, "reading errors do not stop writing");
}

#[test]
fn a_dead_head_goes_after_its_mark_is_safe() {
    let mut rig = Rig::new(Disk::default());
    rig.say("dead");
    while rig.journal.tally().segments < 2 {
        rig.say(&"x".repeat(1000));
        rig.pump();
    }
    let spot = rig.say("alive");
    rig.journal.own(Journal::segment_of(spot.lsn), 1);
    rig.journal.compact_if_sparse();
    assert!(rig.disk.memory.image().contains_key(&1));
    for step in ["what depends on it", "the mark"] {
        let job = rig.journal.poll_job(rig.now).expect(step);
        assert!(matches!(job, DiskJob::Sync { .. }), "{step}: {job:?}");
        assert!(ready(&mut rig.journal, rig.now).is_empty(), "not removed before {step} is safe");
        let _ = rig.done(job);
    }
    rig.pump();
    assert_eq!(rig.journal.head_segment(), 2);
    assert!(!rig.disk.memory.image().contains_key(&1));
    assert_eq!(rig.again().said().last().map(String::as_str), Some("alive"));
}

#[test]
fn a_dead_head_goes_although_nothing_is_written_any_more() {
    let mut rig = Rig::new(Disk::default());
    rig.say("dead");
    while rig.journal.tally().segments < 2 {
        rig.say(&"x".repeat(1000));
        rig.pump();
    }
    // The mark of the last sync is newer than that sync.
    rig.now.mono += 2 * MARK_NS;
    let syncs = rig.journal.tally().syncs;
    let spot = rig.say("alive");
    rig.journal.own(Journal::segment_of(spot.lsn), 1);
    rig.pump();
    assert_eq!(rig.journal.tally().syncs, syncs + 1, "and asks for none by itself");
    rig.journal.compact_if_sparse();
    rig.pump();
    assert_eq!(rig.journal.head_segment(), 2, "somebody has asked for the sync it waits for");
}

#[test]
fn a_living_head_stays_and_so_does_the_active_segment() {
    let mut rig = Rig::new(Disk::default());
    rig.journal.compact_if_sparse();
    rig.pump();
    assert_eq!(rig.journal.head_segment(), 1, "the only segment is the active one");
    let spot = rig.say("alive");
    rig.journal.own(1, 1);
    assert_eq!(Journal::segment_of(spot.lsn), 1);
    while rig.journal.tally().segments < 3 {
        rig.say(&"x".repeat(1000));
        rig.journal.compact_if_sparse();
        rig.pump();
    }
    assert_eq!(rig.journal.head_segment(), 1);
    rig.journal.disown(1, 1);
    for _ in 0..3 {
        rig.journal.compact_if_sparse();
        rig.pump();
    }
    assert_eq!(rig.journal.head_segment(), 3);
}

/// The hub's part: carry what lives of the scanned records, and say so.
fn carry(rig: &mut Rig, ledger: &mut Ledger, scanned: Scanned) {
    assert_eq!(scanned.result, Ok(()));
    for (lsn, record) in scanned.records {
        let Record::Message(message) = record else {
            continue;
        };
        let ord = message.owed[0].ord;
        if !ledger.holds(ord) || ledger.run_at(ord).map(|r| r.segment) != Some(scanned.segment) {
            continue;
        }
        assert_eq!(Journal::segment_of(lsn), scanned.segment);
        let copy = rig.journal.append_message(Class::Relief, &message.as_ref()).expect("room");
        rig.journal.own(Journal::segment_of(copy.lsn), 1);
        let from = ledger.moved(ord, copy.lsn).expect("held");
        rig.journal.disown(from, 1);
    }
    rig.journal.head_done();
}

#[test]
fn a_sparse_log_is_carried_forward_and_keeps_what_is_owed() {
    let mut rig = Rig::new(Disk::default());
    let mut ledger = Ledger::default();
    for ord in 1..=2000 {
        let spot = rig.owe(ord, 200).expect("room");
        rig.journal.own(Journal::segment_of(spot.lsn), 1);
        ledger.owe(ord, spot.lsn);
        // The first of every hundred is never settled; the floor does not pass it.
        if ord % 100 != 1 {
            let segment = ledger.settle(ord).expect("owed");
            rig.journal.disown(segment, 1);
        }
        rig.journal.compact_if_sparse();
        for news in rig.pump() {
            if let News::Scanned(scanned) = news {
                carry(&mut rig, &mut ledger, scanned);
            }
        }
    }
    assert_eq!(ledger.len(), 20);
    let tally = rig.journal.tally();
    assert!(tally.segments <= 6, "2000 records of 300 bytes took {} segments", tally.segments);
    assert_eq!(tally.refs, 20);
    let again = rig.again();
    let mut read = Ledger::default();
    for (lsn, record) in &again.read {
        if let Record::Message(message) = record {
            read.owe(message.owed[0].ord, *lsn);
        }
    }
    assert!((1..=2000).step_by(100).all(|ord| read.holds(ord)), "all that is owed is there");
}

/// Do what there is to do up to the next scan, which is not performed.
fn next_scan(rig: &mut Rig) -> Option<(u32, u32)> {
    while let Some(job) = rig.journal.poll_job(rig.now) {
        if let DiskJob::Scan(scan) = job {
            return Some((scan.segment, scan.offset));
        }
        let _ = rig.done(job);
    }
    None
}

#[test]
fn a_head_longer_than_one_scan_is_read_on_where_the_last_one_ended() {
    let mut rig = Rig::new(Disk::default());
    let spot = rig.say("alive");
    rig.journal.own(Journal::segment_of(spot.lsn), 1);
    let sparse = (0..200).find_map(|_| {
        rig.say(&"x".repeat(1000));
        rig.journal.compact_if_sparse();
        next_scan(&mut rig)
    });
    let (segment, begun) = sparse.expect("little of the head is alive");
    let half = begun + 640;
    let records = Vec::new();
    let part = Scanned { segment, records, next_offset: Some(half), result: Ok(()) };
    let news = rig.journal.on_done(rig.now, DiskDone::Scanned(part));
    assert!(matches!(news, Some(News::Scanned(_))), "{news:?}");
    rig.journal.head_done();
    assert_eq!(next_scan(&mut rig), Some((segment, half)));
}

#[test]
fn a_head_with_something_left_behind_is_not_removed() {
    let mut rig = Rig::new(Disk::default());
    let spot = rig.say("alive");
    rig.journal.own(Journal::segment_of(spot.lsn), 1);
    let mut scans = 0;
    for _ in 0..200 {
        rig.say(&"x".repeat(1000));
        rig.journal.compact_if_sparse();
        for news in rig.pump() {
            if matches!(news, News::Scanned(_)) {
                scans += 1;
                rig.journal.head_done();
            }
        }
    }
    assert_eq!((scans, rig.journal.head_segment()), (1, 1), "read once, then left alone");
    rig.journal.disown(1, 1);
    rig.journal.compact_if_sparse();
    rig.pump();
    assert_eq!(rig.journal.head_segment(), 2);
}

#[test]
fn a_removal_that_fails_is_final_too() {
    let mut rig = Rig::new(Disk { remove_fails: true, ..Disk::default() });
    for _ in 0..30 {
        rig.say(&"x".repeat(1000));
        rig.pump();
    }
    rig.journal.compact_if_sparse();
    let news = rig.pump();
    assert!(news.iter().any(|n| matches!(n, News::Failed(_))), "{news:?}");
}

#[test]
fn the_mark_is_lazy_while_running_and_exact_at_the_end() {
    let mut rig = Rig::new(Disk::default());
    let mark = |rig: &Rig| match page::Page::parse(&rig.disk.memory.image()[&1]) {
        page::Page::Good { mark, .. } => mark.seq,
        other => panic!("{other:?}"),
    };
    for i in 1..=10 {
        rig.now = Now { mono: i * 300 * MS, wall: 0 };
        rig.say("tick");
        rig.pump();
        assert!(mark(&rig) <= i, "never above what is on the disk");
    }
    let lazy = mark(&rig);
    assert!((4..10).contains(&lazy), "written once a second: {lazy}");
    rig.say("last");
    rig.journal.close();
    rig.pump();
    assert!(rig.journal.is_settled());
    assert_eq!(mark(&rig), 11);
    let note_len = note("last");
    assert_eq!(rig.again().read.last().map(|(_, r)| r), Some(&note_len));
}

/// A journal whose sync hangs, and that job.
fn hanging() -> (Rig, DiskJob) {
    let mut rig = Rig::new(Disk::default());
    rig.say("before");
    let job = rig.journal.poll_job(rig.now).expect("a sync");
    rig.journal.hold();
    assert!(rig.journal.is_holding());
    (rig, job)
}

#[test]
fn while_a_sync_hangs_the_segment_is_not_touched_and_afterwards_everything_is_there() {
    let (mut rig, job) = hanging();
    let image = rig.disk.memory.image();
    let spot = rig.try_say(Class::Relief, "meanwhile").expect("held");
    assert!(spot.held && spot.end == rig.journal.tail());
    assert_eq!(rig.try_say(Class::Growth, "more"), Err(AppendError::NoRoom));
    assert_eq!(rig.disk.memory.image(), image, "a store could hang too");
    let news = rig.journal.on_done(rig.now, synced(&job));
    assert!(
        matches!(news, Some(News::Synced { upto, room: true }) if upto < spot.end),
        "what was held is not on the disk yet: {news:?}"
    );
    assert!(!rig.journal.is_holding());
    assert!(!rig.try_say(Class::Growth, "after").expect("room").held);
    rig.pump();
    assert!(rig.journal.synced() > spot.end && rig.journal.is_settled());
    assert_eq!(rig.again().said(), ["before", "meanwhile", "after"]);
}

#[test]
fn a_process_that_is_killed_while_a_sync_hangs_has_lost_what_it_held_and_nothing_else() {
    let (mut rig, _) = hanging();
    rig.try_say(Class::Relief, "meanwhile").expect("held");
    let again = rig.again();
    assert_eq!(again.said(), ["before"]);
    assert_eq!(again.report.cut, None);
}

#[test]
fn nothing_is_read_while_a_sync_hangs_because_what_is_held_would_not_be_seen() {
    let (mut rig, job) = hanging();
    let spot = rig.try_say(Class::Relief, "meanwhile").expect("held");
    rig.journal.request(Pick { token: 1, at: vec![(spot.lsn, spot.len)] });
    assert!(!rig.journal.has_work(), "or the loop would turn for nothing");
    assert!(rig.journal.poll_job(rig.now).is_none());
    rig.journal.on_done(rig.now, synced(&job));
    assert!(rig.journal.has_work());
    let jobs = ready(&mut rig.journal, rig.now);
    assert!(matches!(jobs[..], [DiskJob::Sync { .. }, DiskJob::Pick(_)]), "{jobs:?}");
}

#[test]
fn what_is_held_while_a_sync_hangs_has_a_bound() {
    let mut disk = Disk::default();
    let keep = Options { segment_bytes: 8 << 20, salt: 1, salvage: false };
    let (mut journal, ..) = recover(&mut disk, keep).expect("opens");
    while !journal.is_settled() || journal.tally().prepared < PREPARED {
        let job = journal.poll_job(Now::default()).expect("something to do");
        journal.on_done(Now::default(), perform(&mut disk, job));
    }
    journal.append(Class::Growth, &note("before")).expect("room");
    let _sync = journal.poll_job(Now::default()).expect("a sync");
    journal.hold();
    let large = note(&"x".repeat(100_000));
    let held = (0..100).take_while(|_| journal.append(Class::Relief, &large).is_ok()).count();
    assert_eq!(held, HELD_MAX / 100_000);
}

#[test]
fn without_a_sync_under_way_nothing_is_held() {
    let mut rig = Rig::new(Disk::default());
    rig.journal.hold();
    assert!(!rig.journal.is_holding(), "nothing would end it");
}

#[test]
fn what_was_held_when_the_disk_fails_is_never_written() {
    let (mut rig, job) = hanging();
    rig.try_say(Class::Relief, "meanwhile").expect("held");
    rig.disk.sync_fails = true;
    let news = rig.done(job);
    assert!(matches!(news, Some(News::Failed(_))), "{news:?}");
    assert!(!rig.journal.is_holding());
    assert_eq!(rig.again().said(), ["before"]);
}
