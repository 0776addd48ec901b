//! Floor 2. How old the oldest message is that the journal still owes to somebody.
//!
//! Known by segments, as everything about debts is: of each with debts, how many there are and
//! when the first message came that was owed since it last had none. The oldest message is that
//! old or younger. A message that is carried forward keeps its age. Nearly everything happens in
//! the last segment, which is looked at first; a segment without debts is forgotten when the next
//! one begins. Absent on purpose: kept values, which wait for nobody, and the messages themselves.

use std::collections::BTreeMap;

/// Debts by segment.
#[derive(Debug, Default)]
pub struct Ages {
    /// In the order of the segments.
    segments: Vec<Debts>,
}

#[derive(Clone, Copy, Debug)]
struct Debts {
    segment: u32,
    count: u64,
    since: u64,
}

impl Ages {
    /// Before anything is told of debts: of each segment when its first message came.
    #[must_use]
    pub fn after(born: BTreeMap<u32, u64>) -> Self {
        let none = |(segment, since)| Debts { segment, count: 0, since };
        Self { segments: born.into_iter().map(none).collect() }
    }

    /// So many are owed in this segment since before the start.
    pub fn owed_before(&mut self, segment: u32, count: u64) {
        if let Ok(at) = self.place_of(segment)
            && let Some(debts) = self.segments.get_mut(at)
        {
            debts.count += count;
        }
    }

    /// So many more are owed of a message in this segment that came then, in milliseconds since
    /// 1970.
    pub fn owe(&mut self, segment: u32, count: u64, born: u64) {
        if count == 0 {
            return;
        }
        let at = self.place_of(segment).unwrap_or_else(|_| self.begin(segment));
        if let Some(debts) = self.segments.get_mut(at) {
            debts.since = if debts.count == 0 { born } else { debts.since.min(born) };
            debts.count += count;
        }
    }

    /// So many are owed no more. What was never owed here changes nothing.
    pub fn settle(&mut self, segment: u32, count: u64) {
        if let Ok(at) = self.place_of(segment)
            && let Some(debts) = self.segments.get_mut(at)
        {
            debts.count = debts.count.saturating_sub(count);
        }
    }

    /// Since when the oldest of them waits at most, in milliseconds since 1970.
    #[must_use]
    pub fn oldest(&self) -> Option<u64> {
        self.segments.iter().filter(|debts| debts.count > 0).map(|debts| debts.since).min()
    }

    fn place_of(&self, segment: u32) -> Result<usize, usize> {
        match self.segments.last() {
            Some(last) if last.segment == segment => Ok(self.segments.len() - 1),
            _ => self.segments.binary_search_by_key(&segment, |debts| debts.segment),
        }
    }

    /// A segment that nothing was owed in; those where nothing is owed any more are forgotten.
    fn begin(&mut self, segment: u32) -> usize {
        self.segments.retain(|debts| debts.count > 0);
        let at = self.segments.partition_point(|debts| debts.segment < segment);
        self.segments.insert(at, Debts { segment, count: 0, since: 0 });
        at
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
        assert_eq!(ages.segments.len(), 2, "the first is forgotten");
        ages.settle(3, 1);
        ages.settle(2, 1);
        ages.settle(2, 1);
        ages.settle(9, 1);
        assert_eq!(ages.oldest(), None);
        ages.owe(2, 1, 900);
        assert_eq!(ages.oldest(), Some(900), "what was settled is forgotten");
    }

    #[test]
    fn after_a_start_debts_are_as_old_as_their_segments() {
        let mut ages = Ages::after(BTreeMap::from([(1, 10), (2, 20), (4, 40)]));
        assert_eq!(ages.oldest(), None, "nobody was told to be owed anything yet");
        ages.owed_before(2, 2);
        ages.owed_before(4, 1);
        ages.owed_before(7, 1);
        assert_eq!(ages.oldest(), Some(20));
        ages.settle(2, 2);
        assert_eq!(ages.oldest(), Some(40));
        ages.owe(1, 1, 90);
        ages.settle(4, 1);
        assert_eq!(ages.oldest(), Some(90));
    }
}
