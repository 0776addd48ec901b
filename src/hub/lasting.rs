//! Floor 2. What is remembered and on record: back from the journal, and carried forward in it.
//!
//! The record of a message says that it is remembered, as which of all, and for whom it was. What
//! counts is where it stands in a history, so a copy replaces what it is a copy of, whichever is
//! read first, and what lies further back than a history goes is not even held while the journal
//! is read. What is remembered of a realm that is shut, or under a pattern that is not in the terms
//! any more, is left where it is and goes in time; until then the realm keeps its number. Absent on
//! purpose: when something is remembered (`history`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;

use crate::base::id::{Lsn, RealmId};
use crate::base::reader::{Reader, Short};
use crate::journal::Journal;
use crate::journal::record::{MessageRecord, PastRecord};
use crate::topic::Topic;

use super::Hub;
use super::audience::List;
use super::history::{BYTES_MAX, Entry, PAST_BYTES, Past};
use super::realm::Remembered;

/// A history that is on record.
#[derive(Debug)]
struct Wanted {
    realm: RealmId,
    /// Its place in the terms.
    at: usize,
    what: Remembered,
    /// The number of its realm, where that is known before any note.
    number: Option<RealmId>,
}

/// Something remembered, as recorded.
#[derive(Debug)]
struct Draft {
    lsn: Lsn,
    number: u64,
    lists: Bytes,
    born: u64,
    topic: Bytes,
    props: Bytes,
    body: Bytes,
}

impl Draft {
    fn weight(&self) -> usize {
        PAST_BYTES + self.lists.len() + self.topic.len() + self.props.len() + self.body.len()
    }
}

/// What belongs to one history, if the number is its realm's.
#[derive(Debug, Default)]
struct Drafts {
    /// What several may remember is held once.
    all: BTreeMap<u64, Arc<Draft>>,
    bytes: usize,
}

impl Drafts {
    fn add(&mut self, ord: u64, draft: Arc<Draft>, limit: usize) {
        self.bytes += draft.weight();
        if let Some(old) = self.all.insert(ord, draft) {
            self.bytes -= old.weight();
        }
        while self.all.len() > limit || self.bytes > BYTES_MAX {
            let Some((_, oldest)) = self.all.pop_first() else { return };
            self.bytes -= oldest.weight();
        }
    }
}

/// What records told.
#[derive(Debug, Default)]
pub(super) struct Told {
    wanted: Vec<Wanted>,
    all: BTreeMap<(usize, RealmId), Drafts>,
    /// The numbers of the realms in which anything is remembered.
    realms: BTreeSet<RealmId>,
    highest: u64,
}

impl Told {
    /// Nothing yet; only what the terms of these realms want will be held.
    pub(super) fn of(hub: &Hub) -> Self {
        let mut wanted = Vec::new();
        for (place, r) in hub.realms.iter().enumerate() {
            let realm = RealmId(place as u16);
            let number = r.number.map(|number| number.no);
            for (at, what) in r.terms.histories.iter().enumerate().filter(|(_, it)| it.lasting) {
                wanted.push(Wanted { realm, at, what: what.clone(), number });
            }
        }
        Self { wanted, ..Self::default() }
    }

    /// How many are held at most for one history.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.all.values().map(|drafts| drafts.all.len()).max().unwrap_or(0)
    }

    /// Of so many copies.
    #[cfg(test)]
    pub(super) fn copies(&self) -> usize {
        let all = self.all.values().flat_map(|drafts| drafts.all.values());
        all.map(Arc::as_ptr).collect::<BTreeSet<_>>().len()
    }

    /// A message is remembered, as this.
    pub(super) fn on_past(&mut self, lsn: Lsn, m: &MessageRecord, past: &PastRecord) {
        self.highest = self.highest.max(past.ord);
        self.realms.insert(m.realm);
        let Some(topic) = Topic::decode(m.topic.clone()) else { return };
        let mut made = None;
        for (n, wanted) in self.wanted.iter().enumerate() {
            // Whose number it is may be said by a note that comes later.
            if wanted.number.is_some_and(|no| no != m.realm) || !wanted.what.filter.matches(&topic)
            {
                continue;
            }
            let draft = Arc::clone(made.get_or_insert_with(|| draft_of(lsn, m, past)));
            self.all.entry((n, m.realm)).or_default().add(past.ord, draft, wanted.what.limit);
        }
    }
}

impl Hub {
    /// What was remembered is remembered again. Returns the numbers of all realms of which
    /// something is on record, also of those that are shut.
    pub(super) fn recall_pasts(&mut self, told: Told) -> BTreeSet<RealmId> {
        let mut pasts = BTreeMap::new();
        self.pasts.newest = self.pasts.newest.max(told.highest);
        for ((n, number), drafts) in told.all {
            let Some(wanted) = told.wanted.get(n) else { continue };
            if self.numbered(number) != Some(wanted.realm) {
                continue;
            }
            for (ord, draft) in drafts.all {
                // Histories of a realm share what they remember.
                let past = match pasts.get(&(number, ord)) {
                    Some((past, lsn)) if *lsn == draft.lsn => Some(Arc::clone(past)),
                    _ => self.past_of(&draft),
                };
                let Some(past) = past else { continue };
                pasts.insert((number, ord), (Arc::clone(&past), draft.lsn));
                self.recall_past((wanted.realm, wanted.at), ord, draft.lsn, past);
            }
        }
        told.realms
    }

    fn past_of(&self, draft: &Draft) -> Option<Arc<Past>> {
        let charge = self.stored.charge(draft.weight());
        let (lists, topic) = (take(draft.lists.clone())?, Topic::decode(draft.topic.clone())?);
        let Draft { born: at, number, body, props, .. } = draft;
        let (at, number, body, props) = (*at, *number, body.clone(), props.clone());
        Some(Arc::new(Past { at, number, topic, body, props, lists, charge }))
    }

    fn recall_past(&mut self, place: (RealmId, usize), ord: u64, lsn: Lsn, past: Arc<Past>) {
        let (realm, at) = place;
        let (short, mut gone) = (self.storage_is_short(), Vec::new());
        let Some(r) = self.realms.get_mut(usize::from(realm.0)) else { return };
        let Some(history) = r.histories.get_mut(at) else { return };
        history.push(Entry { past, ord, lsn: Some(lsn) }, short, &mut gone);
        self.own(Journal::segment_of(lsn), 1);
        gone.into_iter().for_each(|segment| self.disown(segment, 1));
    }

    /// Does this very record stand for something that is remembered?
    pub(super) fn remembers_by(&self, realm: RealmId, ord: u64, lsn: Lsn) -> bool {
        let histories = self.realm(realm).into_iter().flat_map(|r| &r.histories);
        histories.filter_map(|history| history.entry(ord)).any(|entry| entry.lsn == Some(lsn))
    }

    /// The record of something that is remembered was carried forward.
    pub(super) fn past_moved(&mut self, realm: RealmId, ord: u64, from: Lsn, to: Lsn) {
        let Some(r) = self.realms.get_mut(usize::from(realm.0)) else { return };
        let entries = r.histories.iter_mut().filter_map(|history| history.entry_mut(ord));
        let mut moved = 0;
        for entry in entries.filter(|entry| entry.lsn == Some(from)) {
            entry.lsn = Some(to);
            moved += 1;
        }
        self.own(Journal::segment_of(to), moved);
        self.disown(Journal::segment_of(from), moved);
    }
}

/// A copy that keeps nothing else of the record in memory.
fn draft_of(lsn: Lsn, m: &MessageRecord, past: &PastRecord) -> Arc<Draft> {
    let apart = |bytes: &Bytes| Bytes::copy_from_slice(bytes);
    Arc::new(Draft {
        lsn,
        number: past.number,
        lists: apart(&past.lists),
        born: m.born,
        topic: apart(&m.topic),
        props: apart(&m.props),
        body: apart(&m.body),
    })
}

/// Lists as a record has them: eligible 1, attribute, count 4, values; each counted before.
pub(super) fn put(lists: &[List]) -> Bytes {
    let mut out = Vec::new();
    let blob = |out: &mut Vec<u8>, bytes: &[u8]| {
        out.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
        out.extend_from_slice(bytes);
    };
    for list in lists {
        out.push(u8::from(list.eligible));
        blob(&mut out, list.attribute.as_bytes());
        out.extend_from_slice(&(list.values.len() as u32).to_be_bytes());
        list.values.iter().for_each(|value| blob(&mut out, value));
    }
    Bytes::from(out)
}

/// The same, read.
pub(super) fn take(bytes: Bytes) -> Option<Vec<List>> {
    let mut r = Reader::new(bytes);
    let mut all = Vec::new();
    while r.left() > 0 {
        all.push(take_one(&mut r).ok()??);
    }
    Some(all)
}

fn take_one(r: &mut Reader) -> Result<Option<List>, Short> {
    let eligible = r.u8()? != 0;
    let len = r.u32()? as usize;
    let Ok(attribute) = String::from_utf8(r.take(len)?.to_vec()) else { return Ok(None) };
    let mut values = Vec::new();
    for _ in 0..r.u32()? {
        let len = r.u32()? as usize;
        values.push(r.take(len)?);
    }
    Ok(Some(List { attribute, eligible, values }))
}
