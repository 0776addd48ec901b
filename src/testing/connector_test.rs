//! Floor 5. The book of connectors finds every lie, and nothing where there is none.

use super::connector_flaw::Flaw;
use super::connectors::{live, live_with};
use super::dice::Dice;

/// Seeds that are tried for a flaw: not every life has what it needs.
const SEEDS: u64 = 12;

#[test]
fn every_lie_about_connectors_is_found_and_called_by_its_name() {
    for (flaw, words) in Flaw::ALL {
        let found = (0..SEEDS).filter_map(|seed| live_with(Dice::seeded(seed), Some(flaw)).err());
        let last = |log: String| log.lines().last().unwrap_or_default().to_owned();
        let found: Vec<String> = found.map(last).collect();
        assert!(found.iter().any(|why| why.contains(words)), "{flaw:?}: {found:#?}");
    }
}

#[test]
fn where_nobody_lies_about_connectors_nothing_is_found() {
    let lived = |seed| live(Dice::seeded(seed)).unwrap_or_else(|why| panic!("{why}"));
    (0..SEEDS).for_each(|seed| assert_eq!(lived(seed), lived(seed), "{seed} repeats itself"));
    let long: usize = (0..SEEDS).map(|seed| lived(seed).long).sum();
    assert!(long > 0, "files longer than a packet come along");
}

#[test]
fn bytes_choose_a_life_of_connectors_too() {
    for len in [0, 1, 100, 4_000] {
        let bytes: Vec<u8> = (0..len).map(|at: u32| (at * 89 % 251) as u8).collect();
        live(Dice::reading(&bytes)).unwrap_or_else(|why| panic!("{why}"));
    }
}
