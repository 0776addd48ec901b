//! Floor 1. Every row of the recovery table, and damage at every byte.

use super::page::VERSION;
use super::record::Record;
use super::rig_test::{Disk, Image, Opened, Rig, SEGMENT, Still, options, recover, said};
use super::*;
use crate::base::time::MS;

/// A journal of so many synced notes, one record a sync, so that each is proved by the next.
fn written(n: usize) -> (Rig, Vec<Spot>) {
    let mut rig = Rig::new(Disk::default());
    let spots = (0..n).map(|i| {
        let spot = rig.say(&format!("note {i} {}", "x".repeat(i * 7 % 300)));
        rig.pump();
        spot
    });
    let spots = spots.collect();
    (rig, spots)
}

fn texts(n: usize) -> Vec<String> {
    (0..n).map(|i| format!("note {i} {}", "x".repeat(i * 7 % 300))).collect()
}

fn open(image: &Image) -> Result<Opened, Refusal> {
    recover(&mut Still(image), options())
}

/// Opened, and what is on the disk afterwards.
fn open_with(image: &Image, options: Options) -> (Result<Opened, Refusal>, Rig) {
    let mut rig = Rig::new(Disk::default());
    rig.disk.memory = memory::Memory::holding(image.clone());
    (recover(&mut rig.disk, options), rig)
}

/// It is refused there, and nothing is touched.
fn refused(image: &Image, why: Why, segment: u32, offset: u64) -> Refusal {
    let (result, rig) = open_with(image, options());
    let refusal = result.map(|opened| opened.1).expect_err("refused");
    let what = (refusal.why, refusal.segment, refusal.offset);
    assert_eq!(what, (why, segment, offset), "{refusal}");
    assert_eq!(&rig.disk.memory.image(), image, "a refused journal is not touched");
    refusal
}

fn flip(image: &mut Image, spot: &Spot, at: u32) {
    let (no, at) = (Journal::segment_of(spot.lsn), Journal::offset_of(spot.lsn) + at);
    image.get_mut(&no).expect("there")[at as usize] ^= 0x40;
}

fn wipe(image: &mut Image, spot: &Spot) {
    let (no, at) = (Journal::segment_of(spot.lsn), Journal::offset_of(spot.lsn) as usize);
    image.get_mut(&no).expect("there")[at..at + spot.len as usize].fill(0);
}

fn at(spot: &Spot) -> (u32, u64) {
    (Journal::segment_of(spot.lsn), u64::from(Journal::offset_of(spot.lsn)))
}

fn values(opened: &Opened) -> Vec<String> {
    opened.2.iter().filter_map(|(_, record)| said(record)).collect()
}

#[test]
fn a_clean_end_goes_on() {
    let (rig, spots) = written(9);
    let opened = open(&rig.disk.memory.image()).expect("opens");
    assert_eq!(values(&opened), texts(9));
    assert_eq!((opened.1.cut, opened.0.tail()), (None, spots[8].end));
}

#[test]
fn a_torn_tail_is_cut_and_said_and_does_not_come_back() {
    let (mut rig, spots) = written(6);
    // Two more that were never synced; the first is torn, the second whole behind it.
    let torn = rig.say("torn");
    let behind = rig.say("behind");
    let mut image = rig.disk.memory.image();
    flip(&mut image, &torn, 33);
    let (result, mut after) = open_with(&image, options());
    let opened = result.expect("opens");
    assert_eq!(values(&opened), texts(6));
    let cut = opened.1.cut.expect("reported");
    assert_eq!((cut.segment, u64::from(cut.offset), cut.records), (1, at(&torn).1, 2));
    assert!(cut.bytes > u64::from(torn.len) && cut.bytes <= u64::from(torn.len + behind.len));
    let wiped = &after.disk.memory.image()[&1][at(&torn).1 as usize..];
    assert!(wiped.iter().all(|b| *b == 0), "the rest of the segment is zero again");
    after.journal = opened.0;
    after.pump();
    let spot = after.say("after");
    assert_eq!(spot.lsn, spots[5].end);
    after.pump();
    let again = after.again();
    assert_eq!((again.said().len(), again.report.cut.as_ref()), (7, None));
    assert_eq!(again.said()[6], "after");
}

#[test]
fn a_hole_that_was_never_acknowledged_is_cut_with_what_is_behind_it() {
    let (mut rig, _) = written(3);
    let hole = rig.say("hole");
    rig.say("behind");
    let mut image = rig.disk.memory.image();
    wipe(&mut image, &hole);
    let opened = open(&image).expect("opens");
    assert_eq!(values(&opened), texts(3));
    assert_eq!(opened.1.cut.map(|cut| cut.records), Some(1));
}

#[test]
fn damage_that_a_later_record_proves_is_refused() {
    let (rig, spots) = written(6);
    let mut image = rig.disk.memory.image();
    flip(&mut image, &spots[2], 40);
    let (segment, offset) = at(&spots[2]);
    let refusal = refused(&image, Why::Damaged, segment, offset);
    assert_eq!(refusal.seq, 3);
    assert!(refusal.text.contains("record 4"), "the proof is named: {refusal}");
    let mut image = rig.disk.memory.image();
    wipe(&mut image, &spots[2]);
    refused(&image, Why::Damaged, segment, offset);
}

#[test]
fn the_last_record_is_proved_by_the_mark_alone() {
    let (mut rig, spots) = written(6);
    let mut image = rig.disk.memory.image();
    wipe(&mut image, &spots[5]);
    assert_eq!(values(&open(&image).expect("opens")), texts(5), "nothing can prove that");
    rig.journal.close();
    rig.pump();
    let mut image = rig.disk.memory.image();
    wipe(&mut image, &spots[5]);
    let (segment, offset) = at(&spots[5]);
    let refusal = refused(&image, Why::Damaged, segment, offset);
    assert!(refusal.text.contains("mark"), "{refusal}");
}

#[test]
fn missing_segments_are_refused_wherever_they_are_missing() {
    let (mut rig, _) = written(400);
    rig.journal.compact_if_sparse();
    rig.pump();
    let image = rig.disk.memory.image();
    let head = rig.journal.head_segment();
    let active = Journal::segment_of(rig.journal.tail());
    assert!(head == 2 && active > 5);
    for missing in head..active {
        let mut image = image.clone();
        image.remove(&missing);
        refused(&image, Why::Missing, missing, 0);
    }
    // The last one had the mark that the first is gone; without it that one is missed.
    for prepared in [false, true] {
        let mut image = image.clone();
        image.retain(|no, _| *no < active || *no > active && prepared);
        refused(&image, Why::Missing, 1, 0);
    }
    let (rig, _) = written(400);
    let mut unmarked = rig.disk.memory.image();
    unmarked.retain(|no, _| *no < active);
    refused(&unmarked, Why::Missing, active, 0);
    let mut none = image;
    none.clear();
    assert_eq!(open(&none).expect("a new one").2, vec![]);
}

#[test]
fn a_short_segment_is_refused() {
    let (rig, _) = written(150);
    let image = rig.disk.memory.image();
    for no in 1..=2 {
        let mut image = image.clone();
        let segment = image.get_mut(&no).expect("there");
        segment.truncate(SEGMENT as usize - 1);
        refused(&image, Why::Missing, no, u64::from(SEGMENT) - 1);
    }
}

#[test]
fn swapped_segments_are_refused() {
    let (rig, _) = written(200);
    let mut image = rig.disk.memory.image();
    let (two, three) = (image[&2].clone(), image[&3].clone());
    image.insert(2, three);
    image.insert(3, two);
    refused(&image, Why::Damaged, 2, 0);
}

#[test]
fn newer_software_is_left_alone() {
    let (mut rig, _) = written(3);
    let mut image = rig.disk.memory.image();
    let segment = image.get_mut(&1).expect("there");
    for half in [0, 2048] {
        segment[half + 11] = VERSION as u8 + 1;
    }
    refused(&image, Why::Newer, 1, 0);
    let active = rig.journal.active.as_mut().expect("active");
    let mut head = vec![0; FRAME];
    let draft = Draft { kind: 200, flags: 0, blobs: [b"future", &[], &[]] };
    let start = active.put(4, 3, &mut head, &draft);
    refused(&rig.disk.memory.image(), Why::Newer, 1, u64::from(start));
}

#[test]
fn a_disk_that_does_not_read_is_left_alone() {
    let (rig, _) = written(200);
    let image = rig.disk.memory.image();
    for salvage in [false, true] {
        for no in 1..=3 {
            let memory = memory::Memory::holding(image.clone());
            let mut disk = Disk { memory, read_fails: Some(no), ..Disk::default() };
            let refusal = recover(&mut disk, Options { salvage, ..options() }).map(|o| o.1);
            let refusal = refusal.expect_err("refused");
            assert_eq!((refusal.why, refusal.segment), (Why::Unreadable, no));
            assert_eq!(disk.memory.image(), image);
        }
    }
}

#[test]
fn a_segment_that_was_never_finished_is_removed() {
    let (rig, _) = written(3);
    let image = rig.disk.memory.image();
    assert_eq!(image.len(), 3, "one in use, two prepared");
    for len in [0, 100, 4096, 5000] {
        for blank in [false, true] {
            let mut image = image.clone();
            let last = image.get_mut(&3).expect("prepared");
            last.truncate(len);
            if blank {
                last.fill(0);
            }
            let (result, rig) = open_with(&image, options());
            assert_eq!(values(&result.expect("opens")), texts(3));
            assert_eq!(rig.disk.memory.image().len(), 1);
            image.retain(|no, _| *no == 3);
            let only = image.remove(&3).expect("there");
            image.insert(1, if blank { only } else { vec![0; len] });
            assert_eq!(values(&open(&image).expect("begins")), texts(0));
        }
    }
}

#[test]
fn a_new_segment_after_an_unsynced_seal_is_cut() {
    let (mut rig, _) = written(3);
    let synced = rig.disk.memory.image();
    while rig.journal.tally().segments < 2 {
        rig.say(&"x".repeat(1000));
    }
    rig.say("in the second");
    let mut image = rig.disk.memory.image();
    // The second segment reached the disk, the first did not.
    image.insert(1, synced[&1].clone());
    let (result, rig) = open_with(&image, options());
    let opened = result.expect("opens");
    assert_eq!(values(&opened), texts(3));
    assert_eq!(opened.1.cut.map(|cut| cut.records), Some(2));
    assert_eq!(rig.disk.memory.image().len(), 1);
}

#[test]
fn records_of_an_earlier_life_are_not_believed() {
    let (mut rig, _) = written(3);
    let earlier = rig.disk.memory.image();
    rig.pump();
    let mut image = earlier.clone();
    let mut other = Rig::new(Disk::default());
    other.disk.memory = memory::Memory::default();
    let options = Options { salt: 99, ..options() };
    let (journal, ..) = recover(&mut other.disk, options).expect("a new one");
    other.journal = journal;
    other.pump();
    let mut fresh = other.disk.memory.image().remove(&1).expect("there");
    let used = Journal::offset_of(rig.journal.tail()) as usize;
    fresh[PAGE as usize..used].copy_from_slice(&earlier[&1][PAGE as usize..used]);
    image.insert(1, fresh);
    let opened = open(&image).expect("opens");
    assert_eq!(values(&opened), texts(0), "the salt is another");
    assert!(opened.1.cut.is_some());
}

/// A journal whose last record is torn, and is full of frames made with the first salt that a
/// journal with the entropy `guess` would use.
fn full_of_frames(guess: u64) -> Image {
    let mut other = Rig::new(Disk::default());
    let options = Options { salt: guess, ..options() };
    other.disk.memory = memory::Memory::default();
    let mut journal = recover(&mut other.disk, options).expect("a new one").0;
    let mut frames = vec![0; FRAME];
    let draft = Draft { kind: record::kind::GONE, flags: 0, blobs: [&[0; 8], &[], &[]] };
    // It claims that everything up to record 8 was safe.
    journal.active.as_mut().expect("active").put(9, 8, &mut frames, &draft);
    frames.extend_from_slice(&[0; 8]);
    let (mut rig, _) = written(4);
    let key = [&[0; 4][..], &frames.repeat(20)].concat();
    let record = Record::Note { key: key.into(), value: bytes::Bytes::new() };
    let torn = rig.journal.append(Class::Growth, &record).expect("room");
    let mut image = rig.disk.memory.image();
    flip(&mut image, &torn, 0);
    image
}

#[test]
fn a_payload_that_looks_like_records_proves_nothing() {
    let opened = open(&full_of_frames(2)).expect("opens");
    assert_eq!(values(&opened), texts(4));
    let known = open(&full_of_frames(options().salt)).map(|o| o.1);
    assert!(known.is_err(), "whoever knew the salt could: {known:?}");
}

/// A journal over two segments, and the notes it holds.
fn two_segments() -> (Rig, Vec<Spot>) {
    let mut rig = Rig::new(Disk::default());
    let mut spots = Vec::new();
    for i in 0..29 {
        rig.now.mono += 400 * MS;
        spots.push(rig.say(&format!("{i} {}", "y".repeat(700))));
        rig.pump();
    }
    assert_eq!(rig.journal.tally().segments, 2);
    (rig, spots)
}

/// Whatever was done to byte `at` of segment `no`: it opens with a prefix, or refuses there.
fn judge(image: &Image, whole: &[(Lsn, Record)], no: u32, at: usize, safe: usize) {
    match open(image) {
        Ok(opened) => {
            let n = opened.2.len();
            assert!(n >= safe, "{no}:{at}: {n} of {safe} records that were acknowledged");
            assert_eq!(opened.2, whole[..n], "{no}:{at}: what is read is what was written");
        }
        Err(refusal) => {
            assert_eq!(refusal.segment, no, "{at}: {refusal}");
            // Padding is nobody's: what follows it is the first to miss something.
            assert!(refusal.offset < at as u64 + 8, "{no}:{at}: {refusal}");
            let before = whole.iter().filter(|(lsn, _)| *lsn < Journal::lsn_at(no, at as u32));
            let seq = before.count() as u64;
            assert!(refusal.seq == 0 || refusal.seq + 1 >= seq, "{no}:{at}: {refusal}");
        }
    }
}

#[test]
fn a_flipped_byte_anywhere_is_harmless_or_refused_in_its_place() {
    for closed in [false, true] {
        let (mut rig, _) = two_segments();
        if closed {
            rig.journal.close();
            rig.pump();
        }
        let mut image = rig.disk.memory.image();
        let whole = rig.again().read;
        // Without a closing mark the very last record can be taken for a torn one.
        let safe = if closed { whole.len() } else { whole.len() - 1 };
        for no in 1..=2 {
            let used = rig.journal.end_in(no) as usize + 64;
            for at in 0..used.min(SEGMENT as usize) {
                image.get_mut(&no).expect("there")[at] ^= 1 << (at % 8);
                judge(&image, &whole, no, at, safe);
                image.get_mut(&no).expect("there")[at] ^= 1 << (at % 8);
            }
        }
    }
}

#[test]
fn a_cut_anywhere_is_refused_in_its_segment() {
    let (rig, _) = two_segments();
    let mut image = rig.disk.memory.image();
    let whole = rig.again().read;
    for no in 1..=2 {
        for len in (0..SEGMENT as usize).rev() {
            image.get_mut(&no).expect("there").truncate(len);
            let refusal = open(&image).map(|o| o.1).expect_err("short");
            let headless = no == 2 && len < PAGE as usize;
            let why = if headless { Why::Damaged } else { Why::Missing };
            assert_eq!((refusal.why, refusal.segment), (why, no), "cut at {len}: {refusal}");
        }
        image = rig.disk.memory.image();
    }
    assert_eq!(open(&image).expect("whole").2, whole);
}

#[test]
fn zeroes_from_anywhere_on_lose_nothing_that_is_proved() {
    let (rig, _) = two_segments();
    let whole = rig.again().read;
    for no in 1..=2 {
        let mut image = rig.disk.memory.image();
        for at in (PAGE as usize..rig.journal.end_in(no) as usize).rev().step_by(7) {
            image.get_mut(&no).expect("there")[at..].fill(0);
            // What a mark has said, or the second segment proves.
            judge(&image, &whole, no, at, if no == 1 { 29 } else { 25 });
        }
    }
}

#[test]
fn salvage_keeps_every_whole_record_and_names_what_is_lost() {
    let (mut rig, spots) = two_segments();
    rig.journal.close();
    rig.pump();
    let whole = rig.again().read;
    let mut image = rig.disk.memory.image();
    for i in [3, 4, 20, 28] {
        flip(&mut image, &spots[i], 100);
    }
    refused(&image, Why::Damaged, 1, at(&spots[3]).1);
    let (result, mut rig) = open_with(&image, Options { salvage: true, ..options() });
    let opened = result.expect("opens");
    let lost = [3, 4, 20, 28];
    let want: Vec<&Record> = (0..29).filter(|i| !lost.contains(i)).map(|i| &whole[i].1).collect();
    assert_eq!(opened.2.iter().map(|(_, record)| record).collect::<Vec<_>>(), want);
    let salvaged = opened.1.salvaged.expect("reported");
    // The seal of the first segment is number 17 or so; numbers are of records, not of notes.
    assert_eq!((salvaged.kept, salvaged.lost.len(), salvaged.copies.len()), (25, 3, 2));
    assert_eq!(salvaged.lost[0], (4, 5));
    let aside = rig.disk.memory.aside();
    assert_eq!((&aside[&1], &aside[&2]), (&image[&1], &image[&2]), "originals are kept");
    rig.journal = opened.0;
    rig.pump();
    rig.say("after");
    rig.pump();
    let again = rig.again();
    assert_eq!((again.said().len(), again.report.cut), (26, None));
}

#[test]
fn salvage_bridges_missing_and_headless_segments() {
    let (rig, _) = written(300);
    let image = rig.disk.memory.image();
    let all = texts(300);
    for (no, headless) in [(1, false), (2, false), (2, true), (4, true)] {
        let mut image = image.clone();
        if headless {
            image.get_mut(&no).expect("there")[..PAGE as usize].fill(7);
        } else {
            image.remove(&no);
        }
        let (result, _) = open_with(&image, Options { salvage: true, ..options() });
        let opened = result.expect("opens");
        let kept = values(&opened);
        let gone: Vec<_> = all.iter().filter(|text| !kept.contains(text)).collect();
        assert!(!gone.is_empty() && gone.len() < 110, "{} lost", gone.len());
        let salvaged = opened.1.salvaged.expect("reported");
        assert_eq!((salvaged.lost.len(), salvaged.copies.len()), (1, usize::from(headless)));
        let (lo, hi) = salvaged.lost[0];
        assert!((hi - lo) as usize + 1 >= gone.len(), "{lo}..{hi} for {}", gone.len());
    }
}

/// What a salvage says that it lost.
fn salvaged(image: &Image) -> (Vec<String>, Salvaged) {
    let (result, _) = open_with(image, Options { salvage: true, ..options() });
    let opened = result.expect("opens");
    (values(&opened), opened.1.salvaged.expect("reported"))
}

#[test]
fn salvage_says_that_an_end_is_gone_which_nothing_counts() {
    let (rig, spots) = written(300);
    let image = rig.disk.memory.image();
    let (last, _) = at(spots.last().expect("some"));
    let headless = |no: u32| {
        let mut image = image.clone();
        image.get_mut(&no).expect("there")[..PAGE as usize].fill(7);
        salvaged(&image)
    };
    // The mark lags: no record that is left says how far the last segment went.
    let (kept, said) = headless(last);
    let known: u64 = said.lost.iter().map(|(lo, hi)| hi + 1 - lo).sum();
    assert!(known < 300 - kept.len() as u64, "{said:?}");
    assert!(said.lost_after.is_some() && said.lost_records() > known, "{said:?}");
    // In between, the next segment says with which record it begins; so does one never begun,
    // by saying nothing.
    for no in [1, last - 1] {
        let (kept, said) = headless(no);
        let known: u64 = said.lost.iter().map(|(lo, hi)| hi + 1 - lo).sum();
        assert!(known >= 300 - kept.len() as u64, "{said:?}");
        assert_eq!((said.lost_before, said.lost_after), (None, None));
    }
    let mut gone = image.clone();
    gone.remove(&last);
    assert!(salvaged(&gone).1.lost_after.is_some(), "the one before it is sealed");
    let mut cut = image.clone();
    cut.get_mut(&last).expect("there").truncate(PAGE as usize + 20);
    assert!(salvaged(&cut).1.lost_after.is_some());
    let mut flipped = image.clone();
    flip(&mut flipped, spots.last().expect("some"), 40);
    flip(&mut flipped, &spots[3], 40);
    assert!(salvaged(&flipped).1.lost_after.is_some());
    let mut middle = image.clone();
    flip(&mut middle, &spots[3], 40);
    assert_eq!(salvaged(&middle).1.lost_after, None);
}

#[test]
fn salvage_says_that_the_beginning_is_gone_which_nothing_counts() {
    let (mut rig, _) = written(300);
    // Nobody owns anything: the oldest goes.
    rig.journal.compact_if_sparse();
    rig.pump();
    let head = rig.journal.head_segment();
    assert!(head > 1);
    let image = rig.disk.memory.image();
    let mut gone = image.clone();
    gone.remove(&head);
    let (kept, said) = salvaged(&gone);
    assert!(!kept.is_empty() && said.lost_before.is_some(), "{said:?}");
    assert_eq!((said.lost.len(), said.lost_after), (0, None));
    let mut headless = image.clone();
    headless.get_mut(&head).expect("there")[..PAGE as usize].fill(7);
    assert_eq!(salvaged(&headless).1.lost_before, said.lost_before);
    let mut later = image;
    later.remove(&(head + 1));
    assert_eq!((salvaged(&later).1.lost_before, salvaged(&later).1.lost.len()), (None, 1));
}

#[test]
fn salvage_of_a_whole_journal_is_an_ordinary_start() {
    let (rig, _) = written(20);
    let (result, after) =
        open_with(&rig.disk.memory.image(), Options { salvage: true, ..options() });
    let opened = result.expect("opens");
    assert_eq!((values(&opened), opened.1.salvaged), (texts(20), None));
    assert!(after.disk.memory.aside().is_empty());
}

#[test]
fn a_salvage_that_is_cut_off_anywhere_can_be_done_again() {
    let (rig, spots) = written(150);
    let mut image = rig.disk.memory.image();
    flip(&mut image, &spots[10], 40);
    flip(&mut image, &spots[120], 40);
    let salvage = Options { salvage: true, ..options() };
    let (result, _) = open_with(&image, salvage.clone());
    let want = values(&result.expect("opens"));
    assert_eq!(want.len(), 148);
    for room in image.len()..image.len() + 3 {
        let memory = memory::Memory::holding(image.clone());
        let mut disk = Disk { memory, room: Some(room), ..Disk::default() };
        let refusal = recover(&mut disk, salvage.clone()).map(|o| o.1).expect_err("full");
        assert_eq!((refusal.why, disk.memory.len()), (Why::Unreadable, room), "{refusal}");
        disk.room = None;
        let opened = recover(&mut disk, salvage.clone()).expect("opens");
        assert_eq!(values(&opened), want, "cut off at {room} segments");
    }
}

#[test]
fn what_says_which_segment_is_first_outlives_the_one_it_stood_in() {
    let (rig, spots) = written(900);
    let active = Journal::segment_of(spots[899].lsn);
    assert!(active > 1, "more than one segment");
    let mut image = rig.disk.memory.image();
    // A cut has left of the segment behind the active one only what came after its records: that
    // the first is dead.
    let (no, bytes) = image.iter_mut().next_back().expect("there are some");
    assert!(*no > active, "one that was prepared");
    let page::Page::Good { header, .. } = page::Page::parse(&bytes[..PAGE as usize]) else {
        panic!("it was prepared")
    };
    let (at, block) = page::mark(Mark { seq: 1, head: 2 }, false, header.seed());
    bytes[at as usize..][..block.len()].copy_from_slice(&block);
    let (first, after) = open_with(&image, options());
    let first = values(&first.expect("opens"));
    let left = after.disk.memory.image();
    assert!(!left.contains_key(&1) && !left.contains_key(&(active + 1)), "both are gone");
    // Nothing more was done: so the next start finds it when the power fails now.
    assert_eq!(values(&open(&left).expect("opens again")), first);
}
