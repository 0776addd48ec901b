//! Floor 4. Password checks on their way to the workers and back.
//!
//! Whoever asks stands in line (`access::line`): networks take turns, and no more checks are under
//! way than workers take. An answer finds its asker by slot and life, or falls on the floor. Equal
//! questions of one network are asked once (`access::twins`): whoever follows hears the same
//! answer, and stands up for the others when the one it followed leaves before it was asked.

use std::sync::Arc;

use crate::access::line::Full;
use crate::base::id::{ConnId, Ticket};
use crate::base::limits::Limit;
use crate::base::stats::Counter;
use crate::base::time::Now;
use crate::base::words::{Method, Outcome};
use crate::hub::policy::{Address, Secret};
use crate::proto::Protocol;
use crate::proto::doom::Doom;

use super::{Effect, Engine};

/// A check in line.
#[derive(Debug)]
pub(super) struct Check {
    pub(super) ticket: Ticket,
    pub(super) secret: Secret,
    pub(super) hash: Arc<str>,
}

impl Engine {
    pub(super) fn ask_worker(&mut self, now: Now, address: Address, tag: u128, check: Check) {
        let ticket = check.ticket;
        if self.twins.follow(tag, ticket) {
            return;
        }
        let joined = self.line.join(ticket.conn, address, check);
        if joined.is_ok() {
            self.twins.lead(tag, ticket.conn);
        }
        if let Err((full, _)) = joined {
            self.hub.stats.login(Method::Password, Outcome::Busy);
            let limit = match full {
                Full::Line => Limit::verify_queue_max,
                Full::Network | Full::Connection => Limit::verify_per_address_max,
            };
            self.hub.limited(now, address.network().to_string().as_bytes(), limit);
            self.doom(now, ticket.conn, Doom::Busy);
        }
    }

    /// This connection waits for nothing any more; who waited with it goes on waiting.
    pub(super) fn leave_line(&mut self, now: Now, conn: ConnId) {
        let Some(check) = self.line.leave(conn) else { return };
        let (tag, others) = self.twins.end(conn);
        let here = |ticket: &Ticket| self.conns.get(ticket.conn).is_some_and(|c| c.doom.is_none());
        let mut others = others.into_iter().filter(here).collect::<Vec<_>>().into_iter();
        let Some(ticket) = others.next() else { return };
        let Some(address) = self.conns.get(ticket.conn).map(|c| c.address) else { return };
        self.ask_worker(now, address, tag, Check { ticket, ..check });
        for ticket in others {
            // There is room for them: it is what the one who left has given up.
            self.twins.follow(tag, ticket);
        }
    }

    pub(super) fn poll_verify(&mut self) -> Option<Effect> {
        let (_, Check { ticket, secret, hash }) = self.line.poll_check()?;
        Some(Effect::Verify { ticket, secret, hash })
    }

    pub(super) fn on_verified(&mut self, now: Now, ticket: Ticket, ok: bool) {
        self.line.on_checked(ticket.conn);
        let (_, others) = self.twins.end(ticket.conn);
        for ticket in core::iter::once(ticket).chain(others) {
            self.tell_verdict(now, ticket, ok);
        }
    }

    fn tell_verdict(&mut self, now: Now, ticket: Ticket, ok: bool) {
        if self.conns.get(ticket.conn).is_none_or(|c| c.doom.is_some()) {
            self.hub.stats.count(Counter::StaleAnswers);
            return;
        }
        let result =
            self.call(now, ticket.conn, |peer, ctx| peer.on_verdict(ticket.serial, ok, ctx));
        match result {
            Err(fault) => self.on_fault(now, ticket.conn, fault),
            Ok(()) => {
                // Packets that came meanwhile stayed in the input.
                self.feed(now, ticket.conn, None);
                self.note_rest(now, ticket.conn);
            }
        }
        self.settle(now, ticket.conn);
    }
}
