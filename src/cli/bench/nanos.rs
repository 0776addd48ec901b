//! Floor 6. How long things took, in nanoseconds: a histogram whose error is below one part in 128.
//!
//! A round trip over the loopback is a few microseconds, so microseconds are too coarse for it, and
//! a tail may be seconds long: every doubling is cut into 64 places, up to an hour. Recording is an
//! index and four additions; nothing is allocated after the beginning. Absent on purpose: windows
//! of time, and averages, which say nothing about a tail.

/// How often values of each size were seen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Hist {
    counts: Box<[u64]>,
    count: u64,
    max: u64,
}

impl Default for Hist {
    fn default() -> Self {
        Self { counts: vec![0; PLACES].into_boxed_slice(), count: 0, max: 0 }
    }
}

impl Hist {
    /// This took so long.
    pub(super) fn record(&mut self, nanos: u64) {
        self.record_all(nanos, 1);
    }

    /// So many things took that long.
    pub(super) fn record_all(&mut self, nanos: u64, times: u64) {
        if let Some(count) = self.counts.get_mut(place(nanos)) {
            *count += times;
        }
        self.count += times;
        self.max = self.max.max(nanos);
    }

    /// Take in what another counted.
    pub(super) fn merge(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.count += other.count;
        self.max = self.max.max(other.max);
    }

    /// How many values there were.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// The largest, exactly.
    pub(super) fn max(&self) -> u64 {
        self.max
    }

    /// What so many of a hundred thousand values do not exceed; never more than the largest. 0 when
    /// there was none.
    pub(super) fn percentile(&self, of_100_000: u32) -> u64 {
        let share = u128::from(self.count) * u128::from(of_100_000.min(100_000));
        let wanted = (share.div_ceil(100_000) as u64).max(1);
        let mut seen = 0;
        for (at, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                // The last place has no end.
                return if at + 1 == PLACES { self.max } else { middle(at).min(self.max) };
            }
        }
        0
    }
}

/// Where a value is counted: up to 128 by itself, above by its seven highest bits.
fn place(nanos: u64) -> usize {
    if nanos < EACH {
        return nanos as usize;
    }
    let shift = nanos.ilog2() - BITS;
    let at = u64::from(shift) * CUTS + (nanos >> shift);
    (at as usize).min(PLACES - 1)
}

/// The middle of what is counted at a place.
fn middle(at: usize) -> u64 {
    let at = at as u64;
    if at < EACH {
        return at;
    }
    let shift = (at - EACH) / CUTS + 1;
    let low = (at - shift * CUTS) << shift;
    low + (1 << shift) / 2
}

/// A doubling is cut into so many places.
const CUTS: u64 = 1 << BITS;
const BITS: u32 = 6;
/// So many values have a place of their own.
const EACH: u64 = 2 * CUTS;
/// Doublings above them: up to 2^42 ns, more than an hour.
const DOUBLINGS: u64 = 35;
const PLACES: usize = (EACH + DOUBLINGS * CUTS) as usize;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_back_is_what_was_recorded_but_for_a_128th() {
        let mut nanos = 1u64;
        while nanos < 3_600_000_000_000 {
            let back = middle(place(nanos));
            assert!(back.abs_diff(nanos) * 128 <= nanos, "{nanos} became {back}");
            assert!(place(nanos) <= place(nanos + 1), "{nanos}");
            nanos += 1 + nanos / 97;
        }
        for nanos in 0..EACH {
            assert_eq!(middle(place(nanos)), nanos);
        }
        assert_eq!(place(u64::MAX), PLACES - 1);
    }

    #[test]
    fn percentiles_are_those_of_the_values() {
        let (mut a, mut b) = (Hist::default(), Hist::default());
        a.record_all(6_400, 90);
        b.record_all(50_000, 9);
        b.record(20_000_000_000);
        a.merge(&b);
        assert_eq!((a.count(), a.max()), (100, 20_000_000_000));
        assert!(a.percentile(50_000).abs_diff(6_400) < 64);
        assert!(a.percentile(99_000).abs_diff(50_000) < 500);
        assert!(a.percentile(100_000).abs_diff(20_000_000_000) < 160_000_000);
        assert_eq!(Hist::default().percentile(50_000), 0);
    }
}
