//! Floor 0. One timing wheel, one entry per owner, re-armed only when a deadline moves earlier.
//!
//! Sixty-four slots on each of six levels, a tick of one millisecond: inserting and firing are
//! O(1). An owner whose deadline moved later is found when its old entry fires and is armed again
//! then, so traffic costs no timer work. Absent on purpose: cancelling. A fired entry whose owner
//! has gone, or has nothing due, is simply ignored by the caller.

use super::time::{Deadline, MS, Now};

const SLOTS: u64 = 64;
const LEVELS: usize = 6;

/// Deadlines of many owners.
#[derive(Debug)]
pub struct Wheel<K> {
    slots: Vec<Vec<(u64, K)>>,
    used: [u64; LEVELS],
    tick: u64,
    len: usize,
}

impl<K> Default for Wheel<K> {
    fn default() -> Self {
        let slots = (0..LEVELS * SLOTS as usize).map(|_| Vec::new()).collect();
        Self { slots, used: [0; LEVELS], tick: 0, len: 0 }
    }
}

impl<K> Wheel<K> {
    /// Fire `key` once, at `deadline` or in the millisecond after it.
    pub fn arm(&mut self, deadline: Deadline, key: K) {
        if deadline == Deadline::NEVER {
            return;
        }
        let due = deadline.0.div_ceil(MS).max(self.tick);
        self.place(due, key);
        self.len += 1;
    }

    /// Entries that wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// The millisecond it has come to.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.tick
    }

    /// Nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// A moment not later than the next firing; exact in the first level, early above it.
    #[must_use]
    pub fn next(&self) -> Option<Deadline> {
        if self.len == 0 {
            return None;
        }
        let mut best = u64::MAX;
        for level in 0..LEVELS {
            if self.used[level] != 0 {
                best = best.min(self.level_next(level));
            }
        }
        Some(Deadline(best.saturating_mul(MS)))
    }

    /// Take everything due at `now` into `fired`, earliest slot first.
    pub fn advance(&mut self, now: Now, fired: &mut Vec<K>) {
        let target = now.mono / MS;
        while self.tick <= target {
            if self.len == 0 {
                self.tick = target + 1;
                return;
            }
            self.cascade();
            let slot = (self.tick % SLOTS) as usize;
            if self.used[0] & (1 << slot) != 0 {
                self.used[0] &= !(1 << slot);
                let mut due = core::mem::take(&mut self.slots[slot]);
                self.len -= due.len();
                fired.extend(due.drain(..).map(|(_, key)| key));
                self.slots[slot] = due;
            }
            self.tick = self.next_stop(target);
        }
    }

    /// The next tick worth looking at: an occupied slot of the lowest level in use, or where the
    /// slots of that level turn.
    fn next_stop(&self, target: u64) -> u64 {
        let mut span = 1;
        for level in 0..LEVELS {
            if self.used[level] != 0 {
                let boundary = (self.tick / (span * SLOTS) + 1) * span * SLOTS;
                let next = (self.tick / span + 1) * span;
                let stop = if level == 0 { self.first_level_next() } else { next };
                return stop.min(boundary).min(target + 1);
            }
            span *= SLOTS;
        }
        target + 1
    }

    /// The next occupied slot of the first level after the present tick, or the level's end.
    fn first_level_next(&self) -> u64 {
        let slot = self.tick % SLOTS;
        let ahead = if slot == SLOTS - 1 { 0 } else { self.used[0] >> (slot + 1) };
        match ahead {
            0 => (self.tick / SLOTS + 1) * SLOTS,
            bits => self.tick + 1 + u64::from(bits.trailing_zeros()),
        }
    }

    /// At a level boundary, bring the entries of the upper slots down.
    fn cascade(&mut self) {
        let mut span = SLOTS;
        for level in 1..LEVELS {
            if !self.tick.is_multiple_of(span) {
                return;
            }
            let slot = ((self.tick / span) % SLOTS) as usize;
            if self.used[level] & (1 << slot) != 0 {
                self.used[level] &= !(1 << slot);
                let entries = core::mem::take(&mut self.slots[level * SLOTS as usize + slot]);
                for (due, key) in entries {
                    self.place(due, key);
                }
            }
            span *= SLOTS;
        }
    }

    fn place(&mut self, due: u64, key: K) {
        let due = due.max(self.tick);
        let mut level = 0;
        let mut span = 1;
        // The level whose slots differ from the present one in that digit only.
        while level + 1 < LEVELS && (due / (span * SLOTS)) != (self.tick / (span * SLOTS)) {
            level += 1;
            span *= SLOTS;
        }
        let ahead = (due / span).min(self.tick / span + SLOTS - 1);
        let slot = (ahead % SLOTS) as usize;
        self.used[level] |= 1 << slot;
        self.slots[level * SLOTS as usize + slot].push((due, key));
    }

    fn level_next(&self, level: usize) -> u64 {
        let span = SLOTS.pow(level as u32);
        let at = self.tick / span;
        let from = at % SLOTS;
        let bits = self.used[level].rotate_right(from as u32);
        let ahead = u64::from(bits.trailing_zeros());
        (at + ahead).saturating_mul(span).max(self.tick)
    }
}

#[cfg(test)]
mod tests {
    use super::super::rng::Rng;
    use super::*;

    fn at(ms: u64) -> Now {
        Now { mono: ms * MS, wall: 0 }
    }

    #[test]
    fn fires_in_the_right_millisecond_whatever_the_distance() {
        let mut rng = Rng::new(1);
        for round in 0..200 {
            let mut wheel = Wheel::default();
            let mut fired = Vec::new();
            let start = rng.below(1 << 20);
            wheel.advance(at(start), &mut fired);
            let mut due = Vec::new();
            for key in 0..50u64 {
                let power = rng.below(30);
                let when = start + 1 + rng.below(1 << power);
                wheel.arm(Deadline(when * MS), key);
                due.push((when, key));
            }
            let mut now = start;
            while !wheel.is_empty() {
                let next = wheel.next().map(|d| d.0 / MS).unwrap();
                let earliest = due.iter().map(|d| d.0).min().unwrap();
                assert!(next <= earliest, "round {round}: {next} is late for {earliest}");
                now =
                    if rng.chance(1, 3) { now.max(next) + rng.below(1000) } else { next.max(now) };
                wheel.advance(at(now), &mut fired);
                for key in fired.drain(..) {
                    let i = due.iter().position(|d| d.1 == key).unwrap();
                    assert!(due.swap_remove(i).0 <= now, "round {round}: too early");
                }
                assert!(due.iter().all(|d| d.0 > now), "round {round}: something is overdue");
            }
            assert!(due.is_empty());
        }
    }

    #[test]
    fn the_far_future_is_kept_and_never_is_not() {
        let mut wheel = Wheel::default();
        wheel.arm(Deadline::NEVER, 1);
        assert!(wheel.is_empty());
        wheel.arm(Deadline(u64::MAX - 1), 2);
        let mut fired = Vec::new();
        wheel.advance(at(1 << 40), &mut fired);
        assert_eq!((fired.len(), wheel.len()), (0, 1));
    }
}
