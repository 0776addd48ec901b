//! Floor 2. Which rules somebody was let in under.
//!
//! Everybody who was let in keeps one, so it takes three bytes: with them a principal is eight
//! bytes smaller. Absent on purpose: an order; rules are the same as now, or they are not.

/// A number for rules as they were at one time. It comes round again after sixteen million times.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Edition([u8; 3]);

impl Edition {
    /// Of the first rules; that of no rules is the default.
    pub const FIRST: Self = Self([1, 0, 0]);

    /// The one that replaces it: never that of no rules.
    #[must_use]
    pub fn next(self) -> Self {
        let [a, b, c] = self.0;
        let [a, b, c, _] = (u32::from_le_bytes([a, b, c, 0]) + 1).to_le_bytes();
        match [a, b, c] {
            [0, 0, 0] => Self::FIRST,
            next => Self(next),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::policy::Principal;

    #[test]
    fn the_next_is_another_and_never_that_of_no_rules() {
        let mut it = Edition::default();
        for n in 1..=1_000_u32 {
            it = it.next();
            assert_eq!(it.0, n.to_le_bytes()[..3]);
        }
        assert_eq!(Edition([255, 255, 0]).next(), Edition([0, 0, 1]));
        assert_eq!(Edition([255; 3]).next(), Edition::FIRST);
        assert_ne!(Edition::FIRST, Edition::default());
    }

    #[test]
    fn a_principal_and_its_counts_are_no_larger_than_a_piece_of_memory() {
        // What the allocator hands out comes in steps of sixteen, eight of them its own.
        let counts = 2 * size_of::<usize>();
        assert!(size_of::<Principal>() + counts <= 96 - 8, "{}", size_of::<Principal>());
    }
}
