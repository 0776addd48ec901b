//! Floor 4. Sessions that are spoken to by requests: connections of WAMP without a socket.
//!
//! One request opens such a connection, others hand it what it is to hear, and what it says is laid
//! down in the hub until one fetches it. To everything else it is a connection like any other: it
//! counts at its listener and its address, has its deadlines, is marked when it has something to
//! say, and is buried. Whoever drives the machine never meets it. Absent on purpose: requests
//! (`proto::http`).

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use crate::base::id::ConnId;
use crate::base::limits::Limit;
use crate::base::outbound::Outbound;
use crate::base::stats::Counter;
use crate::base::time::Now;
use crate::base::words::Tongue;
use crate::hub::cookies;
use crate::hub::policy::Event;
use crate::hub::polls::{Name, Pieces};
use crate::link::ws_handshake::Cookie;
use crate::link::{Carrier, Link};
use crate::proto::doom::Doom;
use crate::proto::wamp::rawsocket::{self, HEAD};
use crate::proto::{Peer, Wish, wamp};

use super::Engine;
use super::conn::{Conn, Place, Since};

impl Engine {
    /// Somebody who only asks wants something of such a session.
    pub(super) fn on_wish(&mut self, now: Now, asker: ConnId, wish: Wish) {
        match wish {
            Wish::Open(carrier, cookie) => {
                let opened = self.open_poll(now, asker, (carrier, cookie));
                if opened.is_none() {
                    self.hub.stats.count(Counter::ConnectionsRefused);
                }
                if let Some(c) = self.conns.get_mut(asker)
                    && let Peer::Http(peer) = &mut c.peer
                {
                    let opened = opened.map(|(name, field)| (name, carrier, field));
                    peer.on_opened(now, opened);
                }
            }
            Wish::Hand(conn, text) => self.hand(now, conn, &text),
            Wish::Close(conn) => self.doom(now, conn, Doom::Left),
            Wish::Alive(conn) => self.mind_poll(now, conn),
        }
    }

    /// The name of a new session, and what a browser is to keep.
    fn open_poll(
        &mut self,
        now: Now,
        asker: ConnId,
        (carrier, cookie): (Carrier, Option<Cookie>),
    ) -> Option<(Name, Option<String>)> {
        let c = self.conns.get(asker)?;
        let place = Place { listener: c.listener, address: c.address, loopback: c.loopback };
        let (polls, most) = (&self.hub.polls, self.hub.limits.wamp_polls_max as usize);
        // Half of them are for those who have said who they are.
        if polls.len() >= most || polls.strangers() >= most.div_ceil(2) {
            let who = place.address.network().to_string();
            self.hub.limited(now, who.as_bytes(), Limit::wamp_polls_max);
            return None;
        }
        let counted = self.on_knock(now, place.listener, place.address).ok()?;
        let no = self.listeners.get(usize::from(place.listener))?.no;
        let peer = Peer::Wamp(Box::new(wamp::peer::Peer::polled(carrier, now, &self.hub)));
        let conn = self.conns.insert_with(|_| Conn::new(peer, Link::Plain, place, now));
        if let Some(c) = self.conns.get_mut(conn) {
            c.counted = counted.is_some();
        }
        self.strangers += 1;
        self.came_to(place.listener, Tongue::Unknown);
        self.hub.stats.count(Counter::ConnectionsOpened);
        let address = place.address;
        self.hub.observer.see(now, &Event::Opened { conn, listener: no, address });
        let name = self.hub.open_poll(conn, carrier);
        let terms = &self.listeners.get(usize::from(place.listener))?.link;
        let field = match terms.cookie_s {
            0 => None,
            _ => cookies::come(&mut self.hub.polls.cookies, (now, conn), cookie, terms),
        };
        self.settle(now, conn);
        Some((name, field))
    }

    /// What it is to hear, as it would come in a frame.
    fn hand(&mut self, now: Now, conn: ConnId, text: &Bytes) {
        let head = rawsocket::head(rawsocket::Kind::Message, text.len());
        let open = self.conns.get(conn).is_some_and(|c| c.doom.is_none());
        let Some(head) = head.filter(|_| open) else { return };
        let mut chunk = BytesMut::with_capacity(HEAD + text.len());
        chunk.extend_from_slice(&head);
        chunk.extend_from_slice(text);
        self.on_clear(now, conn, &mut chunk);
    }

    /// Somebody was there for it.
    fn mind_poll(&mut self, now: Now, conn: ConnId) {
        if let Some(c) = self.conns.get_mut(conn)
            && let Peer::Wamp(peer) = &mut c.peer
        {
            peer.on_alive(now);
        }
        // However much lies there still, somebody takes it.
        self.on_progress(now, conn);
        self.settle(now, conn);
    }

    /// Is it a connection without a socket, of this kind?
    pub(super) fn is_polled(&self, conn: ConnId) -> bool {
        !self.hub.polls.is_empty() && self.hub.polls.of(conn).is_some()
    }

    /// How it is with it, for those who would hand it something.
    pub(super) fn tell_of_poll(&mut self, conn: ConnId) {
        if self.is_polled(conn) {
            let stranger = self.conns.get(conn).is_some_and(|c| c.stranger);
            self.hub.polls.tell(conn, self.wants_bytes(conn), stranger);
        }
    }

    /// Lay down what it says, as long as there is room for it.
    pub(super) fn speak_polled(&mut self, now: Now, conn: ConnId) {
        if self.hub.is_laden(conn) {
            let free = |c: &&mut Conn| c.blocked == Since::NEVER;
            if self.conns.get_mut(conn).filter(free).is_some() {
                self.on_blocked(now, conn);
            }
            return;
        }
        if let Some(c) = self.conns.get_mut(conn) {
            c.blocked = Since::NEVER;
        }
        let mut out = core::mem::take(&mut self.inside);
        out.clear();
        self.poll_transmit(now, conn, &mut out);
        for message in messages(&out) {
            self.hub.lay_down(conn, message);
        }
        out.clear();
        self.inside = out;
        // What it said made room for what it is to hear.
        self.tell_of_poll(conn);
        self.gather_awake();
    }

    /// It is over: its last words are laid down behind the others.
    pub(super) fn bury_polled(&mut self, now: Now, conn: ConnId) {
        let mut out = core::mem::take(&mut self.inside);
        out.clear();
        self.poll_transmit(now, conn, &mut out);
        for message in messages(&out) {
            self.hub.lay_down(conn, message);
        }
        out.clear();
        self.inside = out;
        self.hub.end_poll(now, conn);
        self.bury(conn);
        self.gather_awake();
    }
}

/// The messages among whole frames. What is shared there is shared here.
fn messages(out: &Outbound) -> Vec<Pieces> {
    let mut pieces = VecDeque::new();
    out.leftover(0, &mut pieces);
    let mut all = Vec::new();
    while let Some((kind, len)) = head(&mut pieces) {
        let message = take(&mut pieces, len);
        if kind == rawsocket::Kind::Message {
            all.push(message);
        }
    }
    all
}

fn head(pieces: &mut VecDeque<Bytes>) -> Option<(rawsocket::Kind, usize)> {
    let head = take(pieces, HEAD).concat();
    rawsocket::announced(&head, rawsocket::LONGEST).ok().flatten()
}

fn take(pieces: &mut VecDeque<Bytes>, mut len: usize) -> Pieces {
    let mut taken = Vec::new();
    while len > 0
        && let Some(first) = pieces.front_mut()
    {
        let part = first.split_to(first.len().min(len));
        len -= part.len();
        taken.push(part);
        if first.is_empty() {
            pieces.pop_front();
        }
    }
    taken
}
