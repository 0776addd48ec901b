//! Floor 5. The simulated world for fuzzers: bytes are choices.
//!
//! The first bytes draw the habits and the bounds, the rest what happens; when they run out the
//! world is healed and has to account for everything. A broken promise is a panic, on purpose.

use super::dice::Dice;
use super::world::World;

/// Turns that one input may decide.
const TURNS_MAX: u64 = 2_000;

/// Live through what the bytes say.
///
/// # Panics
/// When anything is wrong, with the log of the last events.
pub fn world(data: &[u8]) {
    let lived = World::new(Dice::reading(data)).and_then(|world| world.live(TURNS_MAX));
    if let Err(log) = lived {
        panic!("{log}");
    }
}
