//! Floor 0. A token bucket: so many at once, and one more every so often.
//!
//! It is two numbers and no timer: the moment at which it will be full again, and how much that
//! may lie ahead. Taking moves the moment; time fills the bucket by passing. A request larger than
//! the bucket is granted when the bucket is full and leaves a debt, so that a single large packet
//! is slowed down and not refused for ever. Absent on purpose: clocks, waiting.

/// Tokens, and the pace they come back at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bucket {
    /// Nanoseconds of one token, in 1/256 of them: paces above a token per nanosecond need no
    /// precision, slow ones keep theirs.
    cost: u64,
    /// How far ahead the moment may lie when all tokens are taken.
    depth: u64,
    /// When it is full again.
    full: u64,
}

impl Bucket {
    /// A full bucket of `burst` tokens (at least one) that gets `rate` of them back in a second. A
    /// rate of 0 means no bound: everything is granted.
    #[must_use]
    pub const fn new(rate: u64, burst: u64) -> Self {
        let burst = if burst == 0 { 1 } else { burst };
        let cost = match (SECOND * PARTS).checked_div(rate) {
            Some(cost) => cost,
            None => 0,
        };
        let mut bucket = Self { cost, depth: 0, full: 0 };
        bucket.depth = bucket.price(burst);
        bucket
    }

    /// Take `n` tokens if they are there.
    pub fn take(&mut self, now: u64, n: u64) -> bool {
        let ready = now >= self.ready_at(n);
        if ready {
            self.charge(now, n);
        }
        ready
    }

    /// Take `n` tokens whether they are there or not; what is missing is owed.
    pub fn charge(&mut self, now: u64, n: u64) {
        self.full = self.full.max(now).saturating_add(self.price(n));
    }

    /// When `n` tokens are there; a moment that has passed when they are there now.
    #[must_use]
    pub const fn ready_at(&self, n: u64) -> u64 {
        let price = self.price(n);
        let price = if price > self.depth { self.depth } else { price };
        (self.full.saturating_add(price)).saturating_sub(self.depth)
    }

    /// Is it full? Then it remembers nothing, and can be made anew when it is needed.
    #[must_use]
    pub const fn is_full(&self, now: u64) -> bool {
        now >= self.full
    }

    const fn price(&self, n: u64) -> u64 {
        self.cost.saturating_mul(n) / PARTS
    }
}

/// Nanoseconds in a second.
const SECOND: u64 = 1_000_000_000;
/// Parts of a nanosecond that are counted.
const PARTS: u64 = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_at_once_and_then_the_pace() {
        let mut bucket = Bucket::new(10, 3);
        assert!((0..3).all(|_| bucket.take(0, 1)), "the burst");
        assert!(!bucket.take(0, 1));
        assert_eq!(bucket.ready_at(1), SECOND / 10);
        assert!(!bucket.take(SECOND / 10 - 1, 1));
        assert!(bucket.take(SECOND / 10, 1));
        assert!(!bucket.take(SECOND / 10, 1));
        assert!(bucket.take(10 * SECOND, 3), "it is full again, and not fuller");
        assert!(!bucket.take(10 * SECOND, 1));
        assert!(bucket.is_full(11 * SECOND) && !bucket.is_full(10 * SECOND));
    }

    #[test]
    fn over_a_minute_the_pace_is_kept() {
        for rate in [1, 7, 1_000, 333_333] {
            let mut bucket = Bucket::new(rate, 1);
            let (mut now, mut taken) = (0, 0);
            while now < 60 * SECOND {
                taken += u64::from(bucket.take(now, 1));
                now = bucket.ready_at(1).max(now + 1);
            }
            let wanted = rate * 60;
            assert!(taken.abs_diff(wanted) <= wanted / 1_000 + 1, "{taken} at {rate}");
        }
    }

    #[test]
    fn what_is_larger_than_the_bucket_waits_and_is_owed() {
        let mut bucket = Bucket::new(100, 50);
        assert!(bucket.take(0, 200), "full, so it is granted");
        assert!(!bucket.take(SECOND, 1), "150 are owed");
        assert!(!bucket.take(15 * SECOND / 10, 1));
        assert!(bucket.take(151 * SECOND / 100, 1));
        let mut owing = Bucket::new(100, 50);
        owing.charge(0, 60);
        assert_eq!(owing.ready_at(1), 11 * SECOND / 100);
    }

    #[test]
    fn no_rate_is_no_bound_and_nothing_overflows() {
        let mut free = Bucket::new(0, 0);
        assert!((0..1_000).all(|_| free.take(5, u64::MAX)));
        let mut slow = Bucket::new(1, u64::MAX);
        assert!(slow.take(u64::MAX - 1, u64::MAX));
        let fast = Bucket::new(u64::MAX, 1);
        assert_eq!(fast.ready_at(1), 0);
    }
}
