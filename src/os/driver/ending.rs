//! Floor 5. How the loop ends: nobody new, the last answers, the last words, the journal.
//!
//! Absent on purpose: who may ask for it.

use super::{DRAIN_MS, Driver, End, STOP_MS};
use crate::base::time::Now;
use crate::journal::State;

impl Driver {
    /// Nobody new, and no more questions; what was asked is still answered.
    pub(super) fn stop(&mut self, now: Now) {
        if self.stopping.is_some() {
            return;
        }
        if let Some(notify) = &self.notify {
            notify.stopping();
        }
        self.stopping = Some(now.after_ms(STOP_MS));
        self.draining = Some(now.after_ms(DRAIN_MS));
        self.doors.clear();
        self.engine.fall_silent();
    }

    /// Once everybody has an answer: last words for everybody, and the journal to the disk.
    pub(super) fn drain(&mut self, now: Now) {
        let Some(until) = self.draining else { return };
        if self.engine.owes_answers() && !now.reached(until) {
            return;
        }
        self.draining = None;
        self.engine.stop(now);
        if let Some(journal) = &mut self.engine.hub_mut().journal {
            journal.close();
        }
    }

    /// Is it over?
    pub(super) fn end(&self) -> Option<End> {
        let until = self.stopping?;
        if self.draining.is_some() && !self.at_once {
            return None;
        }
        let journal = self.engine.hub().journal();
        if let Some(State::Failed(error)) = journal.map(crate::journal::Journal::state) {
            return Some(End::DiskFailed(error.to_string()));
        }
        let settled = journal.is_none_or(crate::journal::Journal::is_settled);
        if settled && self.linger.is_empty() {
            return Some(End::Clean);
        }
        let late = self.at_once || self.clock.now().reached(until);
        late.then_some(if settled { End::Clean } else { End::Unsynced })
    }
}
