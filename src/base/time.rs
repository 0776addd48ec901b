//! Floor 0. Time as an argument: one reading per turn, and deadlines compared with it.
//!
//! Absent on purpose: a clock. Only the street reads one.

/// One reading of both clocks, taken once per turn.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Now {
    /// Nanoseconds since some fixed moment of this process; never goes back.
    pub mono: u64,
    /// Milliseconds since 1970, as the machine believes; may jump.
    pub wall: u64,
}

/// A moment on the monotonic clock, in its nanoseconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Deadline(pub u64);

/// Nanoseconds in a millisecond.
pub const MS: u64 = 1_000_000;

impl Now {
    /// The moment `ms` milliseconds from now; saturates, so "never" is a large number.
    #[must_use]
    pub fn after_ms(self, ms: u64) -> Deadline {
        Deadline(self.mono.saturating_add(ms.saturating_mul(MS)))
    }

    /// Has that moment come?
    #[must_use]
    pub fn reached(self, deadline: Deadline) -> bool {
        self.mono >= deadline.0
    }
}

impl Deadline {
    /// Never comes.
    pub const NEVER: Self = Self(u64::MAX);

    /// Milliseconds left until then, rounded up; 0 when it has come.
    #[must_use]
    pub fn ms_left(self, now: Now) -> u64 {
        self.0.saturating_sub(now.mono).div_ceil(MS)
    }
}
