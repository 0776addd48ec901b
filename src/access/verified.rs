//! Floor 3. Logins that succeeded within the last minute, so that a reconnect costs no hash.
//!
//! An entry is a keyed digest of user, password, hash and network. A changed hash therefore finds
//! nothing, and neither does anybody elsewhere: guessing against this table from another network
//! is hopeless, and from the same network it is counted like any other guess. An entry's minute
//! begins with the check and is not prolonged by use. Absent on purpose: passwords.

use crate::base::time::Now;

use super::until::Until;

/// How long a success is remembered.
const KEPT_MS: u64 = 60_000;
/// How many are remembered; 32 bytes each.
const PLACES: usize = 4096;

/// The successes.
pub(super) struct Verified(Until);

impl Verified {
    pub(super) fn new() -> Self {
        Self(Until::new(PLACES))
    }

    /// Did this very login succeed within the last minute?
    pub(super) fn knows(&self, now: Now, tag: u128) -> bool {
        !now.reached(self.0.of(tag))
    }

    /// This login succeeded.
    pub(super) fn add(&mut self, now: Now, tag: u128) {
        self.0.set(tag, now.after_ms(KEPT_MS));
    }

    /// The rules changed: everybody is to be asked again.
    pub(super) fn flush(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::MS;

    fn at(ms: u64) -> Now {
        Now { mono: ms * MS, wall: 0 }
    }

    #[test]
    fn a_success_is_known_for_a_minute_from_its_check() {
        let mut verified = Verified::new();
        assert!(!verified.knows(at(0), 9));
        verified.add(at(0), 9);
        assert!(verified.knows(at(30_000), 9));
        assert!(verified.knows(at(59_999), 9), "use must not have changed it");
        assert!(!verified.knows(at(60_000), 9));
        assert!(!verified.knows(at(0), 8));
    }

    #[test]
    fn a_flush_forgets_everybody() {
        let mut verified = Verified::new();
        verified.add(at(0), 9);
        verified.flush();
        assert!(!verified.knows(at(0), 9));
    }
}
