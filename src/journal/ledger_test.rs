//! Floor 1. The ledger against a map that remembers every ordinal.

use super::ledger::Ledger;
use super::*;
use crate::base::rng::Rng;
use std::collections::{BTreeMap, BTreeSet};

/// Every owed ordinal with its segment, and every settled one.
#[derive(Default)]
struct Model {
    owed: BTreeMap<u64, u32>,
    settled: BTreeSet<u64>,
    next: u64,
}

fn agree(ledger: &Ledger, model: &Model, what: &str) {
    assert_eq!(ledger.len(), model.owed.len() as u64, "{what}");
    assert_eq!(ledger.is_empty(), model.owed.is_empty());
    for ord in 1..=model.next + 1 {
        assert_eq!(ledger.holds(ord), model.owed.contains_key(&ord), "{what}: {ord}");
        assert_eq!(ledger.is_settled(ord), model.settled.contains(&ord), "{what}: {ord}");
        if let Some(segment) = model.owed.get(&ord) {
            let run = ledger.run_at(ord).expect("held");
            assert!(run.lo <= ord && ord <= run.hi && run.segment == *segment, "{what}: {ord}");
        }
    }
    let mut per_segment = BTreeMap::new();
    for (segment, n) in ledger.segments() {
        *per_segment.entry(segment).or_insert(0) += n;
    }
    let mut want = BTreeMap::new();
    model.owed.values().for_each(|segment| *want.entry(*segment).or_insert(0u64) += 1);
    assert_eq!(per_segment, want, "{what}");
    let floor = (1..).take_while(|ord| model.settled.contains(ord)).last().unwrap_or(0);
    assert_eq!(ledger.floor(), floor, "{what}");
    let above: Vec<u64> = model.settled.range(floor + 1..).copied().collect();
    assert_eq!(ledger.extras().collect::<Vec<_>>(), above, "{what}");
    let (mut last, mut at) = (0, 0);
    while let Some(run) = ledger.run_at(at) {
        assert!(run.lo > last && run.hi >= run.lo, "{what}: runs are in order");
        (last, at) = (run.hi, run.hi + 1);
    }
}

/// Offsets in the log, always rising; now and then a new segment.
struct Tail(Lsn);

impl Tail {
    fn next(&mut self, rng: &mut Rng) -> Lsn {
        self.0 = match rng.chance(1, 12) {
            true => lsn_at(segment_of(self.0) + 1, PAGE),
            false => Lsn(self.0.0 + 8 * (1 + rng.below(9))),
        };
        self.0
    }
}

fn some(rng: &mut Rng, of: impl Iterator<Item = u64>) -> Option<u64> {
    let all: Vec<u64> = of.collect();
    rng.pick(&all).copied()
}

fn settle_record(ledger: &mut Ledger, model: &mut Model, rng: &mut Rng) {
    let floor = ledger.floor() + rng.below(4);
    let floor = floor.min(model.next);
    let extras: BTreeSet<u64> =
        (0..rng.below(4)).map(|_| floor + 1 + rng.below(8)).filter(|o| *o <= model.next).collect();
    let extras: Vec<u64> = extras.into_iter().collect();
    let mut gone = BTreeMap::new();
    ledger.apply_settle(floor, &extras, |segment, n| *gone.entry(segment).or_insert(0) += n);
    let mut want = BTreeMap::new();
    for ord in (1..=floor).chain(extras) {
        model.settled.insert(ord);
        if let Some(segment) = model.owed.remove(&ord) {
            *want.entry(segment).or_insert(0u64) += 1;
        }
    }
    assert_eq!(gone, want);
}

#[test]
fn it_agrees_with_a_map_whatever_happens() {
    for seed in 0..60 {
        let mut rng = Rng::new(seed);
        let (mut ledger, mut model) = (Ledger::default(), Model::default());
        let mut tail = Tail(lsn_at(1, PAGE));
        for step in 0..250 {
            match rng.below(10) {
                0..4 => {
                    model.next += 1;
                    let lsn = tail.next(&mut rng);
                    assert_eq!(ledger.owe(model.next, lsn), None);
                    model.owed.insert(model.next, segment_of(lsn));
                }
                4..7 => {
                    let near = model.owed.keys().copied().take(6);
                    let ord = some(&mut rng, near).unwrap_or(model.next + 1);
                    assert_eq!(ledger.settle(ord), model.owed.remove(&ord), "seed {seed}");
                    if ord <= model.next {
                        model.settled.insert(ord);
                    }
                    assert_eq!(ledger.settle(ord), None, "once is enough");
                }
                7..9 => {
                    let ord = some(&mut rng, 1..model.next + 2).unwrap_or(1);
                    let lsn = tail.next(&mut rng);
                    let want = model.owed.get(&ord).copied();
                    assert_eq!(ledger.moved(ord, lsn), want, "seed {seed}");
                    if want.is_some() {
                        model.owed.insert(ord, segment_of(lsn));
                    }
                }
                _ => settle_record(&mut ledger, &mut model, &mut rng),
            }
            agree(&ledger, &model, &format!("seed {seed} step {step}"));
        }
    }
}

#[test]
fn a_million_in_order_are_as_many_runs_as_segments() {
    let mut ledger = Ledger::default();
    for ord in 1..=1_000_000 {
        ledger.owe(ord, lsn_at(1 + (ord / 100_000) as u32, PAGE + ord as u32 % 100_000 * 8));
    }
    assert_eq!((ledger.segments().count(), ledger.len()), (11, 1_000_000));
    assert_eq!(ledger.run_at(1).map(|r| (r.segment, r.lo, r.hi)), Some((1, 1, 99_999)));
    for ord in 1..=999_999 {
        assert!(ledger.settle(ord).is_some());
    }
    assert_eq!((ledger.floor(), ledger.extras().count(), ledger.len()), (999_999, 0, 1));
}

#[test]
fn moving_a_run_one_by_one_makes_one_run_of_it_again() {
    let mut ledger = Ledger::default();
    for ord in 1..=100 {
        ledger.owe(ord, lsn_at(1, PAGE + ord as u32 * 8));
    }
    for ord in 1..=100 {
        assert_eq!(ledger.moved(ord, lsn_at(5, PAGE + ord as u32 * 8)), Some(1));
    }
    assert_eq!(ledger.segments().collect::<Vec<_>>(), [(5, 100)]);
    assert_eq!(ledger.run_at(1).map(|r| (r.offset, r.hi)), Some((PAGE + 8, 100)));
}

#[test]
fn a_log_with_copies_reads_into_the_same_ledger_and_gaps_close_at_its_end() {
    let mut ledger = Ledger::default();
    // Seen in the order of the log: 12 and 13, then a copy of 11 that stands behind them, then
    // 10, which a settle before it had already settled, then an original and its copy.
    ledger.apply_settle(10, &[], |_, _| ());
    ledger.owe(12, lsn_at(2, PAGE));
    ledger.owe(13, lsn_at(2, PAGE + 64));
    ledger.owe(11, lsn_at(3, PAGE));
    ledger.owe(10, lsn_at(3, PAGE + 64));
    assert_eq!(ledger.owe(13, lsn_at(3, PAGE + 128)), Some(2));
    ledger.owe(17, lsn_at(3, PAGE + 256));
    assert_eq!((ledger.len(), ledger.floor()), (4, 10));
    ledger.recovered(20);
    let held: Vec<u64> = (1..30).filter(|ord| ledger.holds(*ord)).collect();
    assert_eq!(held, [11, 12, 13, 17]);
    assert_eq!(ledger.extras().collect::<Vec<_>>(), [14, 15, 16, 18, 19]);
    for ord in held {
        ledger.settle(ord);
    }
    assert_eq!((ledger.floor(), ledger.extras().count()), (19, 0));
    ledger.owe(20, lsn_at(4, PAGE));
    assert!(ledger.holds(20));
}

#[test]
fn a_floor_that_the_log_forgot_is_found_again() {
    let mut ledger = Ledger::default();
    ledger.owe(5_000_000_000, lsn_at(9, PAGE));
    ledger.recovered(5_000_000_001);
    assert_eq!((ledger.floor(), ledger.extras().count()), (4_999_999_999, 0));
    let mut empty = Ledger::default();
    empty.restore(7, &[9]);
    empty.recovered(12);
    assert_eq!((empty.floor(), empty.is_empty()), (11, true));
}
