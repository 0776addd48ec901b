//! Floor 4. What administrators do to connections, sessions, and the machine.
//!
//! Whoever is closed hears its protocol's words for it, like anybody else who must go. What only
//! the driver can do goes out as an effect and comes back by its ticket. Absent on purpose: who
//! may ask for it (`proto::http`).

use bytes::Bytes;

use crate::base::id::{ConnId, Lsn, Ticket};
use crate::base::time::Now;
use crate::hub::admin::{Answer, ClientRow};
use crate::hub::bans::{Ban, Banned, block_of};
use crate::hub::watch::Aim;
use crate::proto::doom::Doom;
use crate::proto::{Peer, Protocol};

use super::super::Engine;

impl Engine {
    pub(super) fn client_row(&self, now: Now, name: &Bytes) -> Option<Box<ClientRow>> {
        let s = self.session_named(name)?;
        Some(Box::new(ClientRow {
            session: self.session_row(now, s),
            subscriptions: self.sub_rows(now, s.id, 0, usize::MAX),
            past: self.hub.observer.past(s.label()),
        }))
    }

    pub(super) fn kick(&mut self, now: Now, name: &Bytes) -> Answer {
        let Some(conn) = self.session_named(name).and_then(|s| s.conn) else {
            return Answer::Nobody;
        };
        self.doom(now, conn, Doom::Kicked);
        Answer::Done(Lsn::START)
    }

    pub(super) fn forget(&mut self, now: Now, name: &Bytes) -> Answer {
        let Some(s) = self.session_named(name) else { return Answer::Nobody };
        let (id, conn) = (s.id, s.conn);
        if let Some(conn) = conn {
            self.doom(now, conn, Doom::Kicked);
        }
        self.hub.forget(now, id);
        // That it is gone is the newest thing the journal says.
        Answer::Done(self.hub.journal().map_or(Lsn::START, |journal| journal.tail()))
    }

    pub(super) fn ban(&mut self, now: Now, ban: Ban) -> Answer {
        let (kind, value) = (ban.kind, ban.value.clone());
        let after = match self.hub.ban(now, ban) {
            Ok(Some(receipt)) => receipt.after,
            Ok(None) => return Answer::TooMany,
            Err(why) => return Answer::Held(why),
        };
        let block = block_of(&value);
        let mut closed = 0;
        let meant: Vec<ConnId> = match kind {
            Banned::Address => {
                let inside = |c: &super::super::Conn| {
                    let ip = c.address.ip();
                    let http = matches!(c.peer, Peer::Http(_));
                    !http && ip.is_some_and(|ip| block.as_ref().is_some_and(|b| b.contains(ip)))
                };
                self.conns.iter().filter(|(_, c)| inside(c)).map(|(id, _)| id).collect()
            }
            Banned::Client | Banned::User => {
                let sessions = self.hub.sessions().filter(|s| match kind {
                    Banned::User => s.principal().user == value,
                    _ => *s.name() == value || s.principal().client_id == value,
                });
                sessions.filter_map(|s| s.conn).collect()
            }
        };
        for conn in meant {
            self.doom(now, conn, Doom::Kicked);
            closed += 1;
        }
        Answer::Ended(closed, after)
    }

    /// Connections, and what they are known by, that a trace is about from its beginning.
    pub(super) fn aimed_at(&self, aim: &Aim) -> Vec<(ConnId, Bytes)> {
        let label = |c: &super::super::Conn| {
            let session = c.peer.session().and_then(|id| self.hub.session(id));
            session.map(|s| s.label().clone()).unwrap_or_default()
        };
        let here = self.conns.iter().map(|(id, c)| (id, c.address, label(c)));
        let meant = here.filter(|(_, address, name)| match aim {
            Aim::Client(client) => name == client,
            Aim::Address(from) => address == from,
            Aim::Topics(_) => false,
        });
        meant.map(|(id, _, name)| (id, name)).collect()
    }

    /// Whoever drives the machine has done what an operator wanted, or not.
    pub(in super::super) fn on_operated(
        &mut self,
        now: Now,
        ticket: Ticket,
        result: Result<String, String>,
    ) {
        let Some(c) = self.conns.get_mut(ticket.conn).filter(|c| c.doom.is_none()) else { return };
        if let Peer::Http(peer) = &mut c.peer {
            peer.on_operated(now, ticket.serial, result);
        }
        self.settle(now, ticket.conn);
    }

    /// Nobody new is taken any more, except administrators; those who are here stay.
    pub fn drain(&mut self) {
        self.closed = true;
    }

    /// The configuration in force: JSON, secrets left out. For whoever looks at it.
    pub fn set_config(&mut self, json: Bytes) {
        self.hub.config = json;
    }
}
