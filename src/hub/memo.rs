//! Floor 2. Which filters matched the topics published lately.
//!
//! Publishers repeat themselves, and walking the trie is a quarter of a small publish. Every topic
//! has one place here; whoever comes later takes it. What stands there is true as long as the trie
//! has the version it had then, so nobody has to take anything out. Short topics with few matches
//! only: the memory is fixed. Absent on purpose: who the readers are, which changes more often.

use core::hash::BuildHasher;

use smallvec::SmallVec;

use crate::base::id::RealmId;
use crate::base::map::Seed;
use crate::topic::{LeafId, Topic};

/// Topics remembered at once; a power of two.
const PLACES: usize = 1_024;
/// The longest topic that is remembered.
const TEXT: usize = 64;
/// The most filters one may have matched.
const LEAVES: usize = 8;

/// What matched one topic.
#[derive(Clone, Debug)]
struct Entry {
    realm: RealmId,
    version: u64,
    sep: u8,
    text: SmallVec<[u8; TEXT]>,
    leaves: SmallVec<[LeafId; LEAVES]>,
}

/// Where a topic would stand.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place(usize);

/// The places.
#[derive(Debug)]
pub(super) struct Memo {
    seed: Seed,
    entries: Vec<Option<Entry>>,
}

impl Memo {
    pub(super) fn new(seed: Seed) -> Self {
        Self { seed, entries: vec![None; PLACES] }
    }

    /// Its place, if it is one that can be remembered.
    pub(super) fn place(&self, topic: &Topic) -> Option<Place> {
        let fits = topic.sep().is_some() && topic.text().len() <= TEXT;
        fits.then(|| Place(self.seed.hash_one(topic.text()) as usize % PLACES))
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
        let Some(Some(e)) = self.entries.get(at.0) else { return false };
        // The same text with the same byte between levels is the same topic.
        let same = e.version == version
            && e.realm == realm
            && topic.sep() == Some(e.sep)
            && topic.text()[..] == e.text[..];
        if same {
            into.extend_from_slice(&e.leaves);
        }
        same
    }

    /// This is what matched.
    pub(super) fn learn(
        &mut self,
        at: Place,
        realm: RealmId,
        version: u64,
        topic: &Topic,
        matched: &[LeafId],
    ) {
        let (Some(entry), Some(sep)) = (self.entries.get_mut(at.0), topic.sep()) else { return };
        if matched.len() > LEAVES || topic.text().len() > TEXT {
            return;
        }
        let (text, leaves) = (SmallVec::from_slice(topic.text()), SmallVec::from_slice(matched));
        *entry = Some(Entry { realm, version, sep, text, leaves });
    }
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
            memo.learn(place, HERE, i as u64, topic, &[]);
        }
        let kept =
            all.iter().enumerate().filter(|(i, t)| known(&memo, HERE, *i as u64, t).is_some());
        let kept = kept.count();
        assert!(kept > PLACES / 2 && kept <= PLACES, "{kept} of {PLACES} places hold their last");
    }
}
