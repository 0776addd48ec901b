//! Floor 5. The model of routers finds every lie.

use super::router_flaw::Flaw;
use super::routers::{live, live_with};

/// Seeds that are tried for a flaw: not every life has what it needs.
const SEEDS: u64 = 12;

#[test]
fn every_lie_about_a_router_is_found_and_called_by_its_name() {
    for (flaw, words) in Flaw::ALL {
        let found = (0..SEEDS).filter_map(|seed| live_with(seed, Some(flaw)).err());
        let last = |log: String| log.lines().last().unwrap_or_default().to_owned();
        let found: Vec<String> = found.map(last).collect();
        assert!(found.iter().any(|why| why.contains(words)), "{flaw:?}: {found:#?}");
    }
}

#[test]
fn without_a_lie_the_router_does_what_its_model_says() {
    (0..SEEDS).for_each(|seed| _ = live(seed).unwrap_or_else(|why| panic!("{why}")));
}
