//! Floor 2. How old the oldest message is that the journal still owes to somebody.
//!
//! Known by segments, as everything about debts is: of each with debts, how many there are and
//! when the first message came that was owed since it last had none. The oldest message is that
//! old or younger. A message that is carried forward keeps its age. Absent on purpose: kept
//! values, which wait for nobody, and the messages themselves.

use std::collections::BTreeMap;

/// Debts by segment.
#[derive(Debug, Default)]
pub struct Ages {
    segments: BTreeMap<u32, Debts>,
}

#[derive(Clone, Copy, Debug)]
struct Debts {
    count: u64,
    since: u64,
}

impl Ages {
    /// Before anything is told of debts: of each segment when its first message came.
    #[must_use]
    pub fn after(born: BTreeMap<u32, u64>) -> Self {
        let none = |(segment, since)| (segment, Debts { count: 0, since });
        Self { segments: born.into_iter().map(none).collect() }
    }

    /// Everything is told: segments without debts are none of ours.
    pub fn settled(&mut self) {
        self.segments.retain(|_, debts| debts.count > 0);
    }

    /// So many more are owed of a message in this segment that came then, in milliseconds since
    /// 1970.
    pub fn owe(&mut self, segment: u32, count: u64, born: u64) {
        if count == 0 {
            return;
        }
        let debts = self.segments.entry(segment).or_insert(Debts { count: 0, since: born });
        debts.count += count;
        debts.since = debts.since.min(born);
    }

    /// So many are owed no more. What was never owed here changes nothing.
    pub fn settle(&mut self, segment: u32, count: u64) {
        let Some(debts) = self.segments.get_mut(&segment) else { return };
        debts.count = debts.count.saturating_sub(count);
        if debts.count == 0 {
            self.segments.remove(&segment);
        }
    }

    /// Since when the oldest of them waits at most, in milliseconds since 1970.
    #[must_use]
    pub fn oldest(&self) -> Option<u64> {
        self.segments.values().map(|debts| debts.since).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_as_old_as_its_segment_since_it_owed_nothing() {
        let mut ages = Ages::default();
        assert_eq!(ages.oldest(), None);
        ages.owe(1, 2, 100);
        ages.owe(1, 1, 200);
        ages.owe(2, 1, 300);
        assert_eq!(ages.oldest(), Some(100));
        ages.settle(1, 3);
        assert_eq!(ages.oldest(), Some(300), "nothing is left in the first");
        // A carried message is as old as it was.
        ages.owe(3, 1, 50);
        assert_eq!(ages.oldest(), Some(50));
        ages.settle(3, 1);
        ages.settle(2, 1);
        ages.settle(2, 1);
        ages.settle(9, 1);
        assert_eq!(ages.oldest(), None);
        let mut ages = Ages::after(BTreeMap::from([(1, 10), (2, 20)]));
        ages.owe(2, 1, u64::MAX);
        ages.settled();
        assert_eq!(ages.oldest(), Some(20), "after a start: as old as its segment says");
        ages.settle(2, 1);
        ages.owe(2, 1, 900);
        assert_eq!(ages.oldest(), Some(900), "what was settled is forgotten");
    }
}
