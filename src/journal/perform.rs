//! Floor 1. Doing a disk job, on whatever thread may block.
//!
//! Reading goes through a buffer of bounded size that the records found in it share; a record
//! longer than that gets a buffer of its own, after its length was compared with the known end of
//! the segment. Every record is checked again: what was good when it was written may have rotted.

use super::frame::{Found, Frame, look};
use super::job::{DiskDone, DiskJob, Fetch, Fetched, FetchedItem, Pick, Picked, Scan, Scanned};
use super::page::{Header, PAGE, Page};
use super::record::{MessageRecord, Record, kind, message_in, message_owed_to};
use super::storage::{DiskError, Storage};
use super::{lsn_at, offset_of, segment_of};
use crate::base::id::Lsn;
use bytes::Bytes;
use std::ops::ControlFlow;

/// A buffer below this is not worth a system call.
const READ_MIN: usize = 4096;

/// A fetch that finds nothing of its owner goes on for so many buffers before it answers.
const BUFFERS_MAX: usize = 16;

/// What is read ahead goes nowhere, through a buffer of this size.
const AHEAD_PIECE: u32 = 16 << 10;

/// Do it now. The answer goes to `Journal::on_done`.
pub fn perform(storage: &mut dyn Storage, job: DiskJob) -> DiskDone {
    match job {
        DiskJob::Create { no, header, len } => {
            DiskDone::Created { no, slate: storage.create(no, len, &header) }
        }
        DiskJob::Sync { segments, upto, seq } => {
            let result = segments.iter().try_for_each(|no| storage.sync(*no));
            DiskDone::Synced { upto, seq, result }
        }
        DiskJob::Ahead { no, offset, len } => {
            DiskDone::Ahead { result: ahead(storage, no, offset, len) }
        }
        DiskJob::Fetch(job) => DiskDone::Fetched(fetch(storage, &job)),
        DiskJob::Pick(job) => DiskDone::Picked(pick(storage, &job)),
        DiskJob::Scan(job) => DiskDone::Scanned(scan(storage, &job)),
        DiskJob::Remove { no } => DiskDone::Removed { no, result: storage.remove(no) },
    }
}

fn ahead(storage: &mut dyn Storage, no: u32, offset: u32, len: u32) -> Result<(), DiskError> {
    let mut piece = [0; AHEAD_PIECE as usize];
    let (mut at, end) = (offset, offset.saturating_add(len));
    while at < end {
        let n = (end - at).min(AHEAD_PIECE);
        storage.read(no, u64::from(at), &mut piece[..n as usize])?;
        at += n;
    }
    Ok(())
}

fn fetch(storage: &mut dyn Storage, job: &Fetch) -> Fetched {
    let mut items = Vec::new();
    let mut next = job.offset;
    let result = fetch_into(storage, job, &mut items, &mut next);
    Fetched { owner: job.owner, token: job.token, items, next_offset: next, result }
}

fn fetch_into(
    storage: &mut dyn Storage,
    job: &Fetch,
    items: &mut Vec<FetchedItem>,
    next: &mut u32,
) -> Result<(), DiskError> {
    let header = header(storage, job.segment)?;
    for _ in 0..BUFFERS_MAX {
        if !items.is_empty() || *next >= job.end {
            break;
        }
        let chunk = Chunk::read(storage, &header, *next, job.end, job.bytes_max)?;
        chunk.walk(next, |lsn, frame, body| {
            let Some(body) = message_in(frame.kind, body) else {
                return ControlFlow::Continue(());
            };
            let found = message_owed_to(frame.flags, &body, job.owner, job.lo, job.hi);
            let Some((owed, message)) = found else {
                return ControlFlow::Continue(());
            };
            let ord = owed.ord;
            items.push(FetchedItem { ord, lsn, owed, message });
            if ord == job.hi { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
    }
    Ok(())
}

fn pick(storage: &mut dyn Storage, job: &Pick) -> Picked {
    let items = job.at.iter().map(|(lsn, len)| pick_one(storage, *lsn, *len)).collect();
    Picked { token: job.token, items }
}

fn pick_one(storage: &mut dyn Storage, lsn: Lsn, len: u32) -> Result<MessageRecord, DiskError> {
    let (segment, offset) = (segment_of(lsn), offset_of(lsn));
    let header = header(storage, segment)?;
    if offset > header.len || len > header.len - offset {
        return Err(rotten(segment, offset, "a record beyond the end of its segment"));
    }
    let chunk = Chunk::read(storage, &header, offset, offset + len, len as usize)?;
    let mut picked = None;
    chunk.walk(&mut offset.clone(), |_, frame, body| {
        picked = Record::decode(frame.kind, frame.flags, body);
        ControlFlow::Break(())
    })?;
    match picked {
        Some(Record::Message(message)) => Ok(message),
        _ => Err(rotten(segment, offset, "no message where one was written")),
    }
}

fn scan(storage: &mut dyn Storage, job: &Scan) -> Scanned {
    let mut records = Vec::new();
    let mut next = Some(job.offset);
    let result = scan_into(storage, job, &mut records, &mut next);
    Scanned { segment: job.segment, records, next_offset: next, result }
}

fn scan_into(
    storage: &mut dyn Storage,
    job: &Scan,
    records: &mut Vec<(Lsn, Record)>,
    next: &mut Option<u32>,
) -> Result<(), DiskError> {
    let header = header(storage, job.segment)?;
    if job.offset >= header.len {
        return Err(rotten(job.segment, job.offset, "the segment ends without its seal"));
    }
    let chunk = Chunk::read(storage, &header, job.offset, header.len, job.bytes_max)?;
    let mut at = job.offset;
    let mut sealed = false;
    let walked = chunk.walk(&mut at, |lsn, frame, body| {
        sealed = frame.kind == kind::SEAL;
        if let Some(record) = Record::decode(frame.kind, frame.flags, body)
            && !sealed
        {
            records.push((lsn, record));
        }
        if sealed { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    *next = (!sealed).then_some(at);
    walked
}

/// A stretch of a segment, beginning with a whole record.
struct Chunk {
    segment: u32,
    start: u32,
    seed: u32,
    bytes: Bytes,
}

impl Chunk {
    fn read(
        storage: &mut dyn Storage,
        header: &Header,
        start: u32,
        end: u32,
        bytes_max: usize,
    ) -> Result<Self, DiskError> {
        let left = end.saturating_sub(start) as usize;
        let seed = header.seed();
        let mut bytes = vec![0; left.min(bytes_max.max(READ_MIN))];
        storage.read(header.no, u64::from(start), &mut bytes)?;
        if let Found::Beyond(len) = look(&bytes, seed) {
            if len > left {
                return Err(rotten(header.no, start, "a record longer than its segment"));
            }
            bytes = vec![0; len];
            storage.read(header.no, u64::from(start), &mut bytes)?;
        }
        Ok(Self { segment: header.no, start, seed, bytes: bytes.into() })
    }

    /// Give each record to `each` and move `next` behind it. Stops where the next record is not
    /// wholly at hand; an error is a position at which there is none.
    fn walk(
        &self,
        next: &mut u32,
        mut each: impl FnMut(Lsn, &Frame, Bytes) -> ControlFlow<()>,
    ) -> Result<(), DiskError> {
        loop {
            let at = (*next - self.start) as usize;
            let Some(rest) = self.bytes.get(at..).filter(|rest| !rest.is_empty()) else {
                return Ok(());
            };
            let frame = match look(rest, self.seed) {
                Found::Record(frame) => frame,
                // The frame itself is cut by the end of the buffer.
                Found::Nothing if at > 0 && rest.len() < super::frame::FRAME => return Ok(()),
                Found::Beyond(_) if at > 0 => return Ok(()),
                Found::Bad(why) => return Err(rotten(self.segment, *next, why)),
                _ => {
                    return Err(rotten(self.segment, *next, "no record where one was written"));
                }
            };
            let lsn = lsn_at(self.segment, *next);
            let body = self.bytes.slice(at + super::frame::FRAME..at + frame.len as usize);
            *next = next.saturating_add(u32::try_from(frame.step()).unwrap_or(u32::MAX));
            if each(lsn, &frame, body).is_break() {
                return Ok(());
            }
        }
    }
}

fn header(storage: &mut dyn Storage, no: u32) -> Result<Header, DiskError> {
    let mut page = vec![0; PAGE as usize];
    storage.read(no, 0, &mut page)?;
    match Page::parse(&page) {
        Page::Good { header, .. } if header.no == no => Ok(header),
        _ => Err(rotten(no, 0, "the header of the segment is damaged")),
    }
}

fn rotten(segment: u32, offset: u32, text: &str) -> DiskError {
    DiskError { full: false, segment, offset: u64::from(offset), text: text.to_owned() }
}
