//! Floor 1. What one durable owner is owed: runs of ordinals, and where each run lies.
//!
//! Ordinals are handed out in order and mostly settled in order, so a million messages that wait
//! for an owner are a run for each segment they lie in. `floor` and `extras` say what is settled:
//! all up to the floor, and a few above it, as many as may be in flight. Both only grow, so
//! reading the log twice, or a copy after its original, ends in the same ledger.
//! Absent on purpose: messages, and where in a run an ordinal lies; whoever reads keeps a cursor.

use super::{offset_of, segment_of};
use crate::base::id::Lsn;
use std::collections::{BTreeSet, VecDeque};

/// Consecutive ordinals whose records all lie in one segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Run {
    /// The segment.
    pub segment: u32,
    /// None of the records lies before this offset; some record starts there.
    pub offset: u32,
    /// The first ordinal.
    pub lo: u64,
    /// The last ordinal.
    pub hi: u64,
}

/// The debts to one owner.
#[derive(Clone, Default, Debug)]
pub struct Ledger {
    runs: VecDeque<Run>,
    floor: u64,
    extras: BTreeSet<u64>,
    held: u64,
}

impl Ledger {
    /// The record of delivery `ord` lies at `lsn`. Ordinals come in order, except from a log that
    /// holds copies: what was settled is ignored then, and what was held elsewhere is moved here.
    /// Returns the segment it was held in before, to be disowned.
    pub fn owe(&mut self, ord: u64, lsn: Lsn) -> Option<u32> {
        if self.is_settled(ord) {
            return None;
        }
        let (segment, offset) = (segment_of(lsn), offset_of(lsn));
        match self.runs.back_mut() {
            Some(last) if last.segment == segment && last.hi.checked_add(1) == Some(ord) => {
                last.hi = ord;
            }
            Some(last) if last.hi >= ord => return self.place(ord, segment, offset),
            _ => self.runs.push_back(Run { segment, offset, lo: ord, hi: ord }),
        }
        self.held += 1;
        None
    }

    /// A copy of the record of `ord`, which is still owed, was appended at `lsn`. Returns the
    /// segment it was held in before, to be disowned; `None` when it was not owed any more, and
    /// the copy is not owned either.
    pub fn moved(&mut self, ord: u64, lsn: Lsn) -> Option<u32> {
        self.holds(ord).then(|| self.owe(ord, lsn)).flatten()
    }

    /// Delivery `ord` is settled. Returns the segment to disown; nothing when it was settled
    /// before, or never owed.
    pub fn settle(&mut self, ord: u64) -> Option<u32> {
        let segment = self.run_holding(ord)?.segment;
        self.extras.insert(ord);
        self.held -= 1;
        self.advance();
        Some(segment)
    }

    /// It was settled; whether it was ever owed is not asked.
    #[must_use]
    pub fn is_settled(&self, ord: u64) -> bool {
        ord <= self.floor || self.extras.contains(&ord)
    }

    /// It is owed now.
    #[must_use]
    pub fn holds(&self, ord: u64) -> bool {
        self.run_holding(ord).is_some()
    }

    /// The run that holds `ord`, or the next one after it.
    #[must_use]
    pub fn run_at(&self, ord: u64) -> Option<&Run> {
        self.runs.get(self.runs.partition_point(|run| run.hi < ord))
    }

    /// Every ordinal up to here is settled.
    #[must_use]
    pub fn floor(&self) -> u64 {
        self.floor
    }

    /// The settled ordinals above the floor, ascending.
    pub fn extras(&self) -> impl Iterator<Item = u64> + '_ {
        self.extras.iter().copied()
    }

    /// How many deliveries are owed.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.held
    }

    /// Nothing is owed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.held == 0
    }

    /// Heap bytes, about.
    #[must_use]
    pub fn heap(&self) -> usize {
        self.runs.capacity() * size_of::<Run>() + self.extras.len() * 16
    }

    /// Segments and how many owed deliveries lie in each; a segment may come more than once.
    pub fn segments(&self) -> impl Iterator<Item = (u32, u64)> + '_ {
        self.runs.iter().map(|run| (run.segment, self.owed_in(run))).filter(|(_, n)| *n > 0)
    }

    /// What an owner's full state says is settled; like `apply_settle`, before anything is owned.
    pub fn restore(&mut self, floor: u64, extras: &[u64]) {
        self.apply_settle(floor, extras, |_, _| ());
    }

    /// What a `Settle` record says. `disown` is told which segments lose how many references.
    pub fn apply_settle(&mut self, floor: u64, extras: &[u64], mut disown: impl FnMut(u32, u64)) {
        for &ord in extras.iter().filter(|ord| **ord > self.floor) {
            if let Some(run) = self.run_holding(ord) {
                disown(run.segment, 1);
                self.held -= 1;
            }
            self.extras.insert(ord);
        }
        if floor > self.floor {
            for run in self.runs.iter().take_while(|run| run.lo <= floor) {
                let gone = self.owed_in(&Run { hi: run.hi.min(floor), ..*run });
                if gone > 0 {
                    disown(run.segment, gone);
                }
                self.held -= gone;
            }
            self.floor = floor;
        }
        self.advance();
    }

    /// The log has been read to its end, and `next` is the next ordinal: what lies below it in no
    /// run was settled without a record, because a segment goes only when nothing in it is owed.
    /// Not to be concluded earlier: a copy may stand behind deliveries that came after it.
    pub fn recovered(&mut self, next: u64) {
        let first = self.runs.front().map_or(next, |run| run.lo);
        self.floor = self.floor.max(first.saturating_sub(1));
        let mut expected = first;
        for run in &self.runs {
            // No longer than what was in flight, which is what extras may hold anyway.
            self.extras.extend(expected..run.lo);
            expected = run.hi.saturating_add(1);
        }
        self.extras.extend(expected..next);
        self.advance();
    }

    fn run_holding(&self, ord: u64) -> Option<Run> {
        let run = self.run_at(ord)?;
        (run.lo <= ord && !self.is_settled(ord)).then_some(*run)
    }

    fn owed_in(&self, run: &Run) -> u64 {
        let lo = run.lo.max(self.floor.saturating_add(1));
        if lo > run.hi {
            return 0;
        }
        run.hi - lo + 1 - self.extras.range(lo..=run.hi).count() as u64
    }

    /// Raise the floor over what is settled right above it, and forget what lies below.
    fn advance(&mut self) {
        self.extras = match self.extras.first() {
            Some(first) if *first <= self.floor => {
                self.extras.split_off(&self.floor.saturating_add(1))
            }
            _ => core::mem::take(&mut self.extras),
        };
        while self.extras.first().is_some_and(|first| *first == self.floor + 1) {
            self.extras.pop_first();
            self.floor += 1;
        }
        while let Some(first) = self.runs.front_mut() {
            first.lo = first.lo.max(self.floor.saturating_add(1));
            if first.lo <= first.hi {
                break;
            }
            self.runs.pop_front();
        }
    }

    /// Put `ord`, which is not settled and not the newest, where it belongs.
    fn place(&mut self, ord: u64, segment: u32, offset: u32) -> Option<u32> {
        let i = self.runs.partition_point(|run| run.hi < ord);
        let run = self.runs[i];
        if ord < run.lo {
            self.held += 1;
            self.insert(i, ord, segment, offset);
            return None;
        }
        if run.segment == segment {
            // Read again: the lower offset is still right.
            self.runs[i].offset = run.offset.min(offset);
            return Some(segment);
        }
        self.runs.remove(i);
        if ord < run.hi {
            self.runs.insert(i, Run { lo: ord + 1, ..run });
        }
        let mut at = i;
        if run.lo < ord {
            self.runs.insert(i, Run { hi: ord - 1, ..run });
            at += 1;
        }
        self.insert(at, ord, segment, offset);
        Some(run.segment)
    }

    /// Between two runs, joining those it touches in its own segment.
    fn insert(&mut self, at: usize, ord: u64, segment: u32, offset: u32) {
        let before = at.checked_sub(1).and_then(|i| self.runs.get_mut(i));
        if let Some(before) = before.filter(|run| run.segment == segment && run.hi + 1 == ord) {
            before.hi = ord;
            before.offset = before.offset.min(offset);
        } else {
            self.runs.insert(at, Run { segment, offset, lo: ord, hi: ord });
        }
    }
}
