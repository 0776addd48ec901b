//! Floor 4. Connections that the machine makes itself: asked for by one, opened by the street.
//!
//! A relay's client asks for an upstream; a connection is made for it at once, and whoever drives
//! the machine dials and says what became of that. What one side of a pair wants of the other is
//! told once in a turn, between turns of the peers themselves, so neither is called from within
//! the other. Absent on purpose: addresses, which only the street knows.

use crate::base::id::{ConnId, PairId};
use crate::base::stats::Counter;
use crate::base::time::{Deadline, Now};
use crate::base::words::Tongue;
use crate::hub::policy::{Address, Event};
use crate::link::Link;
use crate::proto::doom::Doom;
use crate::proto::foo;
use crate::proto::{Ctx, Peer};

use super::conn::{Conn, Place, Since};
use super::{Effect, Engine};

impl Engine {
    /// A relay's client was accepted.
    pub(super) fn greet(&mut self, now: Now, conn: ConnId) {
        let greeted = self.call_foo(now, conn, |peer, ctx| {
            peer.on_accepted(ctx);
            Ok(())
        });
        self.end_or_settle(now, conn, greeted);
    }

    /// Somebody wants a connection to this upstream of this relay, for a pair or to see whether it
    /// is there.
    pub(super) fn dial(&mut self, now: Now, relay: u16, at: u16, pair: Option<PairId>) {
        let place = self.listeners.iter().position(|l| l.relay == Some(relay));
        let terms = self.hub.relays.get(relay).map(|relay| relay.terms.connect_ms);
        let (Some(listener), Some(connect_ms)) = (place, terms) else { return };
        let listener = listener as u16;
        if self.conns.len() >= self.hub.limits.connections_max as usize {
            // That is our lack and not the upstream's.
            return self.hub.relays.on_full(now, relay, at, pair);
        }
        let by = now.after_ms(connect_ms);
        let peer = Peer::Foo(Box::new(foo::peer::Peer::upstream(relay, at, pair, by)));
        let place = Place { listener, address: Address::Local, loopback: false };
        let link = self.listeners.get(usize::from(listener));
        let link = link.map_or(Ok(Link::Plain), |l| Link::toward(&l.link, at));
        // Without TLS where it is asked for nothing is said at all.
        let (link, speakable) = link.map_or((Link::Plain, false), |link| (link, true));
        let conn = self.conns.insert_with(|_| Conn::new(peer, link, place, now));
        if let Some(c) = self.conns.get_mut(conn) {
            (c.stranger, c.tongue) = (false, Tongue::Foo);
        }
        self.came_to(listener, Tongue::Foo);
        let no = self.listeners.get(usize::from(listener)).map(|l| l.no).unwrap_or_default();
        let event = Event::Opened { conn, listener: no, address: Address::Local };
        self.hub.observer.see(now, &event);
        self.hub.stats.count(Counter::ConnectionsDialed);
        if let Some((pair, _)) = pair.and_then(|id| self.hub.relays.both(id)) {
            pair.upstream = Some(conn);
        }
        if self.stopping || !speakable {
            return self.doom(now, conn, Doom::Unreachable);
        }
        self.dials.push_back(Effect::Dial { conn, relay, at });
        self.settle(now, conn);
    }

    /// The connection that was dialed is there.
    pub fn on_connected(&mut self, now: Now, conn: ConnId) {
        let Some(c) = self.conns.get_mut(conn) else { return };
        if c.link.is_open() {
            return self.on_opened(now, conn);
        }
        // TLS has the first word.
        self.dirty.mark(conn, &mut c.marked);
        let met = self.call_foo(now, conn, |peer, _| {
            peer.on_reached();
            Ok(())
        });
        self.end_or_settle(now, conn, met);
    }

    /// All that lies between a socket and its peer is agreed upon.
    pub(super) fn on_opened(&mut self, now: Now, conn: ConnId) {
        let side = self.conns.get(conn).filter(|c| c.doom.is_none()).map(|c| &c.peer);
        if let Some(Peer::Aio(_)) = side {
            return self.on_connector(now, conn);
        }
        let Some(Peer::Foo(side)) = side else { return };
        if let foo::peer::Peer::Client(_) = **side {
            return self.greet(now, conn);
        }
        let met = self.call_foo(now, conn, foo::peer::Peer::on_connected);
        self.end_or_settle(now, conn, met);
    }

    /// The connection that was dialed is not to be had.
    pub fn on_unreachable(&mut self, now: Now, conn: ConnId) {
        self.doom(now, conn, Doom::Unreachable);
    }

    /// Nothing more comes from one side of a relay. False: it is no relay's.
    pub(super) fn on_end_of_side(&mut self, now: Now, conn: ConnId) -> bool {
        let side = self.conns.get(conn).filter(|c| c.doom.is_none());
        if !side.is_some_and(|c| matches!(c.peer, Peer::Foo(_))) {
            return false;
        }
        let told = self.call_foo(now, conn, foo::peer::Peer::on_end);
        self.end_or_settle(now, conn, told);
        true
    }

    /// What one side of a pair wants of the other; and who is to be looked at without a client.
    #[inline(never)]
    pub(super) fn tend_relays(&mut self, now: Now) {
        // One may nudge the other and back; what still goes on then goes on in the next turn.
        for _ in 0..NUDGES_TURN {
            let Some((conn, pair)) = self.hub.relays.poll_nudged() else { break };
            if self.is_doomed(conn) {
                self.hub.relays.on_undelivered(conn, pair);
                continue;
            }
            if self.conns.get(conn).is_some_and(|c| c.blocked != Since::NEVER) {
                // Its socket has not taken all it was told: it hears of this when it has.
                continue;
            }
            let told = self.call_foo(now, conn, |peer, ctx| peer.on_nudge(pair, ctx));
            self.end_or_settle(now, conn, told);
        }
        self.hub.keep_relays(now);
        while let Some((relay, at)) = self.hub.relays.to_probe(now) {
            self.dial(now, relay, at, None);
        }
    }

    /// A side of a relay was told all that its socket had not taken: now it may hear what became of
    /// its pair meanwhile. Ended before that, it would not be told the rest.
    pub(super) fn catch_up(&mut self, conn: ConnId) {
        let side = self.conns.get(conn).map(|c| &c.peer);
        if let Some(Peer::Foo(side)) = side
            && let Some(pair) = side.pair()
        {
            self.hub.relays.nudge(Some((conn, pair)));
        }
    }

    /// When `tend_relays` has something to do although nothing happens.
    #[inline(never)]
    pub(super) fn relays_deadline(&self) -> Option<Deadline> {
        match self.hub.relays.has_nudged() {
            true => Some(Deadline(0)),
            false => {
                let keep = self.hub.journal().and_then(|_| self.hub.relays.keep_at());
                self.hub.relays.probe_at().into_iter().chain(keep).min()
            }
        }
    }

    /// Call into one side of a relay.
    fn call_foo(
        &mut self,
        now: Now,
        conn: ConnId,
        f: impl FnOnce(&mut foo::peer::Peer, &mut Ctx<'_>) -> Result<(), Doom>,
    ) -> Result<(), Doom> {
        let mut verdict = Ok(());
        let _ = self.call(now, conn, |peer, ctx| {
            if let Peer::Foo(side) = peer {
                verdict = f(side, ctx);
            }
            Ok(())
        });
        verdict
    }

    fn end_or_settle(&mut self, now: Now, conn: ConnId, verdict: Result<(), Doom>) {
        match verdict {
            Ok(()) => self.settle(now, conn),
            Err(doom) => self.doom(now, conn, doom),
        }
    }
}

/// Nudges delivered in a turn.
const NUDGES_TURN: usize = 4_096;
