//! Floor 5. The only clock: read once per turn, handed down as a value.
//!
//! Monotonic time counts from the start of the process, so that it fits a number; the wall is what
//! the machine believes. Absent on purpose: sleeping, and readings that are handed to nobody.
#![expect(clippy::disallowed_types, reason = "the one place where time is read")]

use std::time::{Instant, SystemTime};

use crate::base::time::Now;

/// Both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock that starts now.
    #[must_use]
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// Nanoseconds of the monotonic clock alone, for those who read it often.
    #[must_use]
    pub fn mono(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// What time it is.
    #[must_use]
    pub fn now(&self) -> Now {
        let mono = self.mono();
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Now { mono, wall: u64::try_from(wall.as_millis()).unwrap_or(u64::MAX) }
    }

    /// Nanoseconds since 1970, for those who print them.
    #[must_use]
    pub fn wall_nanos(&self) -> u64 {
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        u64::try_from(wall.as_nanos()).unwrap_or(u64::MAX)
    }
}
