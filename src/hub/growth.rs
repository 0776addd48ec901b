//! Floor 2. How fast the journal grows, and so how long its device will do.
//!
//! What it takes is looked at now and then, and some of that is remembered for a day. Growth is
//! what it takes more than an hour ago, or a day ago; the faster of both counts, so that neither a
//! rush nor a slow leak is overlooked. Less than a segment is no growth: the oldest one goes when
//! it is empty, so that much comes and goes by itself. Absent on purpose: the device.

use std::collections::VecDeque;

use crate::base::time::{MS, Now};

/// Between two points that are remembered.
const STEP_NS: u64 = 300_000 * MS;
/// How long one is.
const KEPT_NS: u64 = 86_400_000 * MS;
/// What growth is measured over.
const WINDOWS_NS: [u64; 2] = [3_600_000 * MS, KEPT_NS];
/// Less time says nothing.
const LEAST_NS: u64 = 600_000 * MS;

/// What the journal took, lately.
#[derive(Debug, Default)]
pub struct Growth {
    /// The oldest first.
    points: VecDeque<Point>,
    latest: Option<Point>,
    /// So much comes and goes.
    grain: u64,
}

#[derive(Clone, Copy, Debug)]
struct Point {
    at: u64,
    bytes: u64,
}

impl Growth {
    /// It takes so many bytes now, in segments of so many.
    pub fn look(&mut self, now: Now, bytes: u64, segment: u64) {
        let point = Point { at: now.mono, bytes };
        self.grain = segment;
        self.latest = Some(point);
        if self.points.back().is_none_or(|last| now.mono.saturating_sub(last.at) >= STEP_NS) {
            self.points.push_back(point);
        }
        let old = |point: &Point| now.mono.saturating_sub(point.at) > KEPT_NS;
        while self.points.front().is_some_and(old) {
            self.points.pop_front();
        }
    }

    /// Bytes in a second, while it grows.
    #[must_use]
    pub fn rate(&self) -> Option<f64> {
        let latest = self.latest?;
        let over = |window: u64| {
            let within = |point: &&Point| latest.at - point.at <= window;
            let first = self.points.iter().find(within)?;
            let (ns, bytes) = (latest.at - first.at, latest.bytes.checked_sub(first.bytes)?);
            (ns >= LEAST_NS && bytes > self.grain).then(|| bytes as f64 * 1e9 / ns as f64)
        };
        WINDOWS_NS.into_iter().filter_map(over).reduce(f64::max)
    }

    /// Seconds until so many free bytes are gone, if it goes on like this.
    #[must_use]
    pub fn left_s(&self, free: u64) -> Option<f64> {
        self.rate().map(|rate| free as f64 / rate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn at(minutes: u64) -> Now {
        Now { mono: minutes * 60_000 * MS, wall: 0 }
    }

    fn days(left: Option<f64>) -> Option<u64> {
        left.map(|s| (s / 86_400.0).round() as u64)
    }

    #[test]
    fn what_grows_evenly_lasts_as_long_as_division_says() {
        let mut growth = Growth::default();
        for minute in 0..=9 {
            growth.look(at(minute), 1_000 * MIB + minute * 10 * MIB, 16 * MIB);
        }
        assert_eq!(growth.left_s(MIB), None, "ten minutes are the least");
        for minute in 10..=3_000 {
            growth.look(at(minute), 1_000 * MIB + minute * 10 * MIB, 16 * MIB);
        }
        // 14,400 MiB a day.
        assert_eq!(days(growth.left_s(144_000 * MIB)), Some(10));
        assert!(growth.points.len() <= 290, "{} points", growth.points.len());
    }

    #[test]
    fn what_comes_and_goes_is_no_growth() {
        let mut growth = Growth::default();
        for minute in 0..=2_000 {
            growth.look(at(minute), 100 * MIB + minute % 16 * MIB, 16 * MIB);
        }
        assert_eq!(growth.rate(), None);
        growth.look(at(2_001), 10 * MIB, 16 * MIB);
        assert_eq!(growth.rate(), None, "and it may shrink");
    }

    #[test]
    fn neither_a_rush_nor_a_slow_leak_is_overlooked() {
        let (mut rush, mut leak) = (Growth::default(), Growth::default());
        for minute in 0..=1_440_u64 {
            // Nothing for 23 hours, then a GiB in the last one.
            let since = minute.saturating_sub(1_380);
            rush.look(at(minute), since * 1_024 / 60 * MIB, 16 * MIB);
            leak.look(at(minute), minute * MIB / 10, 16 * MIB);
        }
        let hours = rush.left_s(10 * 1_024 * MIB).map(|s| (s / 3_600.0).round() as u64);
        assert_eq!(hours, Some(10));
        // 6 MiB in the last hour say nothing; 144 MiB in the last day do.
        assert_eq!(days(leak.left_s(1_440 * MIB)), Some(10));
    }
}
