//! Floor 4. How connections end: doomed in a turn, buried after it.
//!
//! Dooming detaches the session at once and lets the peer leave its last words; the slot is freed
//! when whoever drives the engine has written them, so nobody frees what a caller still holds.

use crate::base::id::ConnId;
use crate::base::time::Now;
use crate::hub::policy::Event;
use crate::proto::doom::Doom;
use crate::proto::{Ask, Ctx, Peer, Protocol};

use super::{Engine, limited};

impl Engine {
    /// End a connection, for this reason. The first reason counts.
    pub fn doom(&mut self, now: Now, conn: ConnId, doom: Doom) {
        if !self.put_off(now, conn, doom) {
            self.doom_now(now, conn, doom);
        }
    }

    /// The same, said at once.
    pub(super) fn doom_now(&mut self, now: Now, conn: ConnId, doom: Doom) {
        let Some(c) = self.conns.get_mut(conn).filter(|c| c.doom.is_none()) else { return };
        let Some(listener) = self.listeners.get(usize::from(c.listener)) else { return };
        c.doom = Some(Box::new(doom));
        let reached = limited::reached(&doom, c.stranger);
        let unfinished = core::mem::take(&mut c.unfinished);
        let mut asks = Vec::new();
        let mut ctx = Ctx {
            now,
            conn,
            hub: &mut self.hub,
            asks: &mut asks,
            listener,
            address: c.address,
            loopback: c.loopback,
            certificate: c.link.certificate(),
        };
        // Afterwards nobody knows its name.
        let who = reached.map(|_| limited::label(c, ctx.hub));
        let session = c.peer.session().and_then(|id| ctx.hub.session(id));
        let name = session.map(|s| s.label().clone()).unwrap_or_default();
        c.peer.on_doom(&doom, &mut ctx);
        // Of what it may ask, only an errand is for its end.
        for ask in asks {
            if let Ask::Errand { .. } = ask {
                self.on_ask(now, conn, ask);
            }
        }
        self.no_stranger(conn);
        if let (Some(limit), Some(who)) = (reached, who) {
            self.hub.limited_at(now, Some(conn), &who, limit);
        }
        self.count_unfinished(unfinished, 0);
        self.leave_line(now, conn);
        self.doomed.push_back(conn);
        self.hub.stats.closed(doom.ending());
        self.hub.observer.ended(now, conn, &name, doom.name());
        self.hub.observer.see(now, &Event::Closed { conn, reason: doom.name() });
        self.gather_awake();
    }

    /// The peer closed its end, or the network gave up.
    pub fn on_closed(&mut self, now: Now, conn: ConnId, reset: bool) {
        if !reset && self.on_end_of_side(now, conn) {
            return;
        }
        let Some(c) = self.conns.get_mut(conn) else { return };
        if !reset && c.doom.is_none() && c.owes_words(&self.hub) {
            // It may have closed one half only, and be waiting for an answer.
            c.eof = c.eof.or_at(now.mono);
            return self.settle(now, conn);
        }
        self.doom(now, conn, if reset { Doom::Reset } else { Doom::Eof });
    }

    /// A half-closed connection that has had its answers is over.
    pub(super) fn end_if_said(&mut self, now: Now, conn: ConnId) {
        let c = self.conns.get(conn).filter(|c| c.eof.get().is_some() && c.doom.is_none());
        if c.is_some_and(|c| !c.owes_words(&self.hub)) {
            self.doom(now, conn, Doom::Eof);
        }
    }

    /// Whoever has heard its last answer is let go.
    pub(super) fn end_if_over(&mut self, now: Now, conn: ConnId) {
        self.end_if_said(now, conn);
        let c = self.conns.get(conn).filter(|c| c.doom.is_none());
        if c.is_some_and(|c| matches!(&c.peer, Peer::Http(peer) if peer.is_over())) {
            self.doom(now, conn, Doom::Left);
        }
    }

    /// A connection to be closed: take its last words with `poll_transmit`, write what the socket
    /// takes, then `bury` it.
    pub fn poll_doomed(&mut self) -> Option<(ConnId, Doom)> {
        while let Some(conn) = self.doomed.pop_front() {
            let doom = self.conns.get(conn).and_then(|c| c.doom.as_deref().copied());
            match doom {
                Some(_) if self.is_polled(conn) => self.bury_polled(self.now, conn),
                Some(doom) => return Some((conn, doom)),
                None => {}
            }
        }
        None
    }

    /// Free the slot: from now on its id finds nobody.
    pub fn bury(&mut self, conn: ConnId) {
        self.uncount(conn);
        if let Some((place, tongue)) = self.conns.get(conn).map(|c| (c.listener, c.tongue)) {
            self.left_from(place, tongue);
        }
        self.conns.remove(conn);
        self.hub.polls.cookies.leave(conn);
    }

    /// Somebody is to be buried.
    #[must_use]
    pub fn has_doomed(&self) -> bool {
        !self.doomed.is_empty()
    }

    /// It has not said yet who it is.
    #[must_use]
    pub fn is_stranger(&self, conn: ConnId) -> bool {
        self.conns.get(conn).is_some_and(|c| c.stranger)
    }

    /// Doomed and not buried.
    #[must_use]
    pub fn is_doomed(&self, conn: ConnId) -> bool {
        self.conns.get(conn).is_none_or(|c| c.doom.is_some())
    }

    /// The broker is about to go down: nobody new comes in and nobody is read from any more, but
    /// answers that wait for the disk still go out.
    pub fn fall_silent(&mut self) {
        self.stopping = true;
    }

    /// Somebody waits for an answer that waits for the disk.
    #[must_use]
    pub fn owes_answers(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// The broker goes down: nobody new, and everybody is let go with their protocol's words.
    pub fn stop(&mut self, now: Now) {
        self.stopping = true;
        let all: Vec<ConnId> = self.conns.iter().map(|(id, _)| id).collect();
        for conn in all {
            self.doom(now, conn, Doom::Stopping);
        }
        self.commit();
    }
}
