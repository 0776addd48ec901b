//! Floor 4. Errands of connectors: on their way to whoever may wait for a disk, and back.
//!
//! A connection has at most one of them under way and is not read from meanwhile, or a few pieces
//! of a file in each direction, so there are no more than some for each connection. An answer finds
//! its asker by slot and life, or nobody. Absent on purpose: what is kept, and where.

use crate::base::id::{ConnId, Ticket};
use crate::base::stats::Counter;
use crate::base::time::Now;
use crate::proto::aio::errand::Ran;
use crate::proto::{Peer, Protocol, Speak};

use super::Engine;

impl Engine {
    /// Does it come where connectors of aioconnectors do? They write each frame in two pieces, and
    /// the network of most of them keeps the second until the first is acknowledged.
    #[must_use]
    pub fn is_hasty(&self, conn: ConnId) -> bool {
        let place = self.conns.get(conn).map(|c| usize::from(c.listener));
        let listener = place.and_then(|place| self.listeners.get(place));
        listener.is_some_and(|listener| listener.speak == Speak::Aio)
    }

    /// All that lies below a connector is agreed upon.
    pub(super) fn on_connector(&mut self, now: Now, conn: ConnId) {
        let met = self.call(now, conn, |peer, ctx| match peer {
            Peer::Aio(peer) => peer.on_opened(ctx),
            _ => Ok(()),
        });
        if let Err(fault) = met {
            self.on_fault(now, conn, fault);
        }
        self.settle(now, conn);
    }

    /// What a connector is told next may have to be fetched.
    pub(super) fn gather_errands(&mut self, now: Now, conn: ConnId) {
        while let Some(c) = self.conns.get_mut(conn).filter(|c| c.doom.is_none())
            && let Peer::Aio(peer) = &mut c.peer
            && let Some(ask) = peer.poll_errand(conn)
        {
            self.on_ask(now, conn, ask);
        }
    }

    pub(super) fn on_ran(&mut self, now: Now, ticket: Ticket, done: Ran) {
        if done == Ran::Noted {
            return;
        }
        let here = |c: &&super::Conn| c.doom.is_none() && matches!(c.peer, Peer::Aio(_));
        if self.conns.get(ticket.conn).filter(here).is_none() {
            self.hub.stats.count(Counter::StaleAnswers);
            return;
        }
        let result = self.call(now, ticket.conn, |peer, ctx| match peer {
            Peer::Aio(peer) => peer.on_ran(ticket.serial, done, ctx),
            _ => Ok(()),
        });
        match result {
            Err(fault) => self.on_fault(now, ticket.conn, fault),
            Ok(()) => {
                // Frames that came meanwhile stayed in the input.
                self.feed(now, ticket.conn, None);
                self.note_rest(now, ticket.conn);
                if self.conns.get(ticket.conn).is_some_and(|c| c.peer.waits_for().is_none()) {
                    self.mark(ticket.conn);
                }
            }
        }
        self.settle(now, ticket.conn);
    }

    fn mark(&mut self, conn: ConnId) {
        if let Some(c) = self.conns.get_mut(conn) {
            self.dirty.mark(conn, &mut c.marked);
        }
    }
}
