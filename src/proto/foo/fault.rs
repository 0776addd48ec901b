//! Floor 3. What a relay says itself: to a line that is none, and to a request that nobody answers.
//!
//! What is none has no number that could be believed, so it is refused as number 0, as the
//! original's server does. Absent on purpose: when any of it is said (`client`).

use super::encode::refusal;

/// The answer to a line that is none.
#[must_use]
pub fn malformed() -> Vec<u8> {
    refusal(0, "ERRDECODE")
}

/// The answer while no upstream is there; without a number, to a line that is none.
#[must_use]
pub fn away(seq: Option<i64>) -> Vec<u8> {
    refusal(seq.unwrap_or(0), "ERRUPSTREAM")
}
