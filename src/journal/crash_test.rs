//! Floor 1. Power cuts, kills and lying syncs at random: what was acknowledged is there.
//!
//! The disk keeps what was synced and what was written. Between the two the system may write back
//! any sector at any time; a power cut keeps or loses each of them by chance; a kill loses none; a
//! sync that fails may leave pages that look clean and are not on the disk.

use super::job::{DiskDone, DiskJob};
use super::record::Record;
use super::rig_test::{SEGMENT, options};
use super::storage::{DiskError, SegmentFile, Slate, Storage};
use super::*;
use crate::base::rng::Rng;
use crate::base::time::{MS, Now};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

const SECTOR: usize = 512;

#[derive(Default, Clone)]
struct File {
    written: Vec<u8>,
    safe: Vec<u8>,
    dirty: BTreeSet<usize>,
}

impl File {
    fn write_back(&mut self, sector: usize) {
        let range = sector * SECTOR..((sector + 1) * SECTOR).min(self.written.len());
        self.safe[range.clone()].copy_from_slice(&self.written[range]);
        self.dirty.remove(&sector);
    }
}

#[derive(Clone, Default)]
struct Torn(Arc<Mutex<BTreeMap<u32, File>>>, Arc<Mutex<bool>>);

struct TornSlate(Torn, u32);

impl Slate for TornSlate {
    fn write(&mut self, at: u32, bytes: &[u8]) {
        let mut files = self.0.0.lock().expect("sound");
        // A slate of a removed file writes to nobody.
        let Some(file) = files.get_mut(&self.1) else {
            return;
        };
        let at = at as usize;
        file.written[at..at + bytes.len()].copy_from_slice(bytes);
        // A store dirties whole pages.
        let pages = at / 4096 * 8..(at + bytes.len()).div_ceil(4096) * 8;
        file.dirty.extend(pages.filter(|s| s * SECTOR < file.written.len()));
    }
}

impl Torn {
    /// The system writes something back of its own accord.
    fn breathe(&self, rng: &mut Rng) {
        for file in self.0.lock().expect("sound").values_mut() {
            let dirty: Vec<usize> = file.dirty.iter().copied().collect();
            dirty.into_iter().filter(|_| rng.chance(1, 8)).for_each(|s| file.write_back(s));
        }
    }

    fn power_cut(&self, rng: &mut Rng) {
        for file in self.0.lock().expect("sound").values_mut() {
            let dirty: Vec<usize> = file.dirty.iter().copied().collect();
            dirty.into_iter().filter(|_| rng.chance(1, 2)).for_each(|s| file.write_back(s));
            file.dirty.clear();
            file.written = file.safe.clone();
        }
    }

    /// The next sync fails, and what it should have written looks clean afterwards.
    fn sicken(&self) {
        *self.1.lock().expect("sound") = true;
    }
}

fn error(no: u32) -> DiskError {
    DiskError { full: false, segment: no, offset: 0, text: "sick".into() }
}

impl Storage for Torn {
    fn segments(&mut self) -> Result<Vec<SegmentFile>, DiskError> {
        let files = self.0.lock().expect("sound");
        Ok(files
            .iter()
            .map(|(no, f)| SegmentFile { no: *no, len: f.written.len() as u64 })
            .collect())
    }

    fn read(&mut self, no: u32, at: u64, buf: &mut [u8]) -> Result<(), DiskError> {
        let files = self.0.lock().expect("sound");
        let file = files.get(&no).ok_or_else(|| error(no))?;
        let piece = file.written.get(at as usize..at as usize + buf.len());
        buf.copy_from_slice(piece.ok_or_else(|| error(no))?);
        Ok(())
    }

    fn create(&mut self, no: u32, len: u32, header: &[u8]) -> Result<Box<dyn Slate>, DiskError> {
        let mut written = vec![0; len as usize];
        written[..header.len()].copy_from_slice(header);
        let file = File { safe: written.clone(), written, dirty: BTreeSet::new() };
        self.0.lock().expect("sound").insert(no, file);
        Ok(Box::new(TornSlate(self.clone(), no)))
    }

    fn open(&mut self, no: u32) -> Result<Box<dyn Slate>, DiskError> {
        Ok(Box::new(TornSlate(self.clone(), no)))
    }

    fn sync(&mut self, no: u32) -> Result<(), DiskError> {
        let mut files = self.0.lock().expect("sound");
        let file = files.get_mut(&no).ok_or_else(|| error(no))?;
        let dirty = core::mem::take(&mut file.dirty);
        if core::mem::take(&mut *self.1.lock().expect("sound")) {
            return Err(error(no));
        }
        dirty.into_iter().for_each(|sector| file.write_back(sector));
        Ok(())
    }

    fn remove(&mut self, no: u32) -> Result<(), DiskError> {
        self.0.lock().expect("sound").remove(&no).map(drop).ok_or_else(|| error(no))
    }

    fn set_aside(&mut self, no: u32) -> Result<String, DiskError> {
        Err(error(no))
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
            6 => self.torn.breathe(&mut self.rng.clone()),
            7 => {
                self.rng.next_u64();
                self.journal.compact_if_sparse();
            }
            _ => self.work(),
        }
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
                Some(News::Synced(upto)) => self.acknowledge(upto),
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
                self.torn.sicken();
                self.jobs.clear();
                self.set();
                let _ = self.journal.next_sync().map(|job| perform(&mut self.torn, job));
            }
            _ => self.torn.power_cut(&mut self.rng),
        }
        *self.torn.1.lock().expect("sound") = false;
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
        assert!(u64::from(SEGMENT) < world.journal.tally().bytes + 1_000_000);
    }
    assert!(removed > 50 && scanned > 20, "heads went: {removed}, were read: {scanned}");
}
