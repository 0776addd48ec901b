//! Floor 4. The embedder's way in: a connection without bytes.
//!
//! Whoever drives the engine carries verbs in and words out; everything between is the same as
//! for a socket. Absent on purpose: channels and threads (`broker.rs`).

use bytes::Bytes;

use crate::base::id::ConnId;
use crate::base::time::Now;
use crate::hub::policy::{Address, Principal};
use crate::link::{Carrier, Spoken};
use crate::proto::local::{Verb, Word};
use crate::proto::{Peer, Speak};

use super::{Engine, NoSlot};

impl Engine {
    /// An in-process peer joins through the first listener that speaks `local`.
    pub fn on_local(&mut self, now: Now, name: Bytes, who: Principal) -> Result<ConnId, NoSlot> {
        let speaks = |l: &crate::proto::Listener| l.speak == Speak::Local;
        let listener = self.listeners.iter().position(speaks).ok_or(NoSlot::Stopping)?;
        let conn = self.on_accept(now, listener as u16, Address::Local, true)?;
        let mut joined = Ok(());
        let _ = self.call(now, conn, |peer, ctx| {
            if let Peer::Local(peer) = peer {
                joined = peer.join(name, who, ctx);
            }
            Ok(())
        });
        if joined.is_err() {
            self.doom(now, conn, crate::proto::doom::Doom::StorageFailed);
            return Err(NoSlot::Connections);
        }
        self.settle(now, conn);
        Ok(conn)
    }

    /// An in-process session that speaks WAMP, in bytes, comes the same way. Who it is it says like
    /// anybody from this machine.
    pub fn on_inner(&mut self, now: Now) -> Result<ConnId, NoSlot> {
        let speaks = |l: &crate::proto::Listener| l.speak == Speak::Local;
        let listener = self.listeners.iter().position(speaks).ok_or(NoSlot::Stopping)?;
        let conn = self.on_accept(now, listener as u16, Address::Local, true)?;
        if let Some(c) = self.conns.get_mut(conn) {
            c.peer = Peer::spoken(Spoken::Wamp(Carrier::Raw), now, &self.hub);
        }
        self.settle(now, conn);
        Ok(conn)
    }

    /// The embedder asks for something.
    pub fn on_verb(&mut self, now: Now, conn: ConnId, verb: Verb) {
        let _ = self.call(now, conn, |peer, ctx| {
            if let Peer::Local(peer) = peer {
                peer.on_verb(verb, ctx);
            }
            Ok(())
        });
        self.settle(now, conn);
    }

    /// Up to `most` words for the embedder, when `poll_dirty` names its connection.
    pub fn poll_words(&mut self, now: Now, conn: ConnId, most: usize, into: &mut Vec<Word>) {
        if let Some(c) = self.conns.get_mut(conn)
            && let Peer::Local(peer) = &mut c.peer
        {
            peer.poll_words(now, &mut self.hub, most, into);
            if let Some(session) = crate::proto::Protocol::session(&c.peer) {
                self.hub.note_lag(session, false);
            }
            if into.len() >= most {
                self.dirty.mark(conn, &mut c.marked);
            }
        }
        self.settle(now, conn);
    }

    /// Is it an in-process peer?
    #[must_use]
    pub fn is_local(&self, conn: ConnId) -> bool {
        self.conns.get(conn).is_some_and(|c| matches!(c.peer, Peer::Local(_)))
    }
}
