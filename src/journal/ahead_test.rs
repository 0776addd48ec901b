//! Floor 1. What is read before it is written to, and what is not.

use super::ahead::{Ahead, PIECE, Sheet, WINDOW, old_after};
use super::job::{DiskDone, DiskJob};
use super::lsn_at;
use super::rig_test::{Disk, Rig, SEGMENT, ready};
use crate::base::time::{Deadline, MS, Now};

const LEN: u32 = 4 * WINDOW;

fn sheet(no: u32) -> Sheet {
    Sheet { no, len: LEN, old: Deadline(0) }
}

fn at_ms(ms: u64) -> Now {
    Now { mono: ms * MS, wall: 0 }
}

/// Ask with the log's end at `at` of segment 1, and have it done.
fn ask(ahead: &mut Ahead, ms: u64, at: u32) -> Option<(u32, u32, u32)> {
    let asked = ahead.next(at_ms(ms), lsn_at(1, at), sheet(1), Some(sheet(2)));
    ahead.done(Ok(()));
    asked
}

/// The same, until there is nothing to ask for; segment and offset of each piece.
fn fill(ahead: &mut Ahead, ms: u64, at: u32) -> Vec<(u32, u32)> {
    let pieces = core::iter::from_fn(|| ask(ahead, ms, at));
    pieces.map(|(no, at, _)| (no, at)).collect()
}

#[test]
fn what_comes_next_is_read_piece_by_piece_and_so_much_of_it() {
    let mut ahead = Ahead::default();
    assert_eq!(ask(&mut ahead, 0, 5000), Some((1, 4096, PIECE)), "whole pages");
    let behind = |n| (1, 4096 + n * PIECE);
    assert_eq!(fill(&mut ahead, 0, 5000), [behind(1), behind(2), behind(3)]);
    assert_eq!(fill(&mut ahead, 1, 4096 + PIECE - 1), []);
    assert_eq!(fill(&mut ahead, 1, 4096 + PIECE), [behind(4)]);
    assert_eq!(
        ask(&mut ahead, 2, 4 * WINDOW / 2),
        Some((1, 2 * WINDOW, PIECE)),
        "it was overtaken"
    );
}

#[test]
fn at_the_end_of_a_segment_it_is_the_beginning_of_the_next() {
    let mut ahead = Ahead::default();
    assert_eq!(ask(&mut ahead, 0, LEN - 8192), Some((1, LEN - 8192, 8192)));
    assert_eq!(ask(&mut ahead, 0, LEN - 8000), Some((2, 0, PIECE)));
    assert_eq!(ask(&mut ahead, 0, LEN - 7000), None);
    assert_eq!(ahead.next(at_ms(0), lsn_at(2, 4096), sheet(2), None), Some((2, PIECE, PIECE)));
}

#[test]
fn what_nobody_touched_for_a_second_is_read_again_once_somebody_writes() {
    let mut ahead = Ahead::default();
    assert_eq!(fill(&mut ahead, 0, 8192).len(), 4);
    assert_eq!(fill(&mut ahead, 999, 8200), []);
    assert_eq!(fill(&mut ahead, 9000, 8192).len(), 0, "nobody wrote");
    assert_eq!(fill(&mut ahead, 9000, 8200).first(), Some(&(1, 8192)));
}

#[test]
fn a_segment_made_just_now_is_not_read_and_one_read_at_a_time_is_under_way() {
    let mut ahead = Ahead::default();
    let young = Sheet { old: old_after(at_ms(5)), ..sheet(1) };
    assert_eq!(ahead.next(at_ms(1004), lsn_at(1, 4096), young, None), None);
    assert!(ahead.next(at_ms(1005), lsn_at(1, 4096), young, None).is_some());
    assert_eq!(
        ahead.next(at_ms(3000), lsn_at(1, 9000), young, None),
        None,
        "the first is not over"
    );
}

#[test]
fn a_segment_that_cannot_be_read_is_not_asked_again_and_the_journal_goes_on() {
    let mut rig = Rig::new(Disk::default());
    rig.now = at_ms(1000);
    rig.say("one");
    let jobs = ready(&mut rig.journal, rig.now);
    let [sync, ahead] = <[DiskJob; 2]>::try_from(jobs).expect("a sync, and what comes next");
    assert!(matches!(ahead, DiskJob::Ahead { no: 1, offset: 4096, len } if len == SEGMENT - 4096));
    rig.disk.read_fails = Some(1);
    assert!(rig.done(ahead).is_none());
    assert!(rig.done(sync).is_some());
    rig.now = at_ms(5000);
    rig.say("two");
    let jobs = ready(&mut rig.journal, rig.now);
    assert!(matches!(jobs[..], [DiskJob::Sync { .. }]), "{jobs:?}");
    assert_eq!(rig.again().said(), ["one", "two"]);
}

#[test]
fn reading_ahead_reads_all_of_it_and_says_when_it_cannot() {
    let mut rig = Rig::new(Disk::default());
    let job = |len| DiskJob::Ahead { no: 1, offset: 4096, len };
    let ok = |done| matches!(done, DiskDone::Ahead { result: Ok(()) });
    assert!(ok(super::perform(&mut rig.disk, job(SEGMENT - 4096))));
    assert!(!ok(super::perform(&mut rig.disk, job(SEGMENT))), "beyond its end");
}
