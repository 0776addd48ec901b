//! Floor 1. The journal's dealings with the disk thread: which job next, what an answer means.
//!
//! Order of importance: a sync (replies wait for it), what is written next (the loop would wait for
//! it), a segment to grow into, reads, and last the care of the oldest segment. A failed journal
//! still reads, and asks for nothing else.

use super::active::Prepared;
use super::ahead::old_after;
use super::census::Fate;
use super::job::{DiskDone, DiskJob, Scan, Scanned};
use super::page::Header;
use super::storage::{DiskError, Slate};
use super::{Class, FULL_RETRY_MS, Journal, MARK_NS, News, PREPARED, SCAN_BYTES, State, Way};
use crate::base::id::Lsn;
use crate::base::time::Now;

impl Journal {
    /// The next thing for the disk thread to do, until there is nothing more.
    pub fn poll_job(&mut self, now: Now) -> Option<DiskJob> {
        if matches!(self.state, State::Failed(_)) {
            return self.requests.pop_front();
        }
        // Reads would not see what is held, and the disk would not do them.
        if self.is_holding() {
            return None;
        }
        self.next_sync()
            .or_else(|| self.next_ahead(now))
            .or_else(|| self.next_create(now))
            .or_else(|| self.requests.pop_front())
            .or_else(|| self.next_care())
    }

    /// A job is done; what that means to those above.
    pub fn on_done(&mut self, now: Now, done: DiskDone) -> Option<News> {
        match done {
            DiskDone::Synced { result: Err(error), .. } => Some(self.fail(error)),
            DiskDone::Synced { upto, seq, result: Ok(()) } => self.on_synced(now, upto, seq),
            DiskDone::Created { no, slate } => self.on_created(now, no, slate),
            DiskDone::Fetched(fetched) => Some(News::Fetched(fetched)),
            DiskDone::Picked(picked) => Some(News::Picked(picked)),
            DiskDone::Scanned(scanned) => self.on_scanned(scanned),
            DiskDone::Ahead { result } => {
                self.ahead.done(result);
                None
            }
            DiskDone::Removed { result: Err(error), .. } => Some(self.fail(error)),
            DiskDone::Removed { result: Ok(()), .. } => {
                self.census.drop_head();
                // There is space again: no need to wait for the next try.
                self.retry = now.after_ms(0);
                None
            }
        }
    }

    pub(super) fn next_sync(&mut self) -> Option<DiskJob> {
        if self.syncing() || self.unsynced.is_empty() {
            return None;
        }
        self.syncs_asked += 1;
        let segments = core::mem::take(&mut self.unsynced);
        Some(DiskJob::Sync { segments, upto: self.tail, seq: self.seq - 1 })
    }

    fn next_ahead(&mut self, now: Now) -> Option<DiskJob> {
        let here = self.active.as_ref()?.sheet();
        let next = self.prepared.front().map(Prepared::sheet);
        let (no, offset, len) = self.ahead.next(now, self.tail, here, next)?;
        Some(DiskJob::Ahead { no, offset, len })
    }

    fn next_create(&mut self, now: Now) -> Option<DiskJob> {
        let due = self.state != State::Full || now.reached(self.retry);
        if self.creating.is_some() || self.prepared.len() >= PREPARED || !due {
            return None;
        }
        let header = self.new_header();
        self.creating = Some(header);
        Some(DiskJob::Create { no: header.no, header: header.page(), len: header.len })
    }

    /// The header of the segment after the last there is.
    pub(super) fn new_header(&mut self) -> Header {
        let in_use = self.census.head() + self.census.len() as u32;
        let no = in_use + self.prepared.len() as u32;
        Header { no, len: self.segment_bytes, salt: self.salts.next_u64() }
    }

    fn next_care(&mut self) -> Option<DiskJob> {
        let no = self.census.head();
        match self.census.fate {
            Fate::Scan(offset) => {
                self.census.fate = Fate::Scanning;
                Some(DiskJob::Scan(Scan { segment: no, offset, bytes_max: SCAN_BYTES }))
            }
            Fate::Marked(sync) if self.syncs_done >= sync => {
                self.census.fate = Fate::Removing;
                Some(DiskJob::Remove { no })
            }
            _ => None,
        }
    }

    fn on_synced(&mut self, now: Now, upto: Lsn, seq: u64) -> Option<News> {
        self.syncs_done = self.syncs_asked;
        self.tally.syncs += 1;
        if matches!(self.state, State::Failed(_)) {
            return None;
        }
        let room = self.let_go();
        self.durable = self.durable.max(seq);
        self.synced = self.synced.max(upto);
        self.bury_on();
        if self.closing {
            self.mark_exactly();
        } else if now.mono.saturating_sub(self.marked_at) >= MARK_NS && self.mark_is_safe() {
            self.marked_at = now.mono;
            self.write_mark();
        }
        Some(News::Synced { upto: self.synced, room })
    }

    /// The disk answers again: what was held goes where it belongs. Whether something was refused
    /// meanwhile that would go in now.
    fn let_go(&mut self) -> bool {
        let held = self.is_holding();
        if let Some(active) = &mut self.active {
            active.let_go();
        }
        let room = held && self.refused > 0 && !matches!(self.state, State::Full);
        if room {
            self.refused = 0;
        }
        room
    }

    fn on_created(
        &mut self,
        now: Now,
        no: u32,
        slate: Result<Box<dyn Slate>, DiskError>,
    ) -> Option<News> {
        let header = self.creating.take().filter(|header| header.no == no)?;
        match slate {
            Ok(slate) => {
                self.prepared.push_back(Prepared { header, slate, old: old_after(now) });
                self.room_again()
            }
            Err(error) if error.full => {
                self.retry = now.after_ms(FULL_RETRY_MS);
                let first = self.state == State::Running;
                if first {
                    self.state = State::Full;
                }
                first.then_some(News::Full)
            }
            Err(error) => Some(self.fail(error)),
        }
    }

    /// A full disk is over when everything that should be prepared is; a refusal, when what was
    /// refused would go in.
    fn room_again(&mut self) -> Option<News> {
        let over = self.state == State::Full && self.prepared.len() >= PREPARED;
        if over {
            self.state = State::Running;
        }
        let fits = !matches!(self.way(Class::Growth, self.refused), Way::Shut);
        if over || self.refused > 0 && fits {
            self.refused = 0;
            return Some(News::RoomAgain);
        }
        None
    }

    fn on_scanned(&mut self, scanned: Scanned) -> Option<News> {
        if self.census.fate != Fate::Scanning {
            return None;
        }
        self.census.fate = match (&scanned.result, scanned.next_offset) {
            (Ok(()), next) => Fate::Carrying(next),
            (Err(error), _) => {
                log::error!("journal: {error}; the oldest segment stays");
                Fate::Stuck
            }
        };
        Some(News::Scanned(scanned))
    }

    fn fail(&mut self, error: DiskError) -> News {
        if let State::Failed(first) = &self.state {
            return News::Failed(first.clone());
        }
        log::error!("journal: {error}; nothing is acknowledged from now on");
        self.state = State::Failed(error.clone());
        if let Some(active) = &mut self.active {
            active.forget_held();
        }
        News::Failed(error)
    }

    /// Let the head go, in three steps: what carries or cancels its records is on the disk; the
    /// mark that it does not count any more is on the disk; then it is removed. A mark that came
    /// first could reach the disk alone.
    pub(super) fn bury_head(&mut self) {
        self.census.fate = Fate::Dying(self.covering_sync());
        self.bury_on();
    }

    fn bury_on(&mut self) {
        if let Fate::Dying(sync) = self.census.fate
            && self.syncs_done >= sync
            && self.mark_is_safe()
        {
            self.mark.head = self.census.head() + 1;
            self.write_mark();
            self.touch_active();
            self.census.fate = Fate::Marked(self.covering_sync());
        }
    }

    /// The number of the sync that covers all that is written now.
    fn covering_sync(&self) -> u64 {
        self.syncs_asked + u64::from(!self.unsynced.is_empty())
    }

    fn touch_active(&mut self) {
        if let Some(no) = self.active.as_ref().map(|active| active.header.no) {
            self.touch(no);
        }
    }

    /// Once everything is on the disk, say so exactly, and have that synced too.
    pub(super) fn mark_exactly(&mut self) {
        let all = self.durable + 1 == self.seq && self.mark.seq != self.durable;
        if self.is_settled() && all && self.mark_is_safe() {
            self.write_mark();
            self.touch_active();
        }
    }

    /// The last mark is on the disk. Until it is, the other place holds the only one that surely
    /// is, and must not be written over; so ask for a sync.
    fn mark_is_safe(&mut self) -> bool {
        let safe = self.syncs_done >= self.mark_sync;
        if !safe {
            self.touch_active();
        }
        safe
    }

    fn write_mark(&mut self) {
        self.mark.seq = self.durable;
        self.mark_sync = self.syncs_asked + 1;
        if let Some(active) = &mut self.active {
            active.write_mark(self.mark);
        }
    }
}
