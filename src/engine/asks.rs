//! Floor 4. What a peer asked for while it was called, carried out after it.
//!
//! Absent on purpose: the asking (`proto`).

use crate::base::id::ConnId;
use crate::base::time::Now;
use crate::proto::Ask;
use crate::proto::doom::Doom;

use super::{Effect, Engine, verify};

impl Engine {
    pub(super) fn on_ask(&mut self, now: Now, conn: ConnId, ask: Ask) {
        match ask {
            Ask::Verify { ticket, address, tag, secret, hash } => {
                self.ask_worker(now, address, tag, verify::Check { ticket, secret, hash });
            }
            Ask::Yield(other) => self.doom(now, other, Doom::TakenOver),
            Ask::Stall => {
                if let Some(c) = self.conns.get_mut(conn)
                    && !c.stalled
                {
                    c.stalled = true;
                    self.stalled.push_back(conn);
                }
            }
            Ask::Again => {
                if let Some(c) = self.conns.get_mut(conn).filter(|c| !c.ready) {
                    c.ready = true;
                    self.ready.push_back(conn);
                }
            }
            Ask::Leave => self.doom(now, conn, Doom::Left),
            Ask::Operate { ticket, what } => self.operations.push_back((ticket, what)),
            Ask::Errand { ticket, desk, errand } => {
                self.errands.push_back(Effect::Errand { ticket, desk, errand });
            }
            Ask::Dial { relay, at, pair } => self.dial(now, relay, at, pair),
            Ask::Wish(wish) => self.on_wish(now, conn, wish),
            Ask::Forsake(other) => self.doom(now, other, Doom::Unreachable),
        }
    }
}
