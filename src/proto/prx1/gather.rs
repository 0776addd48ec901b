//! Floor 3. Requests to many: what became of each part, until enough have answered.
//!
//! To the dealer each part is a call of its own, with a number that no client can choose. Here it
//! is known to which request a part belongs, and when that has its end: when as many as were wanted
//! have answered, or all have an outcome. Every part has one, so every request has its end. Absent
//! on purpose: time (each part has its own) and the wire.

use std::collections::{BTreeMap, BTreeSet};

/// Numbers of parts have this bit; numbers of clients must not.
pub(super) const PART: u64 = 1 << 63;

/// All requests to many that have no end yet.
#[derive(Debug, Default)]
pub(super) struct Book {
    all: BTreeMap<u64, Gathering>,
    parts: BTreeMap<u64, u64>,
    last: u64,
}

#[derive(Debug)]
struct Gathering {
    want: usize,
    open: BTreeSet<u64>,
    tally: Tally,
}

/// What became of the parts of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Tally {
    pub(super) asked: u16,
    pub(super) answered: u16,
    pub(super) failed: u16,
}

/// A part has its outcome.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Step {
    /// Of this request.
    pub(super) request: u64,
    /// And with it the request has its end; these parts are not wanted any more.
    pub(super) end: Option<(Tally, BTreeSet<u64>)>,
}

impl Book {
    /// A request to so many, of whom so many are to answer; 0: all. The numbers of its parts.
    pub(super) fn begin(&mut self, request: u64, want: u16, many: usize) -> Vec<u64> {
        let asked = u16::try_from(many).unwrap_or(u16::MAX);
        let first = self.last + 1;
        self.last += u64::from(asked);
        let numbers: Vec<u64> = (first..=self.last).map(|number| number | PART).collect();
        let want = if want == 0 { numbers.len() } else { usize::from(want) };
        let open: BTreeSet<u64> = numbers.iter().copied().collect();
        self.parts.extend(numbers.iter().map(|number| (*number, request)));
        self.all
            .insert(request, Gathering { want, open, tally: Tally { asked, ..Tally::default() } });
        numbers
    }

    /// A part answered, or failed. None: nobody wants it any more.
    pub(super) fn on_outcome(&mut self, part: u64, answered: bool) -> Option<Step> {
        let request = self.parts.remove(&part)?;
        let it = self.all.get_mut(&request)?;
        it.open.remove(&part);
        match answered {
            true => it.tally.answered += 1,
            false => it.tally.failed += 1,
        }
        let over = it.open.is_empty() || usize::from(it.tally.answered) >= it.want;
        let end = if over { self.end(request) } else { None };
        Some(Step { request, end })
    }

    /// A request is not wanted any more: what became of it, and which parts have no outcome.
    pub(super) fn end(&mut self, request: u64) -> Option<(Tally, BTreeSet<u64>)> {
        let it = self.all.remove(&request)?;
        for part in &it.open {
            self.parts.remove(part);
        }
        Some((it.tally, it.open))
    }

    /// There is such a request.
    pub(super) fn has(&self, request: u64) -> bool {
        self.all.contains_key(&request)
    }

    /// The request of this part, if it is wanted.
    pub(super) fn of(&self, part: u64) -> Option<u64> {
        self.parts.get(&part).copied()
    }

    /// Parts without an outcome.
    pub(super) fn open(&self) -> usize {
        self.parts.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(asked: u16, answered: u16, failed: u16) -> Tally {
        Tally { asked, answered, failed }
    }

    #[test]
    fn a_request_ends_when_all_parts_have_an_outcome() {
        let mut book = Book::default();
        let parts = book.begin(7, 0, 3);
        assert!(parts.iter().all(|part| part & PART != 0));
        assert_eq!(book.on_outcome(parts[1], true), Some(Step { request: 7, end: None }));
        assert_eq!(book.on_outcome(parts[1], true), None, "once");
        assert_eq!(book.on_outcome(parts[0], false), Some(Step { request: 7, end: None }));
        assert!(book.has(7) && book.open() == 1);
        let end = Some((tally(3, 2, 1), BTreeSet::new()));
        assert_eq!(book.on_outcome(parts[2], true), Some(Step { request: 7, end }));
        assert!(!book.has(7) && book.open() == 0);
    }

    #[test]
    fn or_when_as_many_as_were_wanted_have_answered_and_the_rest_is_let_go() {
        let mut book = Book::default();
        let parts = book.begin(1, 1, 3);
        let others = book.begin(2, 9, 1);
        assert_eq!(book.on_outcome(parts[0], false), Some(Step { request: 1, end: None }));
        let end = Some((tally(3, 1, 1), BTreeSet::from([parts[1]])));
        assert_eq!(book.on_outcome(parts[2], true), Some(Step { request: 1, end }));
        assert_eq!((book.on_outcome(parts[1], true), book.of(parts[1])), (None, None), "too late");
        assert_eq!(book.of(others[0]), Some(2));
        let end = Some((tally(1, 0, 1), BTreeSet::new()));
        assert_eq!(book.on_outcome(others[0], false), Some(Step { request: 2, end }));
    }

    #[test]
    fn what_is_not_wanted_any_more_has_no_steps() {
        let mut book = Book::default();
        let parts = book.begin(5, 0, 2);
        assert_eq!(book.end(5), Some((tally(2, 0, 0), parts.iter().copied().collect())));
        assert_eq!((book.end(5), book.on_outcome(parts[0], true), book.open()), (None, None, 0));
    }
}
