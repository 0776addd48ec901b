//! Floor 2. What was said lately under some patterns, for whoever asks later.
//!
//! Which patterns, and how many of their publications, stands in the realm's terms. They are in
//! memory, the oldest is forgotten first, and all of them weigh on the memory budget like kept
//! values. What was for some sessions only is not remembered: those sessions have had it. What was
//! for some readers by what is said of them is remembered with that. Where the terms say so, what
//! is remembered is on record too (`lasting`). Absent on purpose: what arguments are.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use crate::base::id::{Lsn, RealmId};
use crate::base::time::Now;
use crate::journal::record::PastRecord;
use crate::journal::{Journal, Spot};
use crate::topic::Topic;

use super::Hub;
use super::audience::{Audience, List};
use super::lasting;
use super::message::{Charge, Publication};
use super::parties::Party;
use super::realm::{Remembered, Terms};

/// Bytes of one history. One pattern must not use up what is for all of them.
pub(super) const BYTES_MAX: usize = 16 << 20;
/// What a publication takes in it besides what it says, about.
pub(super) const PAST_BYTES: usize = 192;

/// Something that was said.
#[derive(Debug)]
pub struct Past {
    /// When, wall clock in ms.
    pub at: u64,
    /// The publication's number.
    pub number: u64,
    /// Where to.
    pub topic: Topic,
    /// The body, as it arrived.
    pub body: Bytes,
    /// What stood beside it, in the publisher's protocol.
    pub props: Bytes,
    /// For whom, by what is said of them.
    pub(super) lists: Vec<List>,
    /// What it weighs.
    pub(super) charge: Charge,
}

impl Past {
    /// Was it for somebody like this?
    #[must_use]
    pub fn is_for(&self, party: &Party) -> bool {
        self.lists.iter().all(|list| list.agrees(party.attribute(&list.attribute)))
    }
}

/// What is remembered, of all realms.
#[derive(Debug, Default)]
pub(super) struct Pasts {
    /// Anything.
    pub(super) any: bool,
    /// Which of all that were ever remembered is the newest.
    pub(super) newest: u64,
}

/// The publication at hand, before it is remembered.
#[derive(Debug)]
pub(super) struct Noting {
    lists: Vec<List>,
    record: PastRecord,
    lasting: bool,
}

impl Noting {
    /// What its record says of it; none if no record has to.
    pub(super) fn record(&self) -> Option<&PastRecord> {
        self.lasting.then_some(&self.record)
    }
}

/// One of a history.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) past: Arc<Past>,
    /// Which of all that were remembered: they stand in this order.
    pub(super) ord: u64,
    /// Its record, which this entry keeps alive.
    pub(super) lsn: Option<Lsn>,
}

/// What was said under one pattern.
#[derive(Debug)]
pub struct History {
    what: Remembered,
    /// The number of the subscription that stands for it.
    id: u32,
    all: VecDeque<Entry>,
    bytes: usize,
}

impl History {
    /// Is this topic of its pattern?
    pub(super) fn is_of(&self, topic: &Topic) -> bool {
        self.what.filter.matches(topic)
    }

    /// What is remembered as this.
    pub(super) fn entry(&self, ord: u64) -> Option<&Entry> {
        let at = self.all.binary_search_by_key(&ord, |entry| entry.ord).ok()?;
        self.all.get(at)
    }

    /// The same, to be changed.
    pub(super) fn entry_mut(&mut self, ord: u64) -> Option<&mut Entry> {
        let at = self.all.binary_search_by_key(&ord, |entry| entry.ord).ok()?;
        self.all.get_mut(at)
    }

    /// The newest. `gone`: segments with records that are not needed any more. When memory is
    /// `short` one comes and two go, until there is room again.
    pub(super) fn push(&mut self, entry: Entry, short: bool, gone: &mut Vec<u32>) {
        self.bytes += entry.past.charge.bytes();
        self.all.push_back(entry);
        while self.all.len() > self.what.limit || self.bytes > BYTES_MAX {
            self.forget_one(gone);
        }
        for _ in 0..2 * usize::from(short) {
            self.forget_one(gone);
        }
    }

    fn forget_one(&mut self, gone: &mut Vec<u32>) {
        if let Some(entry) = self.all.pop_front() {
            self.bytes -= entry.past.charge.bytes();
            gone.extend(entry.lsn.map(Journal::segment_of));
        }
    }

    /// These are its terms from now on.
    fn become_like(&mut self, what: &Remembered, gone: &mut Vec<u32>) {
        self.what = what.clone();
        while self.all.len() > what.limit {
            self.forget_one(gone);
        }
        for entry in self.all.iter_mut().filter(|_| !what.lasting) {
            gone.extend(entry.lsn.take().map(Journal::segment_of));
        }
    }
}

impl Hub {
    /// These are the terms of a realm from now on. What is remembered under a pattern that stays
    /// is remembered further.
    pub fn tell_realm(&mut self, now: Now, realm: RealmId, terms: Terms) {
        let Some(r) = self.realms.get_mut(usize::from(realm.0)) else { return };
        let (mut old, mut gone) = (core::mem::take(&mut r.histories), Vec::new());
        for what in terms.histories.iter() {
            let id = self.interests.stand(now, realm, what.kind, &what.pattern);
            let known = old.iter().position(|history| history.id == id);
            let mut history = match known {
                Some(at) => old.swap_remove(at),
                None => History { what: what.clone(), id, all: VecDeque::new(), bytes: 0 },
            };
            history.become_like(what, &mut gone);
            r.histories.push(history);
        }
        for history in old {
            self.interests.sit(history.id);
            gone.extend(history.all.iter().filter_map(|it| it.lsn).map(Journal::segment_of));
        }
        r.terms = terms;
        self.pasts.any = self.realms.iter().any(|r| !r.histories.is_empty());
        gone.into_iter().for_each(|segment| self.disown(segment, 1));
        self.note_answering();
    }

    /// What was said under the pattern of this subscription, the oldest first; none if that is not
    /// remembered.
    #[must_use]
    pub fn history(
        &self,
        realm: RealmId,
        id: u64,
    ) -> Option<impl DoubleEndedIterator<Item = &Arc<Past>>> {
        let all = &self.realm(realm)?.histories;
        let history = all.iter().find(|history| u64::from(history.id) == id)?;
        Some(history.all.iter().map(|entry| &entry.past))
    }

    /// The patterns that are remembered and this topic is of, by the numbers of their
    /// subscriptions.
    pub fn histories_of(&self, realm: RealmId, topic: &Topic) -> impl Iterator<Item = u32> {
        let all = self.realm(realm).into_iter().flat_map(|realm| &realm.histories);
        all.filter(|history| history.is_of(topic)).map(|history| history.id)
    }

    /// The publication at hand as it is to be remembered, where that is wanted.
    pub(super) fn note(&mut self, p: &Publication) -> Option<Noting> {
        let r = self.realms.get(usize::from(p.realm.0))?;
        let mut all = r.histories.iter().filter(|history| history.is_of(&p.topic)).peekable();
        all.peek()?;
        let lasting = all.any(|history| history.what.lasting);
        let audience = self.audience.as_ref();
        if audience.is_some_and(Audience::is_of_numbers) {
            return None;
        }
        let lists = audience.map(|it| it.lists.clone()).unwrap_or_default();
        let number = self.parties.number();
        self.pasts.newest += 1;
        let ord = self.pasts.newest;
        let written = if lasting { lasting::put(&lists) } else { Bytes::new() };
        Some(Noting { lists, record: PastRecord { ord, number, lists: written }, lasting })
    }

    /// Remember the publication at hand; `spot`: where its record is.
    pub(super) fn remember(
        &mut self,
        now: Now,
        p: &Publication,
        noting: Noting,
        spot: Option<&Spot>,
    ) {
        let Noting { lists, record: PastRecord { ord, number, .. }, .. } = noting;
        let names: usize = lists.iter().map(List::weight).sum();
        let past = Arc::new(Past {
            at: now.wall,
            number,
            topic: p.topic.detached(),
            body: Bytes::copy_from_slice(&p.body),
            props: Bytes::copy_from_slice(&p.props),
            lists: lists.into_iter().map(List::detached).collect(),
            charge: self.stored.charge(p.weight() + names + PAST_BYTES),
        });
        let (short, mut gone) = (self.storage_is_short(), Vec::new());
        let Some(r) = self.realms.get_mut(usize::from(p.realm.0)) else { return };
        for history in r.histories.iter_mut().filter(|history| history.is_of(&p.topic)) {
            let lsn = spot.filter(|_| history.what.lasting).map(|spot| spot.lsn);
            if let (Some(lsn), Some(journal)) = (lsn, &mut self.journal) {
                journal.own(Journal::segment_of(lsn), 1);
            }
            history.push(Entry { past: Arc::clone(&past), ord, lsn }, short, &mut gone);
        }
        gone.into_iter().for_each(|segment| self.disown(segment, 1));
    }
}
