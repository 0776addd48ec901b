//! Floor 1. Reading the log at the start: what is whole, what was torn, what is damaged.
//!
//! Records follow each other without a gap in their numbers. At the first place where the next one
//! is not, something must be decided: bytes that nobody was promised (a torn tail, which is cut)
//! or bytes that somebody was (damage, which is refused). The proof is a number: a later record,
//! or the mark, says that the missing one was on the disk. Nothing is changed before the whole log
//! has been judged. Absent on purpose: guessing, and repairing without being told to.

use super::active::{Active, Chain, Prepared};
use super::ahead::Ahead;
use super::census::Census;
use super::frame::{Found, RECORD_MIN, Search, look};
use super::page::{self, Header, Mark, PAGE, Page};
use super::record::{Record, kind};
use super::report::{Cut, Refusal, Report, Why};
use super::storage::{SegmentFile, Storage};
use super::{Journal, Options, Spot, State, Tally, lsn_at, salvage};
use crate::base::id::Lsn;
use crate::base::rng::Rng;
use crate::base::time::Deadline;
use bytes::Bytes;
use smallvec::SmallVec;
use std::collections::VecDeque;

/// A segment that exists.
pub(super) struct Segment {
    pub(super) no: u32,
    /// Its length on the disk.
    pub(super) len: u64,
    pub(super) page: Page,
}

/// Where the log ends.
struct End {
    /// Index among the segments.
    index: usize,
    header: Header,
    offset: u32,
    seq: u64,
    chain: Chain,
    opening: Option<u64>,
    second: bool,
    bytes: Bytes,
    /// What stands there is not just zeroes.
    bad: Option<&'static str>,
}

struct Replay<'a> {
    storage: &'a mut dyn Storage,
    segments: Vec<Segment>,
    /// The sequence number of the next record, once it is known.
    expected: Option<u64>,
    /// The highest that any record or mark says was on the disk.
    durable: u64,
    mark: Mark,
    /// End and last sequence number of each segment that was read.
    ends: Vec<(u32, u64, u64)>,
    report: Report,
}

type Apply<'a> = dyn FnMut(Spot, &Record) + 'a;

impl Journal {
    /// Read the log from its oldest record on, giving each to `apply`, and make it ready to be
    /// written. Records share the buffer of a whole segment: what is kept of them is to be copied.
    /// Serve only once `is_settled`: what was read may have been in memory only, and is written
    /// to the disk again first.
    pub fn recover(
        storage: &mut dyn Storage,
        options: Options,
        apply: &mut dyn FnMut(Spot, &Record),
    ) -> Result<(Self, Report), Refusal> {
        let mut salts = Rng::new(options.salt);
        let salvaged = match options.salvage {
            true => salvage::salvage(storage, &options, &mut salts)?,
            false => None,
        };
        let mut replay = Replay::survey(storage)?;
        let mut journal = match replay.read(apply)? {
            Some(end) => replay.go_on(end, &options, salts)?,
            None => replay.start(&options, salts)?,
        };
        journal.mark = Mark { seq: replay.mark.seq, head: journal.census.head() };
        let mut report = replay.report;
        report.salvaged = salvaged;
        report.segments = journal.census.len();
        Ok((journal, report))
    }
}

/// Every segment with its first page; refuses what is newer before anything else is looked at.
pub(super) fn survey(storage: &mut dyn Storage) -> Result<Vec<Segment>, Refusal> {
    let files = storage.segments()?;
    let mut segments = Vec::with_capacity(files.len());
    for SegmentFile { no, len } in files {
        let mut page = vec![0; len.min(u64::from(PAGE)) as usize];
        storage.read(no, 0, &mut page)?;
        let page = match Page::parse(&page) {
            Page::Newer(version) => {
                let text =
                    format!("format {version} is another than this program writes and reads");
                return Err(Refusal { why: Why::Newer, segment: no, offset: 0, seq: 0, text });
            }
            Page::Good { header, .. } if header.no != no => Page::Bad,
            page => page,
        };
        segments.push(Segment { no, len, page });
    }
    segments.sort_by_key(|segment| segment.no);
    Ok(segments)
}

/// The bytes of a segment, no more than its header says.
pub(super) fn load(storage: &mut dyn Storage, segment: &Segment) -> Result<Bytes, Refusal> {
    let len = match segment.page {
        Page::Good { header, .. } => segment.len.min(u64::from(header.len)),
        _ => segment.len.min(u64::from(u32::MAX)),
    };
    let mut bytes = vec![0; len as usize];
    storage.read(segment.no, 0, &mut bytes)?;
    Ok(bytes.into())
}

/// It was being made when the machine stopped: it was not begun, and nothing stands in it.
fn unborn(storage: &mut dyn Storage, segment: &Segment) -> Result<bool, Refusal> {
    let finished = match segment.page {
        Page::Good { opening: Some(_), .. } => true,
        Page::Good { header, .. } => segment.len >= u64::from(header.len),
        _ => false,
    };
    if finished {
        return Ok(false);
    }
    let bytes = load(storage, segment)?;
    Ok(bytes.iter().skip(PAGE as usize).all(|b| *b == 0))
}

/// The highest mark of all first pages. What is dead has no say in sequence numbers.
pub(super) fn best_mark(segments: &[Segment]) -> Mark {
    let marks = segments.iter().filter_map(|segment| match segment.page {
        Page::Good { mark, .. } => Some((segment.no, mark)),
        _ => None,
    });
    let head = marks.clone().map(|(_, mark)| mark.head).max().unwrap_or(0);
    let alive = marks.filter(|(no, _)| *no >= head);
    Mark { seq: alive.map(|(_, mark)| mark.seq).max().unwrap_or(0), head }
}

/// Read it all for nobody: is it whole?
pub(super) fn check(storage: &mut dyn Storage) -> Result<(), Refusal> {
    Replay::survey(storage)?.read(&mut |_, _| ()).map(drop)
}

impl<'a> Replay<'a> {
    fn survey(storage: &'a mut dyn Storage) -> Result<Self, Refusal> {
        let segments = survey(storage)?;
        let mark = best_mark(&segments);
        let report = Report::default();
        let (ends, durable) = (Vec::new(), mark.seq);
        Ok(Self { storage, segments, expected: None, durable, mark, ends, report })
    }

    /// Read it all. `None`: there has never been a record.
    fn read(&mut self, apply: &mut Apply<'_>) -> Result<Option<End>, Refusal> {
        let head = self.mark.head.max(1);
        let first = self.segments.partition_point(|segment| segment.no < head);
        let Some(oldest) = self.segments.get(first) else {
            return match self.mark.head {
                0 if first == 0 => Ok(None),
                _ => Err(self.missing(head, "it is missing")),
            };
        };
        if oldest.no != head {
            return Err(self.missing(head, "it is missing, and there are later ones"));
        }
        if head == 1 && unborn(self.storage, oldest)? {
            self.all_unborn(first)?;
            return Ok(None);
        }
        for index in first..self.segments.len() {
            if self.segments[index].no != head + (index - first) as u32 {
                return Err(self.missing(head + (index - first) as u32, "it is missing"));
            }
            if let Some(end) = self.walk(index, apply)? {
                self.judge(&end)?;
                return Ok(Some(end));
            }
        }
        let no = head + (self.segments.len() - first) as u32;
        Err(self.missing(no, "it is missing: the one before it is sealed"))
    }

    /// Read one segment: `None` when it ends with its seal, otherwise where the log ends.
    fn walk(&mut self, index: usize, apply: &mut Apply<'_>) -> Result<Option<End>, Refusal> {
        let (header, opening, second) = self.whole(index)?;
        let bytes = load(self.storage, &self.segments[index])?;
        let seq = self.first_seq(&header, opening)?;
        let seed = header.seed();
        let mut end = End {
            index,
            header,
            offset: PAGE,
            seq,
            chain: Chain::default(),
            opening,
            second,
            bytes,
            bad: None,
        };
        loop {
            let rest = end.bytes.get(end.offset as usize..).unwrap_or_default();
            let frame = match look(rest, seed) {
                Found::Record(frame) if frame.seq == end.seq => frame,
                Found::Record(_) => return Ok(Some(end.with("another record stands there"))),
                Found::Beyond(_) => return Ok(Some(end.with("a length beyond the segment"))),
                Found::Bad(why) => return Ok(Some(end.with(why))),
                Found::Nothing => return Ok(Some(end)),
            };
            let start = end.offset as usize;
            let body = end.bytes.slice(start + super::frame::FRAME..start + frame.len as usize);
            let Some(record) = Record::decode(frame.kind, frame.flags, body) else {
                let text =
                    format!("a record of kind {} that this program does not know", frame.kind);
                return Err(end.refuse(Why::Newer, text));
            };
            let sealed = frame.kind == kind::SEAL;
            if sealed && record != (Record::Seal { count: end.chain.count, crc: end.chain.crc }) {
                let text = "the seal does not agree with what it seals".to_owned();
                return Err(end.refuse(Why::Damaged, text));
            }
            if !sealed {
                let len = frame.step() as u32;
                let lsn = lsn_at(header.no, end.offset);
                let end = lsn_at(header.no, end.offset + len);
                apply(Spot { lsn, end, len, held: false }, &record);
            }
            self.durable = self.durable.max(frame.durable);
            self.report.records += 1;
            self.report.bytes += frame.step() as u64;
            end.chain.add(frame.crc);
            end.offset += frame.step() as u32;
            end.seq += 1;
            if sealed {
                self.ends.push((end.offset, frame.seq, end.chain.count));
                self.expected = Some(end.seq);
                return Ok(None);
            }
        }
    }

    /// A segment that must be whole, because the log goes on in it.
    fn whole(&self, index: usize) -> Result<(Header, Option<u64>, bool), Refusal> {
        let segment = &self.segments[index];
        let Page::Good { header, opening, second, .. } = segment.page else {
            let (segment, seq) = (segment.no, self.expected.unwrap_or(0));
            let text = "the header of the segment is damaged".to_owned();
            return Err(Refusal { why: Why::Damaged, segment, offset: 0, seq, text });
        };
        if segment.len < u64::from(header.len) {
            let (no, seq) = (segment.no, self.expected.unwrap_or(0));
            let text = format!("it is {} bytes long and was made {}", segment.len, header.len);
            let (why, offset) = (Why::Missing, segment.len);
            return Err(Refusal { why, segment: no, offset, seq, text });
        }
        Ok((header, opening, second))
    }

    /// Which record comes first in a segment: what the one before it ended with. The oldest says
    /// so itself, unless it is the very first.
    fn first_seq(&self, header: &Header, opening: Option<u64>) -> Result<u64, Refusal> {
        let known = match (self.expected, header.no) {
            (None, 1) => Some(1),
            (expected, _) => expected,
        };
        match (known, opening) {
            (Some(seq), None) => Ok(seq),
            (None, Some(seq)) => Ok(seq),
            (Some(seq), Some(says)) if seq == says => Ok(seq),
            (known, says) => {
                let text = match says {
                    Some(says) => format!("the segment says that it starts with record {says}"),
                    None => "the segment does not say which record it starts with".to_owned(),
                };
                let (segment, seq) = (header.no, known.unwrap_or(0));
                Err(Refusal { why: Why::Damaged, segment, offset: 0, seq, text })
            }
        }
    }

    /// The log ends at `end`. Is that a torn tail, or has something been lost?
    fn judge(&mut self, end: &End) -> Result<(), Refusal> {
        let what = end.bad.unwrap_or("there is no record");
        if self.mark.seq >= end.seq {
            let text =
                format!("{what}; the mark says that records up to {} were safe", self.mark.seq);
            return Err(end.refuse(Why::Damaged, text));
        }
        let mut torn = Cut { segment: end.header.no, offset: end.offset, records: 0, bytes: 0 };
        torn.records += u64::from(end.bad.is_some());
        self.weigh(end, &end.header, &end.bytes, end.offset as usize, &mut torn)?;
        for index in end.index + 1..self.segments.len() {
            if unborn(self.storage, &self.segments[index])? {
                continue;
            }
            let (header, ..) = self.whole(index)?;
            let bytes = load(self.storage, &self.segments[index])?;
            self.weigh(end, &header, &bytes, PAGE as usize, &mut torn)?;
        }
        if torn.bytes > 0 {
            self.report.cut = Some(torn);
        }
        Ok(())
    }

    /// Look for proof, in the bytes of one segment from `from` on, that record `end.seq` was safe.
    fn weigh(
        &self,
        end: &End,
        header: &Header,
        bytes: &[u8],
        from: usize,
        torn: &mut Cut,
    ) -> Result<(), Refusal> {
        let Some(last) = bytes.iter().skip(from).rposition(|b| *b != 0) else {
            return Ok(());
        };
        torn.bytes += last as u64 + 1;
        let what = end.bad.unwrap_or("there is no record");
        let all: u64 = self.segments.iter().map(|segment| segment.len).sum();
        let seqs = end.seq..=end.seq.saturating_add(all / RECORD_MIN as u64);
        let mut search = Search::new(header.seed(), seqs, bytes.len());
        let mut at = from;
        while let Some((found, frame)) = search.next(bytes, at) {
            if frame.durable >= end.seq {
                let text = format!(
                    "{what}; record {} (segment {} at {found}) was written when {} was safe",
                    frame.seq, header.no, frame.durable
                );
                return Err(end.refuse(Why::Damaged, text));
            }
            torn.records += 1;
            at = found + frame.step();
        }
        if search.exhausted() {
            let text = format!("{what}, and what follows cannot be told apart");
            return Err(end.refuse(Why::Damaged, text));
        }
        Ok(())
    }

    /// The oldest was never finished; then none is.
    fn all_unborn(&mut self, first: usize) -> Result<(), Refusal> {
        for segment in &self.segments[first..] {
            if !unborn(self.storage, segment)? {
                let no = self.segments[first].no;
                return Err(self.missing(no, "it was never finished, and there are later ones"));
            }
        }
        Ok(())
    }

    fn missing(&self, segment: u32, text: &str) -> Refusal {
        let seq = self.expected.unwrap_or(0);
        Refusal { why: Why::Missing, segment, offset: 0, seq, text: text.to_owned() }
    }

    /// Make the disk agree with what was decided, and write on from there.
    fn go_on(&mut self, mut end: End, options: &Options, salts: Rng) -> Result<Journal, Refusal> {
        let first = end.index - self.ends.len();
        self.keep_mark(first, &mut end)?;
        self.remove_after(end.index)?;
        let mut unsynced = SmallVec::new();
        for i in 0..self.ends.len() {
            // Its last records may have been read from memory only: write them back as well.
            if self.ends[i].1 > self.durable {
                let bytes = load(self.storage, &self.segments[first + i])?;
                dirty(
                    self.storage,
                    self.segments[first + i].no,
                    &bytes[..self.ends[i].0 as usize],
                )?;
                unsynced.push(self.segments[first + i].no);
            }
        }
        let used = end.bytes.get(..end.offset as usize).unwrap_or_default();
        dirty(self.storage, end.header.no, used)?;
        let mut slate = self.storage.open(end.header.no)?;
        wipe(&mut *slate, &end.bytes, end.offset as usize);
        let prepared = Prepared::found(end.header, slate);
        let mut active = Active::resume(prepared, end.offset, end.chain, end.second);
        if end.opening.is_none() {
            active.write_opening(end.seq - end.chain.count);
        }
        unsynced.push(end.header.no);
        let ends = self.ends.iter().map(|(offset, _, records)| (*offset, *records));
        let ends = ends.chain([(end.offset, end.chain.count)]);
        let census = Census::new(self.segments[first].no, ends);
        let tail = lsn_at(end.header.no, end.offset);
        let mut journal = Journal::blank(options, salts, census);
        (journal.seq, journal.durable, journal.tail) = (end.seq, self.durable, tail);
        (journal.active, journal.unsynced) = (Some(active), unsynced);
        // Last, so that a start that is cut off here finds them dead again.
        self.remove_before(first)?;
        Ok(journal)
    }

    /// Nothing to read: begin with segment 1, if there is space for it.
    fn start(&mut self, options: &Options, salts: Rng) -> Result<Journal, Refusal> {
        for segment in self.segments.iter().rev() {
            self.storage.remove(segment.no)?;
        }
        let mut journal = Journal::blank(options, salts, Census::new(1, []));
        let header = journal.new_header();
        match self.storage.create(header.no, header.len, &header.page()) {
            Ok(slate) => {
                journal.prepared.push_back(Prepared::found(header, slate));
                journal.roll();
                // There is no telling what kept the others from being ready.
                if let Some(active) = &mut journal.active {
                    active.reserve = false;
                }
                journal.tail = lsn_at(header.no, PAGE);
                journal.unsynced.push(header.no);
            }
            Err(error) if error.full => journal.state = State::Full,
            Err(error) => return Err(error.into()),
        }
        Ok(journal)
    }

    /// Which segment is the first is told by a mark, and that may stand in one that goes now. A
    /// start that is cut off after the dead ones are gone would leave a log that misses them.
    fn keep_mark(&mut self, first: usize, end: &mut End) -> Result<(), Refusal> {
        if best_mark(&self.segments[first..=end.index]).head >= self.mark.head {
            return Ok(());
        }
        let (at, block) = page::mark(self.mark, end.second, end.header.seed());
        end.second = !end.second;
        self.storage.open(end.header.no)?.write(at, &block);
        Ok(self.storage.sync(end.header.no)?)
    }

    /// Prepared segments and torn ones: made anew when they are needed, so that no doubt about
    /// their creation is inherited. From the last down, so that no gap ever shows.
    fn remove_after(&mut self, index: usize) -> Result<(), Refusal> {
        for segment in self.segments.drain(index + 1..).rev() {
            self.storage.remove(segment.no)?;
        }
        Ok(())
    }

    /// Segments that the mark says are dead.
    fn remove_before(&mut self, first: usize) -> Result<(), Refusal> {
        for segment in self.segments.drain(..first) {
            self.storage.remove(segment.no)?;
        }
        Ok(())
    }
}

impl End {
    fn with(self, bad: &'static str) -> Self {
        Self { bad: Some(bad), ..self }
    }

    fn refuse(&self, why: Why, text: String) -> Refusal {
        let (segment, offset, seq) = (self.header.no, u64::from(self.offset), self.seq);
        Refusal { why, segment, offset, seq, text }
    }
}

/// Touch every page of what was read, so that the next sync writes it: the system may hold pages
/// that it believes clean and the disk never got.
fn dirty(storage: &mut dyn Storage, no: u32, bytes: &[u8]) -> Result<(), Refusal> {
    let mut slate = storage.open(no)?;
    for (i, page) in bytes.chunks(PAGE as usize).enumerate() {
        slate.write(i as u32 * PAGE, &page[..1]);
    }
    Ok(())
}

/// Zero everything from `from` on, touching only what is not zero already.
fn wipe(slate: &mut dyn super::storage::Slate, bytes: &[u8], from: usize) {
    let zeroes = [0; PAGE as usize];
    let mut at = from;
    while at < bytes.len() {
        let end = (at + PAGE as usize).min(bytes.len());
        if bytes[at..end].iter().any(|b| *b != 0) {
            slate.write(at as u32, &zeroes[..end - at]);
        }
        at = end;
    }
}

impl Journal {
    fn blank(options: &Options, salts: Rng, census: Census) -> Self {
        Self {
            segment_bytes: options.segment_len(),
            salts,
            active: None,
            prepared: VecDeque::new(),
            ahead: Ahead::default(),
            creating: None,
            census,
            seq: 1,
            durable: 0,
            tail: Lsn::START,
            synced: Lsn::START,
            unsynced: SmallVec::new(),
            syncs_asked: 0,
            syncs_done: 0,
            requests: VecDeque::new(),
            state: State::Running,
            retry: Deadline(0),
            refused: 0,
            mark: Mark::default(),
            marked_at: 0,
            mark_sync: 0,
            closing: false,
            scratch: Vec::new(),
            tally: Tally::default(),
        }
    }
}
