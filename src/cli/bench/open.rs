//! Floor 6. Messages by a schedule that waits for nobody.
//!
//! The moment at which each message is due follows from its number alone. A message that cannot be
//! sent then is sent as soon as it can be, and its latency counts from when it was due: a broker
//! that stops for a second is charged with every message of that second, not with one. Absent on
//! purpose: catching up by leaving messages out.

/// One thread's part of a schedule.
#[derive(Clone, Copy, Debug)]
pub(super) struct Schedule {
    /// Of the whole run, in a second.
    rate: u64,
    /// How many threads send, and which of them this is.
    senders: u64,
    place: u64,
    begin: u64,
    /// Its messages so far.
    pub(super) count: u64,
}

impl Schedule {
    pub(super) fn new(rate: u64, senders: u64, place: u64, begin: u64) -> Self {
        Self { rate: rate.max(1), senders: senders.max(1), place, begin, count: 0 }
    }

    /// When its next message is due, in nanoseconds.
    pub(super) fn due(&self) -> u64 {
        let number = u128::from(self.count) * u128::from(self.senders) + u128::from(self.place);
        let after = number * 1_000_000_000 / u128::from(self.rate);
        self.begin.saturating_add(u64::try_from(after).unwrap_or(u64::MAX))
    }

    /// How many more of its messages are due before a moment.
    pub(super) fn left(&self, until: u64) -> u64 {
        let span = u128::from(until.saturating_sub(self.begin)) * u128::from(self.rate);
        let all = span.div_ceil(1_000_000_000);
        let own = all.saturating_sub(u128::from(self.place)).div_ceil(u128::from(self.senders));
        u64::try_from(own).unwrap_or(u64::MAX).saturating_sub(self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_share_one_schedule() {
        let (rate, begin) = (3_000, 50);
        let mut all: Vec<u64> = Vec::new();
        for place in 0..4 {
            let mut it = Schedule::new(rate, 4, place, begin);
            assert_eq!(it.left(begin), 0);
            let left = it.left(begin + 1_000_000_000);
            while it.due() < begin + 1_000_000_000 {
                all.push(it.due());
                it.count += 1;
            }
            assert_eq!((left, it.left(begin + 1_000_000_000)), (it.count, 0));
        }
        all.sort_unstable();
        let whole: Vec<u64> = (0..rate).map(|n| begin + n * 1_000_000_000 / rate).collect();
        assert_eq!(all, whole);
    }
}
