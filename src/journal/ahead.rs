//! Floor 1. Which part of a segment is read before it is written to.
//!
//! A segment is made long before it is needed, and the system may have given its pages up by then;
//! storing into such a page would read it from the disk first, on the loop. So the disk thread
//! reads what comes next, and the page is there again. What was made or read just now is not read:
//! at full speed this costs nothing. Absent on purpose: a timer; who writes nothing needs nothing.

use super::page::PAGE;
use super::storage::DiskError;
use super::{lsn_at, offset_of, segment_of};
use crate::base::id::Lsn;
use crate::base::time::{Deadline, Now};

/// So much is there in front of what is written, but for a piece.
pub(super) const WINDOW: u32 = 4 * PIECE;

/// So much is read at once: a sync that comes meanwhile waits for it.
pub(super) const PIECE: u32 = 128 << 10;

/// Pages that nobody touched for so long may have been given up.
const FRESH_MS: u64 = 1000;

/// A segment that is written, or will be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sheet {
    pub(super) no: u32,
    pub(super) len: u32,
    /// When its pages are no longer as they were made.
    pub(super) old: Deadline,
}

/// What was read ahead.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    /// Everything before this is there.
    upto: Lsn,
    /// Until then, if nobody touches it.
    old: Option<Deadline>,
    /// Where the log ended when a piece was asked for last.
    tail: Lsn,
    /// A read is under way, in this segment.
    asked: Option<u32>,
    /// This segment cannot be read. Whoever stores there hears of it; it is not tried again.
    broken: Option<u32>,
}

impl Ahead {
    /// Segment, offset and length of what to read now.
    pub(super) fn next(
        &mut self,
        now: Now,
        tail: Lsn,
        here: Sheet,
        next: Option<Sheet>,
    ) -> Option<(u32, u32, u32)> {
        let old = self.old.is_none_or(|old| now.reached(old));
        if self.asked.is_some() || (old && tail == self.tail) {
            return None;
        }
        let from = if old { tail } else { tail.max(self.upto) };
        if from.0 - tail.0 > u64::from(WINDOW - PIECE) {
            return None;
        }
        let (sheet, at) = match offset_of(from) {
            at if segment_of(from) == here.no && at < here.len => (here, at / PAGE * PAGE),
            _ => (next?, 0),
        };
        if !now.reached(sheet.old) || self.broken == Some(sheet.no) {
            return None;
        }
        let end = at.saturating_add(PIECE).min(sheet.len);
        (self.upto, self.tail, self.asked) = (lsn_at(sheet.no, end), tail, Some(sheet.no));
        self.old = Some(old_after(now));
        Some((sheet.no, at, end - at))
    }

    /// The read is over.
    pub(super) fn done(&mut self, result: Result<(), DiskError>) {
        let no = self.asked.take();
        if let Err(error) = result {
            log::warn!("journal: {error}, where it is to be written soon");
            self.broken = no;
        }
    }
}

/// When the pages of a segment that is made now may have been given up.
pub(super) fn old_after(now: Now) -> Deadline {
    now.after_ms(FRESH_MS)
}
