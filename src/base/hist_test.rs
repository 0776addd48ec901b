//! Floor 0. A histogram against sorted lists: what it says is nearly what the list says.

use super::hist::{BUCKETS, Hist, Windows};
use super::rng::Rng;
use super::time::MS;

/// Values of all sizes, small ones as likely as large ones.
fn values(seed: u64, n: usize) -> Vec<u64> {
    let mut rng = Rng::new(seed);
    (0..n).map(|_| rng.next_u64() >> (38 + rng.next_u64() % 26)).collect()
}

fn filled(values: &[u64]) -> Hist {
    let mut hist = Hist::default();
    values.iter().for_each(|v| hist.record(*v));
    hist
}

#[test]
fn percentiles_are_those_of_the_sorted_list() {
    for (seed, n) in [(1, 1), (2, 2), (3, 7), (4, 100), (5, 1_000), (6, 50_000)] {
        let mut list = values(seed, n);
        let hist = filled(&list);
        list.sort_unstable();
        assert_eq!(hist.count(), n as u64);
        assert_eq!(hist.sum(), list.iter().sum::<u64>());
        assert_eq!(hist.max(), *list.last().unwrap());
        for of in [0, 1, 1_000, 25_000, 50_000, 90_000, 99_000, 99_900, 99_999, 100_000] {
            let rank = (n * of as usize).div_ceil(100_000).max(1);
            let (want, got) = (list[rank - 1], hist.percentile(of));
            let off = want.abs_diff(got) as f64 / want.max(1) as f64;
            assert!(off <= 0.02, "seed {seed}, {of}: {got} instead of {want}");
        }
    }
}

#[test]
fn small_values_are_exact_and_enormous_ones_are_kept() {
    let hist = filled(&[0, 1, 2, 63]);
    let at = [25_000, 50_000, 75_000, 100_000].map(|of| hist.percentile(of));
    assert_eq!(at, [0, 1, 2, 63]);
    let hist = filled(&[5, 60_000_000, u64::MAX]);
    assert_eq!(hist.percentile(100_000), u64::MAX, "the largest is known exactly");
    let minute = hist.percentile(66_000);
    assert!(minute.abs_diff(60_000_000) <= 1_200_000, "{minute}");
    assert_eq!(Hist::default().percentile(50_000), 0);
    assert_eq!((Hist::default().max(), Hist::default().count()), (0, 0));
}

#[test]
fn buckets_count_exactly_what_lies_below_their_end() {
    let list = values(9, 20_000);
    let hist = filled(&list);
    let buckets: Vec<(Option<u64>, u64)> = hist.buckets().collect();
    assert_eq!(buckets.len(), BUCKETS.len() + 1);
    assert_eq!((BUCKETS[0], BUCKETS[20]), (16, 16_777_216));
    for (end, below) in buckets {
        let end = end.unwrap_or(u64::MAX);
        let want = list.iter().filter(|v| **v < end).count();
        assert_eq!(below, want as u64, "below {end}");
    }
}

#[test]
fn merging_is_counting_both() {
    let (a, b) = (values(20, 500), values(21, 900));
    let mut merged = filled(&a);
    merged.merge(&filled(&b));
    assert_eq!(merged, filled(&[a, b].concat()));
    let mut weighed = Hist::default();
    weighed.record_all(70, 3);
    assert_eq!(weighed, filled(&[70, 70, 70]));
}

/// Seconds, as the windows are told of them.
fn at(s: u64) -> u64 {
    s * 1_000 * MS
}

#[test]
fn windows_forget_and_the_whole_does_not() {
    let mut it = Windows::default();
    let mut seen: Vec<(u64, u64)> = Vec::new();
    let mut rng = Rng::new(3);
    for s in 0..4_000 {
        it.turn(at(s));
        let us = rng.next_u64() % 1_000 + if s == 1_000 { 50_000 } else { 0 };
        it.record(us);
        seen.push((s, us));
        let since = |from: u64| seen.iter().filter(move |(t, _)| *t >= from).map(|(_, us)| *us);
        for (hist, longest, least) in [(it.minute(), 60, 45), (it.quarter(), 900, 600)] {
            let n = hist.count();
            assert!(n <= longest && n >= least.min(s + 1), "{n} of {longest} at {s}");
            let want: Vec<u64> = since(s + 1 - n.min(s + 1)).collect();
            assert_eq!(hist.sum(), want.iter().sum::<u64>(), "at {s}");
            assert_eq!(hist.max(), *want.iter().max().unwrap(), "at {s}");
            let below = hist.buckets().last().unwrap();
            assert_eq!(below, (None, n));
        }
    }
    assert_eq!((it.all().count(), it.all().max()), (4_000, seen[1_000].1));
}

#[test]
fn a_silence_empties_the_windows() {
    let mut it = Windows::default();
    it.turn(at(0));
    it.record(7);
    for s in (0..3_600).step_by(14) {
        it.turn(at(s));
    }
    assert_eq!((it.minute().count(), it.quarter().count(), it.all().count()), (0, 0, 1));
    assert_eq!((it.minute().max(), it.minute().percentile(99_000)), (0, 0));
    it.record(9);
    it.turn(at(100_000));
    assert_eq!((it.minute().count(), it.quarter().count()), (0, 0), "nobody turned for long");
}
