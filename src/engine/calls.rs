//! Floor 4. Calls whose time is over, and callers that do not fetch what they asked for.
//!
//! Who calls whom is the hub's; here time passes, and connections end. Whoever ends takes its calls
//! with it, and that can be too much for another: so it goes on until nobody is left that must end.
//! Absent on purpose: any protocol's words.

use crate::base::time::Now;
use crate::proto::doom::Doom;

use super::Engine;

impl Engine {
    /// End what is overdue, and who is overrun.
    #[inline]
    pub(super) fn tend_calls(&mut self, now: Now) {
        // What is left of them is due at once: see `poll_deadline`.
        self.hub.expire_calls(now);
        while let Some(conn) = self.hub.poll_overrun() {
            self.doom(now, conn, Doom::Overrun);
        }
    }
}
