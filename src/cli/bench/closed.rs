//! Floor 6. Messages as fast as they are taken: a window of those under way.
//!
//! Under way is what is not acknowledged or has not reached everybody it is for, so no queue of a
//! broker grows beyond the window and nothing need be dropped. The latency seen so is that of a
//! full window, which says little; that is what the schedule (`open`) is for. Absent on purpose:
//! adapting the window.

/// How many more messages a publisher may send.
pub(super) fn credit(window: u64, sent: u64, acked: u64, came: u64, fan: u64) -> u64 {
    let through = acked.min(came / fan.max(1));
    window.saturating_sub(sent.saturating_sub(through))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slower_of_acknowledgement_and_delivery_holds_the_window() {
        assert_eq!(credit(10, 0, 0, 0, 1), 10);
        assert_eq!(credit(10, 10, 10, 0, 1), 0);
        assert_eq!(credit(10, 10, 0, 10, 1), 0);
        assert_eq!(credit(10, 10, 7, 9, 1), 7);
        assert_eq!(credit(1, 1, 1, 99, 100), 0, "one of a hundred has not got it");
        assert_eq!(credit(1, 1, 1, 100, 100), 1);
    }
}
