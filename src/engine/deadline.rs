//! Floor 4. When to come back, although nothing happens.
//!
//! Derived anew each time from what waits: nothing here is stored, so nothing can be forgotten.
//! Absent on purpose: what is done then (`Engine::on_time`).

use crate::base::time::Deadline;

use super::Engine;

impl Engine {
    /// When to come back, at the latest.
    #[must_use]
    pub fn poll_deadline(&self) -> Option<Deadline> {
        // Encoding may have asked for reads, after the work of this turn had gone out.
        let work = self.hub.journal().is_some_and(crate::journal::Journal::has_work);
        let work = work || self.draining || self.hub.is_overgrown();
        let work = work || self.hub.has_overrun() || self.hub.inquiries.has_told();
        let work = work || self.hub.is_vacating() || !self.errands.is_empty();
        if work || !self.dirty.is_empty() || !self.ready.is_empty() {
            return Some(Deadline(0));
        }
        let journal = self.hub.journal().and_then(crate::journal::Journal::deadline);
        let soonest = self.wheel.next().into_iter().chain(journal).chain(self.later.at());
        let soonest = soonest.chain(self.hub.flush_deadline()).chain(self.hub.calls.deadline());
        let soonest = soonest.chain(self.hub.polls.deadline()).min();
        let soonest = match self.hub.relays.is_empty() {
            true => soonest,
            false => soonest.into_iter().chain(self.relays_deadline()).min(),
        };
        // Whoever waits for memory is not woken by an event of its own: look again soon.
        if self.stalled.is_empty() && !self.hub.is_hungry() && self.hub.wills_waiting() == 0 {
            return soonest;
        }
        let soon = Deadline(self.wheel_now().saturating_add(10 * crate::base::time::MS));
        Some(soonest.map_or(soon, |at| at.min(soon)))
    }

    fn wheel_now(&self) -> u64 {
        self.wheel.now_ms().saturating_mul(crate::base::time::MS)
    }
}
