//! Floor 3. A set of packet ids that costs nothing while it is empty and little while ids are low.
//!
//! Clients hand out the lowest free id first, so a bitmap that grows to the highest id seen stays
//! a few words long. At worst it is 8 KiB.

/// Ids 0 to 65535.
#[derive(Debug, Default)]
pub struct IdSet(Vec<u64>);

impl IdSet {
    /// Is it in?
    #[must_use]
    pub fn contains(&self, id: u16) -> bool {
        self.0.get(usize::from(id / 64)).is_some_and(|word| word & (1 << (id % 64)) != 0)
    }

    /// Put it in.
    pub fn insert(&mut self, id: u16) {
        let at = usize::from(id / 64);
        if self.0.len() <= at {
            self.0.resize(at + 1, 0);
        }
        if let Some(word) = self.0.get_mut(at) {
            *word |= 1 << (id % 64);
        }
    }

    /// Take it out.
    pub fn remove(&mut self, id: u16) {
        if let Some(word) = self.0.get_mut(usize::from(id / 64)) {
            *word &= !(1 << (id % 64));
        }
    }

    /// Heap bytes.
    #[must_use]
    pub fn heap(&self) -> usize {
        self.0.capacity() * size_of::<u64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_go_in_and_out_alone() {
        let mut set = IdSet::default();
        for id in [0, 1, 63, 64, 65_535] {
            assert!(!set.contains(id));
            set.insert(id);
            assert!(set.contains(id));
        }
        set.remove(64);
        assert!(!set.contains(64) && set.contains(63));
    }
}
