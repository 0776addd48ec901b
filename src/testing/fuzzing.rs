//! Floor 5. The simulated worlds for fuzzers: bytes are choices.
//!
//! What begins with one certain byte is lived through in the world of connectors. Else the first
//! bytes draw the habits and the bounds, the rest what happens; when they run out the world is
//! healed and has to account for everything. A broken promise is a panic, on purpose.

use super::connectors;
use super::dice::Dice;
use super::world::World;

/// Whoever begins so means connectors.
const CONNECTORS: u8 = 0xac;
/// Turns that one input may decide.
const TURNS_MAX: u64 = 2_000;

/// Live through what the bytes say.
///
/// # Panics
/// When anything is wrong, with the log of the last events.
pub fn world(data: &[u8]) {
    if let Some((&CONNECTORS, rest)) = data.split_first() {
        if let Err(log) = connectors::live(Dice::reading(rest)) {
            panic!("{log}");
        }
        return;
    }
    let lived = World::new(Dice::reading(data)).and_then(|world| world.live(TURNS_MAX));
    if let Err(log) = lived {
        panic!("{log}");
    }
}
