//! Floor 4. Password checks on their way to the workers and back.
//!
//! Whoever asks stands in line (`access::line`): networks take turns, and no more checks are under
//! way than workers take. An answer finds its asker by slot and life, or falls on the floor.

use std::sync::Arc;

use crate::access::line::Full;
use crate::base::id::Ticket;
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
    ticket: Ticket,
    secret: Secret,
    hash: Arc<str>,
}

impl Engine {
    pub(super) fn ask_worker(
        &mut self,
        now: Now,
        ticket: Ticket,
        address: Address,
        secret: Secret,
        hash: Arc<str>,
    ) {
        let check = Check { ticket, secret, hash };
        if let Err((full, _)) = self.line.join(ticket.conn, address, check) {
            self.hub.stats.login(Method::Password, Outcome::Busy);
            let limit = match full {
                Full::Line => Limit::verify_queue_max,
                Full::Network | Full::Connection => Limit::verify_per_address_max,
            };
            self.hub.limited(now, address.network().to_string().as_bytes(), limit);
            self.doom(now, ticket.conn, Doom::Busy);
        }
    }

    pub(super) fn poll_verify(&mut self) -> Option<Effect> {
        let (_, Check { ticket, secret, hash }) = self.line.poll_check()?;
        Some(Effect::Verify { ticket, secret, hash })
    }

    pub(super) fn on_verified(&mut self, now: Now, ticket: Ticket, ok: bool) {
        self.line.on_checked(ticket.conn);
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
