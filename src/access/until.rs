//! Floor 3. A table of digests, each with a moment until which it means something.
//!
//! Its memory is fixed when it is made. A digest has eight places it may stand in; when all are
//! taken, the one that would lapse first makes room, so a flood of new entries can push out only
//! those that mean least. Digests are keyed, so nobody can choose which eight. Absent on
//! purpose: growth, timers (an entry that has lapsed is as good as none), iteration.

use crate::base::time::Deadline;

const WAYS: usize = 8;

#[derive(Clone, Copy, Default)]
struct Entry {
    tag: u128,
    until: u64,
}

/// Digests with moments.
pub(super) struct Until {
    sets: Vec<[Entry; WAYS]>,
}

impl Until {
    /// Room for `places` entries, rounded up to a power of two and at least eight.
    pub(super) fn new(places: usize) -> Self {
        let sets = places.div_ceil(WAYS).next_power_of_two();
        Self { sets: vec![[Entry::default(); WAYS]; sets] }
    }

    /// The moment that goes with `tag`; the beginning of time when there is none.
    pub(super) fn of(&self, tag: u128) -> Deadline {
        let set = self.sets.get(self.place(tag));
        let entry = set.and_then(|set| set.iter().find(|e| e.tag == tag));
        Deadline(entry.map_or(0, |e| e.until))
    }

    /// Remember `tag` until that moment.
    pub(super) fn set(&mut self, tag: u128, until: Deadline) {
        let place = self.place(tag);
        let Some(set) = self.sets.get_mut(place) else {
            return;
        };
        let own = set.iter().position(|e| e.tag == tag);
        let slot = match own {
            Some(i) => set.get_mut(i),
            None => set.iter_mut().min_by_key(|e| e.until),
        };
        if let Some(slot) = slot {
            *slot = Entry { tag, until: until.0 };
        }
    }

    /// Forget everything.
    pub(super) fn clear(&mut self) {
        self.sets.fill([Entry::default(); WAYS]);
    }

    fn place(&self, tag: u128) -> usize {
        // The number of sets is a power of two.
        tag as usize & (self.sets.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remembers_changes_and_forgets() {
        let mut table = Until::new(64);
        assert_eq!(table.of(7), Deadline(0));
        table.set(7, Deadline(100));
        table.set(7, Deadline(50));
        assert_eq!(table.of(7), Deadline(50), "the newest word counts");
        table.clear();
        assert_eq!(table.of(7), Deadline(0));
    }

    #[test]
    fn the_one_that_lapses_first_makes_room() {
        let mut table = Until::new(8);
        for tag in 1..=8 {
            table.set(tag, Deadline(1000 + tag as u64));
        }
        // However many newcomers of little weight come, they push out one another.
        for tag in 100..10_000 {
            table.set(tag, Deadline(1));
        }
        let kept = (1..=8).filter(|&tag| table.of(tag) != Deadline(0)).count();
        assert_eq!(kept, 7);
        assert_eq!(table.of(1), Deadline(0), "the lightest of the old ones went");
    }

    #[test]
    fn its_memory_is_what_was_asked_for() {
        let table = Until::new(1000);
        assert_eq!(table.sets.len() * WAYS, 1024);
        assert_eq!(Until::new(0).sets.len() * WAYS, 8);
    }
}
