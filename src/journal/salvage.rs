//! Floor 1. Keeping what can be kept of a damaged journal, when told to.
//!
//! Every record that agrees with its checksum is copied, in order, into new segments behind the
//! old ones; damaged segments are set aside first. One mark in the last new segment, synced after
//! the copies, makes the old ones dead: before it nothing has changed, after it everything has.
//! Copies are numbered from 1 again, so those of a salvage that was cut off are told from
//! originals. Needs as much space again as survives.

use super::Options;
use super::active::{Active, Prepared, SEAL};
use super::frame::{FRAME, Frame, Search, padded};
use super::page::{Header, Mark, PAGE, Page};
use super::record::{Draft, kind};
use super::recover::{Segment, best_mark, check, load, survey};
use super::report::{Refusal, Salvaged, Why};
use super::storage::Storage;
use crate::base::rng::Rng;

/// What may be missing behind the last record that was found.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Doubt {
    /// Nothing: what was found ends as a journal ends.
    None,
    /// The segment after this sealed one.
    Sealed(u32),
    /// Whatever stood in what is damaged or gone.
    Gone,
}

struct Salvage<'a> {
    storage: &'a mut dyn Storage,
    salts: &'a mut Rng,
    segment_bytes: u32,
    next_no: u32,
    /// The number of the next copy.
    seq: u64,
    /// The number of the last original that was found.
    last: Option<u64>,
    active: Option<Active>,
    doubt: Doubt,
    done: Salvaged,
}

/// Mend the journal if it needs it. `None`: it did not.
pub(super) fn salvage(
    storage: &mut dyn Storage,
    options: &Options,
    salts: &mut Rng,
) -> Result<Option<Salvaged>, Refusal> {
    let Err(refusal) = check(storage) else {
        return Ok(None);
    };
    if !matches!(refusal.why, Why::Damaged | Why::Missing) {
        return Err(refusal);
    }
    log::warn!("{refusal}; keeping what can be kept");
    let segments = survey(storage)?;
    let mark = best_mark(&segments);
    let behind = segments.last().map_or(0, |segment| segment.no).max(mark.head) + 1;
    let mut work = Salvage {
        storage,
        salts,
        segment_bytes: options.segment_len(),
        next_no: behind,
        seq: 1,
        // A journal whose head was never removed begins with record 1.
        last: (mark.head <= 1).then_some(0),
        active: None,
        doubt: Doubt::None,
        done: Salvaged::default(),
    };
    let mut alive = segments.iter().filter(|segment| segment.no >= mark.head).peekable();
    if alive.peek().is_none_or(|segment| segment.no != mark.head.max(1)) {
        work.doubt = Doubt::Gone;
    }
    for segment in alive {
        work.take(segment)?;
    }
    work.lost_until(mark.seq + 1);
    work.done.lost_after = work.last.filter(|_| work.doubt != Doubt::None);
    work.finish(behind)?;
    for segment in &segments {
        work.storage.remove(segment.no)?;
    }
    Ok(Some(work.done))
}

impl Salvage<'_> {
    /// Copy the good records of a segment; set it aside when something else is in it.
    fn take(&mut self, segment: &Segment) -> Result<(), Refusal> {
        let Page::Good { header, opening, .. } = segment.page else {
            self.doubt = Doubt::Gone;
            return self.set_aside(segment.no);
        };
        let bytes = load(self.storage, segment)?;
        if let Some(first) = opening.filter(|first| self.last.is_none_or(|last| *first > last)) {
            self.lost_until(first);
            self.doubt = Doubt::None;
        } else if self.doubt == Doubt::Sealed(segment.no.wrapping_sub(1)) {
            self.doubt = Doubt::None;
        }
        let mut search = Search::new(header.seed(), 0..=u64::MAX, bytes.len());
        let mut whole = true;
        let mut at = PAGE as usize;
        while let Some((found, frame)) = search.next(&bytes, at) {
            whole &= found == at;
            at = found + frame.step();
            self.keep(segment.no, &bytes[found + FRAME..found + frame.len as usize], &frame)?;
        }
        let rest = bytes.get(at..).unwrap_or_default();
        let ends = !search.exhausted()
            && segment.len >= u64::from(header.len)
            && rest.iter().all(|b| *b == 0);
        // One that was never begun has nothing to lose.
        if !ends && self.doubt == Doubt::None && (opening.is_some() || at > PAGE as usize) {
            self.doubt = Doubt::Gone;
        }
        if whole && ends { Ok(()) } else { self.set_aside(segment.no) }
    }

    fn keep(&mut self, no: u32, body: &[u8], frame: &Frame) -> Result<(), Refusal> {
        if self.last.is_some_and(|last| frame.seq <= last) {
            return Ok(());
        }
        self.lost_until(frame.seq);
        self.last = Some(frame.seq);
        if frame.kind == kind::SEAL {
            self.doubt = Doubt::Sealed(no);
            return Ok(());
        }
        self.doubt = Doubt::None;
        let mut head = [0; FRAME];
        let draft = Draft { kind: frame.kind, flags: frame.flags, blobs: [body, &[], &[]] };
        let bytes = padded(FRAME + body.len());
        let mut active = self.room_for(bytes)?;
        active.put(self.seq, 0, &mut head, &draft);
        self.active = Some(active);
        self.seq += 1;
        self.done.kept += 1;
        Ok(())
    }

    /// Whatever comes between the last one found and `seq` is not there.
    fn lost_until(&mut self, seq: u64) {
        let before = seq.saturating_sub(1);
        if self.last.is_none() && self.doubt == Doubt::Gone {
            self.done.lost_before = Some(seq);
        }
        if let Some(last) = self.last.filter(|last| *last < before) {
            self.done.lost.push((last + 1, before));
        }
        self.last = self.last.max(Some(before));
    }

    /// A segment with room for so many bytes.
    fn room_for(&mut self, bytes: usize) -> Result<Active, Refusal> {
        if let Some(mut active) = self.active.take() {
            if active.fits(bytes) {
                return Ok(active);
            }
            active.seal(self.seq, 0);
            self.seq += 1;
            self.storage.sync(active.header.no)?;
        }
        let needed = u32::try_from(bytes).unwrap_or(u32::MAX).saturating_add(PAGE + SEAL);
        let (no, len) = (self.next_no, self.segment_bytes.max(needed));
        let header = Header { no, len, salt: self.salts.next_u64() };
        let slate = self.storage.create(no, len, &header.page())?;
        self.next_no += 1;
        Ok(Active::begin(Prepared::found(header, slate), self.seq))
    }

    /// All copies are on the disk; then, and only then, so is the mark.
    fn finish(&mut self, head: u32) -> Result<(), Refusal> {
        let mut active = self.room_for(0)?;
        let no = active.header.no;
        self.storage.sync(no)?;
        active.write_mark(Mark { seq: self.seq - 1, head });
        self.storage.sync(no)?;
        Ok(())
    }

    fn set_aside(&mut self, no: u32) -> Result<(), Refusal> {
        let name = self.storage.set_aside(no)?;
        self.done.copies.push(name);
        Ok(())
    }
}
