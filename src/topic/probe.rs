//! Floor 1. An index of small numbers by the hash of what they stand for.
//!
//! The caller keeps the things themselves in a table of its own and says, given a number, whether
//! it is the one looked for; so a key is stored once, and an entry costs eight bytes. Linear
//! probing; a slot holds the hash too, so growing and closing gaps never ask the caller. Slots
//! are ordered by hash, which makes growing two sequential passes. Absent on purpose: keys.

/// Numbers by hash.
#[derive(Clone, Debug, Default)]
pub(super) struct Probe {
    /// A power of two long, or empty; at most three quarters full.
    slots: Vec<u64>,
    len: usize,
}

impl Probe {
    /// The number with this hash that `is` agrees to.
    pub(super) fn find(&self, hash: u32, is: impl Fn(u32) -> bool) -> Option<u32> {
        let mut at = self.home(hash);
        loop {
            let slot = *self.slots.get(at)?;
            if slot == FREE {
                return None;
            }
            if (slot >> 32) as u32 == hash && is(slot as u32) {
                return Some(slot as u32);
            }
            at = (at + 1) & (self.slots.len() - 1);
        }
    }

    /// Add a number that is not there yet.
    pub(super) fn insert(&mut self, hash: u32, number: u32) {
        if (self.len + 1) * 4 > self.slots.len() * 3 {
            self.resize((self.slots.len() * 2).max(SLOTS_MIN));
        }
        self.place(u64::from(hash) << 32 | u64::from(number));
        self.len += 1;
    }

    /// Take a number out, if it is there.
    pub(super) fn remove(&mut self, hash: u32, number: u32) {
        let wanted = u64::from(hash) << 32 | u64::from(number);
        let mut gap = self.home(hash);
        loop {
            match self.slots.get(gap) {
                None | Some(&FREE) => return,
                Some(slot) if *slot == wanted => break,
                Some(_) => gap = (gap + 1) & (self.slots.len() - 1),
            }
        }
        self.close(gap);
        self.len -= 1;
        if self.slots.len() > SLOTS_MIN && self.len * 8 < self.slots.len() {
            self.resize(self.slots.len() / 2);
        }
    }

    /// Pull later entries of the run into the gap, so that no search stops short of one.
    fn close(&mut self, gap: usize) {
        let mask = self.slots.len() - 1;
        let (mut gap, mut at) = (gap, gap);
        loop {
            at = (at + 1) & mask;
            let slot = self.slots[at];
            if slot == FREE {
                self.slots[gap] = FREE;
                return;
            }
            let home = self.home((slot >> 32) as u32);
            if (at.wrapping_sub(home) & mask) >= (at.wrapping_sub(gap) & mask) {
                self.slots[gap] = slot;
                gap = at;
            }
        }
    }

    fn place(&mut self, slot: u64) {
        let mut at = self.home((slot >> 32) as u32);
        while self.slots[at] != FREE {
            at = (at + 1) & (self.slots.len() - 1);
        }
        self.slots[at] = slot;
    }

    fn resize(&mut self, len: usize) {
        let old = core::mem::replace(&mut self.slots, vec![FREE; len]);
        for slot in old.into_iter().filter(|slot| *slot != FREE) {
            self.place(slot);
        }
    }

    /// The top bits of the hash, so that a larger table keeps the order of a smaller one.
    fn home(&self, hash: u32) -> usize {
        ((u64::from(hash) * self.slots.len() as u64) >> 32) as usize
    }
}

/// No number is `u32::MAX`: the tables that are indexed stay below it.
const FREE: u64 = u64::MAX;
const SLOTS_MIN: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;

    #[test]
    fn finds_what_is_there_and_nothing_else_through_crowding_and_wrapping() {
        let mut rng = Rng::new(7);
        for round in 0..50 {
            let mut probe = Probe::default();
            let mut there: Vec<(u32, u32)> = Vec::new();
            for number in 0..2_000 {
                // Few distinct hashes near the end of the range: long runs that wrap around.
                let hash = u32::MAX - (rng.below(1 + round * 40) as u32) * 4096;
                if rng.chance(1, 2) || there.is_empty() {
                    probe.insert(hash, number);
                    there.push((hash, number));
                } else {
                    let (hash, number) = there.swap_remove(rng.below(there.len() as u64) as usize);
                    probe.remove(hash, number);
                    probe.remove(hash, number);
                    assert_eq!(probe.find(hash, |found| found == number), None);
                }
                assert_eq!(probe.len, there.len());
            }
            for (hash, number) in &there {
                assert_eq!(probe.find(*hash, |found| found == *number), Some(*number));
            }
            for (hash, number) in there.drain(..) {
                probe.remove(hash, number);
            }
            assert_eq!((probe.len, probe.slots.len()), (0, SLOTS_MIN), "memory is given back");
        }
    }
}
