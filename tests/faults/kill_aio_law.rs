//! What must hold of messages that went from program to program through two connectors and a
//! broker, each of which was killed now and then; and damage that shows it would be noticed.
//!
//! A program is not told what its connector has taken. It has taken what it has written to its
//! disk, and, because it takes in order, everything before that. So of each connection of the
//! program that speaks a beginning must arrive: all of it if nobody was killed at its end, at least
//! as much as was found on the disk if somebody was. What arrives twice does so because somebody
//! was killed before he had acknowledged it: from some number on all is said again, in order.
//! Absent on purpose: processes.

use std::collections::BTreeSet;
use std::ops::Range;

/// One kill lets so many begin again: who had said something without an answer, and who had been
/// told something without having answered.
const AGAIN_BY_ONE: usize = 2;

/// What was said, what was found on the disk, and what was heard.
#[derive(Clone, Default)]
pub(crate) struct Record {
    /// By connection of the program that speaks: its numbers.
    pub(crate) said: Vec<Range<u32>>,
    /// What the connector had on its disk when it was dead.
    pub(crate) on_disk: BTreeSet<u32>,
    /// In the order in which the other program was told it.
    pub(crate) heard: Vec<u32>,
    /// Told with another id than it was said with: so nobody could know it again.
    pub(crate) unmarked: u64,
    pub(crate) kills: usize,
    /// Of those, ends of the connector through which it was said.
    pub(crate) restarts: usize,
}

/// What is wrong with it.
#[derive(Default, Debug)]
pub(crate) struct Found {
    /// Accepted, and never heard.
    pub(crate) missing: u64,
    /// Heard, and never said.
    pub(crate) ghosts: u64,
    /// Heard before what was said before it.
    pub(crate) disorder: u64,
    /// Times that something was begun again, and all that was heard again.
    pub(crate) rewinds: usize,
    pub(crate) again: usize,
    /// Begun again more often than there was a reason to.
    pub(crate) excess: usize,
    pub(crate) unmarked: u64,
    /// Connections of the program that ended though nobody was killed.
    pub(crate) hung_up: usize,
}

/// What is done to a record.
type Damage<'a> = &'a dyn Fn(&mut Record);

impl Found {
    pub(crate) fn is_good(&self) -> bool {
        let Self { missing, ghosts, disorder, excess, unmarked, hung_up, .. } = self;
        *missing + *ghosts + *disorder + *unmarked == 0 && *excess + *hung_up == 0
    }
}

impl Record {
    pub(crate) fn judge(&self) -> Found {
        let came: BTreeSet<u32> = self.heard.iter().copied().collect();
        let was_said = |n: &u32| self.said.iter().any(|span| span.contains(n));
        let mut found = Found { unmarked: self.unmarked, ..Found::default() };
        found.ghosts = came.iter().filter(|n| !was_said(n)).count() as u64;
        found.again = self.heard.len() - came.len();
        let mut must: BTreeSet<u32> = self.on_disk.iter().copied().filter(was_said).collect();
        for (at, span) in self.said.iter().enumerate() {
            let is_last = at + 1 == self.said.len();
            let newest = came.range(span.clone()).next_back().copied();
            let end = if is_last { span.end } else { newest.unwrap_or(span.start) };
            must.extend(span.start..end);
        }
        found.missing = must.difference(&came).count() as u64;
        let mut all = came.iter().copied();
        if self.heard.first().copied() != all.next() {
            found.disorder += 1;
        }
        for pair in self.heard.windows(2) {
            let [before, now] = [pair[0], pair[1]];
            if now <= before {
                found.rewinds += 1;
            } else if came.range(before + 1..).next() != Some(&now) {
                found.disorder += 1;
            }
        }
        found.hung_up = self.said.len().saturating_sub(1 + self.restarts);
        found.excess = found.rewinds.saturating_sub(AGAIN_BY_ONE * self.kills);
        found
    }

    /// Damage what was heard in each way that the law forbids: what was not noticed.
    pub(crate) fn unnoticed(&self) -> Vec<&'static str> {
        let in_span = |n: u32| self.said.iter().position(|span| span.contains(&n));
        // Behind it, something of the same connection was heard.
        let inner = |pair: &&[u32]| pair[0] + 1 == pair[1] && in_span(pair[0]) == in_span(pair[1]);
        let n = self.heard.windows(2).rfind(inner).map_or(0, |pair| pair[0]);
        let last = self.heard.iter().copied().max().unwrap_or_default();
        let on_disk = self.on_disk.last().copied();
        let damaged = |change: &dyn Fn(&mut Self)| {
            let mut other = self.clone();
            change(&mut other);
            other.judge().is_good()
        };
        let all: [(&str, Damage<'_>); 8] = [
            ("one is lost", &|it: &mut Self| it.heard.retain(|it| *it != n)),
            ("the last is lost", &|it: &mut Self| it.heard.retain(|it| *it != last)),
            ("what was on the disk is lost with all behind it", &|it: &mut Self| {
                let from = on_disk.unwrap_or_default();
                let span = it.said.iter().find(|span| span.contains(&from));
                let end = span.map_or(u32::MAX, |span| span.end);
                it.heard.retain(|n| !(from..end).contains(n));
            }),
            ("the first two are told in the other order", &|it: &mut Self| it.heard.swap(0, 1)),
            ("something is told under another id", &|it: &mut Self| it.unmarked += 1),
            ("something is told that nobody said", &|it: &mut Self| it.heard.push(u32::MAX)),
            ("the program is hung up on", &|it: &mut Self| {
                let end = it.said.last().map_or(0, |span| span.end);
                it.said.extend(std::iter::repeat_n(end..end, 1 + it.restarts));
            }),
            ("all is told again for no reason", &|it: &mut Self| {
                let last = it.heard.last().copied().unwrap_or_default();
                it.heard.extend(std::iter::repeat_n(last, AGAIN_BY_ONE * it.kills + 1));
            }),
        ];
        let unnoticed = all.iter().filter(|(_, change)| damaged(*change));
        unnoticed.map(|(what, _)| *what).collect()
    }
}
