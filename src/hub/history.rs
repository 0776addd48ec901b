//! Floor 2. What was said lately under some patterns, for whoever asks later.
//!
//! Which patterns, and how many of their publications, stands in the realm's terms. They are in
//! memory, the oldest is forgotten first, and all of them weigh on the memory budget like kept
//! values. What was for some sessions only is not remembered: those sessions have had it. What was
//! for some readers by what is said of them is remembered with that. Absent on purpose: any disk,
//! and what arguments are.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use crate::base::id::RealmId;
use crate::base::time::Now;
use crate::topic::Topic;

use super::Hub;
use super::audience::List;
use super::message::{Charge, Publication};
use super::parties::Party;
use super::realm::{Remembered, Terms};

/// Bytes of one history. One pattern must not use up what is for all of them.
const BYTES_MAX: usize = 16 << 20;
/// What a publication takes in it besides what it says, about.
const PAST_BYTES: usize = 192;

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
    lists: Vec<List>,
    /// What it weighs.
    charge: Charge,
}

impl Past {
    /// Was it for somebody like this?
    #[must_use]
    pub fn is_for(&self, party: &Party) -> bool {
        self.lists.iter().all(|list| list.agrees(party.attribute(&list.attribute)))
    }
}

/// What was said under one pattern.
#[derive(Debug)]
pub struct History {
    what: Remembered,
    /// The number of the subscription that stands for it.
    id: u32,
    all: VecDeque<Arc<Past>>,
    bytes: usize,
}

impl History {
    /// Is this topic of its pattern?
    pub(super) fn is_of(&self, topic: &Topic) -> bool {
        self.what.filter.matches(topic)
    }

    fn push(&mut self, past: Arc<Past>) {
        self.bytes += past.charge.bytes();
        self.all.push_back(past);
        while self.all.len() > self.what.limit || self.bytes > BYTES_MAX {
            self.forget_one();
        }
    }

    fn forget_one(&mut self) {
        if let Some(past) = self.all.pop_front() {
            self.bytes -= past.charge.bytes();
        }
    }
}

impl Hub {
    /// These are the terms of a realm from now on. What is remembered under a pattern that stays
    /// is remembered further.
    pub fn tell_realm(&mut self, now: Now, realm: RealmId, terms: Terms) {
        let Some(r) = self.realms.get_mut(usize::from(realm.0)) else { return };
        let mut old = core::mem::take(&mut r.histories);
        for what in terms.histories.iter() {
            let id = self.interests.stand(now, realm, what.kind, &what.pattern);
            let known = old.iter().position(|history| history.id == id);
            let mut history = match known {
                Some(at) => old.swap_remove(at),
                None => History { what: what.clone(), id, all: VecDeque::new(), bytes: 0 },
            };
            history.what = what.clone();
            while history.all.len() > what.limit {
                history.forget_one();
            }
            r.histories.push(history);
        }
        for history in old {
            self.interests.sit(history.id);
        }
        r.terms = terms;
        self.remembers = self.realms.iter().any(|r| !r.histories.is_empty());
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
        Some(all.iter().find(|history| u64::from(history.id) == id)?.all.iter())
    }

    /// The patterns that are remembered and this topic is of, by the numbers of their
    /// subscriptions.
    pub fn histories_of(&self, realm: RealmId, topic: &Topic) -> impl Iterator<Item = u32> {
        let all = self.realm(realm).into_iter().flat_map(|realm| &realm.histories);
        all.filter(|history| history.is_of(topic)).map(|history| history.id)
    }

    /// Remember the publication at hand, where that is wanted.
    pub(super) fn remember(&mut self, now: Now, p: &Publication) {
        let Some(r) = self.realms.get(usize::from(p.realm.0)) else { return };
        if !r.histories.iter().any(|history| history.is_of(&p.topic)) {
            return;
        }
        let audience = self.audience.as_ref();
        if audience.is_some_and(|it| !it.exclude.is_empty() || it.eligible.is_some()) {
            return;
        }
        let lists = audience.map(|it| it.lists.clone()).unwrap_or_default();
        let names: usize = lists.iter().map(List::weight).sum();
        let past = Arc::new(Past {
            at: now.wall,
            number: self.parties.number(),
            topic: p.topic.detached(),
            body: Bytes::copy_from_slice(&p.body),
            props: Bytes::copy_from_slice(&p.props),
            lists: lists.into_iter().map(List::detached).collect(),
            charge: self.stored.charge(p.weight() + names + PAST_BYTES),
        });
        let short = self.storage_is_short();
        let Some(r) = self.realms.get_mut(usize::from(p.realm.0)) else { return };
        for history in r.histories.iter_mut().filter(|history| history.is_of(&p.topic)) {
            history.push(Arc::clone(&past));
            if short {
                // One comes, two go, until there is room again.
                history.forget_one();
                history.forget_one();
            }
        }
    }
}
