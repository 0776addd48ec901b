//! Floor 0. How many there were lately: counts in slots of equal length, the newest being filled.
//!
//! A window of so many slots slides with the time: the newest slot counts as far as it has come,
//! and of the one that is about to fall out the part that is still inside is taken, as if its
//! events were spread evenly over it. Whoever asks says what time it is, so nothing ticks and
//! nothing is lost when nobody looks for a while. Absent on purpose: clocks, and rates per second.

/// Counts of the last slots. `N` is one more than the longest window has: the one that falls out.
#[derive(Clone, Debug)]
pub struct Window<const N: usize> {
    slots: [u32; N],
    /// Nanoseconds of a slot.
    len: u64,
    /// The number of the newest slot.
    at: u64,
}

impl<const N: usize> Window<N> {
    /// Nothing yet, in slots of so many nanoseconds.
    #[must_use]
    pub fn new(len: u64) -> Self {
        Self { slots: [0; N], len: len.max(1), at: 0 }
    }

    /// So many happened now.
    pub fn count(&mut self, now: u64, n: u32) {
        let slot = self.slot(now);
        self.slide(slot);
        self.add(slot, n);
    }

    /// So many happened in a slot of the past, if it is still remembered.
    pub fn recall(&mut self, now: u64, slots_ago: u64, n: u32) {
        self.slide(self.slot(now));
        if slots_ago < N as u64
            && let Some(slot) = self.at.checked_sub(slots_ago)
        {
            self.add(slot, n);
        }
    }

    /// How many there were in the last `spans` slots' time, at most what is remembered.
    #[must_use]
    pub fn sum(&self, now: u64, spans: usize) -> f64 {
        let newest = self.slot(now);
        let spans = spans.min(N.saturating_sub(1)) as u64;
        let gone = (now % self.len) as f64 / self.len as f64;
        let whole: u64 = (0..spans).map(|ago| self.in_slot(newest, ago)).sum();
        let oldest = self.in_slot(newest, spans);
        whole as f64 + oldest as f64 * (1.0 - gone)
    }

    /// How many there were in one slot, so many before the newest.
    #[must_use]
    pub fn ago(&self, now: u64, slots_ago: u64) -> u64 {
        self.in_slot(self.slot(now), slots_ago)
    }

    /// Slots begin before the beginning of time, so that what was before it has a place.
    fn slot(&self, now: u64) -> u64 {
        now / self.len + N as u64
    }

    fn in_slot(&self, newest: u64, ago: u64) -> u64 {
        let Some(slot) = newest.checked_sub(ago) else { return 0 };
        let known = slot <= self.at && self.at - slot < N as u64;
        if known { u64::from(self.slots[self.place(slot)]) } else { 0 }
    }

    fn place(&self, slot: u64) -> usize {
        (slot % N as u64) as usize
    }

    fn add(&mut self, slot: u64, n: u32) {
        let at = self.place(slot);
        self.slots[at] = self.slots[at].saturating_add(n);
    }

    /// What is between the newest slot and this one was empty. Time does not go back: what comes
    /// from before is counted in the newest.
    fn slide(&mut self, slot: u64) {
        let by = slot.saturating_sub(self.at);
        for n in 1..=by.min(N as u64) {
            let at = self.place(slot + 1 - n);
            self.slots[at] = 0;
        }
        self.at = self.at.max(slot);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    #[test]
    fn a_burst_is_in_the_window_for_its_length_and_leaves_it_smoothly() {
        let mut window = Window::<11>::new(S);
        window.count(100 * S, 50);
        assert_eq!(window.sum(100 * S, 1), 50.0);
        assert_eq!(window.sum(100 * S + S / 2, 1), 50.0);
        assert_eq!(window.sum(101 * S + S / 2, 1), 25.0, "half of its second is still inside");
        assert_eq!(window.sum(102 * S, 1), 0.0);
        assert_eq!(window.sum(109 * S, 10), 50.0);
        assert_eq!(window.sum(110 * S + S / 4, 10), 37.5);
        assert_eq!(window.sum(111 * S, 10), 0.0);
    }

    #[test]
    fn what_nobody_counted_for_a_while_is_gone() {
        let mut window = Window::<11>::new(S);
        for second in 0..11 {
            window.count(second * S, 1 << second);
        }
        window.count(15 * S, 1);
        let left: Vec<u64> = (0..11).map(|ago| window.ago(15 * S, ago)).collect();
        assert_eq!(left, [1, 0, 0, 0, 0, 1 << 10, 1 << 9, 1 << 8, 1 << 7, 1 << 6, 1 << 5]);
        window.count(1_000 * S, 2);
        assert_eq!((0..11).map(|ago| window.ago(1_000 * S, ago)).sum::<u64>(), 2);
    }

    #[test]
    fn the_past_can_be_told_as_far_as_it_is_remembered() {
        let mut window = Window::<11>::new(S);
        for ago in 0..20 {
            window.recall(50 * S, ago, 1);
        }
        assert_eq!(window.sum(50 * S, 10), 11.0, "eleven slots, the oldest whole at this moment");
        assert_eq!(window.sum(50 * S + S / 2, 10), 10.5);
    }

    #[test]
    fn what_was_before_the_clock_began_has_its_place() {
        let mut window = Window::<11>::new(S);
        for ago in 1..=5 {
            window.recall(S / 2, ago, 2);
        }
        assert_eq!(window.sum(S / 2, 10), 10.0);
        assert_eq!(window.sum(6 * S, 10), 8.0);
        assert_eq!(window.sum(9 * S, 10), 2.0);
    }

    #[test]
    fn a_clock_that_stands_or_steps_back_loses_nothing() {
        let mut window = Window::<11>::new(S);
        window.count(50 * S, 3);
        window.count(49 * S, 4);
        assert_eq!(window.sum(50 * S, 1), 7.0);
        window.count(50 * S, u32::MAX);
        assert_eq!(window.ago(50 * S, 0), u64::from(u32::MAX), "and it does not go round");
    }

    #[test]
    fn it_agrees_with_a_list_of_everything() {
        let mut rng = crate::base::rng::Rng::new(7);
        let mut window = Window::<11>::new(S);
        let mut all: Vec<u64> = Vec::new();
        let mut now = 0;
        for _ in 0..5_000 {
            now += rng.below(S / 3);
            window.count(now, 1);
            all.push(now);
            let slot = now / S;
            let gone = (now % S) as f64 / S as f64;
            let whole = all.iter().filter(|at| slot - **at / S < 10).count();
            let oldest = all.iter().filter(|at| slot - **at / S == 10).count();
            let wanted = whole as f64 + oldest as f64 * (1.0 - gone);
            assert!((window.sum(now, 10) - wanted).abs() < 1e-9, "at {now}");
        }
    }
}
