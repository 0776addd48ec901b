//! Floor 2. The topics published lately, and which filters matched them.
//!
//! Publishers repeat themselves. Reading a topic's text and walking the trie are half of a small
//! publish, so both are remembered. Every topic has one place here. Whoever comes to a place that
//! another holds takes it at the second attempt in a row, so topics that come once drive nobody
//! out and cost nothing. A text always means the same topic; what matched it is true as long as
//! the trie has the version it had then, so nobody has to take anything out. Short topics with few
//! matches only: the memory is fixed. Absent on purpose: who the readers are, which changes more
//! often, and whether a topic is a good one, which its dialect says.

use core::hash::BuildHasher;

use smallvec::SmallVec;

use crate::base::id::RealmId;
use crate::base::map::Seed;
use crate::topic::{LeafId, Topic};

use super::message::Publication;
use super::realm::Realm;

/// Topics remembered at once; a power of two.
const PLACES: usize = 1_024;
/// The longest topic that is remembered.
const TEXT: usize = 64;
/// The most filters one may have matched.
const LEAVES: usize = 8;

/// A topic, and what matched it.
#[derive(Clone, Debug)]
struct Entry {
    topic: Topic,
    realm: RealmId,
    version: u64,
    leaves: SmallVec<[LeafId; LEAVES]>,
}

/// Where a topic would stand, and its mark among those that would stand there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place {
    at: usize,
    mark: u32,
}

/// The places.
#[derive(Debug)]
pub(super) struct Memo {
    seed: Seed,
    entries: Vec<Option<Entry>>,
    /// The mark of whoever came to a place last and found another there.
    rivals: Vec<u32>,
    /// Where the last topic stood that was asked for by its text: its publish asks next.
    last: Option<Place>,
}

impl Memo {
    pub(super) fn new(seed: Seed) -> Self {
        Self { seed, entries: vec![None; PLACES], rivals: vec![0; PLACES], last: None }
    }

    fn place_of(&self, text: &[u8]) -> Place {
        let hash = self.seed.hash_one(text);
        // A mark of nothing is nobody's.
        Place { at: hash as usize % PLACES, mark: (hash >> 32) as u32 | 1 }
    }

    /// The topic with this text and this byte between its levels, if it was published lately.
    pub(super) fn topic(&mut self, sep: u8, text: &[u8]) -> Option<&Topic> {
        if text.len() > TEXT {
            return None;
        }
        let place = self.place_of(text);
        let topic = &self.entries.get(place.at)?.as_ref()?.topic;
        let same = topic.sep() == Some(sep) && topic.text()[..] == *text;
        self.last = same.then_some(place);
        same.then_some(topic)
    }

    /// Its place, if it is one that can be remembered.
    pub(super) fn place(&self, topic: &Topic) -> Option<Place> {
        let stands =
            |p: &Place| matches!(self.entries.get(p.at), Some(Some(e)) if e.topic.is(topic));
        if let Some(place) = self.last.filter(stands) {
            return Some(place);
        }
        let fits = topic.sep().is_some() && topic.text().len() <= TEXT;
        fits.then(|| self.place_of(topic.text()))
    }

    /// It is named often, whatever it matches.
    pub(super) fn name(&mut self, realm: RealmId, topic: &Topic) {
        let Some(place) = self.place(topic) else { return };
        let known = matches!(self.entries.get(place.at),
            Some(Some(e)) if is_spelled_like(&e.topic, topic));
        if !known {
            // No trie has this version: whoever publishes there looks for what matches.
            self.learn(place, realm, u64::MAX, topic, &[]);
        }
    }

    /// What this publication matches in its realm, remembered or looked for.
    #[inline]
    pub(super) fn find(&mut self, realm: &Realm, p: &Publication, into: &mut Vec<LeafId>) {
        let (version, place) = (realm.topics.version(), self.place(&p.topic));
        if place.is_some_and(|place| self.recall(place, p.realm, version, &p.topic, into)) {
            return;
        }
        realm.topics.matches(&p.topic, into);
        if let Some(place) = place {
            self.learn(place, p.realm, version, &p.topic, into);
        }
    }

    /// Append what matched when it was last published; false when that is not known, or not true
    /// any more.
    pub(super) fn recall(
        &self,
        at: Place,
        realm: RealmId,
        version: u64,
        topic: &Topic,
        into: &mut Vec<LeafId>,
    ) -> bool {
        let Some(Some(e)) = self.entries.get(at.at) else { return false };
        let known = e.version == version && e.realm == realm && is_spelled_like(&e.topic, topic);
        if known {
            into.extend_from_slice(&e.leaves);
        }
        known
    }

    /// This is what matched.
    pub(super) fn learn(
        &mut self,
        place: Place,
        realm: RealmId,
        version: u64,
        topic: &Topic,
        matched: &[LeafId],
    ) {
        let (Some(entry), Some(rival)) =
            (self.entries.get_mut(place.at), self.rivals.get_mut(place.at))
        else {
            return;
        };
        if matched.len() > LEAVES || topic.text().len() > TEXT || topic.sep().is_none() {
            return;
        }
        let leaves = SmallVec::from_slice(matched);
        match entry {
            Some(e) if is_spelled_like(&e.topic, topic) => {
                (e.realm, e.version, e.leaves) = (realm, version, leaves);
            }
            Some(_) if core::mem::replace(rival, place.mark) != place.mark => {}
            // It stays, so it must not keep a read buffer alive.
            _ => *entry = Some(Entry { topic: topic.detached(), realm, version, leaves }),
        }
    }
}

/// The same text with the same byte between levels is the same topic.
fn is_spelled_like(one: &Topic, other: &Topic) -> bool {
    one.is(other) || one.sep() == other.sep() && one.text() == other.text()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topic::{Dialect, FilterTrie, Match, Star};
    use bytes::Bytes;

    const HERE: RealmId = RealmId(0);
    const STAR: Star = Star { levels_max: 16 };

    fn filter(text: &'static str) -> crate::topic::Filter {
        STAR.filter(&Bytes::from_static(text.as_bytes()), Match::Native).expect("a filter")
    }

    fn known(memo: &Memo, realm: RealmId, version: u64, topic: &Topic) -> Option<usize> {
        let mut into = Vec::new();
        let place = memo.place(topic)?;
        memo.recall(place, realm, version, topic, &mut into).then_some(into.len())
    }

    #[test]
    fn what_matched_is_known_until_the_filters_change() {
        let mut memo = Memo::new(Seed::with_seed(1));
        let mut trie: FilterTrie<()> = FilterTrie::new(Seed::with_seed(1));
        trie.entry(&filter("a/*"), || ());
        let topic = Topic::split(Bytes::from_static(b"a/b"), b'/');
        let place = memo.place(&topic).expect("short");
        assert_eq!(known(&memo, HERE, trie.version(), &topic), None);
        let mut matched = Vec::new();
        trie.matches(&topic, &mut matched);
        memo.learn(place, HERE, trie.version(), &topic, &matched);
        assert_eq!(known(&memo, HERE, trie.version(), &topic), Some(1));
        let id = trie.entry(&filter("a/b"), || ());
        assert_eq!(known(&memo, HERE, trie.version(), &topic), None, "one more may match");
        memo.learn(place, HERE, trie.version(), &topic, &matched);
        trie.remove(id);
        assert_eq!(known(&memo, HERE, trie.version(), &topic), None, "one fewer may match");
    }

    #[test]
    fn likeness_is_not_enough() {
        let mut memo = Memo::new(Seed::with_seed(1));
        let topic = |sep| Topic::split(Bytes::from_static(b"a/b"), sep);
        let place = memo.place(&topic(b'/')).expect("short");
        memo.learn(place, HERE, 1, &topic(b'/'), &[]);
        assert_eq!(
            known(&memo, HERE, 1, &topic(b'/')),
            Some(0),
            "nobody matched, and that is known"
        );
        assert!(memo.topic(b'/', b"a/b").is_some_and(|t| t.depth() == 2));
        assert!(memo.topic(b'.', b"a/b").is_none() && memo.topic(b'/', b"a/c").is_none());
        assert_eq!(known(&memo, HERE, 1, &topic(b'.')), None, "one level, not two");
        assert_eq!(known(&memo, RealmId(1), 1, &topic(b'/')), None, "another namespace");
        let other = Topic::split(Bytes::from_static(b"a/c"), b'/');
        assert!(!memo.recall(place, HERE, 1, &other, &mut Vec::new()), "in its place, but not it");
        let long = Topic::split(Bytes::from(vec![b'x'; TEXT + 1]), b'/');
        assert!(memo.place(&long).is_none());
    }

    #[test]
    fn a_topic_in_the_place_of_another_is_not_it() {
        let mut memo = Memo::new(Seed::with_seed(1));
        let all = (0..2 * PLACES).map(|i| Topic::split(Bytes::from(i.to_string()), b'/'));
        let all: Vec<Topic> = all.collect();
        for (i, topic) in all.iter().enumerate() {
            let place = memo.place(topic).expect("short");
            // Whoever comes once takes no place that another has.
            memo.learn(place, HERE, i as u64, topic, &[]);
            let once = known(&memo, HERE, i as u64, topic).is_some();
            let mut others = all.iter().take(i).map(|t| memo.place(t).expect("short").at);
            assert_eq!(once, others.all(|at| at != place.at), "{i}");
            memo.learn(place, HERE, i as u64, topic, &[]);
            assert!(known(&memo, HERE, i as u64, topic).is_some(), "{i}");
        }
        let kept =
            all.iter().enumerate().filter(|(i, t)| known(&memo, HERE, *i as u64, t).is_some());
        let kept = kept.count();
        assert!(kept > PLACES / 2 && kept <= PLACES, "{kept} of {PLACES} places hold their last");
    }
}
