//! Floor 6. The simulator: many seeds, each lived through twice, with the same digest.
//!
//! `SPINDLE_SEEDS` says how many (60 unless told otherwise), `SPINDLE_SEED` names one to live
//! through alone, `SPINDLE_TURNS` how long each lives. A failure prints the seed and the log of its
//! last events; the columns are explained at the top of `testing/world.rs`.

use std::sync::atomic::{AtomicU64, Ordering};

use spindle::testing::dice::Dice;
use spindle::testing::world::{Ending, World};

fn number(name: &str) -> Option<u64> {
    #[expect(clippy::disallowed_methods, reason = "a test is told by its environment")]
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is no number")))
}

fn live(seed: u64) -> Result<Ending, String> {
    let turns = number("SPINDLE_TURNS").unwrap_or(300);
    let dice = Dice::seeded(seed);
    let lived = World::new(dice).and_then(|world| world.live(turns));
    lived.map_err(|log| format!("{log}\nSPINDLE_SEED={seed} lives through this again"))
}

#[test]
fn every_seed_keeps_its_promises_and_repeats_itself() {
    if let Some(seed) = number("SPINDLE_SEED") {
        let ending = live(seed).unwrap_or_else(|log| panic!("{log}"));
        panic!("seed {seed} keeps its promises: {ending:?}");
    }
    let seeds = number("SPINDLE_SEEDS").unwrap_or(60);
    let (next, heard, restarts) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let work = || {
        let mut failed = Vec::new();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds || failed.len() > 2 {
                return failed;
            }
            match live(seed) {
                Ok(first) if live(seed).as_ref() == Ok(&first) => {
                    heard.fetch_add(first.heard as u64, Ordering::Relaxed);
                    restarts.fetch_add(u64::from(first.restarts), Ordering::Relaxed);
                }
                Ok(_) => failed.push(format!("seed {seed} does not repeat itself")),
                Err(log) => failed.push(log),
            }
        }
    };
    let failed: Vec<String> = std::thread::scope(|scope| {
        let hands = [scope.spawn(work), scope.spawn(work)];
        hands.into_iter().flat_map(|hand| hand.join().expect("no panic")).collect()
    });
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
    let (heard, restarts) = (heard.into_inner(), restarts.into_inner());
    assert!(
        heard > seeds * 20 && restarts > seeds / 4,
        "too quiet: {heard} heard, {restarts} restarts"
    );
}

#[test]
fn every_relay_passes_what_was_said_and_leaves_nothing_behind() {
    if let Some(seed) = number("SPINDLE_RELAY_SEED") {
        spindle::testing::relays::live(seed).unwrap_or_else(|why| panic!("{why}"));
        panic!("seed {seed} keeps its promises");
    }
    // One is lived through quickly, but there are many other tests beside it.
    let seeds = number("SPINDLE_SEEDS").unwrap_or(60) / 2;
    let failed: Vec<String> = (0..seeds)
        .filter_map(|seed| {
            let why = spindle::testing::relays::live(seed).err()?;
            Some(format!("{why}\nSPINDLE_RELAY_SEED={seed} lives through this again"))
        })
        .take(3)
        .collect();
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
}

#[test]
fn every_call_has_one_end_and_leaves_nothing_behind() {
    use spindle::testing::dealers::live;
    if let Some(seed) = number("SPINDLE_CALLS_SEED") {
        let lived = live(seed).unwrap_or_else(|why| panic!("{why}"));
        panic!("seed {seed} keeps its promises: {lived:?}");
    }
    let seeds = number("SPINDLE_SEEDS").unwrap_or(60);
    let (mut failed, mut calls, mut asked, mut restarts) = (Vec::new(), 0, 0, 0);
    for seed in 0..seeds {
        match live(seed) {
            Ok(lived) => {
                (calls, asked) = (calls + lived.calls, asked + lived.asked);
                restarts += lived.restarts;
            }
            Err(why) => {
                failed.push(format!("{why}\nSPINDLE_CALLS_SEED={seed} lives through this again"));
            }
        }
        if failed.len() > 2 {
            break;
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
    assert_eq!(live(3), live(3), "a seed repeats itself");
    let each = seeds as usize;
    assert!(
        calls > each * 30 && asked > each * 20 && restarts > each / 4,
        "too quiet: {calls} calls, {asked} asked, {restarts} restarts"
    );
}

#[test]
fn every_word_of_a_router_is_one_that_its_model_says() {
    use spindle::testing::routers::live;
    if let Some(seed) = number("SPINDLE_ROUTER_SEED") {
        let lived = live(seed).unwrap_or_else(|why| panic!("{why}"));
        panic!("seed {seed} keeps its promises: {lived:?}");
    }
    let seeds = number("SPINDLE_SEEDS").unwrap_or(60);
    let (mut failed, mut calls, mut heard, mut restarts) = (Vec::new(), 0, 0, 0);
    for seed in 0..seeds {
        match live(seed) {
            Ok(lived) => {
                calls += lived.calls;
                heard += lived.heard;
                restarts += lived.restarts;
            }
            Err(why) => {
                failed.push(format!("{why}\nSPINDLE_ROUTER_SEED={seed} lives through this again"));
            }
        }
        if failed.len() > 2 {
            break;
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
    assert_eq!(live(3), live(3), "a seed repeats itself");
    let each = seeds as usize;
    assert!(
        calls > each * 10 && heard > each * 200 && restarts > each / 4,
        "too quiet: {calls} calls, {heard} heard, {restarts} restarts"
    );
}

#[test]
fn every_connector_has_what_it_was_promised_and_nothing_else() {
    use spindle::testing::connectors::{Lived, live};
    if let Some(seed) = number("SPINDLE_CONNECTORS_SEED") {
        let lived = live(Dice::seeded(seed)).unwrap_or_else(|why| panic!("{why}"));
        panic!("seed {seed} keeps its promises: {lived:?}");
    }
    let seeds = number("SPINDLE_SEEDS").unwrap_or(60);
    let (mut failed, mut all) = (Vec::new(), Lived::default());
    for seed in 0..seeds {
        match live(Dice::seeded(seed)) {
            Ok(lived) => {
                all.heard += lived.heard;
                all.outcomes += lived.outcomes;
                all.files += lived.files;
                all.restarts += lived.restarts;
            }
            Err(why) => {
                let again = format!("SPINDLE_CONNECTORS_SEED={seed} lives through this again");
                failed.push(format!("{why}\n{again}"));
            }
        }
        if failed.len() > 2 {
            break;
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
    let each = seeds as usize;
    let loud = all.heard > each * 40 && all.outcomes > each * 5;
    assert!(loud && all.files > each && all.restarts > each, "too quiet: {all:?}");
}
