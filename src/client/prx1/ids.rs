//! Floor 5. Which packet ids of a PRX1 client are free; the lowest is handed out first.
//!
//! One bit per id, and the first word that may have a free one. Publish, Subscribe and
//! Unsubscribe share them. Absent on purpose: what an id is used for.

/// 65,535 is never handed out, and 0 means none.
const ID_MAX: u16 = 65_534;

/// Which ids are free; the lowest is handed out first.
#[derive(Debug)]
pub(super) struct Ids {
    used: Vec<u64>,
    /// Every word before this one is full.
    low: usize,
}

impl Default for Ids {
    fn default() -> Self {
        let mut used = vec![0; usize::from(u16::MAX) / 64 + 1];
        // 0 means none, 65,535 is never handed out.
        used[0] = 1;
        used[1023] = 1 << 63;
        Self { used, low: 0 }
    }
}

impl Ids {
    /// The lowest free id; 0 when there is none, which the bounds of the desk exclude.
    pub(super) fn take(&mut self) -> u16 {
        for (word, bits) in self.used.iter_mut().enumerate().skip(self.low) {
            if *bits != u64::MAX {
                let bit = bits.trailing_ones();
                *bits |= 1 << bit;
                self.low = word;
                return (word as u16) * 64 + bit as u16;
            }
        }
        debug_assert!(false, "no id is free");
        0
    }

    pub(super) fn give_back(&mut self, id: u16) {
        let word = usize::from(id / 64);
        if let Some(bits) = self.used.get_mut(word).filter(|_| (1..=ID_MAX).contains(&id)) {
            *bits &= !(1 << (id % 64));
            self.low = self.low.min(word);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_id_once_and_the_lowest_first() {
        let mut ids = Ids::default();
        for id in 1..=ID_MAX {
            assert_eq!(ids.take(), id);
        }
        for id in [65_534, 7, 1_000, 0, 65_535] {
            ids.give_back(id);
        }
        assert_eq!([ids.take(), ids.take(), ids.take()], [7, 1_000, 65_534]);
    }
}
