//! Floor 1. Which segments there are, what still lives in them, and when the oldest may go.
//!
//! Segments are numbered without gaps and only the oldest is ever removed; so a record that takes
//! something back (a settle, a clear) is never gone before what it takes back. A head without a
//! living reference dies at once; a sparse one is read first, and whoever knows what lives carries
//! it forward. Either way it is removed only after two syncs: one that covers the copies and the
//! tombstones, one that covers the mark that the head has moved.

use super::page::PAGE;
use std::collections::VecDeque;

/// Below this many segments nothing is worth carrying.
const SPARSE_MIN: u64 = 4;

/// One whole segment in the units of the estimate.
const WHOLE: u64 = 1024;

#[derive(Debug, Default)]
struct Info {
    end: u32,
    records: u64,
    refs: u64,
    owned: u64,
}

impl Info {
    /// The living part of the segment, as far as counting tells. What was never owned (marks,
    /// settlements, what a start found dead) counts too: a segment of little else is sparse.
    fn share(&self) -> u64 {
        (WHOLE * self.refs).checked_div(self.owned.max(self.records)).unwrap_or(0)
    }
}

/// What happens to the oldest segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fate {
    /// Nothing.
    Stays,
    /// It is to be read from here on.
    Scan(u32),
    /// It is being read.
    Scanning,
    /// What was read is being carried forward; this comes next, if anything.
    Carrying(Option<u32>),
    /// It may go when the sync of this number is done: nothing above depends on it then.
    Dying(u64),
    /// It is removed when the sync of this number is done: the mark says then that it is dead.
    Marked(u64),
    /// It is being removed.
    Removing,
    /// Reading it failed, or something in it was not carried: it stays until nothing lives in it.
    Stuck,
}

/// The segments in use, oldest first; the last is the active one.
#[derive(Debug)]
pub(super) struct Census {
    head: u32,
    infos: VecDeque<Info>,
    live: u64,
    pub(super) fate: Fate,
}

impl Census {
    /// Segments from `head` on, with their ends and how many records they hold.
    pub(super) fn new(head: u32, ends: impl IntoIterator<Item = (u32, u64)>) -> Self {
        let info = |(end, records)| Info { end, records, ..Info::default() };
        let infos = ends.into_iter().map(info).collect();
        Self { head, infos, live: 0, fate: Fate::Stays }
    }

    pub(super) fn head(&self) -> u32 {
        self.head
    }

    pub(super) fn len(&self) -> usize {
        self.infos.len()
    }

    /// The next segment is in use.
    pub(super) fn open(&mut self) {
        self.infos.push_back(Info { end: PAGE, ..Info::default() });
    }

    /// One more record in the active segment ends here.
    pub(super) fn wrote(&mut self, end: u32) {
        let Some(info) = self.infos.back_mut() else { return };
        let before = info.share();
        (info.end, info.records) = (end, info.records + 1);
        self.live = self.live - before + info.share();
    }

    pub(super) fn end_in(&self, segment: u32) -> u32 {
        self.index(segment).and_then(|i| self.infos.get(i)).map_or(0, |info| info.end)
    }

    pub(super) fn own(&mut self, segment: u32, refs: u64) {
        self.change(segment, |info| {
            info.refs += refs;
            info.owned += refs;
        });
    }

    pub(super) fn disown(&mut self, segment: u32, refs: u64) {
        self.change(segment, |info| {
            debug_assert!(info.refs >= refs, "more disowned than owned");
            info.refs = info.refs.saturating_sub(refs);
        });
    }

    pub(super) fn refs(&self) -> u64 {
        self.infos.iter().map(|info| info.refs).sum()
    }

    /// Nothing in the head lives, and it is not the active one.
    pub(super) fn head_is_dead(&self) -> bool {
        self.infos.len() > 1 && self.infos.front().is_some_and(|info| info.refs == 0)
    }

    /// Carrying the head's survivors forward is worth it: most of the log is dead, or there is no
    /// space and the head holds some.
    pub(super) fn head_is_sparse(&self, full: bool) -> bool {
        let Some(head) = self.infos.front().filter(|_| self.infos.len() > 1) else {
            return false;
        };
        let all = self.infos.len() as u64;
        // The active segment counts as living whatever is in it.
        let live = (self.live / WHOLE + 1) * 2;
        all > live.max(SPARSE_MIN) || full && head.share() <= WHOLE * 3 / 4
    }

    /// The head is gone.
    pub(super) fn drop_head(&mut self) {
        if let Some(info) = self.infos.pop_front() {
            self.live -= info.share();
            self.head += 1;
        }
        self.fate = Fate::Stays;
    }

    fn index(&self, segment: u32) -> Option<usize> {
        segment.checked_sub(self.head).map(|i| i as usize)
    }

    fn change(&mut self, segment: u32, change: impl FnOnce(&mut Info)) {
        let index = self.index(segment);
        let info = index.and_then(|i| self.infos.get_mut(i));
        debug_assert!(info.is_some(), "segment {segment} is not in use");
        if let Some(info) = info {
            let before = info.share();
            change(info);
            self.live = self.live - before + info.share();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_living_record_among_many_dead_ones_does_not_make_a_segment_whole() {
        let found = core::iter::repeat_n((2 * PAGE, 100), 10);
        let mut census = Census::new(1, found);
        census.open();
        for no in 1..=10 {
            census.own(no, 1);
        }
        assert!(census.head_is_sparse(false), "a start found one of a hundred alive");
        for no in 1..=10 {
            census.own(no, 99);
        }
        assert!(!census.head_is_sparse(false), "all of them");
    }

    #[test]
    fn what_takes_something_back_is_no_life() {
        let mut census = Census::new(1, []);
        for no in 1..=10 {
            census.open();
            census.own(no, 1);
            (0..100).for_each(|n| census.wrote(PAGE + 64 * n));
        }
        assert!(census.head_is_sparse(false));
        while census.len() > 0 {
            census.drop_head();
        }
        assert_eq!(census.live, 0);
    }
}
