//! Floor 1. Power cuts, kills and lying syncs at random: what was acknowledged is there.
//!
//! The disk keeps what was synced and what was written. Between the two the system may write back
//! any sector at any time; a power cut keeps or loses each of them by chance; a kill loses none; a
//! sync that fails may leave pages that look clean and are not on the disk.

use super::job::{DiskDone, DiskJob};
use super::record::Record;
use super::rig_test::options;
use super::storage::{DiskError, SegmentFile, Slate, Storage};
use super::*;
use crate::base::rng::Rng;
use crate::base::time::{MS, Now};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

const SECTOR: usize = 512;

type Shared = Arc<[AtomicU8]>;

fn share(bytes: Vec<u8>) -> Shared {
    bytes.into_iter().map(AtomicU8::new).collect()
}

fn copy(cells: &[AtomicU8]) -> Vec<u8> {
    cells.iter().map(|cell| cell.load(Relaxed)).collect()
}

struct File {
    written: Shared,
    safe: Vec<u8>,
    /// For each sector, whether it was written since it was last safe.
    dirty: Shared,
}

impl File {
    fn new(written: Vec<u8>) -> Self {
        let dirty = share(vec![0; written.len() / SECTOR]);
        Self { safe: written.clone(), written: share(written), dirty }
    }

    fn write_back(&mut self, sector: usize) {
        for at in sector * SECTOR..(sector + 1) * SECTOR {
            self.safe[at] = self.written[at].load(Relaxed);
        }
    }

    /// The dirty sectors, which are then taken for clean.
    fn take_dirty(&self) -> Vec<usize> {
        let dirty = self.dirty.iter().enumerate();
        dirty.filter(|(_, flag)| flag.swap(0, Relaxed) == 1).map(|(sector, _)| sector).collect()
    }
}

#[derive(Default)]
struct Torn {
    files: BTreeMap<u32, File>,
    /// The next sync fails, and what it should have written looks clean afterwards.
    sick: bool,
    /// Calls that work before one fails.
    calls: Option<u32>,
}

struct TornSlate(Shared, Shared);

impl Slate for TornSlate {
    fn write(&mut self, at: u32, bytes: &[u8]) {
        let at = at as usize;
        self.0[at..].iter().zip(bytes).for_each(|(cell, byte)| cell.store(*byte, Relaxed));
        // A store dirties whole pages.
        let sectors = at / 4096 * 8..(at + bytes.len()).div_ceil(4096) * 8;
        sectors.filter_map(|s| self.1.get(s)).for_each(|flag| flag.store(1, Relaxed));
    }
}

impl Torn {
    fn call(&mut self, no: u32) -> Result<(), DiskError> {
        match &mut self.calls {
            Some(0) => Err(error(no)),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn file(&mut self, no: u32) -> Result<&mut File, DiskError> {
        self.call(no)?;
        self.files.get_mut(&no).ok_or_else(|| error(no))
    }

    /// The system writes something back of its own accord.
    fn breathe(&mut self, rng: &mut Rng) {
        for file in self.files.values_mut() {
            for sector in file.take_dirty() {
                match rng.chance(1, 8) {
                    true => file.write_back(sector),
                    false => file.dirty[sector].store(1, Relaxed),
                }
            }
        }
    }

    fn power_cut(&mut self, rng: &mut Rng) {
        for file in self.files.values_mut() {
            let kept = file.take_dirty().into_iter().filter(|_| rng.chance(1, 2));
            kept.for_each(|sector| file.write_back(sector));
            file.written = share(file.safe.clone());
        }
    }

    /// One of the two marks of every segment is on the disk as it was written: however the other
    /// is torn, there is one.
    fn a_mark_is_safe(&self) -> bool {
        self.files.values().all(|file| {
            let same = |at| copy(&file.written[at..at + 16]) == file.safe[at..at + 16];
            same(1024) || same(3072)
        })
    }
}

fn error(no: u32) -> DiskError {
    DiskError { full: false, segment: no, offset: 0, text: "sick".into() }
}

impl Storage for Torn {
    fn segments(&mut self) -> Result<Vec<SegmentFile>, DiskError> {
        let files = self.files.iter();
        Ok(files.map(|(no, f)| SegmentFile { no: *no, len: f.written.len() as u64 }).collect())
    }

    fn read(&mut self, no: u32, at: u64, buf: &mut [u8]) -> Result<(), DiskError> {
        let piece = self.file(no)?.written.get(at as usize..at as usize + buf.len());
        buf.copy_from_slice(&copy(piece.ok_or_else(|| error(no))?));
        Ok(())
    }

    fn create(&mut self, no: u32, len: u32, header: &[u8]) -> Result<Box<dyn Slate>, DiskError> {
        let mut written = vec![0; len as usize];
        written[..header.len()].copy_from_slice(header);
        self.call(no)?;
        self.files.insert(no, File::new(written));
        self.open(no)
    }

    fn open(&mut self, no: u32) -> Result<Box<dyn Slate>, DiskError> {
        let file = self.file(no)?;
        Ok(Box::new(TornSlate(file.written.clone(), file.dirty.clone())))
    }

    fn sync(&mut self, no: u32) -> Result<(), DiskError> {
        let sick = core::mem::take(&mut self.sick);
        let file = self.file(no)?;
        let dirty = file.take_dirty();
        if sick {
            return Err(error(no));
        }
        dirty.into_iter().for_each(|sector| file.write_back(sector));
        Ok(())
    }

    fn remove(&mut self, no: u32) -> Result<(), DiskError> {
        self.call(no)?;
        self.files.remove(&no).map(drop).ok_or_else(|| error(no))
    }

    fn set_aside(&mut self, no: u32) -> Result<String, DiskError> {
        self.call(no).map(|()| format!("{no}"))
    }
}

/// What each key was set to, how much of that was acknowledged, and where it lies.
#[derive(Clone, Default, Debug)]
struct Key {
    said: u64,
    acknowledged: u64,
    segment: Option<u32>,
    waiting: Vec<(Lsn, u64)>,
}

struct World {
    rng: Rng,
    torn: Torn,
    journal: Journal,
    now: Now,
    keys: BTreeMap<u64, Key>,
    jobs: Vec<DiskJob>,
    what: String,
    removed: u64,
    scanned: u64,
}

fn value(n: u64, len: usize) -> Bytes {
    let mut value = n.to_be_bytes().to_vec();
    value.resize(8 + len, b'.');
    value.into()
}

fn parse(record: &Record) -> Option<(u64, u64)> {
    match record {
        Record::Note { key, value } => {
            let key = u64::from_be_bytes(key[..].try_into().expect("8 bytes"));
            let value = u64::from_be_bytes(value[..8].try_into().expect("8 bytes"));
            Some((key, value))
        }
        _ => None,
    }
}

fn note(key: u64, n: u64, len: usize) -> Record {
    Record::Note { key: Bytes::copy_from_slice(&key.to_be_bytes()), value: value(n, len) }
}

fn start(torn: &mut Torn, seed: u64, what: &str) -> (Journal, BTreeMap<u64, (u64, u32)>) {
    let mut read = BTreeMap::new();
    let mut apply = |spot: Spot, record: &Record| {
        if let Some((key, n)) = parse(record) {
            read.insert(key, (n, segment_of(spot.lsn)));
        }
    };
    let options = Options { salt: seed, ..options() };
    match Journal::recover(torn, options, &mut apply) {
        Ok((journal, _)) => (journal, read),
        Err(refusal) => panic!("{what}: {refusal}"),
    }
}

impl World {
    fn new(seed: u64) -> Self {
        let mut torn = Torn::default();
        let (journal, _) = start(&mut torn, seed, "new");
        let (rng, what) = (Rng::new(seed), format!("seed {seed}"));
        let (keys, jobs, now) = (BTreeMap::new(), Vec::new(), Now::default());
        Self { rng, torn, journal, now, keys, jobs, what, removed: 0, scanned: 0 }
    }

    fn step(&mut self) {
        match self.rng.below(12) {
            0..6 => self.set(),
            6 => self.torn.breathe(&mut self.rng),
            7 => self.journal.compact_if_sparse(),
            _ => self.work(),
        }
        assert!(self.torn.a_mark_is_safe(), "{}", self.what);
        self.now.mono += self.rng.below(50) * MS;
    }

    fn set(&mut self) {
        let (key, len) = (self.rng.below(40) * self.rng.below(2), self.rng.below(900) as usize);
        let state = self.keys.entry(key).or_default();
        let n = state.said + 1;
        let Ok(spot) = self.journal.append(Class::Growth, &note(key, n, len)) else {
            return;
        };
        state.said = n;
        state.waiting.push((spot.end, n));
        self.own(key, segment_of(spot.lsn));
    }

    fn own(&mut self, key: u64, segment: u32) {
        self.journal.own(segment, 1);
        let state = self.keys.entry(key).or_default();
        if let Some(old) = state.segment.replace(segment) {
            self.journal.disown(old, 1);
        }
    }

    /// Jobs are performed one after the other, answers come at once or a little later.
    fn work(&mut self) {
        while let Some(job) = self.journal.poll_job(self.now) {
            self.jobs.push(job);
        }
        for _ in 0..self.rng.below(4).min(self.jobs.len() as u64) {
            let job = self.jobs.remove(0);
            let done = perform(&mut self.torn, job);
            self.removed += u64::from(matches!(done, DiskDone::Removed { .. }));
            match self.journal.on_done(self.now, done) {
                Some(News::Synced { upto, .. }) => self.acknowledge(upto),
                Some(News::Scanned(scanned)) => self.carry(scanned),
                _ => {}
            }
        }
    }

    fn acknowledge(&mut self, upto: Lsn) {
        for key in self.keys.values_mut() {
            let safe = key.waiting.iter().filter(|(end, _)| *end <= upto).map(|(_, n)| *n);
            key.acknowledged = safe.max().unwrap_or(0).max(key.acknowledged);
            key.waiting.retain(|(end, _)| *end > upto);
        }
    }

    fn carry(&mut self, scanned: Scanned) {
        self.scanned += 1;
        scanned.result.as_ref().expect("readable");
        for (_, record) in &scanned.records {
            let Some((key, n)) = parse(record) else {
                continue;
            };
            let state = &self.keys[&key];
            if state.said != n || state.segment != Some(scanned.segment) {
                continue;
            }
            let Ok(spot) = self.journal.append(Class::Relief, record) else {
                return self.journal.head_later();
            };
            self.own(key, segment_of(spot.lsn));
        }
        self.journal.head_done();
    }

    /// The end of this life, and the start of the next: all that was acknowledged is there.
    fn crash(&mut self, round: u64) {
        let how = self.rng.below(4);
        match how {
            0 => {}
            1 => {
                // A sync fails, the process goes, the machine stays up for now.
                self.torn.sick = true;
                self.jobs.clear();
                self.set();
                let _ = self.journal.next_sync().map(|job| perform(&mut self.torn, job));
            }
            _ => self.torn.power_cut(&mut self.rng),
        }
        self.torn.sick = false;
        self.jobs.clear();
        let what = format!("{} round {round} way {how}", self.what);
        let (journal, read) = start(&mut self.torn, round ^ 77, &what);
        self.journal = journal;
        for (key, state) in &mut self.keys {
            let (n, segment) = read.get(key).map_or((0, None), |(n, s)| (*n, Some(*s)));
            assert!(n >= state.acknowledged, "{what}: key {key} is {n}, was {state:?}");
            assert!(n <= state.said, "{what}: key {key} is {n}, was {state:?}");
            *state = Key { said: n, acknowledged: state.acknowledged, segment, waiting: vec![] };
            segment.into_iter().for_each(|segment| self.journal.own(segment, 1));
        }
        // Serving begins when it is settled; from then on all that was read counts.
        if self.rng.chance(3, 4) {
            while !self.journal.is_settled() {
                self.work();
            }
            self.keys.values_mut().for_each(|state| state.acknowledged = state.said);
        }
    }
}

#[test]
fn what_was_acknowledged_survives_whatever_happens() {
    let (mut removed, mut scanned) = (0, 0);
    for seed in 0..40 {
        let mut world = World::new(seed);
        for round in 0..12 {
            for _ in 0..world.rng.below(250) {
                world.step();
            }
            world.crash(round);
        }
        removed += world.removed;
        scanned += world.scanned;
    }
    assert!(removed > 50 && scanned > 20, "heads went: {removed}, were read: {scanned}");
}

/// A journal over a few segments with two damaged records, all of it on the disk.
fn damaged() -> Torn {
    let mut torn = Torn::default();
    let (mut journal, _) = start(&mut torn, 5, "new");
    let mut spots = Vec::new();
    for n in 1..=60 {
        spots.push(journal.append(Class::Growth, &note(n, n, 700)).expect("room"));
        while let Some(job) = journal.poll_job(Now::default()) {
            let done = perform(&mut torn, job);
            let _ = journal.on_done(Now::default(), done);
        }
    }
    for spot in [spots[3], spots[40]] {
        let file = torn.files.get_mut(&segment_of(spot.lsn)).expect("there");
        let at = offset_of(spot.lsn) as usize + 99;
        file.safe[at] ^= 1;
        file.written[at].fetch_xor(1, Relaxed);
    }
    torn
}

#[test]
fn a_salvage_that_the_power_cuts_off_loses_nothing_more() {
    let options = Options { salvage: true, ..options() };
    let mut rng = Rng::new(3);
    let mut cut_off = 0;
    for calls in 0..200 {
        for _ in 0..3 {
            let mut torn = damaged();
            torn.calls = Some(calls);
            cut_off +=
                u32::from(Journal::recover(&mut torn, options.clone(), &mut |_, _| ()).is_err());
            torn.power_cut(&mut rng);
            torn.calls = None;
            let mut keys = BTreeMap::new();
            let mut apply = |_, record: &Record| keys.extend(parse(record));
            if let Err(refusal) = Journal::recover(&mut torn, options.clone(), &mut apply) {
                panic!("after {calls} calls: {refusal}");
            }
            assert_eq!(keys.len(), 58, "after {calls} calls");
        }
    }
    assert!((60..590).contains(&cut_off), "{cut_off} were cut off");
}
