//! Floor 1. What the tests of the journal stand on: a disk that can be sick, and a journal on it.

use super::job::{DiskDone, DiskJob};
use super::memory::Memory;
use super::record::{MessageRecord, Record};
use super::record_test::{message, owed};
use super::storage::{DiskError, SegmentFile, Slate, Storage};
use super::*;
use crate::base::time::Now;
use std::collections::BTreeMap;

pub(super) const SEGMENT: u32 = SEGMENT_MIN;

pub(super) type Image = BTreeMap<u32, Vec<u8>>;

/// Memory with a bounded number of segments, and an error for the asking.
#[derive(Default, Debug)]
pub(super) struct Disk {
    pub(super) memory: Memory,
    /// More segments than this do not fit.
    pub(super) room: Option<usize>,
    pub(super) sync_fails: bool,
    pub(super) create_fails: bool,
    pub(super) remove_fails: bool,
    pub(super) read_fails: Option<u32>,
}

fn eio(segment: u32, full: bool) -> DiskError {
    DiskError { full, segment, offset: 0, text: if full { "full" } else { "i/o error" }.into() }
}

impl Storage for Disk {
    fn segments(&mut self) -> Result<Vec<SegmentFile>, DiskError> {
        self.memory.segments()
    }

    fn read(&mut self, no: u32, at: u64, buf: &mut [u8]) -> Result<(), DiskError> {
        if self.read_fails == Some(no) {
            return Err(eio(no, false));
        }
        self.memory.read(no, at, buf)
    }

    fn create(&mut self, no: u32, len: u32, header: &[u8]) -> Result<Box<dyn Slate>, DiskError> {
        if self.create_fails {
            return Err(eio(no, false));
        }
        if self.room.is_some_and(|room| self.memory.len() >= room) {
            return Err(eio(no, true));
        }
        self.memory.create(no, len, header)
    }

    fn open(&mut self, no: u32) -> Result<Box<dyn Slate>, DiskError> {
        self.memory.open(no)
    }

    fn sync(&mut self, no: u32) -> Result<(), DiskError> {
        if self.sync_fails { Err(eio(no, false)) } else { self.memory.sync(no) }
    }

    fn remove(&mut self, no: u32) -> Result<(), DiskError> {
        if self.remove_fails { Err(eio(no, false)) } else { self.memory.remove(no) }
    }

    fn set_aside(&mut self, no: u32) -> Result<String, DiskError> {
        self.memory.set_aside(no)
    }
}

/// An image that is only looked at: what is written to it goes nowhere.
pub(super) struct Still<'a>(pub(super) &'a Image);

struct Nowhere;

impl Slate for Nowhere {
    fn write(&mut self, _: u32, _: &[u8]) {}
}

impl Storage for Still<'_> {
    fn segments(&mut self) -> Result<Vec<SegmentFile>, DiskError> {
        let files = self.0.iter();
        Ok(files.map(|(no, bytes)| SegmentFile { no: *no, len: bytes.len() as u64 }).collect())
    }

    fn read(&mut self, no: u32, at: u64, buf: &mut [u8]) -> Result<(), DiskError> {
        let piece = self.0.get(&no).and_then(|bytes| bytes.get(at as usize..));
        let piece = piece.and_then(|rest| rest.get(..buf.len()));
        buf.copy_from_slice(piece.ok_or_else(|| eio(no, false))?);
        Ok(())
    }

    fn create(&mut self, _: u32, _: u32, _: &[u8]) -> Result<Box<dyn Slate>, DiskError> {
        Ok(Box::new(Nowhere))
    }

    fn open(&mut self, _: u32) -> Result<Box<dyn Slate>, DiskError> {
        Ok(Box::new(Nowhere))
    }

    fn sync(&mut self, _: u32) -> Result<(), DiskError> {
        Ok(())
    }

    fn remove(&mut self, _: u32) -> Result<(), DiskError> {
        Ok(())
    }

    fn set_aside(&mut self, no: u32) -> Result<String, DiskError> {
        Err(eio(no, false))
    }
}

pub(super) struct Rig {
    pub(super) disk: Disk,
    pub(super) journal: Journal,
    pub(super) report: Report,
    pub(super) now: Now,
    /// What recovery read.
    pub(super) read: Vec<(Lsn, Record)>,
}

pub(super) fn options() -> Options {
    Options { segment_bytes: SEGMENT, salt: 1, salvage: false }
}

pub(super) fn recover(disk: &mut dyn Storage, options: Options) -> Result<Opened, Refusal> {
    let mut read = Vec::new();
    let mut apply = |spot: Spot, record: &Record| read.push((spot.lsn, record.clone()));
    let (journal, report) = Journal::recover(disk, options, &mut apply)?;
    Ok((journal, report, read))
}

pub(super) type Opened = (Journal, Report, Vec<(Lsn, Record)>);

impl Rig {
    /// Opened, with all its jobs done.
    pub(super) fn new(disk: Disk) -> Self {
        let mut rig = Self::raw(disk);
        rig.pump();
        rig
    }

    /// Opened, with nothing done yet.
    pub(super) fn raw(mut disk: Disk) -> Self {
        let (journal, report, read) = recover(&mut disk, options()).expect("opens");
        Self { disk, journal, report, now: Now::default(), read }
    }

    pub(super) fn on_image(image: Image) -> Self {
        Self::new(Disk { memory: Memory::holding(image), ..Disk::default() })
    }

    /// A start after a crash that lost nothing.
    pub(super) fn again(&self) -> Self {
        Self::on_image(self.disk.memory.image())
    }

    pub(super) fn done(&mut self, job: DiskJob) -> Option<News> {
        let done = perform(&mut self.disk, job);
        self.journal.on_done(self.now, done)
    }

    /// Perform jobs until there is none.
    pub(super) fn pump(&mut self) -> Vec<News> {
        let mut news = Vec::new();
        while let Some(job) = self.journal.poll_job(self.now) {
            news.extend(self.done(job));
        }
        news
    }

    /// Only syncs: nothing else is made ready, read or removed.
    pub(super) fn sync(&mut self) {
        while let Some(job) = self.journal.next_sync() {
            let _ = self.done(job);
        }
    }

    pub(super) fn say(&mut self, text: &str) -> Spot {
        self.try_say(Class::Growth, text).expect("room")
    }

    pub(super) fn try_say(&mut self, class: Class, text: &str) -> Result<Spot, AppendError> {
        self.journal.append(class, &note(text))
    }

    /// Owe owner 1 a message of that many bytes.
    pub(super) fn owe(&mut self, ord: u64, bytes: usize) -> Result<Spot, AppendError> {
        self.journal.append_message(Class::Growth, &debt(ord, bytes).as_ref())
    }

    /// The values of all notes that recovery read.
    pub(super) fn said(&self) -> Vec<String> {
        self.read.iter().filter_map(|(_, record)| said(record)).collect()
    }
}

pub(super) fn note(text: &str) -> Record {
    Record::Note { key: bytes::Bytes::from_static(b"k"), value: text.to_owned().into() }
}

pub(super) fn said(record: &Record) -> Option<String> {
    match record {
        Record::Note { value, .. } => Some(String::from_utf8_lossy(value).into_owned()),
        _ => None,
    }
}

pub(super) fn debt(ord: u64, bytes: usize) -> MessageRecord {
    message(&vec![b'x'; bytes], &[owed(1, ord)])
}

/// The jobs that are ready now, not performed.
pub(super) fn ready(journal: &mut Journal, now: Now) -> Vec<DiskJob> {
    core::iter::from_fn(|| journal.poll_job(now)).collect()
}

/// A sync that worked.
pub(super) fn synced(job: &DiskJob) -> DiskDone {
    match job {
        DiskJob::Sync { upto, seq, .. } => {
            DiskDone::Synced { upto: *upto, seq: *seq, result: Ok(()) }
        }
        other => panic!("not a sync: {other:?}"),
    }
}
