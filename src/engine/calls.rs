//! Floor 4. Calls whose time is over, and callers that do not fetch what they asked for.
//!
//! Who calls whom is the hub's; here time passes, answers to what the router asked find whom they
//! are for, and connections end. Whoever ends takes its calls with it, and that can be too much for
//! another: so it goes on until nobody is left that must end. Absent on purpose: any protocol's
//! words.

use crate::base::id::ConnId;
use crate::base::time::Now;
use crate::hub::inquiries::Told;
use crate::proto::Peer;
use crate::proto::doom::Doom;

use super::Engine;

impl Engine {
    /// End what is overdue, and who is overrun.
    #[inline]
    pub(super) fn tend_calls(&mut self, now: Now) {
        // What is left of them is due at once: see `poll_deadline`.
        self.hub.expire_calls(now);
        self.hub.vacate_some();
        while let Some(conn) = self.hub.poll_overrun() {
            self.doom(now, conn, Doom::Overrun);
        }
        // One answer may lead to another question; what is left is due at once.
        for _ in 0..TOLD_TURN {
            let Some((conn, number, told)) = self.hub.inquiries.poll() else { break };
            self.tell_answer(now, conn, number, told);
        }
    }

    /// What the router asked on behalf of this connection was answered.
    fn tell_answer(&mut self, now: Now, conn: ConnId, number: u64, told: Told) {
        if self.conns.get(conn).is_none_or(|c| c.doom.is_some()) {
            return;
        }
        let mut told = Some(told);
        let result = self.call(now, conn, |peer, ctx| match (peer, told.take()) {
            (Peer::Wamp(peer), Some(told)) => peer.on_told(number, told, ctx),
            _ => Ok(()),
        });
        match result {
            Err(fault) => self.on_fault(now, conn, fault),
            Ok(()) => {
                // What came meanwhile stayed in the input.
                self.feed(now, conn, None);
                self.note_rest(now, conn);
            }
        }
        self.settle(now, conn);
    }
}

/// Answers passed on in a turn.
const TOLD_TURN: usize = 256;
