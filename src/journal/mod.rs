//! Floor 1. What survives: an append-only log in segments, and who is owed what of it.
//!
//! Appending copies a record into the mapped active segment and cannot block; everything that may
//! block leaves as a `DiskJob` and comes back as a `DiskDone`. At most one sync is outstanding,
//! and what is appended meanwhile goes with the next: group commit without a timer. While a sync
//! hangs the segment is not touched, because a store into its map may hang with it: what makes the
//! journal owe less is held in memory, up to a bound, and what would make it owe more is refused.
//! The first error of the disk that is not lack of space is final: nothing is acknowledged after
//! it. A position in the log is segment and offset in one number, so it stays true when the
//! segment size is changed. Deliberately absent: what records mean, retrying a sync, threads, file
//! names.

mod active;
mod ahead;
mod census;
mod frame;
#[cfg(any(test, feature = "testing"))]
pub mod fuzzing;
pub mod job;
pub mod ledger;
#[cfg(any(test, feature = "testing"))]
pub mod memory;
mod page;
mod perform;
pub mod record;
mod recover;
mod report;
mod salvage;
pub mod storage;
mod work;

pub use perform::perform;
pub use report::{Cut, Refusal, Report, Salvaged, Why};

use crate::base::id::Lsn;
use crate::base::rng::Rng;
use crate::base::time::{Deadline, MS};
use active::{Active, Prepared, SEAL};
use ahead::Ahead;
use census::{Census, Fate};
use frame::{FRAME, padded};
use job::{DiskJob, Fetch, Fetched, Pick, Picked, Scanned};
use page::{Header, Mark, PAGE};
use record::{Draft, MessageRef, Record, TooLong};
use smallvec::SmallVec;
use std::collections::VecDeque;
use storage::DiskError;

/// Segments kept ready: the next one, and the one growth may not take.
const PREPARED: usize = 2;

/// A full disk is asked again after this long.
const FULL_RETRY_MS: u64 = 250;

/// The mark in the first page is renewed no more often than this.
const MARK_NS: u64 = 1000 * MS;

/// Bytes of records read at once when a head is carried forward.
const SCAN_BYTES: usize = 1 << 20;

/// Bytes that are held while a sync hangs.
const HELD_MAX: usize = 1 << 20;

/// The shortest segment that is any use.
const SEGMENT_MIN: u32 = 16 << 10;

/// How to keep a journal.
#[derive(Clone, Debug)]
pub struct Options {
    /// Length of new segments.
    pub segment_bytes: u32,
    /// Entropy: the salts of new segments follow from it.
    pub salt: u64,
    /// Keep what can be kept of a damaged journal, instead of refusing it.
    pub salvage: bool,
}

impl Options {
    /// The length of a new segment: at least one that is any use, and a whole number of records'
    /// alignments.
    fn segment_len(&self) -> u32 {
        self.segment_bytes.max(SEGMENT_MIN) / frame::ALIGN as u32 * frame::ALIGN as u32
    }
}

/// What an append is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Class {
    /// It makes the journal owe more. Never takes the last prepared segment.
    Growth,
    /// It makes the journal owe less, or carries survivors forward. May take the reserve.
    Relief,
}

/// Where a record went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Spot {
    /// Its start: where to find it.
    pub lsn: Lsn,
    /// Its end: a reply that waits for it waits until `synced` reaches this.
    pub end: Lsn,
    /// Its length on the disk.
    pub len: u32,
    /// It is in memory only, until the sync that hangs is over.
    pub held: bool,
}

/// Why a record was not appended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AppendError {
    /// Not now. `News::RoomAgain` follows.
    NoRoom,
    /// Not ever: it is longer than a segment.
    TooLarge,
    /// The disk has failed.
    Failed,
}

/// How the journal is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum State {
    /// Well.
    Running,
    /// There is no space for another segment; what is prepared is still used.
    Full,
    /// The disk gave this error, and nothing is acknowledged any more.
    Failed(DiskError),
}

/// What a finished job means to those above.
#[derive(Debug)]
pub enum News {
    /// Everything before this is on the disk.
    Synced {
        /// The position.
        upto: Lsn,
        /// Growth that was refused while that hung may try again.
        room: bool,
    },
    /// The answer to a fetch.
    Fetched(Fetched),
    /// The answer to a pick.
    Picked(Picked),
    /// A stretch of the head: append again what lives, as relief, then call `head_done`.
    Scanned(Scanned),
    /// Growth that was refused may try again.
    RoomAgain,
    /// There is no space for another segment.
    Full,
    /// The disk failed; it stays so.
    Failed(DiskError),
}

/// Sizes and counts, for whoever shows them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// Records appended since the start.
    pub records: u64,
    /// Bytes appended since the start.
    pub bytes: u64,
    /// Syncs finished since the start.
    pub syncs: u64,
    /// Segments in use.
    pub segments: usize,
    /// Segments kept ready.
    pub prepared: usize,
    /// Living references.
    pub refs: u64,
}

/// The log.
#[derive(Debug)]
pub struct Journal {
    segment_bytes: u32,
    salts: Rng,
    active: Option<Active>,
    prepared: VecDeque<Prepared>,
    ahead: Ahead,
    creating: Option<Header>,
    census: Census,
    /// Sequence number of the next record.
    seq: u64,
    /// The last one that is known to be on the disk.
    durable: u64,
    tail: Lsn,
    synced: Lsn,
    /// Segments written since the last sync was asked for, oldest first.
    unsynced: SmallVec<[u32; 2]>,
    syncs_asked: u64,
    syncs_done: u64,
    requests: VecDeque<DiskJob>,
    state: State,
    retry: Deadline,
    refused: usize,
    mark: Mark,
    marked_at: u64,
    /// The number of the sync that covers the last mark.
    mark_sync: u64,
    closing: bool,
    scratch: Vec<u8>,
    tally: Tally,
}

/// What an append has to do first.
enum Way {
    Fits,
    Roll,
    Shut,
}

impl Journal {
    /// The position of a byte of a segment.
    #[must_use]
    pub fn lsn_at(segment: u32, offset: u32) -> Lsn {
        lsn_at(segment, offset)
    }

    /// The segment of a position.
    #[must_use]
    pub fn segment_of(lsn: Lsn) -> u32 {
        segment_of(lsn)
    }

    /// The offset of a position in its segment.
    #[must_use]
    pub fn offset_of(lsn: Lsn) -> u32 {
        offset_of(lsn)
    }

    /// Append any record. Message and other bodies are copied once, into the segment.
    pub fn append(&mut self, class: Class, record: &Record) -> Result<Spot, AppendError> {
        self.append_draft(class, |head| record.draft(head))
    }

    /// Append a message.
    pub fn append_message(
        &mut self,
        class: Class,
        m: &MessageRef<'_>,
    ) -> Result<Spot, AppendError> {
        self.append_draft(class, |head| m.draft(head))
    }

    /// A record of that size (`MessageRef::size`) would be accepted now.
    #[must_use]
    pub fn room_for(&self, class: Class, bytes: usize) -> bool {
        let failed = matches!(self.state, State::Failed(_));
        !failed && bytes <= self.largest() && !matches!(self.way(class, bytes), Way::Shut)
    }

    /// The end of the log.
    #[must_use]
    pub fn tail(&self) -> Lsn {
        self.tail
    }

    /// Everything before this is on the disk.
    #[must_use]
    pub fn synced(&self) -> Lsn {
        self.synced
    }

    /// Everything is on the disk and no sync is outstanding: true once a recovered journal may
    /// serve, and once a closed one may be left.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        !self.syncing() && self.unsynced.is_empty()
    }

    /// The sync under way hangs: from now on, until it is over, the segment is not touched. Records
    /// that make the journal owe less are held, others find no room.
    pub fn hold(&mut self) {
        if let (true, Some(active)) = (self.syncing(), &mut self.active) {
            active.hold();
        }
    }

    /// What is appended is in memory only.
    #[must_use]
    pub fn is_holding(&self) -> bool {
        self.held().is_some()
    }

    fn held(&self) -> Option<usize> {
        self.active.as_ref().and_then(Active::held)
    }

    /// `poll_job` has something to give now: a read that was asked for, or records to sync.
    #[must_use]
    pub fn has_work(&self) -> bool {
        if self.is_holding() {
            return false;
        }
        let sync = !self.syncing() && !self.unsynced.is_empty();
        !self.requests.is_empty() || (sync && !matches!(self.state, State::Failed(_)))
    }

    /// The oldest segment.
    #[must_use]
    pub fn head_segment(&self) -> u32 {
        self.census.head()
    }

    /// Where what is written in a segment ends; 0 when there is no such segment.
    #[must_use]
    pub fn end_in(&self, segment: u32) -> u32 {
        self.census.end_in(segment)
    }

    /// How it is.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Sizes and counts.
    #[must_use]
    pub fn tally(&self) -> Tally {
        Tally {
            segments: self.census.len(),
            prepared: self.prepared.len(),
            refs: self.census.refs(),
            ..self.tally
        }
    }

    /// So many records of that segment live: it is not removed before they are disowned. To be
    /// owned: every entry owed, every retained value, and the last record of every owner,
    /// subscription and note. Records that only take something back need no owner.
    pub fn own(&mut self, segment: u32, refs: u64) {
        self.census.own(segment, refs);
    }

    /// So many records of that segment do not live any more.
    pub fn disown(&mut self, segment: u32, refs: u64) {
        self.census.disown(segment, refs);
    }

    /// Ask for a read; the caller bounds how many it has under way.
    pub fn request(&mut self, job: impl Into<DiskJob>) {
        self.requests.push_back(job.into());
    }

    /// See to the oldest segment: let a dead one go, have a sparse one read. Call it once a turn.
    pub fn compact_if_sparse(&mut self) {
        if !matches!(self.census.fate, Fate::Stays | Fate::Stuck) {
            return;
        }
        if self.census.head_is_dead() {
            self.bury_head();
        } else if self.census.fate == Fate::Stays
            && !self.prepared.is_empty()
            && self.census.head_is_sparse(self.state == State::Full)
        {
            self.census.fate = Fate::Scan(PAGE);
        }
    }

    /// What the last `News::Scanned` held and lives has been appended again, owned there and
    /// disowned here. Reads on, or lets the head go.
    pub fn head_done(&mut self) {
        match self.census.fate {
            Fate::Carrying(Some(next)) => self.census.fate = Fate::Scan(next),
            Fate::Carrying(None) if self.census.head_is_dead() => self.bury_head(),
            // Something was left behind; removing it would lose it.
            Fate::Carrying(None) => self.census.fate = Fate::Stuck,
            _ => {}
        }
    }

    /// What the last `News::Scanned` held could not all be appended: the head is read again later.
    pub fn head_later(&mut self) {
        if matches!(self.census.fate, Fate::Carrying(_)) {
            self.census.fate = Fate::Stays;
        }
    }

    /// A clean end: the mark is written exactly once everything is on the disk. The caller goes on
    /// polling and performing jobs until `is_settled`.
    pub fn close(&mut self) {
        self.closing = true;
        self.mark_exactly();
    }

    /// When `poll_job` has something to say although nothing happened.
    #[must_use]
    pub fn deadline(&self) -> Option<Deadline> {
        (self.state == State::Full && self.creating.is_none()).then_some(self.retry)
    }

    fn append_draft<'a>(
        &mut self,
        class: Class,
        draft: impl FnOnce(&mut Vec<u8>) -> Result<Draft<'a>, TooLong>,
    ) -> Result<Spot, AppendError> {
        let mut head = core::mem::take(&mut self.scratch);
        head.clear();
        head.resize(FRAME, 0);
        let spot = match draft(&mut head) {
            Ok(draft) => self.put(class, &mut head, &draft),
            Err(TooLong) => Err(AppendError::TooLarge),
        };
        // One enormous fan-out must not keep its memory.
        head.clear();
        head.shrink_to(64 << 10);
        self.scratch = head;
        spot
    }

    fn put(
        &mut self,
        class: Class,
        head: &mut [u8],
        draft: &Draft<'_>,
    ) -> Result<Spot, AppendError> {
        let bytes = padded(head.len().saturating_add(draft.blob_len()));
        if matches!(self.state, State::Failed(_)) {
            return Err(AppendError::Failed);
        }
        if bytes > self.largest() {
            return Err(AppendError::TooLarge);
        }
        match self.way(class, bytes) {
            Way::Fits => {}
            Way::Roll => self.roll(),
            Way::Shut => {
                if class == Class::Growth {
                    self.refused = self.refused.max(bytes);
                }
                return Err(AppendError::NoRoom);
            }
        }
        let Some(active) = &mut self.active else {
            return Err(AppendError::NoRoom);
        };
        let start = active.put(self.seq, self.durable, head, draft);
        let (no, end) = (active.header.no, active.at);
        if !active.is_whole() {
            // Its sync says what is wrong, to everybody.
            self.touch(no);
            return Err(AppendError::Failed);
        }
        self.wrote(no, start, end);
        let held = self.is_holding();
        Ok(Spot { lsn: lsn_at(no, start), end: self.tail, len: end - start, held })
    }

    fn way(&self, class: Class, bytes: usize) -> Way {
        let spare = self.prepared.len();
        if let (Some(held), Some(active)) = (self.held(), &self.active) {
            let fits = active.fits(bytes) && held.saturating_add(bytes) <= HELD_MAX;
            return if class == Class::Relief && fits { Way::Fits } else { Way::Shut };
        }
        if let Some(active) = self.active.as_ref().filter(|active| active.fits(bytes)) {
            let kept_free = class == Class::Growth && active.reserve && spare == 0;
            return if kept_free { Way::Shut } else { Way::Fits };
        }
        let needed = match class {
            Class::Growth => 2,
            Class::Relief => 1,
        };
        if spare >= needed { Way::Roll } else { Way::Shut }
    }

    /// The longest record that an empty segment takes.
    fn largest(&self) -> usize {
        self.segment_bytes.saturating_sub(PAGE + SEAL) as usize
    }

    /// Seal the active segment and begin the next. The seal is written first: recovery takes a
    /// segment after an unsealed one for one that was never acknowledged.
    fn roll(&mut self) {
        let Some(next) = self.prepared.pop_front() else {
            return;
        };
        if let Some(mut full) = self.active.take() {
            let start = full.at;
            full.seal(self.seq, self.durable);
            self.wrote(full.header.no, start, full.at);
        }
        let mut active = Active::begin(next, self.seq);
        active.reserve = self.prepared.is_empty();
        self.census.open();
        self.active = Some(active);
    }

    /// A record was written to segment `no`.
    fn wrote(&mut self, no: u32, start: u32, end: u32) {
        self.tally.records += 1;
        self.tally.bytes += u64::from(end - start);
        self.seq += 1;
        self.tail = lsn_at(no, end);
        self.census.wrote(end);
        self.touch(no);
    }

    /// Segment `no` has something to sync.
    fn touch(&mut self, no: u32) {
        if self.unsynced.last() != Some(&no) {
            self.unsynced.push(no);
        }
    }

    fn syncing(&self) -> bool {
        self.syncs_asked > self.syncs_done
    }
}

fn lsn_at(segment: u32, offset: u32) -> Lsn {
    Lsn(u64::from(segment) << 32 | u64::from(offset))
}

fn segment_of(lsn: Lsn) -> u32 {
    (lsn.0 >> 32) as u32
}

fn offset_of(lsn: Lsn) -> u32 {
    lsn.0 as u32
}

impl From<Fetch> for DiskJob {
    fn from(job: Fetch) -> Self {
        Self::Fetch(job)
    }
}

impl From<Pick> for DiskJob {
    fn from(job: Pick) -> Self {
        Self::Pick(job)
    }
}

#[cfg(test)]
mod ahead_test;
#[cfg(test)]
mod crash_test;
#[cfg(test)]
mod journal_test;
#[cfg(test)]
mod ledger_test;
#[cfg(test)]
mod record_test;
#[cfg(test)]
mod recover_test;
#[cfg(test)]
mod rig_test;
